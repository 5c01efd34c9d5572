"""What /metrics says of the registrar: read from what it holds when it is asked."""

import time
from collections import deque
from collections.abc import Callable, Iterator
from typing import Final

from prometheus_client import CollectorRegistry, Counter
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from registrar.model import Out, Ready, Refused, Waiting
from registrar.planner import Planner
from registrar.ports.berths import Berths
from registrar.registry.registry import Registry

PREFIX: Final = "wharfinger_registrar"
HOUR_SECONDS: Final = 3_600.0
STATES: Final = {Ready: "registered", Waiting: "waiting", Out: "out", Refused: "refused"}


class LeaseLosses:
    """Counts the leases that ended under us; many in an hour mean that something flaps."""

    def __init__(self, metrics: CollectorRegistry) -> None:
        self._at: deque[float] = deque(maxlen=10_000)
        self._total = Counter(
            f"{PREFIX}_leases_lost",
            "Leases of this host that ended before it stopped",
            registry=metrics,
        )

    def count(self) -> None:
        """One more."""
        self._total.inc()
        self._at.append(time.monotonic())

    def last_hour(self) -> int:
        """How many in the last hour."""
        return sum(time.monotonic() - at < HOUR_SECONDS for at in self._at)


def measure(
    metrics: CollectorRegistry,
    planner: Planner,
    berths: Berths,
    registry: Registry,
    range_size: Callable[[], int],
) -> None:
    """Adds the registrar's own metrics to the registry behind /metrics."""
    metrics.register(_Holdings(planner, berths, registry, range_size))


class _Holdings(Collector):
    def __init__(
        self, planner: Planner, berths: Berths, registry: Registry, range_size: Callable[[], int]
    ) -> None:
        self._planner = planner
        self._berths = berths
        self._registry = registry
        self._range_size = range_size

    def collect(self) -> Iterator[Metric]:
        containers = GaugeMetricFamily(
            f"{PREFIX}_containers", "Containers that ask for something", labels=["state"]
        )
        judged = [each for several in self._planner.verdicts.values() for each in several]
        states = [STATES[type(verdict)] for verdict in judged]
        for state in STATES.values():
            containers.add_metric([state], states.count(state))
        yield containers
        instances = len(self._registry.instances)
        yield GaugeMetricFamily(f"{PREFIX}_instances", "Instances in etcd", instances)
        assigned = len(self._berths.assignments.ports)
        yield GaugeMetricFamily(f"{PREFIX}_ports_assigned", "Ports given to containers", assigned)
        size = self._range_size()
        yield GaugeMetricFamily(f"{PREFIX}_ports_size", "Ports of the range", size)
        yield CounterMetricFamily(
            f"{PREFIX}_registrations",
            "Instances put into etcd",
            self._registry.ledger.registrations,
        )
        yield CounterMetricFamily(
            f"{PREFIX}_deregistrations",
            "Instances taken out of etcd",
            self._registry.ledger.deregistrations,
        )
