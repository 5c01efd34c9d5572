"""Carries out what was planned on this host: ports are assigned, told, taken back; owners found."""

import asyncio
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Final, assert_never

from registrar import sockets
from registrar.census import Census
from registrar.model import Action, Assign, Identify, Reassign, Release, Seen, Tell, Wanted
from registrar.ports import containers
from registrar.ports.backlog import Backlog, Change, Planned
from registrar.ports.containers import Told
from registrar.ports.inside import TIMEOUT_SECONDS, Inside
from registrar.ports.owners import Owners
from registrar.porttable import HIGHEST, PortRange, Table
from registrar.state import State
from wharfinger.container import Container
from wharfinger.errors import Rejected, Unavailable, WharfingerError
from wharfinger.events import Events

# A container that the runtime tells of may be so new that Docker's events have not told of it.
UNSEEN_SECONDS: Final = 60.0
EVERY: Final = (1, HIGHEST)
# Somebody else may just be trying whether the port is free, as we do.
SECOND_LOOK_SECONDS: Final = 0.02


class Berths:
    """The ports of this host and who has them.

    Args:
        state: where assignments are kept; they are on disk before anybody hears of them.
        census: what is known of the containers; told what was done to them.
        events: where each decision is told.
        within: the range to assign from; asked each time, as a reload changes it.
        published: the ports that etcd still holds of this host; None while that is not known.
        changed: called when the assignments have changed though nobody waited for it.
        proc: where the host's processes are shown.

    Attributes:
        assignments: as they are on disk.
    """

    def __init__(
        self,
        state: State,
        census: Census,
        events: Events,
        within: Callable[[], PortRange],
        *,
        published: Callable[[], Iterable[int] | None] = tuple,
        changed: Callable[[], None] = lambda: None,
        proc: Path = Path("/proc"),
    ) -> None:
        self._state = state
        self._census = census
        self._events = events
        self._within = within
        self._published = published
        self.assignments = state.load_ports()
        self._owners = Owners(census, proc)
        self._inside = Inside(proc)
        self._telling: dict[str, asyncio.Task[None]] = {}
        self._table: Table | None = None
        # Two at once could be taken up in another order than that in which they were written.
        self._changing = asyncio.Lock()
        self._unseen: dict[str, float] = {}
        self._backlog = Backlog(self._change, changed)

    @property
    def trouble(self) -> str:
        """Why assignments that nobody waits for cannot be kept; empty where they can."""
        return self._backlog.trouble

    @property
    def owners(self) -> Mapping[tuple[str, int], bool]:
        """Whether a socket is a container's own, by the container's id and the inode."""
        return self._owners.known

    @property
    def unseen(self) -> frozenset[str]:
        """Containers that the runtime gave a port moments ago, and Docker has not told of yet."""
        now = time.monotonic()
        self._unseen = {
            container_id: since
            for container_id, since in self._unseen.items()
            if container_id not in self._census.containers and now - since < UNSEEN_SECONDS
        }
        return frozenset(self._unseen)

    async def refresh(self) -> bool:
        """Takes up what the runtime has assigned meanwhile; whether there was anything to do.

        So there is where the table is gone or damaged: it is to be made anew before the runtime
        asks for it, though nothing else happens on this host.

        Raises:
            Unavailable: the table of ports cannot be read.
        """
        damaged = self._state.damaged
        async with self._changing:
            table = await self._state.reload_table()
            if table is not None:
                self._took(table)
        if self._state.damaged and not damaged:
            self._events.emit("ports damaged", "error", why=self._state.forgotten)
        return table is not None or not self._state.has_table

    async def share(self) -> None:
        """Writes down what keeps the runtime from giving a port that we would not give.

        Raises:
            Unavailable: it is not on disk.
        """
        table, within = self._table, self._within()
        if table is not None and self._state.has_table and table.within == within:
            spoken_for = self._spoken_for()(table)
            if table.taken == spoken_for.difference(self.assignments.ports.values()):
                return
        await self._change((), {})

    async def apply(self, actions: Sequence[Action], *, wait: bool = True) -> bool:
        """Carries out the actions; one container's trouble is noted in the census, not raised.

        Args:
            actions: all that is to be done now; what was asked before and is not among them is not
                begun any more.
            wait: for the ports to be given and taken back. The disk takes its time for it, while
                other containers begin to listen.

        Returns:
            Whether anything was done; nothing where all that is left to do is under way. To tell a
            port always is.

        Raises:
            Unavailable: assignments cannot be kept on disk; none was changed.
        """
        changes: list[Change] = []
        tells: list[Tell] = []
        identifications: list[Identify] = []
        for action in actions:
            match action:
                case Reassign(who) if who in self._telling:
                    pass  # it may have heard of its port by now; the plan asks again
                case Assign() | Reassign() | Release():
                    changes.append(action)
                case Tell():
                    tells.append(action)
                case Identify():
                    identifications.append(action)
                case _:
                    assert_never(action)
        if not wait:
            self._backlog.ask(changes, self.assignments.ports)
        elif changes:
            await self._change(changes, self._planned(changes))
        for each in tells:
            # Nobody waits for it, and the plan asks again until it is done. While its port is being
            # exchanged it must not hear of the old one: it would go on with that.
            who = each.container_id
            if who not in self._telling and not self._backlog.is_about(who):
                self._begin_to_tell(each)
        return await self._owners.identify(identifications) or (wait and bool(changes))

    async def identify(self, actions: Iterable[Identify]) -> bool:
        """Finds out whose sockets are; whether anything was found, and not all is under way."""
        return await self._owners.identify(actions)

    async def close(self) -> None:
        """Ends what is under way."""
        await self._backlog.close()
        await self._owners.close()
        telling = list(self._telling.values())
        for task in telling:
            task.cancel()
        await asyncio.gather(*telling, return_exceptions=True)

    async def tell_drain(
        self, container: Container, port: int, drain_seconds: int, timeout_seconds: float
    ) -> None:
        """Tells a container for how long its next stop is held back, if that can be done."""
        with suppress(TimeoutError, WharfingerError):
            async with asyncio.timeout(timeout_seconds):
                told = Told(port, drain_seconds)
                await self._inside.look(container, containers.tell, told)

    def prune(self, inodes: set[int]) -> None:
        """Forgets sockets that are gone, and doubts each that seemed to be nobody's of ours."""
        self._owners.prune(inodes)

    def _spoken_for(self) -> Callable[[Table | None], frozenset[int]]:
        """Ports that no container may be given, though nobody listens on them; asks the table."""
        declared = {
            ask.port
            for each in self._census.containers.values()
            for ask in each.asks
            if isinstance(ask, Wanted) and ask.port is not None
        }
        # With etcd away, the instance that had the port before cannot be taken out: whoever got
        # it now would be sent that one's requests.
        published, within = self._published(), self._within()
        known = frozenset(port for port in {*declared, *(published or ())} if port in within)

        def spoken_for(table: Table | None) -> frozenset[int]:
            # Before etcd was read, the table knows from the life before what is in there.
            return known | table.taken if table and published is None else known

        return spoken_for

    def _planned(self, changes: Iterable[Change]) -> Planned:
        ports = self.assignments.ports
        return {each.container_id: ports.get(each.container_id) for each in changes}

    async def _change(self, changes: Sequence[Change], planned: Planned) -> None:
        """Makes changes to the table of ports as it stands on disk by then."""
        words = await self._words(changes)
        troubles: dict[str, str] = {}
        async with self._changing:
            known, within, ask = self.assignments, self._within(), self._spoken_for()

            def decide(table: Table | None) -> Table:
                found = held = known if table is None else table.assignments
                spoken_for = ask(table)
                free = lambda port: port not in spoken_for and sockets.is_free(port)  # noqa: E731
                for change in changes:
                    each = change.container_id
                    # Where the runtime has been faster, what was planned is of another time.
                    if found.ports.get(each) != planned[each]:
                        continue
                    if isinstance(change, Release):
                        held = held.release(each)
                    elif not isinstance(change, Reassign) or each not in words:
                        held = held.release(each)
                        pool = self._pool(each)
                        try:
                            held = held.give(each, within, _of(pool, free), words.get(each))
                        except Rejected as refusal:
                            troubles[each] = _exhausted(pool, within) or str(refusal)
                return Table(within, spoken_for.difference(held.ports.values()), held)

            self._took(await self._state.update_table(decide))
        for container_id, why in troubles.items():
            if seen := self._census.containers.get(container_id):
                self._census.troubled(seen.container, why)

    def _pool(self, container_id: str) -> tuple[int, int]:
        """First and last port that a container lets itself be given."""
        seen = self._census.containers.get(container_id)
        asks = seen.asks if seen else ()
        return next((ask.pool for ask in asks if isinstance(ask, Wanted) and ask.pool), EVERY)

    async def _words(self, changes: Sequence[Change]) -> dict[str, int]:
        """What containers that are to be given a port were told before, and cannot be told anew."""
        words = {}
        for change in changes:
            seen = self._census.containers.get(change.container_id)
            if seen is None or isinstance(change, Release):
                continue
            # With the state lost, one that was started since has nobody's word but its own.
            lost = self._state.forgotten and seen.container.started_at_ns <= self._state.began_at_ns
            if not isinstance(change, Reassign) and not lost:
                continue
            port = await self._inside.heard(seen.container)
            if isinstance(change, Reassign):
                if port is not None and port == self.assignments.ports.get(change.container_id):
                    self._census.told(seen.container, port)
                    words[change.container_id] = port
            elif port is not None and port in self._within():
                words[change.container_id] = port
        return words

    async def _lost(self, seen: Seen, port: int) -> bool:
        """Whether a container that is to be told its port could not bind it."""
        if self.assignments.ports.get(seen.container.id) != port or sockets.is_free_again(port):
            return False
        await asyncio.sleep(SECOND_LOOK_SECONDS)
        if sockets.is_free_again(port):
            return False
        # Its own application may be on it, told before this registrar's time.
        return await self._inside.heard(seen.container) != port

    def _took(self, table: Table) -> None:
        before, after = self.assignments, table.assignments
        self._table, self.assignments = table, after
        for container_id, port in after.ports.items():
            if before.ports.get(container_id) != port:
                by = {"by": "runtime"} if container_id in after.in_environment else {}
                self._events.emit("port assigned", container=container_id[:12], port=port, **by)
                if by and container_id not in self._census.containers:
                    self._unseen[container_id] = time.monotonic()
        for container_id, port in before.ports.items():
            if container_id not in after.ports:
                self._events.emit("port released", container=container_id[:12], port=port)

    def _begin_to_tell(self, action: Tell) -> None:
        task = asyncio.create_task(self._tell(action), name=f"tell {action.container_id[:12]}")
        self._telling[action.container_id] = task
        task.add_done_callback(lambda _: self._telling.pop(action.container_id, None))

    async def _tell(self, action: Tell) -> None:
        """Tells a container its port, or gives it another where that one was lost."""
        seen = self._census.containers.get(action.container_id)
        # It may have been told since that was planned.
        if seen is None or seen.told == action.port:
            return
        container = seen.container
        try:
            if await self._lost(seen, action.port):
                again = (Reassign(container.id),)
                await self._change(again, self._planned(again))
                return
            told = Told(action.port, action.drain_seconds)
            await self._inside.look(container, containers.tell, told)
        except TimeoutError:
            why = f"its /dev/shm did not answer within {TIMEOUT_SECONDS:g} s"
            self._census.troubled(container, why)
        except (Rejected, Unavailable) as error:
            self._census.troubled(container, str(error))
        else:
            self._census.told(container, action.port)
            self._events.emit("port told", container=container.id[:12], port=action.port)


def _of(pool: tuple[int, int], is_free: Callable[[int], bool]) -> Callable[[int], bool]:
    return lambda port: pool[0] <= port <= pool[1] and is_free(port)


def _exhausted(pool: tuple[int, int], within: PortRange) -> str:
    """Why a container gets no port where its own label is the reason; empty where it is not."""
    first, last = max(pool[0], within.first), min(pool[1], within.last)
    named = f"no port is left: wharfinger.port.pool {pool[0]}-{pool[1]}"
    if pool == EVERY:
        return ""
    if first > last:
        return f"{named} holds none of registrar.port_range {within}"
    # The first rollout fills a pool that is as large as there are instances.
    return (
        f"{named} has {last - first + 1}, all assigned to containers or used by other processes; "
        "a rollout needs some for the new instances beside the old ones"
    )
