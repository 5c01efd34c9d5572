"""Reads one container's log through Docker's API, for as long as there is one."""

import asyncio
import contextlib
import random
import time
from collections.abc import AsyncGenerator, AsyncIterable, AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager
from functools import partial
from typing import Final, Protocol

from logshipper.api.anchor import WINDOW, Seeker, windows
from logshipper.api.frames import Framer
from logshipper.api.tail import ApiTail
from logshipper.api.written import Seen, Written
from logshipper.inquiry import Registry
from logshipper.model import Entry, Loss
from wharfinger.backoff import Backoff
from wharfinger.container import Container
from wharfinger.errors import Unavailable

# dockerd reads on for as long as its answer is taken; one that is not taken must not stay.
STALL_SECONDS: Final = 5.0
# From the end of one answer to the beginning of the next.
BETWEEN_SECONDS: Final = 0.1
TICK_SECONDS: Final = 2.0
# Whether a stream that is silent is alive is asked so often, and less often while it is.
AUDIT_SECONDS: Final = 10.0
AUDIT_LIMIT_SECONDS: Final = 120.0
# Who has stopped is told of by an event when it starts; events get lost.
ASLEEP_SECONDS: Final = 300.0
POLL_SECONDS: Final = (0.2, 5.0)
# One that was made is about to start, and Docker gives no log of one that is on its way out.
HURRY_SECONDS: Final = 0.005
HURRIED_SECONDS: Final = 5

CREATED: Final = "created"

Pieces = AsyncIterable[tuple[bytes, bool]]


class Logs(Protocol):
    """What gives logs: Docker; raises Unavailable or Rejected."""

    def logs(
        self, container_id: str, *, follow: bool, last: int | None, terminal: bool = False
    ) -> AbstractAsyncContextManager[Pieces | None]:
        """A container's log; None when there is no such container."""


class Gone(Exception):
    """There is no such container any more."""


class Stalled(Exception):
    """What was read is not taken."""


class Stream:
    """Brings a log into its tail: what there is first, then what comes.

    What there is comes from answers that end, which are of one piece over any rotation. An open
    answer is not: Engine 20.10 leaves out lines and repeats others when it rotates below it. So
    what comes through one counts only if the file that Docker writes is still the same afterwards;
    if not, it is let go, and what there is is read again.

    Args:
        logs: Docker's.
        registry: Docker.
        container: whose log.
        tail: takes it.
        written: the file behind it.
        gate: of all streams, for answers that end: at a start each of them asks for all there is.
        on_data: told when the tail has something new, or has ended.
    """

    def __init__(
        self,
        logs: Logs,
        registry: Registry,
        container: Container,
        tail: ApiTail,
        written: Written,
        *,
        gate: asyncio.Semaphore,
        on_data: Callable[[], None],
    ) -> None:
        self._source = logs
        self._registry = registry
        self._container = container
        self._tail = tail
        self._written = written
        self._gate = gate
        self._on_data = on_data
        self._stirred = asyncio.Event()
        self._room = asyncio.Event()
        loop = asyncio.get_running_loop()
        tail.on_room = partial(_set, loop, self._room)
        self._rate = 0.0
        self._looked_at = time.monotonic()
        # Whether the log has so few entries that any answer begins where it begins.
        self._short = False
        self._started = container.state != CREATED
        # Whether all is known that the container wrote in its last run.
        self._complete = False

    def stir(self, *, started: bool = False) -> None:
        """The container was started, or is gone: look now."""
        self._started = self._started or started
        self._stirred.set()

    async def run(self) -> None:
        """Reads until the container is no more.

        Raises:
            Rejected: its log cannot be read at all.
        """
        try:
            await self._go_on()
        except Gone:
            self._end()
        finally:
            self._written.release()

    async def _go_on(self) -> None:
        backoff = Backoff(0.1, 5.0)
        while not self._tail.ended:
            try:
                async with contextlib.aclosing(self._rounds()) as rounds:
                    async for _ in rounds:
                        backoff.reset()
                        self._tail.trouble = ""
            except Stalled:
                self._tail.state = "waits for the sink"
                await self._wait_for_room(None)
            except Unavailable as error:
                self._tail.trouble, self._tail.state = str(error), "cannot be reached"
                await asyncio.sleep(backoff.next_delay_seconds())

    async def _rounds(self) -> AsyncGenerator[None, None]:
        poll = Backoff(*POLL_SECONDS)
        if self._container.state == CREATED:
            await self._await_start()
            yield
        while not self._tail.ended:
            self._stirred.clear()
            self._tail.state = "catches up"
            found = await self._catch_up()
            yield
            seen = self._written.hold()
            if not self._written.may_be_followed(seen):
                self._tail.state = "looks at times"
                if found:
                    poll.reset()
                await self._sleep(poll.next_delay_seconds())
                await self._check_whether_it_runs()
                continue
            self._tail.state = "follows"
            if await self._follow(seen):
                await self._check_whether_it_runs()

    async def _check_whether_it_runs(self) -> None:
        container = await self._registry.inspect(self._container.id)
        if container is None:
            raise Gone
        if container.running:
            await asyncio.sleep(POLL_SECONDS[0])
            return
        # Once more: what it wrote last, and what was on its way when the answer ended.
        await self._catch_up()
        self._complete = self._started
        self._tail.state = "has stopped"
        await self._sleep(ASLEEP_SECONDS * random.uniform(0.8, 1.2))  # noqa: S311

    async def _await_start(self) -> None:
        """Has an answer open as soon as the container runs; before that it ends at once."""
        self._tail.state = "waits for its start"
        until_ns = self._container.created_at_ns + HURRIED_SECONDS * 10**9
        while time.time_ns() < until_ns and not self._started and not self._tail.ended:
            seen = self._written.hold()
            try:
                await self._follow(seen)
            except Gone:
                # Its folder is there before Docker knows it by its id.
                if seen.gone:
                    raise
            await asyncio.sleep(HURRY_SECONDS)

    async def _sleep(self, seconds: float) -> None:
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self._stirred.wait()

    async def _catch_up(self) -> int:
        """Reads what there is behind the anchor; gives how many entries that were."""
        before, self._looked_at = self._looked_at, time.monotonic()
        elapsed = max(0.01, self._looked_at - before)
        anchor = self._tail.read_to
        counts = windows(int(self._rate * elapsed)) if anchor is not None else iter([None])
        for count in counts:
            seeker = Seeker(anchor, whole=self._short or count is None)
            await self._read(seeker, count)
            self._short = seeker.passed + seeker.taken < min(count or WINDOW, WINDOW)
            if seeker.found:
                break
        else:
            why = "its entries went on while nobody read them; nobody knows how many are gone"
            self._tail.skip(Loss("rotated", 0, why))
            seeker = Seeker(None, whole=True)
            await self._read(seeker, None)
        self._rate = seeker.taken / elapsed
        return seeker.taken

    async def _read(self, seeker: Seeker, count: int | None) -> None:
        framer = Framer(terminal=self._container.tty)
        async with self._gate, self._logs(follow=False, last=count) as pieces:
            async for data, boundary in pieces:
                await self._wait_for_room(STALL_SECONDS)
                self._put(_new(seeker, framer, data, boundary=boundary))

    async def _follow(self, seen: Seen) -> bool:
        """Reads what comes, as long as that can be trusted; whether the answer ended by itself."""
        anchor = self._tail.read_to
        expected = int(self._rate * BETWEEN_SECONDS)
        window = None if anchor is None or self._short else max(WINDOW, expected)
        seeker = Seeker(anchor, whole=window is None)
        framer = Framer(terminal=self._container.tty)
        watch = _Silence(self._written, seen)
        async with self._logs(follow=True, last=window) as answer:
            pieces = aiter(answer)
            self._complete = False
            while not self._tail.ended:
                piece = asyncio.ensure_future(anext(pieces, None))
                try:
                    while not (await asyncio.wait({piece}, timeout=TICK_SECONDS))[0]:
                        if not seeker.found or not await self._is_alive(watch):
                            return False
                finally:
                    await _let_go(piece)
                got = piece.result()
                if got is None:
                    self._complete = self._started and seeker.found
                    return True
                new = _new(seeker, framer, got[0], boundary=got[1])
                if not seeker.found and window is not None and seeker.passed > window:
                    return False
                if not seen.inode:
                    seen = self._written.hold()  # it had not begun
                if new and not await self._written.same(seen):
                    return False
                self._started = self._started or bool(new)
                watch.heard()
                self._put(new)
                await self._wait_for_room(STALL_SECONDS)
        return False

    async def _is_alive(self, watch: "_Silence") -> bool:
        """Whether an answer that is silent says so because there is nothing."""
        if self._written.exists:
            return watch.is_credible()
        if not watch.is_due():
            return True
        last = Seeker(None, whole=False)
        mark = None
        framer = Framer(terminal=self._container.tty)
        async with self._logs(follow=False, last=1) as pieces:
            async for data, boundary in pieces:
                for entry in _new(last, framer, data, boundary=boundary):
                    mark = entry.mark
        read = self._tail.read_to
        return mark is None or (
            read is not None and (mark.time_ns, mark.crc) == (read.time_ns, read.crc)
        )

    @contextlib.asynccontextmanager
    async def _logs(self, *, follow: bool, last: int | None) -> AsyncIterator[Pieces]:
        container = self._container
        async with self._source.logs(
            container.id, follow=follow, last=last, terminal=container.tty
        ) as pieces:
            if pieces is None:
                raise Gone
            yield pieces

    def _put(self, entries: list[Entry]) -> None:
        if entries:
            self._tail.put(entries)
            self._on_data()

    async def _wait_for_room(self, seconds: float | None) -> None:
        try:
            async with asyncio.timeout(seconds):
                while not self._tail.has_room:
                    self._room.clear()
                    # It may have been made in a thread just before.
                    if not self._tail.has_room:
                        await self._room.wait()
        except TimeoutError:
            raise Stalled from None

    def _end(self) -> None:
        why = "its container was removed; nobody knows whether all of it was read"
        known = self._complete or not self._started
        self._tail.end(None if known else Loss("removed", 0, why))
        self._tail.state = "has ended"
        self._on_data()


class _Silence:
    """Judges whether an open answer that says nothing can be believed."""

    def __init__(self, written: Written, seen: Seen) -> None:
        self._written = written
        self._seen = seen
        self._size_bytes = seen.size_bytes
        self._doubts = 0
        self.heard()

    def heard(self) -> None:
        """Something came."""
        self._at = time.monotonic()
        self._patience = AUDIT_SECONDS
        self._doubts = 0

    def is_credible(self) -> bool:
        """Whether the file has not moved on without a word."""
        now = self._written.look()
        if now.gone:
            return True  # then the answer ends by itself
        if now.inode != self._seen.inode or now.size_bytes < self._seen.size_bytes:
            return False
        grown = now.size_bytes != self._size_bytes
        self._size_bytes = now.size_bytes
        self._doubts = self._doubts + 1 if grown else 0
        return self._doubts <= 1

    def is_due(self) -> bool:
        """Whether it is time to ask."""
        if time.monotonic() - self._at < self._patience:
            return False
        self._at = time.monotonic()
        self._patience = min(self._patience * 2, AUDIT_LIMIT_SECONDS)
        return True


def _new(seeker: Seeker, framer: Framer, data: bytes, *, boundary: bool) -> list[Entry]:
    lines = framer.feed(data, boundary=boundary)
    return [entry for line in lines if (entry := seeker.take(line)) is not None]


async def _let_go(task: "asyncio.Future[tuple[bytes, bool] | None]") -> None:
    if not task.done():
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


def _set(loop: asyncio.AbstractEventLoop, event: asyncio.Event) -> None:
    with contextlib.suppress(RuntimeError):  # the loop has ended
        loop.call_soon_threadsafe(event.set)
