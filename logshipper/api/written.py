"""The file that dockerd writes a log to: looked at from outside, never read."""

import asyncio
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

LOCAL: Final = "local"
JOURNALD: Final = "journald"
# moby, daemon/logger/local and daemon/logger/loggerutils/cache.
LOCAL_FILE: Final = "local-logs/container.log"
CACHE_FILE: Final = "container-cached.log"
_LOOKS: Final = 100
_LOOK_SECONDS: Final = 0.01


@dataclass(frozen=True, slots=True)
class Seen:
    """What the file looked like.

    Attributes:
        inode: 0 while there is none: between two steps of a rotation, or in another engine.
        size_bytes: of it.
        gone: the container's whole folder is.
    """

    inode: int = 0
    size_bytes: int = 0
    gone: bool = False


class Written:
    """Tells whether a log was rotated.

    Args:
        folder: of the container, below Docker's data root.
        driver: the container's log driver.
        options: of that driver.

    Attributes:
        exists: there is such a file: the journal has none for each container.
    """

    def __init__(self, folder: str, driver: str, options: Mapping[str, str]) -> None:
        self.exists = driver != JOURNALD
        self._folder = Path(folder)
        self._path = self._folder / (LOCAL_FILE if driver == LOCAL else CACHE_FILE)
        # A log of one file is cut to nothing in its place.
        few = options.get("max-file" if driver == LOCAL else "cache-max-file", "")
        self._readable = few.strip() != "1"
        self._fd: int | None = None

    def hold(self) -> Seen:
        """What it looks like now; as long as it is held, no other file gets its inode.

        Docker's files take turns with two or three inodes: two rotations between two looks would
        look like none.
        """
        self.release()
        try:
            # Not to be read: whatever stands there, nothing is done to it.
            self._fd = os.open(self._path, os.O_PATH | os.O_NOFOLLOW | os.O_CLOEXEC)
            status = os.fstat(self._fd)
        except OSError:
            return Seen(gone=not self._folder.is_dir())
        return Seen(status.st_ino, status.st_size)

    def release(self) -> None:
        """Lets it go."""
        if self._fd is not None:
            os.close(self._fd)
            self._fd = None

    def look(self) -> Seen:
        """What it looks like now."""
        try:
            status = self._path.lstat()
        except OSError:
            return Seen(gone=not self._folder.is_dir())
        return Seen(status.st_ino, status.st_size)

    def may_be_followed(self, seen: Seen) -> bool:
        """Whether it would be noticed that Docker rotates it."""
        return not self.exists or (self._readable and seen.inode > 0)

    async def same(self, before: Seen) -> bool:
        """Whether it is still the file that it was: not rotated, and not cut short."""
        if not self.exists:
            return True
        now = self.look()
        for _ in range(_LOOKS):
            # Between two names of a rotation, or on the way out with its folder: soon it is told.
            if now.inode or now.gone:
                break
            await asyncio.sleep(_LOOK_SECONDS)
            now = self.look()
        return now.gone or (now.inode == before.inode and now.size_bytes >= before.size_bytes)
