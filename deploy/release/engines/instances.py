"""A service's instances in etcd: who is there, who serves them, and out with these, in order."""

import asyncio
import secrets
import time
from collections.abc import Awaitable, Callable, Iterable, Sequence
from contextlib import aclosing, suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import StrEnum
from typing import Final, TypeVar

from deploy.release import warrant
from deploy.release.engines import registered
from deploy.release.engines.registered import Hosts, Instance
from wharfinger.acknowledgement import acknowledged
from wharfinger.backoff import Backoff
from wharfinger.errors import Conflict, Rejected, Unavailable, WharfingerError
from wharfinger.etcd import Etcd
from wharfinger.keys import HOSTS, InstanceKey, OrderKey, Service
from wharfinger.kv import (
    Changed,
    Compare,
    Delete,
    KeyValue,
    Listed,
    Put,
    absent,
    ranges_of,
)
from wharfinger.orders import MAX_BY_LENGTH, Order, Verb, encode, parse
from wharfinger.text import printable, shortened
from wharfinger.watch import Watch

# A registrar that lives takes an order at once; one that is starting has until then.
TAKEN_SECONDS: Final = 8.0
# What nobody takes goes by itself, should we be killed.
ORDER_SECONDS: Final = 30
ETCD_PATIENCE_SECONDS: Final = 120.0
ACKNOWLEDGED_SECONDS: Final = 60.0
_ID_BYTES: Final = 8

T = TypeVar("T")


class Came(StrEnum):
    """What became of an order."""

    DONE = "done"
    UNTAKEN = "untaken"
    FAILED = "failed"


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of an order about one instance, and why."""

    key: InstanceKey
    came: Came
    why: str = ""


class _Lapsed(Exception):
    """Nobody has taken an order while it stood there."""


class Instances:
    """One service's.

    etcd may go away while a release rolls: every method waits for it, for two minutes, and raises
    Unavailable after that.

    Args:
        etcd: the session.
        service: whose instances.
        by: who orders, as other hosts are told.
        tell: takes a sentence whenever something unusual is waited for.
    """

    def __init__(
        self, etcd: Etcd, service: Service, *, by: str, tell: Callable[[str], None]
    ) -> None:
        self._etcd = etcd
        self._service = service
        self._by = printable(shortened(by, MAX_BY_LENGTH))[:MAX_BY_LENGTH]
        self._tell = tell

    async def held(self) -> tuple[Instance, ...]:
        """The instances that etcd holds now."""
        ranges = ranges_of(registered.prefixes(self._service))
        snapshot = await self._patiently(lambda: self._etcd.list_ranges(ranges))
        return registered.instances(self._service, snapshot.items)

    async def addresses(self) -> dict[str, str]:
        """What requests are sent to, and what is known of it, by address."""
        ranges = ranges_of(registered.prefixes(self._service))
        snapshot = await self._patiently(lambda: self._etcd.list_ranges(ranges))
        return registered.addresses(self._service, snapshot.items)

    async def hosts(self) -> Hosts:
        """What daemons there are, and what the registrars say."""
        snapshot = await self._patiently(lambda: self._etcd.list(HOSTS))
        return registered.hosts(snapshot.items)

    async def served(
        self,
        revision: int,
        *,
        timeout_seconds: float = ACKNOWLEDGED_SECONDS,
        on_waiting: Callable[[tuple[str, ...]], None] = lambda _hosts: None,
    ) -> tuple[str, ...]:
        """Waits until every discovery serves what etcd held at `revision`; gives who does not.

        Args:
            revision: of an instance of the service.
            timeout_seconds: how long; a time without etcd is not counted.
            on_waiting: told who is waited for.
        """
        return await self._patiently(
            lambda: acknowledged(
                self._etcd, revision, timeout_seconds=timeout_seconds, on_waiting=on_waiting
            )
        )

    async def drain(
        self, leaving: Iterable[Instance], *, timeout_seconds: float
    ) -> tuple[Outcome, ...]:
        """Has registrars take instances out; over when their traffic has moved away.

        Args:
            leaving: the instances.
            timeout_seconds: for what etcd, the discoveries and the traffic have to do.
        """
        return await self._ordered(
            "drain", [(each.host, each.key) for each in leaving], timeout_seconds
        )

    async def drain_again(
        self, names: Sequence[str], *, timeout_seconds: float
    ) -> tuple[Outcome, ...]:
        """Sees to its end what an earlier run had begun, of containers by their names."""
        found = (await self.hosts()).drained(names)
        return await self._ordered("drain", found.values(), timeout_seconds)

    async def undrain(self, names: Sequence[str], *, timeout_seconds: float) -> tuple[Outcome, ...]:
        """Lets containers back in that are drained, by their names."""
        found = (await self.hosts()).drained(names)
        return await self._ordered("undrain", found.values(), timeout_seconds)

    async def removed(self, leaving: Sequence[Instance]) -> int:
        """Takes instances out that no registrar takes out; gives the revision, 0 for none.

        What went with its registrar's lease, discoveries keep for as long as it answers. What comes
        back alone, is seen, and is deleted then, is gone for them, too.

        Raises:
            Rejected: our user in etcd must not.
        """
        back = 0
        for each in leaving:
            there = await self._patiently(lambda key=each.key: self._there(key))  # type: ignore[misc]
            back = max(back, there)
        if back:
            await self.served(back)
        revision = 0
        for each in leaving:
            gone = await self._patiently(lambda key=each.key: self._deleted(key))  # type: ignore[misc]
            revision = max(revision, gone)
        return revision

    async def _there(self, key: InstanceKey) -> int:
        """Puts an address that is not there any more; gives the revision, 0 where it is."""
        if await self._etcd.get(key.address) is not None:
            return 0
        warrant.require()
        lease = await self._etcd.grant(ORDER_SECONDS)
        put = Put(key.address, key.endpoint.value.encode(), lease.id)
        done = await self._etcd.transact([absent(key.address)], [put])
        return done.revision

    async def _deleted(self, key: InstanceKey) -> int:
        # One after the other: both at once, as the last of a lease, would look like its end.
        revision = 0
        for each in (key.address, key.metadata):
            warrant.require()
            done = await self._etcd.transact([], [Delete(each)])
            if done.results[0]:
                revision = done.revision
        return revision

    async def _ordered(
        self, verb: Verb, targets: Iterable[tuple[str, InstanceKey]], timeout_seconds: float
    ) -> tuple[Outcome, ...]:
        return tuple(
            await asyncio.gather(
                *(self._order(verb, host, key, timeout_seconds) for host, key in targets)
            )
        )

    async def _order(
        self, verb: Verb, host: str, target: InstanceKey, timeout_seconds: float
    ) -> Outcome:
        at = datetime.now(UTC).isoformat(timespec="seconds").replace("+00:00", "Z")
        order = Order(verb=verb, target=target.address, by=self._by, at=at)
        try:
            key = OrderKey(host, secrets.token_hex(_ID_BYTES))
            lease = await self._patiently(lambda: self._given(key, order))
        except Rejected as error:
            return Outcome(target, Came.UNTAKEN, str(error))
        try:
            async with asyncio.timeout(TAKEN_SECONDS):
                await self._until(key, lambda found: found.state != "waiting")
        except (TimeoutError, _Lapsed):
            # Taken at the last moment, it hangs on the registrar's own lease, and stays.
            with suppress(WharfingerError):
                await self._etcd.revoke(lease)
            if await self._patiently(lambda: self._etcd.get(key.key)) is None:
                return Outcome(target, Came.UNTAKEN, f"the registrar of {host} does not take it")
        try:
            async with asyncio.timeout(timeout_seconds):
                over = await self._until(key, lambda found: found.is_over)
        except _Lapsed as error:
            return Outcome(target, Came.UNTAKEN, str(error))
        except (TimeoutError, Rejected) as error:
            why = str(error) or f"not over after {timeout_seconds:g} s"
            return Outcome(target, Came.FAILED, why)
        came = Came.DONE if over.state == "done" else Came.FAILED
        return Outcome(target, came, over.steps[-1] if over.steps else "")

    async def _given(self, key: OrderKey, order: Order) -> int:
        warrant.require()
        lease = await self._etcd.grant(ORDER_SECONDS)
        put = Put(key.key, encode(order), lease.id)
        conditions: list[Compare] = [absent(key.key)]
        done = await self._etcd.transact(conditions, [put])
        if not done.succeeded:
            # The attempt before, of which no answer came, has put it.
            await self._etcd.revoke(lease.id)
            there = await self._etcd.get(key.key)
            return there.lease if there is not None else 0
        return lease.id

    async def _until(self, key: OrderKey, fits: Callable[[Order], bool]) -> Order:
        """Follows an order.

        Raises:
            _Lapsed: it is gone.
            Rejected: what stands there is no order.
        """
        async with aclosing(Watch(self._etcd, [key.key]).updates()) as updates:
            async for update in updates:
                for kv in _values(update, key.key):
                    if kv is None:
                        raise _Lapsed(f"the order to {key.host} has lapsed")
                    found = parse(kv.value, key.host)
                    if fits(found):
                        return found
        raise AssertionError

    async def _patiently(self, call: Callable[[], Awaitable[T]]) -> T:
        backoff = Backoff(first_seconds=0.2, cap_seconds=2.0)
        deadline = time.monotonic() + ETCD_PATIENCE_SECONDS
        told = False
        while True:
            try:
                return await call()
            except (Unavailable, Conflict) as error:
                if time.monotonic() > deadline:
                    raise
                if not told:
                    self._tell(f"etcd is waited for: {error}")
                    told = True
            await asyncio.sleep(backoff.next_delay_seconds())


def _values(update: Listed | Changed, key: str) -> list[KeyValue | None]:
    if isinstance(update, Listed):
        return [update.snapshot.items.get(key)]
    return [event.kv for event in update.events if event.key == key]
