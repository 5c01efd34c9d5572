"""Documents that a sink will never take: kept in a file, never dropped without a trace."""

import base64
import contextlib
import fcntl
import os
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Final

import msgspec

from logshipper.model import Refusal
from wharfinger.files import sync_folder

LIMIT_BYTES: Final = 64 * 2**20
FILE_NAME: Final = "dead-letters.ndjson"


class Letter(msgspec.Struct, omit_defaults=True):
    """One line of the file.

    Attributes:
        time: Unix time in seconds at which it was refused.
        status: HTTP status of the item.
        reason: the sink's words.
        document: as it was sent.
        document_base64: the same, where it is no text.
        type: of the sink: no other type can read the document.
        replays: how often it was sent again and refused again.
    """

    time: float
    status: int
    reason: str
    document: str = ""
    document_base64: str = ""
    type: str = "bulk"
    replays: int = 0

    @property
    def content(self) -> bytes:
        """The document, byte for byte.

        Raises:
            ValueError: somebody has changed it.
        """
        if self.document_base64:
            return base64.b64decode(self.document_base64, validate=True)
        return self.document.encode()


_DECODER: Final = msgspec.json.Decoder(Letter)


def read_letter(line: bytes) -> Letter:
    """Reads one line of the file.

    Raises:
        ValueError: it is torn, or none.
    """
    try:
        return _DECODER.decode(line)
    except msgspec.DecodeError as error:
        raise ValueError(str(error)) from error


def letter(refusal: Refusal, kind: str, replays: int = 0) -> Letter:
    """The letter for a document that was refused now."""
    text = packed = ""
    try:
        text = refusal.document.decode()
    except UnicodeDecodeError:
        packed = base64.b64encode(refusal.document).decode()
    return Letter(time.time(), refusal.status, refusal.reason, text, packed, kind, replays)


class DeadLetters:
    """An append-only NDJSON file, synced before anybody counts on it.

    Args:
        path: of the file; at `limit_bytes` it becomes `<path>.1`, and an older `.1` goes.
        kind: the sink's type.
    """

    def __init__(self, path: Path, kind: str = "bulk", *, limit_bytes: int = LIMIT_BYTES) -> None:
        self.path = path
        self.kind = kind
        self._limit_bytes = limit_bytes

    def write(self, refusals: Sequence[Refusal]) -> int:
        """Keeps the documents; gives how many bytes of older ones had to go for them.

        Raises:
            OSError: they could not be written, and must not be counted as done.
        """
        letters = (msgspec.json.encode(letter(refusal, self.kind)) for refusal in refusals)
        return self.append(b"".join(line + b"\n" for line in letters))

    def append(self, lines: bytes) -> int:
        """Keeps whole lines; gives how many bytes of older ones had to go for them.

        Raises:
            OSError: see `write`.
        """
        with self.locked():
            dropped = self._make_room(len(lines))
            flags = os.O_RDWR | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC
            with os.fdopen(os.open(self.path, flags, 0o600), "r+b", buffering=0) as file:
                size = os.fstat(file.fileno()).st_size
                if size and os.pread(file.fileno(), 1, size - 1) != b"\n":
                    lines = b"\n" + lines  # a life ended in the middle of a letter
                try:
                    _write(file.fileno(), lines)
                    os.fsync(file.fileno())
                    if not size:
                        sync_folder(self.path.parent)  # it is new: its name is not on the disk
                except OSError:
                    # They are written again: halves of them must not push others out meanwhile.
                    os.ftruncate(file.fileno(), size)
                    raise
        return dropped

    def files(self) -> list[Path]:
        """All that holds letters, oldest first: those that a replay has taken first."""
        found = [*self.claimed(), self._older, self.path]
        return [path for path in found if path.exists()]

    def claimed(self) -> list[Path]:
        """What a replay has taken and not finished, in its order."""
        taken = self.path.parent.glob(f"{self.path.name}.replay-*")
        numbered = [path for path in taken if path.name.rpartition("-")[2].isdigit()]
        return sorted(numbered, key=lambda path: int(path.name.rpartition("-")[2]))

    def claim(self) -> list[Path]:
        """Takes all letters away from whoever writes new ones, for a replay.

        Raises:
            OSError: they cannot be moved.
        """
        with self.locked():
            claimed = self.claimed()
            number = int(claimed[-1].name.rpartition("-")[2]) if claimed else 0
            for path in (self._older, self.path):
                if path.exists():
                    number += 1
                    path.replace(self.path.with_name(f"{self.path.name}.replay-{number}"))
            return self.claimed()

    @contextlib.contextmanager
    def locked(self, name: str = "lock", *, wait: bool = True) -> Iterator[None]:
        """Keeps the shipper and a replay, which is another process, from each other.

        Raises:
            BlockingIOError: somebody has it, and `wait` is not set.
        """
        flags = os.O_RDWR | os.O_CREAT | os.O_CLOEXEC
        fd = os.open(self.path.with_name(f"{self.path.name}.{name}"), flags, 0o600)
        try:
            fcntl.flock(fd, fcntl.LOCK_EX | (0 if wait else fcntl.LOCK_NB))
            yield
        finally:
            os.close(fd)

    @property
    def _older(self) -> Path:
        return self.path.with_name(f"{self.path.name}.1")

    def _make_room(self, size_bytes: int) -> int:
        if not self.path.exists() or (self.path.stat().st_size + size_bytes <= self._limit_bytes):
            return 0
        dropped = self._older.stat().st_size if self._older.exists() else 0
        self.path.replace(self._older)
        return dropped


def offset_of(path: Path) -> int:
    """How much of a claimed file an earlier replay has done."""
    try:
        return int(mark_of(path).read_text())
    except (FileNotFoundError, ValueError):
        return 0


def mark_of(path: Path) -> Path:
    """Where a replay notes how much of a claimed file it has done."""
    return path.with_name(f"{path.name}.offset")


def _write(fd: int, data: bytes) -> None:
    view = memoryview(data)
    while view:
        view = view[os.write(fd, view) :]
