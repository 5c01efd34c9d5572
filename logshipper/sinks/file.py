"""A file of JSON lines: synced before it counts, and found again where it was moved away."""

import asyncio
import fcntl
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from logshipper.encoding import Encoding
from logshipper.model import Verdict
from logshipper.sinkconfig import FileConfig
from logshipper.sinks.encoding.jsonline import JsonlineEncoding
from wharfinger.errors import Unavailable

_FLAGS: Final = os.O_RDWR | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC


class File:
    """Appends to one file.

    Args:
        config: the sink's.

    Attributes:
        encoding: of the documents that it takes.
        limit_documents: more are never sent at once.
    """

    remote = False
    certificates = None
    limit_documents = 20_000

    def __init__(self, config: FileConfig) -> None:
        self._config = config
        self._path = config.path
        self.encoding: Encoding = JsonlineEncoding()
        self._fd = -1

    async def send(self, documents: Sequence[bytes]) -> Verdict:
        """Appends documents and waits for the disk.

        Raises:
            Unavailable: the disk takes none, or not all: then the file is as it was before.
        """
        try:
            await asyncio.to_thread(self._append, b"".join(documents))
        except OSError as error:
            raise Unavailable(f"{self._path} cannot be written: {error.strerror}") from error
        return Verdict(len(documents))

    async def reach(self) -> None:
        """Looks whether its folder can be written.

        Raises:
            Unavailable: it cannot.
        """
        folder = next(each for each in self._path.parents if each.exists())
        if not os.access(folder, os.W_OK | os.X_OK):
            raise Unavailable(f"{folder} cannot be written")

    def refresh(self) -> None:
        """Has no secrets."""

    async def close(self) -> None:
        """Closes the file."""
        self._let_go()

    def _append(self, data: bytes) -> None:
        size = self._ours()
        try:
            if self._config.rotate_bytes and size >= self._config.rotate_bytes:
                self._rotate()
                self._let_go()
                size = self._ours()
            try:
                if size and os.pread(self._fd, 1, size - 1) != b"\n":
                    data = b"\n" + data  # a life ended in the middle of a line
                _write(self._fd, data)
                os.fsync(self._fd)
            except OSError:
                os.ftruncate(self._fd, size)
                raise
        finally:
            if self._fd >= 0:
                fcntl.flock(self._fd, fcntl.LOCK_UN)

    def _ours(self) -> int:
        """Holds the file that stands at the path now, locked; gives its size."""
        while True:
            if self._fd < 0:
                self._path.parent.mkdir(parents=True, exist_ok=True, mode=0o750)
                self._fd = os.open(self._path, _FLAGS, 0o640)
            fcntl.flock(self._fd, fcntl.LOCK_EX)
            held = os.fstat(self._fd)
            if _identity(self._path) == (held.st_dev, held.st_ino):
                return held.st_size
            self._let_go()

    def _rotate(self) -> None:
        for number in range(self._config.rotate_keep, 0, -1):
            source = self._numbered(number - 1)
            if source.exists():
                source.replace(self._numbered(number))

    def _numbered(self, number: int) -> Path:
        return self._path.with_name(f"{self._path.name}.{number}") if number else self._path

    def _let_go(self) -> None:
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1


def _write(fd: int, data: bytes) -> None:
    view = memoryview(data)
    while view:
        view = view[os.write(fd, view) :]


def _identity(path: Path) -> tuple[int, int] | None:
    try:
        found = path.stat()
    except FileNotFoundError:
        return None
    return found.st_dev, found.st_ino
