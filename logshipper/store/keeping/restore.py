"""Brings days of a backup back into the data folder of a store that is stopped."""

import contextlib
import hashlib
import os
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from logshipper.store.engine import swap, wal
from logshipper.store.engine.folder import Folder
from logshipper.store.engine.schema import SUFFIX
from logshipper.store.keeping import backup
from logshipper.store.keeping.manifest import Entry
from logshipper.store.keeping.progress import Progress
from logshipper.store.lines import times
from wharfinger.errors import Conflict, Rejected, Unavailable
from wharfinger.files import sync_folder

_CHUNK_BYTES: Final = 1 << 20


@dataclass(slots=True)
class Restored:
    """What was done.

    Attributes:
        days: tenant and day of what was brought back.
        present: of what is there and was left.
        replaced: where files are kept that were in the way.
    """

    days: list[str] = field(default_factory=list)
    present: list[str] = field(default_factory=list)
    replaced: list[Path] = field(default_factory=list)


def restore(
    path: Path,
    folder: Folder,
    wanted: Sequence[str],
    stamp: str,
    *,
    replace: bool = False,
    progress: Progress | None = None,
) -> Restored:
    """Brings back what is wanted; each day wholly or not at all. The folder must be locked.

    Args:
        path: the backup.
        folder: where to.
        wanted: a tenant and a day of it; all of it for none.
        stamp: what a file that is in the way is called after.
        replace: puts it out of the way; else it stays.
        progress: is told of bytes.

    Raises:
        Rejected: the backup has no such day.
        Unavailable: a copy is not what it was, or cannot be written; its day is as it was.
    """
    done = Restored()
    for entry in _chosen(path, wanted):
        name = f"{entry.tenant} {entry.day}"
        day = times.parse_day(entry.day)
        if day is None:
            raise Rejected(f"{path} names a day that does not exist: {entry.day}")
        target = folder.path(entry.tenant, day)
        with contextlib.suppress(Conflict):  # a new file that is there since is one in the way
            swap.finish(target)
        if target.exists() and not replace:
            done.present.append(name)
            continue
        try:
            folder.prepare(entry.tenant)
            swap.own(target.parent, folder.root)
            _bring(path / entry.tenant / f"{entry.day}{SUFFIX}", entry, target, stamp, done)
        except OSError as error:
            raise Unavailable(f"{target} is as it was: {error}") from error
        done.days.append(name)
        if progress is not None:
            progress.add(name, entry.size)
    return done


def _chosen(path: Path, wanted: Sequence[str]) -> list[Entry]:
    chosen = [
        entry
        for entry in backup.read(path).days
        if list(wanted) == [entry.tenant, entry.day][: len(wanted)]
    ]
    if not chosen:
        raise Rejected(f"{path} has no {' '.join(wanted) or 'days'}"[:200])
    return chosen


def _bring(copy: Path, entry: Entry, target: Path, stamp: str, done: Restored) -> None:
    staged = target.with_name(f"{target.name}{swap.RESTORED}{stamp}")
    try:
        hashed = hashlib.sha256()
        with copy.open("rb") as source, staged.open("wb") as to:
            while chunk := source.read(_CHUNK_BYTES):
                hashed.update(chunk)
                to.write(chunk)
            to.flush()
            os.fsync(to.fileno())
        if hashed.hexdigest() != entry.sha256:
            raise Unavailable(f"{copy} is not what was written: {target} is as it was")
        swap.adopt(staged, target if target.exists() else target.parent)
        if target.exists():
            done.replaced.append(swap.swap(target, staged, stamp, swap.REPLACED))
        else:
            # A log that has lost its file holds lines that no backup has.
            wal.set_aside(target)
            staged.rename(target)
            sync_folder(target.parent)
    finally:
        staged.unlink(missing_ok=True)
