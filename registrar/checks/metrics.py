"""What /metrics says of the checks."""

from collections.abc import Iterator
from typing import Final

from prometheus_client import CollectorRegistry, Histogram
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from registrar.checks.model import Answer, Target
from registrar.checks.schedule import Schedule
from registrar.checks.scripts import Scripts

PREFIX: Final = "wharfinger_registrar"
STATES: Final = {True: "passing", False: "failing", None: "undecided"}
ANSWERS: Final = {True: "good", False: "bad", None: "not_asked"}
BUCKETS: Final = (0.001, 0.005, 0.01, 0.05, 0.1, 0.5, 1.0, 5.0, 30.0)


class Meter(Collector):
    """Counts probes, and reads the schedule when it is asked.

    Args:
        metrics: the registry behind /metrics.
    """

    def __init__(self, metrics: CollectorRegistry) -> None:
        self._metrics = metrics
        self._schedule: Schedule | None = None
        self._scripts: Scripts | None = None
        self._seconds = Histogram(
            f"{PREFIX}_check_seconds",
            "How long probes took, by what they found",
            ["kind", "answer"],
            buckets=BUCKETS,
            registry=metrics,
        )

    def probed(self, target: Target, answer: Answer, seconds: float) -> None:
        """Counts one probe; for `Schedule(on_probed=...)`."""
        labels = (target.check.kind.value, ANSWERS[answer.good])
        self._seconds.labels(*labels).observe(seconds)

    def watch(self, schedule: Schedule, scripts: Scripts) -> None:
        """Shows their state from now on."""
        self._schedule, self._scripts = schedule, scripts
        self._metrics.register(self)

    def collect(self) -> Iterator[Metric]:
        """As prometheus_client asks for it."""
        if self._schedule is None or self._scripts is None:
            return
        checks = GaugeMetricFamily(f"{PREFIX}_checks", "Checks by their outcome", labels=["state"])
        found = [outcome.passing for outcome in self._schedule.outcomes.values()]
        for passing, state in STATES.items():
            checks.add_metric([state], found.count(passing))
        yield checks
        running = self._schedule.running
        yield GaugeMetricFamily(f"{PREFIX}_checks_running", "Probes under way", running)
        yield GaugeMetricFamily(
            f"{PREFIX}_check_scripts_left",
            "Containers with a check's script that was not seen to end",
            self._scripts.left,
        )
        yield CounterMetricFamily(
            f"{PREFIX}_check_scripts_hanging",
            "Scripts that ran on after their time was over",
            self._scripts.hanging,
        )
