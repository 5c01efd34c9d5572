"""What happened, in order: one line per decision or state change, kept for who tails it."""

import asyncio
import time
from collections import deque
from collections.abc import AsyncIterator, Callable
from datetime import UTC, datetime
from itertools import islice
from typing import Final

from wharfinger import logs
from wharfinger.text import shortened

KEPT_EVENTS: Final = 10_000
# A hostile name of a megabyte, ten thousand times, would be the ring's whole memory.
MAX_TEXT_LENGTH: Final = 2_000
MAX_ITEMS: Final = 100

Event = tuple[int, dict[str, object]]  # its number, its line


class Events:
    """A ring of the latest events, numbered without gaps; readers follow at their own pace.

    A reader holds no queue: it remembers a number and reads from the ring. One that falls
    behind by more than the ring holds is told how many it missed, and slows nobody.

    Args:
        kept: how many events the ring holds.
        clock: seconds since the epoch.
    """

    def __init__(self, *, kept: int = KEPT_EVENTS, clock: Callable[[], float] = time.time) -> None:
        self._ring: deque[Event] = deque(maxlen=kept)
        self._clock = clock
        self._last = 0
        self._more = asyncio.Event()

    @property
    def last(self) -> int:
        """Number of the latest event; 0 before the first."""
        return self._last

    def emit(self, kind: str, level: str = "info", **fields: object) -> None:
        """Records an event and logs it.

        Args:
            kind: what happened, as `noun verb` in the past (`instance registered`).
            level: debug, info, warning (recovered) or error (data lost, or a person is needed).
            fields: whatever tells which, why and how long; units in the names.
        """
        self._last += 1
        fields = {key: _bounded(value) for key, value in fields.items()}
        own = {"seq": self._last, "time": self._now(), "level": level, "event": kind}
        self._ring.append((self._last, logs.laid_beside(own, fields)))
        logs.write(level, kind, fields)
        self._more.set()
        self._more = asyncio.Event()

    def since(self, number: int) -> list[Event]:
        """The events after `number`; the first line tells of a gap, if the ring has one."""
        # A number from an earlier life of the daemon may lie ahead: begin at the start.
        number = number if 0 <= number <= self._last else 0
        newest_first = islice(reversed(self._ring), self._last - number)
        found = list(newest_first)[::-1]
        missed = self._last - number - len(found)
        if missed:
            seq = number + missed
            gap = {"seq": seq, "time": self._now(), "level": "warning"}
            found.insert(0, (seq, {**gap, "event": "gap", "missed": missed}))
        return found

    async def follow(self, number: int) -> AsyncIterator[dict[str, object]]:
        """The events after `number`, and then each as it happens, for ever."""
        while True:
            more = self._more
            found = self.since(number)
            for seq, line in found:
                number = seq
                yield line
            if not found:
                await more.wait()

    def _now(self) -> str:
        return datetime.fromtimestamp(self._clock(), UTC).isoformat(timespec="milliseconds")


def _bounded(value: object) -> object:
    match value:
        case str():
            return shortened(value, MAX_TEXT_LENGTH)
        case list() | tuple() if len(value) > MAX_ITEMS:
            more = f"... ({len(value)} items)"
            return [*(_bounded(item) for item in value[:MAX_ITEMS]), more]
        case list() | tuple():
            return [_bounded(item) for item in value]
        case _:
            return value
