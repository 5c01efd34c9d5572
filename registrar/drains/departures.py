"""Takes instances out so that nobody's request is lost: removed, acknowledged, in-flight done."""

import asyncio
import math
import time
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from registrar import sockets
from registrar.census import Census
from registrar.model import Wanted
from registrar.registry.registry import Registry
from wharfinger.acknowledgement import acknowledged
from wharfinger.errors import Conflict, Unavailable, WharfingerError
from wharfinger.etcd import Etcd
from wharfinger.keys import InstanceKey
from wharfinger.kv import Delete, Get, KeyValue, Put, absent, held_by
from wharfinger.metadata import TCP

LOOK_SECONDS: Final = 0.05
CONNECTIONS_LOOK_SECONDS: Final = 0.1
# An Nginx worker on its way out may still hold a request that it has not passed on yet.
QUIET_SECONDS: Final = 0.5
UNKNOWN: Final = 0  # no port: of its connections nothing is known

Step = dict[str, Any]
Tell = Callable[[Step], None]


@dataclass(frozen=True, slots=True)
class Leaving:
    """One container that leaves.

    Attributes:
        container_id: whose.
        keys: that it has in etcd, or that it had when it was drained.
        ports: whose connections can be seen from here; None where they cannot.
        drain_seconds: how long it may be kept serving.
    """

    container_id: str
    keys: tuple[InstanceKey, ...]
    ports: tuple[int, ...] | None
    drain_seconds: int


class Behind(Unavailable):
    """Some discoveries did not acknowledge in time; what was taken out stays out.

    Attributes:
        hosts: theirs.
    """

    def __init__(self, hosts: Sequence[str], timeout_seconds: float) -> None:
        self.hosts = tuple(hosts)
        super().__init__(
            f"not acknowledged within {timeout_seconds:g} s by discovery on {', '.join(hosts)}: "
            "its Nginx may still send requests; it stays drained"
        )


class Departures:
    """Carries out departures, any number at the same time.

    Args:
        etcd: the session.
        registry: what etcd holds of this host.
        census: what is known of the containers.
        lease: gives the host's lease.
        ports: gives the assigned port by container id.
    """

    def __init__(
        self,
        etcd: Etcd,
        registry: Registry,
        census: Census,
        *,
        lease: Callable[[], int],
        ports: Callable[[], Mapping[str, int]],
    ) -> None:
        self._etcd = etcd
        self._registry = registry
        self._census = census
        self._lease = lease
        self._ports = ports

    def leaving(self, container_id: str, keys: Iterable[InstanceKey]) -> Leaving:
        """What leaves with a container; look before it is planned to be out.

        Args:
            container_id: whose.
            keys: that it has in etcd, or had before: they may not be acknowledged as gone yet.
        """
        keys = set(keys)
        seen = self._census.containers.get(container_id)
        asks = [ask for ask in seen.asks if isinstance(ask, Wanted)] if seen is not None else []
        if seen is None or not asks:
            return Leaving(container_id, tuple(sorted(keys)), None, 0)
        assigned = self._ports().get(container_id)
        ports = {ask.port or assigned for ask in asks}
        # In a network namespace of its own its connections are not to be seen from here; and
        # nobody knows of a datagram whether an answer is waited for.
        visible = seen.container.network_mode == "host" and {a.protocol for a in asks} == {TCP}
        drain_seconds = max(ask.drain_seconds for ask in asks) if seen.container.running else 0
        return Leaving(
            container_id,
            tuple(sorted(keys)),
            tuple(sorted(filter(None, ports))) if visible else None,
            drain_seconds,
        )

    async def depart(
        self,
        leaving: Sequence[Leaving],
        tell: Tell,
        *,
        timeout_seconds: float,
        wait: bool = True,
    ) -> None:
        """Sees to the end of what was planned to be out.

        Args:
            leaving: who leaves.
            tell: told of each step.
            timeout_seconds: for the removal and the acknowledgements together.
            wait: for more than the removal.

        Raises:
            Behind: not every discovery serves without them.
            Unavailable: etcd does not answer; they are taken out as soon as it does.
        """
        deadline = time.monotonic() + timeout_seconds
        keys = sorted({key for each in leaving for key in each.keys})
        await self._until_removed(leaving, deadline)
        tell({"step": "removed", "instances": [key.address for key in keys]})
        if not wait or not keys:
            return
        await self.acknowledged(keys, tell, deadline)
        await self.in_flight(leaving, tell)

    async def acknowledged(self, keys: Sequence[InstanceKey], tell: Tell, deadline: float) -> None:
        """Waits until every discovery serves without these keys.

        Raises:
            Behind: not all of them do in time.
            Unavailable: etcd does not answer.
        """
        began = time.monotonic()
        revision = await self._revision(keys, deadline)
        hosts = await acknowledged(
            self._etcd,
            revision,
            timeout_seconds=max(0.0, deadline - time.monotonic()),
            on_waiting=lambda hosts: tell({"step": "acknowledged", "waiting_for": list(hosts)}),
        )
        if hosts:
            raise Behind(hosts, max(0.0, deadline - began))

    async def in_flight(self, leaving: Iterable[Leaving], tell: Tell) -> None:
        """Waits for their drain time, or until nobody is connected to them any more."""
        began = time.monotonic()
        quiet_since: dict[str, float] = {}
        told = -1
        waiting = [each for each in leaving if each.drain_seconds]
        while waiting:
            counts = await _connections({port for each in waiting for port in each.ports or ()})
            now = time.monotonic()
            for each in waiting:
                if any(counts.get(port, 1) for port in each.ports or (UNKNOWN,)):
                    quiet_since.pop(each.container_id, None)
                else:
                    quiet_since.setdefault(each.container_id, now)
            waiting = [
                each
                for each in waiting
                if now - began < each.drain_seconds
                and now - quiet_since.get(each.container_id, now) < QUIET_SECONDS
            ]
            if waiting and sum(counts.values()) != told:
                told = sum(counts.values())
                tell({"step": "in flight", "connections": told})
            await asyncio.sleep(CONNECTIONS_LOOK_SECONDS if waiting else 0)

    async def _until_removed(self, leaving: Sequence[Leaving], deadline: float) -> None:
        # A port that was given to another container meanwhile makes the same key another's.
        while left := [
            key
            for each in leaving
            for key in each.keys
            if self._registry.holder(key) in ("", each.container_id)
        ]:
            if time.monotonic() > deadline:
                raise Unavailable(
                    f"{left[0].address} is still in etcd: does it answer? It is taken out as soon "
                    "as it does"
                )
            await asyncio.sleep(LOOK_SECONDS)

    async def _revision(self, keys: Sequence[InstanceKey], deadline: float) -> int:
        """A revision of an event that discoveries hear, with none of the keys in it or after."""
        known = [self._registry.ledger.removed_at(key) for key in keys]
        found = [each for each in known if each is not None]
        if len(found) == len(known):
            return max(found)
        # Gone by another's hand, or by a life before: a new event behind that tells as much.
        while True:
            try:
                return max([await self._mark(keys[0]), *found])
            except WharfingerError as error:
                if time.monotonic() > deadline:
                    raise Unavailable(str(error)) from error
            await asyncio.sleep(LOOK_SECONDS)

    async def _mark(self, key: InstanceKey) -> int:
        """Puts a key that means nothing alone where an instance was, and deletes it at once."""
        lease = self._lease()
        put = Put(key.metadata, b"{}", lease)
        done = await self._etcd.transact([absent(key.metadata)], [put], [Get(key.metadata)])
        if not done.succeeded:
            (there,) = done.results
            if isinstance(there, KeyValue):
                if self._registry.is_stale(there, lease):
                    # etcd deletes it in a moment, and discoveries would keep what answers.
                    raise Conflict(f"{key.address} hangs on a lease that was lost")
                return there.mod_revision
            raise Conflict(f"{key.metadata} was changed meanwhile")
        gone = await self._etcd.transact([held_by(key.metadata, lease)], [Delete(key.metadata)])
        return gone.revision


async def _connections(ports: Collection[int]) -> dict[int, int]:
    """How many at each port; nothing where that cannot be known."""
    if not ports:
        return {}
    try:
        # A host may have tens of thousands, and all else waits for this loop.
        return await asyncio.to_thread(sockets.connections, ports)
    except Unavailable:
        return {}


def upper_bound_seconds(leaving: Leaving, timeout_seconds: float) -> int:
    """How long a departure takes at most, in whole seconds."""
    return math.ceil(timeout_seconds) + leaving.drain_seconds + 1
