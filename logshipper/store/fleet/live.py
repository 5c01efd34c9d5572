"""The fleet as it is told: whole to whoever comes, then each change, made once for all readers."""

import asyncio
import time
from collections.abc import AsyncGenerator, Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final

import msgspec

from logshipper.store.fleet import frames
from logshipper.store.fleet.frames import Frame, Ring
from logshipper.store.fleet.snapshot import Snapshot

COALESCE_SECONDS: Final = 0.2
LOOK_SECONDS: Final = 1.0
PING_SECONDS: Final = 15.0
# A reader that comes goes on from a whole that was made for another, unless it would be long.
_GO_ON_BYTES: Final = 2**20
# Of the time of one core, that making wholes may take: one that is a little old is given again.
_SHARE: Final = 10.0
_THREAD_BYTES: Final = 2**16
PING: Final = Frame.of(b": ping\n\n")
_END_OF_EVENT: Final = Frame.of(b"\n\n")


@dataclass(frozen=True, slots=True)
class Whole:
    """All of the fleet as JSON, but for its first fields, which depend on the reader.

    Attributes:
        number: of the change that it comes after.
        frame: the rest of the object: `"revision":...}`.
        made_at: monotonic seconds.
        took_seconds: to make.
    """

    number: int
    frame: Frame
    made_at: float
    took_seconds: float


class Live:
    """Holds the snapshot, and tells of it.

    Args:
        stale: why what it holds may be old; empty while it is not.
        clock: monotonic seconds.

    Attributes:
        snapshot: what etcd holds; replaced by a list.
        synced: whether there was one yet.
    """

    def __init__(
        self, stale: Callable[[], str], *, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self.snapshot = Snapshot()
        self.synced = False
        self._stale = stale
        self._clock = clock
        self._ring = Ring()
        self._more = asyncio.Event()
        self._dirty = asyncio.Event()
        self._whole: Whole | None = None
        self._making = asyncio.Lock()
        self._told_stale = ""
        self.readers = 0

    def replace(self, snapshot: Snapshot) -> None:
        """Takes a whole list, after which all readers begin anew."""
        snapshot.inherit(self.snapshot.left(self._clock()))
        self.snapshot, self.synced = snapshot, True
        self._whole = None
        self._ring.begin_anew()
        self._wake()

    def stir(self) -> None:
        """Has what was changed in the snapshot told soon."""
        self._dirty.set()

    async def run(self) -> None:
        """Tells changes, those of moments together, for ever."""
        while True:
            try:
                async with asyncio.timeout(LOOK_SECONDS):
                    await self._dirty.wait()
                await asyncio.sleep(COALESCE_SECONDS)
            except TimeoutError:
                pass
            self._dirty.clear()
            self.snapshot.expire(self._clock())
            await self._tell()

    async def whole(self, *, may_drain: bool) -> list[Frame]:
        """All of it, as one JSON object."""
        return [_opening(may_drain=may_drain), (await self._made(self._is_fresh)).frame]

    async def events(self, *, may_drain: bool) -> AsyncGenerator[list[Frame], None]:
        """The stream of one reader: the whole, then each change; frames to send together."""
        self.readers += 1
        try:
            number: int | None = None
            while True:
                more = self._more
                found = None if number is None else self._ring.after(number)
                if found is None:
                    # New, or so slow that changes were dropped: a list of them would grow for
                    # ever, the whole does not.
                    whole = await self._made(self._can_go_on)
                    number = whole.number
                    opening = Frame.of(b"event: fleet\ndata: ")
                    yield [opening, _opening(may_drain=may_drain), whole.frame, _END_OF_EVENT]
                elif found:
                    number = self._ring.last
                    yield found
                elif not await _set_within(more, PING_SECONDS):
                    yield [PING]
        finally:
            self.readers -= 1

    def _is_fresh(self, whole: Whole) -> bool:
        is_current = whole.number == self._ring.last and not self._dirty.is_set()
        return is_current or self._clock() - whole.made_at < _SHARE * whole.took_seconds

    def _can_go_on(self, whole: Whole) -> bool:
        after = self._ring.after(whole.number)
        return after is not None and frames.size(after) < _GO_ON_BYTES

    async def _made(self, good: Callable[[Whole], bool]) -> Whole:
        """The whole, made by one for all that ask at once."""
        async with self._making:
            if self._whole is not None and good(self._whole):
                return self._whole
            await self._tell()
            began = self._clock()
            number = self._ring.last
            body = msgspec.json.encode({**self._head(), **self.snapshot.whole()})
            frame = await _packed(body[1:])
            whole = Whole(number, frame, began, self._clock() - began)
            if self._ring.after(number) is not None:
                self._whole = whole
            return whole

    async def _tell(self) -> None:
        """Puts what has changed into the ring."""
        stale, change = self._stale(), self.snapshot.change()
        if change is None and stale == self._told_stale:
            return
        self._told_stale = stale
        data = msgspec.json.encode({**self._head(), **(change or {})})
        # Not in a thread: what is told must stand in the order in which it was taken.
        self._ring.put(Frame.of(frames.event("change", data)))
        self._wake()

    def _head(self) -> dict[str, Any]:
        now = datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
        return {"revision": self.snapshot.revision, "time": now, "stale": self._stale() or None}

    def _wake(self) -> None:
        self._more.set()
        self._more = asyncio.Event()


def _opening(*, may_drain: bool) -> Frame:
    return _MAY if may_drain else _MAY_NOT


_MAY: Final = Frame.of(b'{"may_drain":true,')
_MAY_NOT: Final = Frame.of(b'{"may_drain":false,')


async def _packed(body: bytes) -> Frame:
    if len(body) < _THREAD_BYTES:
        return Frame.of(body)
    return await asyncio.to_thread(Frame.of, body)


async def _set_within(event: asyncio.Event, seconds: float) -> bool:
    try:
        async with asyncio.timeout(seconds):
            await event.wait()
    except TimeoutError:
        return False
    return True
