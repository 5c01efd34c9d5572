"""Keeps etcd true: what is desired is written, what others damaged is put right."""

import asyncio
import random
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Final, Never

from prometheus_client import CollectorRegistry, Counter, Histogram

from registrar.doubt import Doubt
from registrar.model import Instance
from registrar.registry.registry import Registry
from wharfinger.backoff import Backoff
from wharfinger.errors import Conflict, Rejected, WharfingerError
from wharfinger.etcd.faults import LeaseNotFound
from wharfinger.health import Check
from wharfinger.keys import InstanceKey
from wharfinger.lease import HostLease
from wharfinger.text import quantity

AUDIT_SECONDS: Final = 3.0
CONFLICTS: Final = 5
# A thousand hosts that lost their leases to one outage must not put everything in one moment.
JITTER_SECONDS: Final = 1.0


@dataclass(frozen=True, slots=True)
class Desired:
    """What etcd shall hold of this host, and why it shall not hold the rest.

    Attributes:
        instances: by key.
        spare: ids of containers of which nothing is known now.
        reasons: why a container has no instance, by its id.
        doubt: of whom it was not known whether they run, before all this was looked at.
    """

    instances: Mapping[InstanceKey, Instance] = field(default_factory=dict)
    spare: frozenset[str] = frozenset()
    reasons: Mapping[str, str] = field(default_factory=dict)
    doubt: Doubt = field(default_factory=Doubt)

    def withheld(self, doubt: Doubt) -> frozenset[str]:
        """The ids of containers that nothing is to be put of, by what is doubted now."""
        if doubt.count == self.doubt.count:
            return self.doubt.of
        # Planned before that doubt, all of it.
        return frozenset(each.metadata.id for each in self.instances.values())

    def why(self, container_id: str) -> str:
        """Why a container has no instance."""
        return self.reasons.get(container_id, "its container is gone")


class Publisher:
    """One loop that alone writes this host's keys.

    Args:
        registry: what etcd holds.
        lease: what the keys hang on.
        check: whether etcd is true.
        host_key: where this host tells of itself.
        host_record: what it tells, by what stands there.
        metrics: where writes are counted.
        doubt: of whom it is not known now whether they run.

    Attributes:
        synced: set when etcd was first found or made true.
    """

    def __init__(
        self,
        registry: Registry,
        lease: HostLease,
        check: Check,
        *,
        host_key: str,
        host_record: Callable[[bytes | None], bytes],
        metrics: CollectorRegistry,
        doubt: Callable[[], Doubt] = Doubt,
    ) -> None:
        self._registry = registry
        self._lease = lease
        self._check = check
        self._host_key = host_key
        self._host_record = host_record
        self._doubt = doubt
        self._desired: Desired | None = None
        self._since: dict[InstanceKey, float] = {}
        self._wake = asyncio.Event()
        self._jitter = False
        self._refused = False
        self._audit_at = 0.0
        self._backoff = Backoff(first_seconds=0.05, cap_seconds=1.0)
        self.synced = asyncio.Event()
        self._delay = Histogram(
            "wharfinger_registrar_registration_seconds",
            "From the first sight of a serving instance to its keys in etcd",
            buckets=(0.005, 0.01, 0.025, 0.05, 0.1, 0.15, 0.25, 0.5, 1, 2.5, 5, 10, 30),
            registry=metrics,
        )
        self._failures = Counter(
            "wharfinger_registrar_etcd_failures_total",
            "Writes to etcd that failed and were tried again",
            registry=metrics,
        )

    def want(self, desired: Desired) -> None:
        """Says what etcd shall hold from now on."""
        if desired == self._desired:
            return
        before = self._desired.instances if self._desired else {}
        now = time.monotonic()
        self._since = {key: at for key, at in self._since.items() if key in desired.instances}
        for key in desired.instances.keys() - before.keys():
            self._since[key] = now
        self._desired = desired
        self._wake.set()

    def lease_changed(self, _lease_id: int) -> None:
        """A new lease holds nothing yet: everything is put again, not at once on all hosts."""
        self._jitter = True
        self._wake.set()

    async def run(self) -> Never:
        """Writes for ever."""
        while True:
            await self._until_due()
            try:
                await self._write()
            except LeaseNotFound as error:
                # Nothing was done, and what hung on it is gone: nothing to read before there is
                # another. Of a thousand hosts that would be half of all that etcd is asked.
                self._lease.doubt()
                await self._failed(error)
            except Conflict as error:
                # It has been read again, and the next try knows better, or somebody goes on.
                if self._backoff.attempts >= CONFLICTS:
                    self._check.fail(str(error))
                self._wake.set()
                await asyncio.sleep(self._backoff.next_delay_seconds())
            except WharfingerError as error:
                self._audit_at = 0.0
                await self._failed(error)

    async def _write(self) -> None:
        desired = self._desired
        if desired is None:
            return
        if self._jitter:
            await asyncio.sleep(random.uniform(0, JITTER_SECONDS))  # noqa: S311 - spreads load
            desired, self._jitter = self._desired or desired, False
            self._registry.forget_all_but(self._lease.id)
        if time.monotonic() >= self._audit_at:
            await self._registry.audit(desired.instances, self._lease.id, self._host_key)
            self._audit_at = time.monotonic() + AUDIT_SECONDS
        # First: of two registrars of this host, the one whose record stands may write the rest.
        record = self._host_record(self._registry.value(self._host_key))
        try:
            await self._registry.declare(self._host_key, record, self._lease.id, anew=self._refused)
        except Rejected:
            # Without news there would be nothing to put, and the check green, until there is some.
            self._refused = True
            raise
        self._refused = False
        desired = self._desired or desired
        withheld = await self._registry.converge(
            desired.instances,
            self._lease.id,
            spare=desired.spare,
            withheld=desired.withheld(self._doubt()),
            why=desired.why,
        )
        self._backoff.reset()
        if withheld:
            why = "Docker has yet to say what still runs"
            self._check.fail(f"{quantity(withheld, 'instance')} not put yet: {why}")
            return
        self._check.ok(self._registry.denials.describe())
        self.synced.set()
        self._count(desired)

    def _count(self, desired: Desired) -> None:
        now = time.monotonic()
        for key in desired.instances.keys() & self._since.keys():
            self._delay.observe(now - self._since.pop(key))

    async def _failed(self, error: WharfingerError) -> None:
        self._failures.inc()
        self._check.fail(str(error))
        self._wake.set()
        await asyncio.sleep(self._backoff.next_delay_seconds())

    async def _until_due(self) -> None:
        left = max(0.0, self._audit_at - time.monotonic())
        if self._desired is None:
            await self._wake.wait()
        elif left:
            try:
                async with asyncio.timeout(left):
                    await self._wake.wait()
            except TimeoutError:
                pass
        self._wake.clear()
