"""Copies every day while the store runs: DEST/TIME/TENANT/DAY.db, days as before are linked."""

import contextlib
import hashlib
import os
import shutil
import sqlite3
from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from logshipper.store.engine.folder import Folder
from logshipper.store.engine.schema import SUFFIX
from logshipper.store.keeping import manifest, places, rows
from logshipper.store.keeping.inspection import Inspection
from logshipper.store.keeping.manifest import Entry, Manifest, State
from logshipper.store.keeping.places import DayPlace
from logshipper.store.keeping.progress import Progress
from logshipper.store.lines import times
from wharfinger import lock
from wharfinger.errors import Finding, Rejected, Unavailable
from wharfinger.files import sync_folder, write_atomically
from wharfinger.text import quantity

MANIFEST: Final = "manifest.json"
_PARTIAL: Final = ".partial-"
_MODE: Final = 0o440
_FOLDER_MODE: Final = 0o750
_COUNT: Final = "SELECT total(count) FROM block NOT INDEXED"


@dataclass(slots=True)
class Made:
    """A backup that was made.

    Attributes:
        path: its folder.
        copied: bytes that were copied.
        linked: days that were as in the backup before.
        manifest: what it holds.
        removed: backups that were too many.
    """

    path: Path
    manifest: Manifest
    copied: int = 0
    linked: int = 0
    removed: list[Path] = field(default_factory=list)


def backups(target: Path) -> list[Path]:
    """The backups in a folder, oldest first; one that was not finished is none."""
    if not target.is_dir():
        return []
    return sorted(
        path
        for path in target.iterdir()
        if manifest.is_stamp(path.name) and (path / MANIFEST).is_file()
    )


def newest(target: Path) -> Path:
    """The backup that a path means: itself, or the newest one in it.

    Raises:
        Rejected: there is none.
    """
    if (target / MANIFEST).is_file():
        return target
    found = backups(target)
    if not found:
        raise Rejected(f"{target} holds no backup")
    return found[-1]


def read(path: Path) -> Manifest:
    """What a backup says of itself.

    Raises:
        Rejected: that cannot be read.
    """
    try:
        return manifest.decode((path / MANIFEST).read_bytes())
    except OSError as error:
        raise Rejected(f"{path / MANIFEST} cannot be read: {error.strerror}") from None
    except Rejected as error:
        raise Rejected(f"{path / MANIFEST} {error}") from None


def make(
    folder: Folder,
    target: Path,
    stamp: str,
    now_ns: int,
    *,
    keep: int | None = None,
    progress: Progress | None = None,
) -> Made:
    """Makes a backup of all that is acknowledged now; whole and on disk when this returns.

    Args:
        folder: what to copy; its store may run.
        target: the folder of all backups; made if it is not there.
        stamp: the name of this one.
        now_ns: the time.
        keep: remove the oldest beyond so many; None for none.
        progress: is told of bytes.

    Raises:
        Unavailable: it could not be made; what is there is as it was, or another is being made.
    """
    try:
        target.mkdir(mode=_FOLDER_MODE, parents=True, exist_ok=True)
        with lock.held(target / "lock", "logstore backup"):
            return _Backup(folder, target, progress).make(stamp, now_ns, keep)
    except OSError as error:
        raise Unavailable(f"no backup was made in {target}: {error}") from error


class _Backup:
    def __init__(self, folder: Folder, target: Path, progress: Progress | None) -> None:
        self._folder = folder
        self._target = target
        self._progress = progress
        self._copied = self._linked = 0
        self._failed: dict[str, str] = {}

    def make(self, stamp: str, now_ns: int, keep: int | None) -> Made:
        for left in self._target.glob(f"{_PARTIAL}*"):
            shutil.rmtree(left)
        there = backups(self._target)
        before = there[-1] if there else None
        previous = None
        if before is not None:
            # One that cannot be read costs a full copy, and nothing else.
            with contextlib.suppress(Rejected):
                previous = read(before)
        partial = self._target / f"{_PARTIAL}{stamp}"
        partial.mkdir(mode=_FOLDER_MODE)
        try:
            days = [
                entry
                for place in places.stored(self._folder)
                if (entry := self._day(place, partial, before, previous)) is not None
            ]
            made = Manifest(now_ns, str(self._folder.root), tuple(days), self._failed)
            write_atomically(partial / MANIFEST, manifest.encode(made), mode=_MODE)
            for inside in partial.iterdir():
                if inside.is_dir():
                    sync_folder(inside)
            sync_folder(partial)
            path = self._target / manifest.name_after(stamp, before.name if before else "")
            partial.rename(path)
        except BaseException:
            shutil.rmtree(partial, ignore_errors=True)
            raise
        sync_folder(self._target)
        done = Made(path, made, self._copied, self._linked)
        if keep is not None and not self._failed:
            done.removed = backups(self._target)[:-keep]
            for old in done.removed:
                # Its manifest goes first: half a backup is none.
                (old / MANIFEST).unlink()
                shutil.rmtree(old)
        return done

    def _day(
        self, place: DayPlace, partial: Path, before: Path | None, previous: Manifest | None
    ) -> Entry | None:
        assert place.tenant is not None  # noqa: S101 - it is of the data folder
        assert place.day is not None  # noqa: S101
        name = times.day_name(place.day)
        copy = partial / place.tenant / f"{name}{SUFFIX}"
        copy.parent.mkdir(mode=_FOLDER_MODE, exist_ok=True)
        try:
            state = state_of(place.path)
            held = manifest.same(previous, place.tenant, name, state)
            if held is not None and before is not None:
                old = before / place.tenant / copy.name
                if old.is_file() and old.stat().st_size == held.size:
                    self._link(old, copy)
                    self._tell(place, held.size)
                    return held
            lines = _copied(place.path, copy, lambda done: self._tell(place, done))
        except (sqlite3.Error, Unavailable, FileNotFoundError) as error:
            copy.unlink(missing_ok=True)
            if getattr(error, "sqlite_errorname", "").startswith(("SQLITE_FULL", "SQLITE_IOERR")):
                raise Unavailable(f"no backup was made in {self._target}: {error}") from error
            if place.path.exists():
                self._failed[str(place.path)] = str(error)
            return None  # or retention has taken it meanwhile
        size = copy.stat().st_size
        self._copied += size
        return Entry(place.tenant, name, size, digest(copy), lines, state)

    def _link(self, old: Path, copy: Path) -> None:
        try:
            os.link(old, copy)
        except OSError:
            # Not every file system can.
            shutil.copyfile(old, copy)
            _sync(copy)
        self._linked += 1

    def _tell(self, place: DayPlace, size: int) -> None:
        if self._progress is not None:
            self._progress.add(place.name, size)


def state_of(path: Path) -> State:
    """What tells that a file is as it was.

    Raises:
        FileNotFoundError: it has gone.
    """
    file = path.stat()
    size = changed_ns = 0
    with contextlib.suppress(FileNotFoundError):
        log = path.with_name(f"{path.name}-wal").stat()
        if log.st_size:
            size, changed_ns = log.st_size, log.st_mtime_ns
    return State(file.st_ino, file.st_size, file.st_mtime_ns, size, changed_ns)


def digest(path: Path) -> str:
    """SHA-256 of a file, in hex."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def verify(path: Path, progress: Progress | None = None) -> tuple[Manifest, list[Finding]]:
    """Whether a backup is what it says it is, and its days are sound.

    Raises:
        Rejected: it does not say what it is.
    """
    told = read(path)
    fix = "make a new backup; restore from an older one"
    found = [
        Finding(str(path), f"lacks {name}: {why}", "repair that file, then make a new backup")
        for name, why in told.failed.items()
    ]
    for entry in told.days:
        copy = path / entry.tenant / f"{entry.day}{SUFFIX}"
        if progress is not None:
            progress.add(entry.day, entry.size)
        if not copy.is_file():
            found.append(Finding(str(copy), "is not there", fix))
        elif copy.stat().st_size != entry.size or digest(copy) != entry.sha256:
            found.append(Finding(str(copy), "is not what was written", fix))
        else:
            day = times.parse_day(entry.day)
            report = Inspection(copy, day, fix, with_words=False, with_log=False).run()
            found += report.findings
            if report.lines != entry.lines and not report.findings:
                held = quantity(report.lines, "line")
                why = f"holds {held}, the manifest says {entry.lines}"
                found.append(Finding(str(copy), why, fix))
    return told, found


def _copied(path: Path, copy: Path, told: Callable[[int], None]) -> int:
    """Copies a file as it is at one moment; its lines, by its own accounts.

    One step: the writer of a WAL goes on beside it, where a copy in several would begin anew at
    each of its commits (SQLite's documentation of the backup API).
    """
    with rows.opened(path) as source, closing(sqlite3.connect(copy, isolation_level=None)) as to:
        to.execute("PRAGMA journal_mode = OFF")
        to.execute("PRAGMA synchronous = OFF")
        (lines,) = source.execute(_COUNT).fetchone()
        source.backup(to)
    told(copy.stat().st_size)
    _sync(copy)
    return int(lines)


def _sync(path: Path) -> None:
    path.chmod(_MODE)
    with path.open("rb") as file:
        os.fsync(file.fileno())
