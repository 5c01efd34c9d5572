"""One process at a time on one folder: a lock that names its holder and dies with it."""

import fcntl
import os
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from typing import Final

from wharfinger.errors import Unavailable

HOLDER_BYTES: Final = 200
# Whoever may read a file may lock it, and could keep every daemon from starting.
MODE: Final = 0o600


@contextmanager
def held(path: Path, who: str) -> Iterator[None]:
    """Holds the lock on `path` until the block ends, however the process ends (flock(2)).

    Args:
        path: the lock's file; its folder must exist.
        who: what holds it, for the message that the next one gets; our process id is added.

    Raises:
        OSError: the file cannot be opened, or is not ours.
        Unavailable: another process holds it, and which. A second start is no fault of the
            configuration: the first may be just about to end.
    """
    descriptor = _opened(path)
    try:
        os.fchmod(descriptor, MODE)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            holder = os.pread(descriptor, HOLDER_BYTES, 0).decode("utf-8", "replace").strip()
            raise Unavailable(f"{path} is held by {holder!a}: stop that one first") from error
        os.ftruncate(descriptor, 0)
        os.pwrite(descriptor, f"{who} pid {os.getpid()}\n".encode(), 0)
        yield
    finally:
        os.close(descriptor)


def _opened(path: Path) -> int:
    flags = os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW
    try:
        descriptor = os.open(path, flags | os.O_EXCL, MODE)
    except FileExistsError:
        return os.open(path, flags, MODE)
    # Root's commands work in a daemon's folder, too, and the daemon need not be root. A file that
    # was there before keeps its owner: it might be a second name of another one.
    if os.geteuid() == 0:
        owner = path.parent.stat()
        os.fchown(descriptor, owner.st_uid, owner.st_gid)
    return descriptor


@asynccontextmanager
async def holding(path: Path, who: str) -> AsyncIterator[None]:
    """As `held`, for a scope or a stack of asynchronous resources."""
    with held(path, who):
        yield
