"""A day file's write-ahead log, looked after where SQLite leaves it to chance."""

import os
from pathlib import Path
from typing import Final

from wharfinger.files import sync_folder

SUFFIX: Final = "-wal"
ORPHAN: Final = ".orphan"
_BESIDE: Final = (SUFFIX, "-shm", "-journal")
_CHUNK_BYTES: Final = 1 << 20


def settle(path: Path) -> None:
    """Puts on disk what a log holds that another life left, before anything of it is believed.

    A process that was killed, or whose sync failed, leaves transactions that every reader sees
    and no disk has. SQLite takes them for committed and syncs nothing; lines that are sent
    again would be acknowledged as known. After a failed sync the kernel holds the pages for
    clean, so that only writing them again gets them to the disk.

    Raises:
        OSError: the disk does not take it.
    """
    try:
        descriptor = os.open(_log(path), os.O_RDWR | os.O_CLOEXEC)
    except FileNotFoundError:
        return
    try:
        at = 0
        while data := os.pread(descriptor, _CHUNK_BYTES, at):
            at += os.pwrite(descriptor, data, at)
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
    sync_folder(path.parent)


def set_aside(path: Path) -> None:
    """Makes way for a new file: SQLite would take what is left of one of its name for its own."""
    log = _log(path)
    if log.exists() and log.stat().st_size:
        log.rename(log.with_name(log.name + ORPHAN))
    discard(path)


def discard(path: Path) -> None:
    """Deletes what lies beside a day's file."""
    for suffix in _BESIDE:
        path.with_name(path.name + suffix).unlink(missing_ok=True)


def place(path: Path) -> tuple[tuple[int, int], ...]:
    """Which files have the names of a day's file and its log at this moment: device and inode.

    Raises:
        OSError: one of them is not there.
    """
    found = (file.stat() for file in (path, _log(path)))
    return tuple((status.st_dev, status.st_ino) for status in found)


def _log(path: Path) -> Path:
    return path.with_name(path.name + SUFFIX)
