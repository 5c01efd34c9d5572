"""Keeps what is known of the time, over restarts too."""

import contextlib
import time
from collections.abc import Callable
from pathlib import Path

from logshipper.store.engine import clock
from logshipper.store.engine.clock import Clock
from wharfinger.files import write_atomically


def since_boot_ns() -> int:
    """A clock that nobody sets, and that goes on while the machine sleeps."""
    return time.clock_gettime_ns(time.CLOCK_BOOTTIME)


class Timekeeper:
    """Asks the clock, and remembers what it said.

    Args:
        path: where to remember it.
        clock_ns: the machine's wall time.
        elapsed_ns: a clock that nobody sets.

    Attributes:
        machine_ns: what the machine's clock said last.
    """

    def __init__(
        self,
        path: Path,
        clock_ns: Callable[[], int] = time.time_ns,
        elapsed_ns: Callable[[], int] = since_boot_ns,
    ) -> None:
        self.machine_ns = 0
        self._path = path
        self._clock_ns = clock_ns
        self._elapsed_ns = elapsed_ns
        self._known: Clock | None = None
        self._asked_ns = 0

    def ask(self) -> Clock:
        """What is believed of the time."""
        self.machine_ns, elapsed_ns = self._clock_ns(), self._elapsed_ns()
        before = self._known or self._remembered()
        if before is None:
            self._known = clock.first(self.machine_ns)
        else:
            passed_ns = elapsed_ns - self._asked_ns if self._known else None
            self._known = clock.advance(before, self.machine_ns, passed_ns)
        self._asked_ns = elapsed_ns
        # On a full disk retention is needed most.
        with contextlib.suppress(OSError):
            write_atomically(self._path, clock.encode(self._known))
        return self._known

    def _remembered(self) -> Clock | None:
        try:
            return clock.decode(self._path.read_bytes())
        except OSError:
            return None
