"""A watch on containers that is never deaf: a stream of hints, and a list after every doubt."""

import asyncio
import json
import time
from collections import deque
from collections.abc import AsyncGenerator, AsyncIterable, Callable, Iterable, Iterator
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from typing import Final, Protocol

from wharfinger.backoff import Backoff
from wharfinger.container import DockerEvent, Listed, of_an_earlier_run, parse_event
from wharfinger.errors import WharfingerError
from wharfinger.roll import Roll

# Not exec_create, exec_start and exec_die: three of them come with each probe of a HEALTHCHECK.
ACTIONS: Final = (
    "create",
    "start",
    "kill",
    "die",
    "stop",
    "pause",
    "unpause",
    "oom",
    "rename",
    "destroy",
    "health_status",
    "update",
)


@dataclass(frozen=True, slots=True)
class WatchLimits:
    """How long and how much.

    Attributes:
        ping_seconds: between two pings while the stream is open.
        relist_seconds: lists again after so long even if nothing seems amiss: dockerd drops an
            event that a listener's buffer cannot take within 100 ms, and says nothing. Then only
            those are inspected of whom the list says something new, and some of the others.
        recheck_seconds: the same while a container could not be inspected.
        pending_events: heard and not yet taken; with more of them it lists again.
        event_bytes: longest event; all labels are in it, and their creator chose their size.
        replay_seconds: a stop that was asked for so long before we subscribed is heard of still.
    """

    ping_seconds: float = 2.0
    relist_seconds: float = 60.0
    recheck_seconds: float = 5.0
    pending_events: int = 10_000
    event_bytes: int = 2**20
    replay_seconds: float = 60.0


class Engine(Protocol):
    """What a watch asks of Docker; each raises Unavailable or Rejected."""

    async def ping(self) -> None:
        """Asks for a sign of life."""

    async def list(self, *, all: bool = False, roll: Roll | None = None) -> Listed:  # noqa: A002  Docker's own word
        """All containers; of those that are as the roll has them not all need be inspected."""

    def events(self, since_ns: int) -> AbstractAsyncContextManager[AsyncIterable[bytes]]:
        """Subscribes; the bytes of the stream, JSON lines, from Unix nanoseconds on."""


class Inbox:
    """What the reader has heard and the consumer has not yet taken.

    Attributes:
        gap: something was missed, or may have been: only a list tells what is.
        due: it is time for a list, though nothing seems amiss.
        listed_at: when the last list was begun, `clock` seconds.
        overflows: how often `pending_events` was not enough.
    """

    def __init__(self, pending_events: int, *, clock: Callable[[], float] = time.monotonic) -> None:
        self._pending: deque[DockerEvent] = deque()
        self._limit = pending_events
        self._clock = clock
        self.gap = False
        self.due = False
        self.wake = asyncio.Event()
        self.listed_at = clock()
        self.overflows = 0

    def put(self, event: DockerEvent) -> None:
        """Keeps an event until it is taken."""
        if len(self._pending) >= self._limit:
            self.overflows += 1
            self.lose()
            return
        self._pending.append(event)
        self.wake.set()

    def take(self) -> DockerEvent | None:
        """The oldest event, if there is one."""
        if self._pending:
            return self._pending.popleft()
        self.wake.clear()
        return None

    def doubt(self) -> None:
        """Asks for a list; what was heard stays."""
        self.gap = True
        self.wake.set()

    def remind(self) -> None:
        """Asks for a list as from time to time."""
        self.due = True
        self.wake.set()

    def lose(self) -> None:
        """Asks for a list and forgets what was heard: without what follows it, it misleads."""
        self._pending.clear()
        self.doubt()

    def begin_list(self) -> tuple[DockerEvent, ...]:
        """Call before a list: hands over what the list will contain already."""
        before = tuple(self._pending)
        self._pending.clear()
        self.gap = self.due = False
        self.listed_at = self._clock()
        return before

    def end_list(self, listed: Listed, before: Iterable[DockerEvent]) -> None:
        """Call after a list: keeps of all events those that still say something.

        Of what came before the list only a kill does, as a container that was told to stop is
        listed as running until it ends.
        """
        containers = {container.id: container for container in listed.containers}
        known = containers.keys() | listed.unknown
        kills = (e for e in before if e.action == "kill" and e.container_id in known)
        heard = [*kills, *self._pending]
        self._pending.clear()
        for event in heard:
            container = containers.get(event.container_id)
            if container is None or not of_an_earlier_run(event, container):
                self._pending.append(event)


class Lines:
    """Cuts a stream into lines; one that is too long is given as None and never held."""

    def __init__(self, limit_bytes: int) -> None:
        self._limit = limit_bytes
        self._held = bytearray()
        self._too_long = False

    def feed(self, chunk: bytes) -> Iterator[bytes | None]:
        """The lines that `chunk` completes."""
        *ends, rest = chunk.split(b"\n")
        for end in ends:
            self._hold(end)
            yield None if self._too_long else bytes(self._held)
            self._held.clear()
            self._too_long = False
        self._hold(rest)

    def _hold(self, part: bytes) -> None:
        if self._too_long or len(self._held) + len(part) > self._limit:
            self._too_long = True
            self._held.clear()
        else:
            self._held += part


class Watch:
    """One consumer's view of an engine: a reader that only enqueues, and what it yields.

    Attributes:
        reconnects: how often the stream was lost.
    """

    def __init__(
        self,
        engine: Engine,
        limits: WatchLimits,
        on_alive: Callable[[], None],
        on_trouble: Callable[[str], None],
    ) -> None:
        self._engine = engine
        self._limits = limits
        self._on_alive = on_alive
        self._on_trouble = on_trouble
        self._inbox = Inbox(limits.pending_events)
        self._roll = Roll()
        self._list_works = False
        self._incomplete = False
        self.reconnects = 0

    @property
    def overflows(self) -> int:
        """How often events came faster than they were taken, for too long."""
        return self._inbox.overflows

    def relist(self) -> None:
        """Has it list now, and again where it is just doing so."""
        self._inbox.remind()

    async def updates(self) -> AsyncGenerator[Listed | DockerEvent, None]:
        """A Listed after every gap, and events; see `Docker.watch`."""
        reader = asyncio.create_task(self._read(), name="docker events")
        # A reader that dies of a bug must not leave its consumer waiting for ever.
        reader.add_done_callback(lambda _: self._inbox.wake.set())
        try:
            while True:
                await self._inbox.wake.wait()
                if reader.done():
                    reader.result()
                if self._inbox.gap or self._inbox.due:
                    yield await self._list()
                elif event := self._inbox.take():
                    yield event
        finally:
            reader.cancel()
            await asyncio.gather(reader, return_exceptions=True)

    async def _list(self) -> Listed:
        backoff = Backoff()
        while True:
            if self._inbox.gap:
                self._roll.forget()
            before = self._inbox.begin_list()
            try:
                listed = await self._engine.list(all=True, roll=self._roll)
            except WharfingerError as error:
                self._inbox.lose()
                self._list_works = False
                self._on_trouble(str(error))
                await asyncio.sleep(backoff.next_delay_seconds())
            else:
                self._inbox.end_list(listed, before)
                self._list_works, self._incomplete = True, bool(listed.unknown)
                self._on_alive()
                return listed

    async def _read(self) -> None:
        backoff = Backoff()
        while True:
            try:
                now = time.time_ns()
                replay = int(self._limits.replay_seconds * 10**9)
                async with self._engine.events(now - replay) as stream:
                    # Subscribed first, listed afterwards: nothing falls between the two.
                    self._inbox.lose()
                    backoff.reset()
                    await self._follow(stream, now)
                why = "Docker closed the event stream"
            except WharfingerError as error:
                why = str(error)
            self.reconnects += 1
            self._on_trouble(why)
            await asyncio.sleep(backoff.next_delay_seconds())

    async def _follow(self, stream: AsyncIterable[bytes], since_ns: int) -> None:
        # A frozen dockerd keeps the stream open and silent, as one with nothing to say does.
        pinging = asyncio.create_task(self._ping(), name="docker ping")
        reading = asyncio.create_task(self._enqueue(stream, since_ns), name="docker event stream")
        tasks = (pinging, reading)
        try:
            await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        finally:
            ended = [task for task in tasks if not task.cancel()]
            await asyncio.gather(*tasks, return_exceptions=True)
        for task in ended:
            task.result()

    async def _enqueue(self, stream: AsyncIterable[bytes], since_ns: int) -> None:
        """Does nothing but enqueue: a slow reader loses events and slows dockerd down.

        Of what happened before `since_ns` a list tells, but for this: who was told to stop while
        nobody listened is listed as running until it ends.
        """
        lines = Lines(self._limits.event_bytes)
        async for chunk in stream:
            for line in lines.feed(chunk):
                try:
                    told = json.loads(line or b"!")
                except ValueError:
                    self._inbox.doubt()
                    continue
                event = parse_event(told)
                if event and (event.time_ns >= since_ns or event.action == "kill"):
                    self._inbox.put(event)

    async def _ping(self) -> None:
        limits = self._limits
        while True:
            await self._engine.ping()
            if self._list_works:
                self._on_alive()
            patience = limits.recheck_seconds if self._incomplete else limits.relist_seconds
            if time.monotonic() - self._inbox.listed_at > patience:
                self._inbox.remind()
            await asyncio.sleep(limits.ping_seconds)
