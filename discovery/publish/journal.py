"""What was swapped and is not confirmed yet: noted before the first rename, gone at the end."""

import contextlib
from collections.abc import Sequence
from pathlib import Path
from typing import Final

import msgspec

from wharfinger.files import write_atomically

JOURNALS: Final = "journal*.json"


class Doubt(msgspec.Struct, frozen=True):
    """One file that was swapped and is not yet confirmed."""

    resource: str
    dest: str
    existed: bool


class Journal:
    """One file for each set that is published: sets go side by side.

    Args:
        state_dir: the daemon's own folder.
    """

    def __init__(self, state_dir: Path) -> None:
        self._folder = state_dir

    def write(self, doubts: Sequence[Doubt], *, durable: bool = True) -> None:
        """Notes a set.

        Args:
            doubts: the set.
            durable: whether a power cut must leave it, too; a crash of the process does anyway.

        Raises:
            OSError: nothing was noted.
        """
        path = self._path(doubts[0].resource)
        write_atomically(path, msgspec.json.encode(list(doubts)), mode=0o600, durable=durable)

    def clear(self, first: str) -> None:
        """Forgets the set with that first resource.

        Raises:
            OSError: it is still noted.
        """
        self._path(first).unlink(missing_ok=True)

    def read(self) -> list[Doubt]:
        """All that is noted.

        Raises:
            OSError: it cannot be read.
        """
        doubts: list[Doubt] = []
        for path in sorted(self._folder.glob(JOURNALS)):
            # Written by rename: what is none is no torn write of ours.
            with contextlib.suppress(msgspec.MsgspecError, FileNotFoundError):
                doubts += msgspec.json.decode(path.read_bytes(), type=list[Doubt])
        return doubts

    def _path(self, first: str) -> Path:
        return self._folder / f"journal-{first}.json"
