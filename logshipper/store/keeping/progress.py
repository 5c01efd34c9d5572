"""How far a long work is, for the person at a terminal; silent for everybody else."""

import sys
import time
from collections.abc import Callable
from typing import Final, TextIO

_EVERY_SECONDS: Final = 0.2
_CLEAR: Final = "\r\x1b[K"


def told(what: str, done: int, total: int, seconds: float, unit: str) -> str:
    """One line: what, how much of how much, how fast, how long still.

    Args:
        what: is being done.
        done: of `total`, in `unit`.
        total: zero if nobody knows.
        seconds: since the beginning.
        unit: of both.
    """
    rate = done / seconds if seconds > 0 else 0.0
    text = f"{what}: {done:,}"
    if total:
        text += f" of {total:,} {unit} ({100 * done // total} %)"
    else:
        text += f" {unit}"
    if rate:
        text += f", {rate:,.0f} a second"
        if total > done:
            text += f", {(total - done) / rate:.0f} s left"
    return text


class Progress:
    """Shows it, a few times a second.

    Args:
        unit: what is counted.
        total: so many there are; zero if nobody knows.
        stream: where to; None for stderr.
        clock: monotonic seconds.
    """

    def __init__(
        self,
        unit: str,
        total: int = 0,
        *,
        stream: TextIO | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.done = 0
        self.total = total
        self._unit = unit
        self._stream = sys.stderr if stream is None else stream
        self._clock = clock
        self._began = self._shown_at = clock()
        self._is_shown = self._stream.isatty()
        self._is_dirty = False

    def add(self, what: str, amount: int) -> None:
        """So much more is done."""
        self.done += amount
        now = self._clock()
        if self._is_shown and now - self._shown_at >= _EVERY_SECONDS:
            self._shown_at = now
            self._is_dirty = True
            text = told(what, self.done, self.total, now - self._began, self._unit)
            self._stream.write(f"{_CLEAR}{text}")
            self._stream.flush()

    def end(self) -> None:
        """Leaves nothing of it in the terminal."""
        if self._is_dirty:
            self._stream.write(_CLEAR)
            self._stream.flush()
            self._is_dirty = False
