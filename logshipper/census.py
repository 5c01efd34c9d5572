"""How many dead letters of a sink wait: counted as they come and go, each byte read once."""

import asyncio
import contextlib
import os
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, Final

from logshipper.deadletter import DeadLetters, offset_of

LOOK_SECONDS: Final = 5.0
READ_BYTES: Final = 2**20
# A letter begins with the time at which it was refused.
HEAD_BYTES: Final = 32


@dataclass(slots=True)
class _Counted:
    """One file.

    Attributes:
        head: how it begins; another file may have its inode by now.
        begin: what is before it was sent again.
        end: what is before it was counted.
        letters: between the two.
    """

    head: bytes
    begin: int = 0
    end: int = 0
    letters: int = 0


class Census:
    """Counts the letters of one sink, those too that a replay has taken and not finished.

    Attributes:
        letters: how many there were at the last look.
        size_bytes: and how large they are.
    """

    def __init__(self, letters: DeadLetters) -> None:
        self.letters = 0
        self.size_bytes = 0
        self._of = letters
        self._files: dict[tuple[int, int], _Counted] = {}
        self._stirred = asyncio.Event()

    def told(self) -> dict[str, int]:
        """For `/status`."""
        return {"letters": self.letters, "bytes": self.size_bytes}

    def stir(self) -> None:
        """There are more."""
        self._stirred.set()

    async def keep(self) -> None:
        """Looks at once, when there are more, and at times: a replay is another process."""
        while True:
            self._stirred.clear()
            with contextlib.suppress(OSError):  # who writes them says so
                await asyncio.to_thread(self.look)
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(LOOK_SECONDS):
                    await self._stirred.wait()

    def look(self) -> None:
        """Counts what is new.

        Raises:
            OSError: a file cannot be read.
        """
        files: dict[tuple[int, int], _Counted] = {}
        letters = size_bytes = 0
        for path in self._of.files():
            with contextlib.suppress(FileNotFoundError), path.open("rb") as file:
                status = os.fstat(file.fileno())
                key = status.st_dev, status.st_ino
                if key in files:
                    continue  # renamed since it was listed
                files[key], torn = self._counted(key, path, file)
                letters += files[key].letters + torn
                size_bytes += max(0, status.st_size - files[key].begin)
        self._files, self.letters, self.size_bytes = files, letters, size_bytes

    def _counted(self, key: tuple[int, int], path: Path, file: BinaryIO) -> tuple[_Counted, bool]:
        """The file as it is now; whether its last letter is torn."""
        counted = self._files.get(key)
        if counted is None or file.read(HEAD_BYTES) != counted.head:
            file.seek(0)
            counted = _Counted(file.read(HEAD_BYTES))
        done = offset_of(path)
        if not counted.begin <= done <= counted.end:
            counted.begin, counted.end, counted.letters = done, done, 0
        else:
            passed, _ = _lines(file, counted.begin, done)
            counted.begin, counted.letters = done, counted.letters - passed
        new, rest = _lines(file, counted.end, None)
        counted.letters += new
        counted.end = file.tell() - rest
        return counted, rest > 0


def _lines(file: BinaryIO, begin: int, end: int | None) -> tuple[int, int]:
    """How many lines end there, and how many bytes are behind the last of them."""
    file.seek(begin)
    count = rest = 0
    while data := file.read(READ_BYTES if end is None else min(READ_BYTES, end - file.tell())):
        found = data.count(b"\n")
        count += found
        rest = len(data) - data.rfind(b"\n") - 1 if found else rest + len(data)
    return count, rest
