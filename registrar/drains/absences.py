"""Who is kept out of etcd: drained until further notice, or held while a stop waits."""

import asyncio
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final, Never

from registrar.census import Census
from registrar.drained import Candidate, Drain
from registrar.drains.departures import Departures, Leaving, Step, upper_bound_seconds
from registrar.model import Seen, Wanted
from registrar.ports.berths import Berths
from registrar.registry.registry import Registry
from registrar.state import State
from wharfinger.container import Container
from wharfinger.errors import Unavailable, WharfingerError
from wharfinger.events import Events
from wharfinger.keys import InstanceKey

# For the removal and the acknowledgements of a stop: a person waits for `docker stop`.
HOLD_SECONDS: Final = 10.0
# The signal that was held back, told by an event of dockerd's, follows within moments.
SIGNAL_SECONDS: Final = 30.0
TELL_SECONDS: Final = 1.0
LOOK_SECONDS: Final = 2.0
MISSING_SECONDS: Final = 86_400.0


@dataclass(frozen=True, slots=True)
class Hold:
    """One run of a container whose stop signal is held back.

    Attributes:
        started_at_ns: tells the run; a later one is registered as ever.
        departure: ends when the signal may go out; the same for all who ask.
        seconds: how long that takes at most.
    """

    started_at_ns: int
    departure: asyncio.Task[None]
    seconds: int


class Absences:
    """Drains, which survive everything, and holds, which survive nothing.

    Args:
        state: where drains are kept; on disk before anybody is told of them.
        census: what is known of the containers.
        registry: what etcd holds of this host.
        berths: tells a container that its stop was waited for already.
        departures: carries departures out.
        events: where each is told.
        replan: has everything planned anew, now.
    """

    def __init__(
        self,
        *,
        state: State,
        census: Census,
        registry: Registry,
        berths: Berths,
        departures: Departures,
        events: Events,
        replan: Callable[[], None],
    ) -> None:
        self._state = state
        self._census = census
        self._registry = registry
        self._berths = berths
        self._departures = departures
        self._events = events
        self._replan = replan
        self._holds: dict[str, Hold] = {}
        self._missing: dict[str, float] = {}
        self._saving = asyncio.Lock()
        self.drains, lost = state.load_drains()
        if lost:
            events.emit("drains lost", "error", why=lost)

    def out(self) -> dict[str, str]:
        """For the plan: ids of containers that are kept out, and why."""
        found = self.drains.out(self._census.containers)
        for container_id, hold in self._holds.items():
            seen = self._census.containers.get(container_id)
            if seen is not None and seen.container.started_at_ns == hold.started_at_ns:
                found[container_id] = "was told to stop"
        return found

    def candidates(self) -> list[Candidate]:
        """The containers that a person may mean.

        Raises:
            Unavailable: Docker has not told yet which there are.
        """
        if not self._census.complete:
            raise Unavailable("Docker has not told yet which containers there are")
        held = self._registry.by_container
        return [
            Candidate(
                container_id,
                seen.container.name,
                tuple(sorted(key.address for key in self._keys(container_id, held))),
            )
            for container_id, seen in self._census.containers.items()
            if seen.asks
        ]

    async def drain(self, container_id: str, by: str) -> Leaving:
        """Keeps a container out from now on; gives what leaves with it.

        Raises:
            Unavailable: that cannot be kept on disk; nothing has changed.
        """
        async with self._saving:
            before = self.drains.containers.get(container_id)
            held_keys = self._keys(container_id, self._registry.by_container)
            leaving = self._departures.leaving(container_id, held_keys)
            keys = tuple(key.address for key in leaving.keys)
            drain = Drain(before.by, before.since, keys) if before else Drain(by, _now(), keys)
            held = self.drains.of_container(container_id, drain)
            await self._state.save_drains(held)
            self.drains = held
        self._replan()
        self._events.emit("instance drained", container=container_id[:12], by=drain.by)
        return leaving

    async def departed(self, leaving: Iterable[Leaving]) -> None:
        """Lets the stop of those that nobody is sent to any more go out without another drain."""
        async with self._saving:
            for each in leaving:
                seen = self._census.containers.get(each.container_id)
                if seen is not None and each.container_id in self.drains.containers:
                    await self._tell_drain(seen, 0)

    async def drain_host(self, by: str) -> list[Leaving]:
        """Keeps everything out that runs here, now and later; gives what leaves with it.

        Raises:
            Unavailable: that cannot be kept on disk; nothing has changed.
        """
        async with self._saving:
            before = self.drains.host
            had = tuple(key.address for key in self._registry.instances)
            keys = tuple(sorted({*(before.keys if before else ()), *had}))
            drain = Drain(before.by, before.since, keys) if before else Drain(by, _now(), keys)
            by_container = self._registry.by_container
            leaving = [
                self._departures.leaving(each, by_container.get(each, ()))
                for each in self._census.containers
            ]
            left = {InstanceKey.parse(key) for key in keys}
            left -= {key for each in leaving for key in each.keys}
            held = self.drains.of_host(drain)
            await self._state.save_drains(held)
            self.drains = held
        self._replan()
        self._events.emit("host drained", by=drain.by)
        # Of containers that cannot be looked at now, or removed before and not yet acknowledged.
        others = [
            Leaving(self._registry.holder(key) or "", (key,), None, 0) for key in sorted(left)
        ]
        return [*(each for each in leaving if each.keys), *others]

    async def undrain(self, container_id: str) -> bool:
        """Lets a container back in; whether it was drained.

        Raises:
            Unavailable: that cannot be kept on disk; nothing has changed.
        """
        async with self._saving:
            if container_id not in self.drains.containers:
                return False
            # Before anybody is sent there: from then on a stop has to be held back again.
            if (seen := self._census.containers.get(container_id)) is not None:
                await self._tell_drain(seen, _drain_seconds(seen))
            held = self.drains.of_container(container_id, None)
            await self._state.save_drains(held)
            self.drains = held
        self._replan()
        self._events.emit("instance undrained", container=container_id[:12])
        return True

    async def undrain_host(self) -> bool:
        """Ends the maintenance of the host; whether there was any.

        Raises:
            Unavailable: that cannot be kept on disk; nothing has changed.
        """
        async with self._saving:
            if self.drains.host is None:
                return False
            held = self.drains.of_host(None)
            await self._state.save_drains(held)
            self.drains = held
        self._replan()
        self._events.emit("host undrained")
        return True

    async def hold(self, container_id: str, signal: int) -> Hold | None:
        """Begins the departure of a container that is about to be told to stop.

        Returns:
            What to wait for; None where the signal may go out at once: it is not the one that
            stops this container, nobody is sent there, or this run was held before.
        """
        seen = self._census.containers.get(container_id)
        if seen is None or not seen.container.running or signal != seen.container.stop_signal:
            return None
        container = seen.container
        held = self._holds.get(container_id)
        if held is not None and held.started_at_ns == container.started_at_ns:
            return None if held.departure.done() else held
        keys = self._registry.by_container.get(container_id, ())
        if seen.stopping is not None or not keys:
            return None
        leaving = self._departures.leaving(container_id, keys)
        departure = asyncio.create_task(self._depart(container, leaving), name="held stop")
        hold = Hold(container.started_at_ns, departure, upper_bound_seconds(leaving, HOLD_SECONDS))
        self._holds[container_id] = hold
        self._replan()
        # The start script inside passes the signal on at once: the drain is done before.
        await self._tell_drain(seen, 0)
        return hold

    async def run(self) -> Never:
        """Forgets, for ever, who is gone, and whose signal never came."""
        while True:
            await asyncio.sleep(LOOK_SECONDS)
            if not self._census.complete:
                continue
            existing = {*self._census.containers, *self._census.unknown}
            for container_id in self._holds.keys() - existing:
                self._holds.pop(container_id).departure.cancel()
            async with self._saving:
                held = self.drains.only(self.drains.containers.keys() - self._gone(existing))
                if held is not self.drains:
                    try:
                        await self._state.save_drains(held)
                    except WharfingerError:
                        continue  # a name too much on disk does no harm
                    self.drains = held

    def _gone(self, existing: set[str]) -> set[str]:
        """Of the drained that Docker does not know, those that are not to come back.

        An engine with another data root knows nobody; when the right one is back, each must be
        out still. So one is gone that was heard to end, or has been missing for a day.
        """
        now = time.monotonic()
        missing = self.drains.containers.keys() - existing
        self._missing = {each: self._missing.get(each, now) for each in missing}
        return {
            each
            for each, since in self._missing.items()
            if each in self._census.farewells or now - since >= MISSING_SECONDS
        }

    async def close(self) -> None:
        """Ends the waiting of all stops; whoever held them lets them go."""
        for hold in self._holds.values():
            hold.departure.cancel()
        await asyncio.gather(
            *(hold.departure for hold in self._holds.values()), return_exceptions=True
        )

    async def _depart(self, container: Container, leaving: Leaving) -> None:
        began = time.monotonic()
        loop = asyncio.get_running_loop()
        try:
            await self._departed(leaving)
        finally:
            loop.call_later(SIGNAL_SECONDS, self._expire, container.id, container.started_at_ns)
        seconds = round(time.monotonic() - began, 3)
        self._events.emit("stop let go", container=container.id[:12], held_seconds=seconds)

    async def _departed(self, leaving: Leaving) -> None:
        told: list[Step] = []
        try:
            await self._departures.depart([leaving], told.append, timeout_seconds=HOLD_SECONDS)
        except WharfingerError as error:
            container_id = leaving.container_id[:12]
            self._events.emit(
                "stop not acknowledged", "warning", container=container_id, why=str(error)
            )
            # A discovery that is frozen must not keep a container from being stopped; what it
            # still sends is served for the drain time.
            await self._departures.in_flight([leaving], told.append)

    def _expire(self, container_id: str, started_at_ns: int) -> None:
        held = self._holds.get(container_id)
        if held is not None and held.started_at_ns == started_at_ns:
            # Where the signal did come, the census knows; where it did not, it lives on.
            del self._holds[container_id]
            self._replan()

    async def _tell_drain(self, seen: Seen, drain_seconds: int) -> None:
        """Tells the start script inside for how long it has to hold a stop back."""
        declared = (ask.port for ask in seen.asks if isinstance(ask, Wanted) and ask.port)
        assigned = self._berths.assignments.ports.get(seen.container.id)
        port = seen.told or assigned or next(declared, None)
        if port is not None and seen.container.network_mode == "host":
            await self._berths.tell_drain(seen.container, port, drain_seconds, TELL_SECONDS)

    def _keys(
        self, container_id: str, held: Mapping[str, tuple[InstanceKey, ...]]
    ) -> set[InstanceKey]:
        """The keys of a container that stand in etcd, and those that it had when drained."""
        drain = self.drains.containers.get(container_id)
        had = map(InstanceKey.parse, drain.keys) if drain is not None else ()
        return {*had, *held.get(container_id, ())}


def _drain_seconds(seen: Seen) -> int:
    return max((ask.drain_seconds for ask in seen.asks if isinstance(ask, Wanted)), default=0)


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds")
