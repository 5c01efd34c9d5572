"""A day file's write-ahead log, looked after where SQLite leaves it to chance."""

import os
import shutil
import struct
from collections.abc import Iterator
from itertools import chain, count
from pathlib import Path
from typing import Final, NamedTuple

from wharfinger.files import sync_file, sync_folder

SUFFIX: Final = "-wal"
ORPHAN: Final = ".orphan"
DAMAGED: Final = ".damaged"
# Begins like a file that is being made: what a crash leaves of it goes as that does.
_STAGED: Final = ".new-damaged"
BESIDE: Final = (SUFFIX, "-shm", "-journal")
_CHUNK_BYTES: Final = 1 << 20
# https://www.sqlite.org/fileformat2.html#walformat: magic, version, page size, checkpoints, salts;
# then before each page its number, the size of the file if it ends a transaction, the salts.
_HEADER: Final = struct.Struct(">8x2I2I8x")
_FRAME: Final = struct.Struct(">4x3I8x")


class Frame(NamedTuple):
    """What a page in a log says of itself."""

    ends: bool
    salts: tuple[int, int]


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


def lost_transactions(path: Path, recovered: int) -> int:
    """How many transactions a log holds behind those that SQLite has recovered.

    Each was on disk before the next was begun, so that a crash tears the last one at most. More
    than that is damage, which SQLite takes for the end of the log.

    Args:
        path: the day's file.
        recovered: frames that SQLite counts in its log.
    """
    frames = list(_frames(path))
    own = [at for at, frame in enumerate(frames) if frame.salts == frames[0].salts]
    # Between them may be pages of an earlier round, where those of this one were torn off.
    return sum(recovered <= at < own[-1] and frames[at].ends for at in own)


def keep_damaged(path: Path, recovered: int) -> None:
    """Copies a log before SQLite writes over what it could not read, if no copy has that yet.

    Args:
        path: the day's file.
        recovered: frames that SQLite counts in its log.

    Raises:
        OSError: there is no room for a copy, or the disk does not take it.
    """
    log = _log(path)
    if any(_holds(copy, log, recovered) for copy in log.parent.glob(f"{log.name}{DAMAGED}*")):
        return
    staged = path.with_name(path.name + _STAGED)
    try:
        shutil.copyfile(log, staged)
        sync_file(staged)
    except OSError:
        staged.unlink(missing_ok=True)
        raise
    staged.rename(_unused(log, DAMAGED))
    sync_folder(log.parent)


def _holds(copy: Path, log: Path, recovered: int) -> bool:
    """Whether a copy has all that is in a log behind the frames that were recovered."""
    with copy.open("rb") as held, log.open("rb") as file:
        _, page_size, *_ = _HEADER.unpack(file.read(_HEADER.size))
        at = _HEADER.size + recovered * (_FRAME.size + page_size)
        held.seek(at)
        file.seek(at)
        while data := file.read(_CHUNK_BYTES):
            if held.read(_CHUNK_BYTES) != data:
                return False
    return True


def size(path: Path) -> int:
    """The bytes of a day file's log; 0 if there is none."""
    try:
        return _log(path).stat().st_size
    except FileNotFoundError:
        return 0


def set_aside(path: Path) -> None:
    """Makes way for a new file: SQLite would take what is left of one of its name for its own."""
    if size(path):
        _log(path).rename(_unused(_log(path), ORPHAN))
    discard(path)


def discard(path: Path) -> None:
    """Deletes what lies beside a day's file."""
    for suffix in BESIDE:
        path.with_name(path.name + suffix).unlink(missing_ok=True)


def place(path: Path) -> tuple[tuple[int, int], ...]:
    """Which files have the names of a day's file and its log at this moment: device and inode.

    Raises:
        OSError: one of them is not there.
    """
    found = (file.stat() for file in (path, _log(path)))
    return tuple((status.st_dev, status.st_ino) for status in found)


def _frames(path: Path) -> Iterator[Frame]:
    """The frames of a log as far as its pages go on; none of one that was only begun anew."""
    with _log(path).open("rb", buffering=0) as file:
        header = file.read(_HEADER.size)
        if len(header) < _HEADER.size:
            return
        page_size, _, *salts = _HEADER.unpack(header)
        at = _HEADER.size
        while len(raw := os.pread(file.fileno(), _FRAME.size, at)) == _FRAME.size:
            size, *own = _FRAME.unpack(raw)
            if at == _HEADER.size and own != salts and own[0] + 1 & 0xFFFFFFFF == salts[0]:
                return  # the header was written for a new round, which has no frame yet
            yield Frame(size > 0, (own[0], own[1]))
            at += _FRAME.size + page_size


def _unused(log: Path, mark: str) -> Path:
    """A name to keep a log by: what was kept before stays."""
    names = chain([mark], (f"{mark}-{number}" for number in count(2)))
    paths = (log.with_name(log.name + name) for name in names)
    return next(path for path in paths if not path.exists())


def _log(path: Path) -> Path:
    return path.with_name(path.name + SUFFIX)
