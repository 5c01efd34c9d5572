"""How far each log was acknowledged, on disk: two copies, each with a checksum."""

import contextlib
import os
import zlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import msgspec

from logshipper.model import SavedLog
from wharfinger.errors import Rejected
from wharfinger.files import PRIVATE_MODE, write_atomically

MAGIC: Final = "wharfinger-checkpoint"
VERSION: Final = 1
HEADER_LIMIT_BYTES: Final = 128


@dataclass(frozen=True, slots=True)
class State:
    """What one copy holds.

    Attributes:
        sequence: counts saves; the copy with the higher one is the later one.
        logs: container id to how far its log got.
    """

    sequence: int
    logs: Mapping[str, SavedLog]


def encode(state: State) -> bytes:
    """The bytes of a copy."""
    body = msgspec.json.encode(state)
    return f"{MAGIC} {VERSION} {zlib.crc32(body):08x} {len(body)}\n".encode() + body


def decode(data: bytes) -> State:
    """Reads a copy.

    Raises:
        Rejected: it is torn, zeroed, of another version, or was changed by somebody.
    """
    header, newline, body = data[:HEADER_LIMIT_BYTES].partition(b"\n")
    words = header.decode("ascii", "replace").split(" ")
    if not newline or words[0] != MAGIC:
        raise Rejected("is no checkpoint")
    body = data[len(header) + 1 :]
    if words[1:] != [str(VERSION), f"{zlib.crc32(body):08x}", str(len(body))]:
        raise Rejected("is torn, damaged or of another version")
    try:
        return msgspec.json.decode(body, type=State)
    except msgspec.DecodeError as error:
        raise Rejected(f"does not hold what it should: {error}") from error


class Checkpoint:
    """The two copies in a folder.

    `checkpoint` is renamed into place at every acknowledgement and left to the kernel to write
    out: a killed process loses nothing of it. `checkpoint.previous` is synced, but less often:
    after a power loss the first may be torn or empty, and the second is whole. Going back to it
    costs duplicates, and those have the same ids.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.refused: list[str] = []
        self._latest = folder / "checkpoint"
        self._synced = folder / "checkpoint.previous"
        self._sequence = 0
        self._latest_data = b""
        self._synced_data = b""

    @property
    def size_bytes(self) -> int:
        """Of what was last written."""
        return len(self._latest_data)

    def load(self) -> dict[str, SavedLog]:
        """Reads the later of the copies that are whole; `refused` tells of those that are not.

        Raises:
            OSError: the folder cannot be made or read; going on would ship everything again.
        """
        self.folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        newest = State(0, {})
        for path in (self._latest, self._synced):
            try:
                data = path.read_bytes()
                state = decode(data)
            except FileNotFoundError:
                continue
            except Rejected as refusal:
                self.refused.append(f"{path} {refusal}")
                continue
            if state.sequence > newest.sequence:
                # Perhaps nobody has waited for the disk yet: the next sync does.
                newest, self._latest_data = state, data
        self._sequence = newest.sequence
        return dict(newest.logs)

    def save(self, logs: Mapping[str, SavedLog]) -> None:
        """Writes what is acknowledged; survives the death of the process.

        Raises:
            OSError: it could not be written; the last copy stays as it is.
        """
        data = encode(State(self._sequence + 1, logs))
        staged = self.folder / ".checkpoint.staged"
        flags = os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC
        try:
            with os.fdopen(os.open(staged, flags, PRIVATE_MODE), "wb") as file:
                file.write(data)
            staged.replace(self._latest)
        except OSError:
            with contextlib.suppress(OSError):
                staged.unlink()
            raise
        self._sequence += 1
        self._latest_data = data

    def sync(self) -> None:
        """Writes the other copy as last saved, and waits for the disk; survives a power loss.

        Raises:
            OSError: it could not be written; the last copy stays as it is.
        """
        data = self._latest_data
        if data != self._synced_data:
            write_atomically(self._synced, data, mode=PRIVATE_MODE)
            self._synced_data = data
