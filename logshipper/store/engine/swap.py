"""Puts a day's new file in the place of its old one, which is kept: killed anywhere, one is there.

A write-ahead log left beside a file that is not its own would be taken for it, and destroy it. So
both get their second names first; then the log goes with the old file, and the new one comes.
"""

import os
from pathlib import Path
from typing import Final

from logshipper.store.engine import schema, wal
from wharfinger.errors import Conflict
from wharfinger.files import sync_folder

DAMAGED: Final = ".damaged-"
REPAIRED: Final = ".repaired-"
REPLACED: Final = ".replaced-"
# Begins like a file that is being made: where nothing was swapped yet it goes as that does.
RESTORED: Final = f"{schema.STAGED}-restored-"
KEPT: Final = (DAMAGED, REPLACED)
_MARKS: Final = ((REPAIRED, DAMAGED), (RESTORED, REPLACED))


def staged(path: Path, stamp: str) -> Path:
    """Where the new file is made."""
    return path.with_name(f"{path.name}{REPAIRED}{stamp}")


def kept(path: Path, stamp: str) -> Path:
    """Where the old file is kept."""
    return path.with_name(f"{path.name}{DAMAGED}{stamp}")


def own(path: Path, like: Path) -> None:
    """Gives what was made here the owner of what it belongs to: the store need not be root."""
    owner = like.stat()
    if os.geteuid() == 0 and path.exists():
        os.chown(path, owner.st_uid, owner.st_gid)


def adopt(path: Path, like: Path) -> None:
    """The same, and lets everybody do with a new file what they may with another."""
    own(path, like)
    path.chmod(like.stat().st_mode & 0o666)


def swap(path: Path, new: Path, stamp: str, mark: str = DAMAGED) -> Path:
    """Puts `new`, which is whole and closed, at `path`; returns where the old file is now.

    Args:
        path: the place.
        new: what comes there.
        stamp: with `mark`, the name under which the old file is kept.
        mark: the same.

    Raises:
        OSError: the old file is still there, under one of its names or both.
    """
    old = path.with_name(f"{path.name}{mark}{stamp}")
    adopt(new, path)
    with new.open("rb") as file:
        os.fsync(file.fileno())
    log = path.with_name(path.name + wal.SUFFIX)
    has_log = log.exists() and log.stat().st_size > 0
    if has_log:
        os.link(log, old.with_name(old.name + wal.SUFFIX))
    os.link(path, old)
    sync_folder(path.parent)
    if has_log:
        path.unlink()
        sync_folder(path.parent)
    wal.discard(path)
    sync_folder(path.parent)
    new.rename(path)
    sync_folder(path.parent)
    return old


def finish(path: Path) -> Path | None:
    """Ends a swap that was interrupted, if there is one; returns where the old file is.

    Raises:
        Conflict: lines have come into a new file of the day since; nothing was changed.
    """
    for mark, kept_mark in _MARKS:
        for new in sorted(path.parent.glob(f"{path.name}{mark}*")):
            stamp = new.name.removeprefix(path.name + mark)
            old = path.with_name(f"{path.name}{kept_mark}{stamp}")
            if not new.name.endswith(wal.BESIDE) and old.exists() and _ended(path, new, old):
                return old
    return None


def _ended(path: Path, new: Path, old: Path) -> bool:
    """Ends one swap; False if the old file had not been let go, and is in its place."""
    if not path.exists():
        wal.discard(path)
        new.rename(path)
        sync_folder(path.parent)
        return True
    if not path.samefile(old):
        raise Conflict(
            f"a repair or restore of {path} was interrupted, and a new file is there since: move"
            f" that away, then repair again; what was made is {new.name}"
        )
    # The old file has two names, and one is enough.
    old.unlink()
    old.with_name(old.name + wal.SUFFIX).unlink(missing_ok=True)
    return False


def finish_all(root: Path) -> None:
    """Ends every interrupted swap in a data folder.

    Raises:
        Conflict: see `finish`; all others have been ended.
    """
    conflicts = []
    for mark, _ in _MARKS:
        for left in sorted(root.glob(f"*/*{mark}*")):
            try:
                finish(left.with_name(left.name.partition(mark)[0]))
            except Conflict as conflict:
                conflicts.append(conflict)
    if conflicts:
        raise conflicts[0]


def sweep(path: Path) -> None:
    """Removes what an interrupted rebuild left; the old file is in its place."""
    for left in path.parent.glob(f"{path.name}{REPAIRED}*"):
        left.unlink(missing_ok=True)
