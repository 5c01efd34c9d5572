"""How far the events of each daemon are shipped to one sink, on disk."""

import time
from collections.abc import Callable
from pathlib import Path
from typing import Final

import msgspec

from logshipper.daemonevents.documents import Place
from wharfinger.files import write_atomically

FILE_NAME: Final = "events.json"
WRITE_SECONDS: Final = 1.0


class Places:
    """The places in a file; one that is lost costs repetitions, which have the same ids.

    Args:
        folder: of the sink.
        clock: monotonic seconds.
    """

    def __init__(self, folder: Path, clock: Callable[[], float] = time.monotonic) -> None:
        self._path = folder / FILE_NAME
        self._clock = clock
        self._written_at = 0.0
        self._held = self._read()
        self._on_disk = dict(self._held)

    def of(self, daemon: str) -> Place | None:
        """How far a daemon's are; None where nothing is known."""
        return self._held.get(daemon)

    def move(self, daemon: str, place: Place) -> None:
        """Notes what the sink holds; on disk within a second of the next."""
        self._held[daemon] = place
        if self._clock() - self._written_at >= WRITE_SECONDS:
            self.write()

    def write(self) -> None:
        """Puts what is new on disk; the checkpoint complains of a disk that does not take it."""
        self._written_at = self._clock()
        # A daemon that is not there is looked for over and over, and moves nothing.
        if self._held == self._on_disk:
            return
        try:
            write_atomically(self._path, msgspec.json.encode(self._held))
        except OSError:
            return
        self._on_disk = dict(self._held)

    def _read(self) -> dict[str, Place]:
        try:
            return msgspec.json.decode(self._path.read_bytes(), type=dict[str, Place])
        except (OSError, msgspec.MsgspecError, UnicodeDecodeError):
            return {}
