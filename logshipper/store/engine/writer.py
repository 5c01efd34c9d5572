"""The one thread that writes: group commit, retention, the disk watched."""

import contextlib
import sqlite3
import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final, Protocol

from logshipper.store.engine import removal
from logshipper.store.engine.brokenfiles import BrokenFiles
from logshipper.store.engine.day import DayWriter
from logshipper.store.engine.folder import Folder
from logshipper.store.engine.intake import Batch, Intake
from logshipper.store.engine.removal import Removal
from logshipper.store.engine.retention import DayFile, Limits
from logshipper.store.engine.timekeeper import Timekeeper
from logshipper.store.lines import times
from logshipper.store.metrics import Metrics
from logshipper.store.model import Busy, Document
from wharfinger.errors import Unavailable

TICK_SECONDS: Final = 1.0
RETENTION_SECONDS: Final = 60.0
_RETRY_SECONDS: Final = 5
_OPEN_DAYS: Final = 8
_PLENTY_BYTES: Final = 16 * 2**20
_LONG_LOG_BYTES: Final = 64 * 2**20
# What SQLite says when the disk is at fault: the same lines work when it has mended.
_DISK_ERRORS: Final = ("SQLITE_FULL", "SQLITE_IOERR", "SQLITE_READONLY", "SQLITE_CANTOPEN")


class Tell(Protocol):
    """Is told of events, as `wharfinger.events.Events.emit` is."""

    def __call__(self, kind: str, level: str, **fields: object) -> None:
        """Takes one event."""


def quiet(kind: str, level: str, **fields: object) -> None:
    """Tells nobody."""


class Committed(Protocol):
    """Is told of every transaction, in the writer's thread."""

    def __call__(
        self, tenant: str, day: int, documents: Sequence[Document], row_ids: Sequence[int | None]
    ) -> None:
        """Takes what was just committed; a row id is None for a duplicate."""


@dataclass(slots=True)
class _Group:
    """The documents of one day file in one transaction, and where in its batch each belongs."""

    documents: list[Document] = field(default_factory=list)
    places: list[tuple[Batch, Sequence[int]]] = field(default_factory=list)

    def add(self, batch: Batch, places: Sequence[int]) -> None:
        """Adds documents of a batch."""
        whole = len(places) == len(batch.documents)
        self.documents += batch.documents if whole else [batch.documents[at] for at in places]
        self.places.append((batch, places))


class Writer:
    """Commits what the intake takes, in a thread of its own.

    Args:
        folder: where the day files are.
        intake: what to commit.
        limits: what to keep to.
        metrics: what to count.
        tell: is told of events (kind, level, fields), in the writer's thread.
        committed: is told of every transaction, in the writer's thread.
        timekeeper: says what time it is.

    Attributes:
        limits: may be swapped at any time.
        removal: what retention has done, and why not more.
        failing: why the disk takes nothing; empty if it does.
        broken: day files that cannot be written, and why.
        growing: day files of which only the log can be written, and why.
        failure: what ended the thread before its time.
        turned_at: monotonic seconds when the thread last came round; it does every second.
    """

    def __init__(
        self,
        folder: Folder,
        intake: Intake,
        limits: Limits,
        metrics: Metrics,
        *,
        tell: Tell = quiet,
        committed: Committed | None = None,
        timekeeper: Timekeeper | None = None,
    ) -> None:
        self.limits = limits
        self.failing = ""
        self.broken = BrokenFiles()
        self.growing: dict[str, str] = {}
        self.failure: BaseException | None = None
        self.turned_at = time.monotonic()
        self._folder = folder
        self._intake = intake
        self._metrics = metrics
        self._tell = tell
        self._committed = committed
        timekeeper = timekeeper or Timekeeper(folder.root / "clock")
        self.removal = Removal(folder, timekeeper, metrics, self._forget, self._removed)
        self._days: dict[tuple[str, int], DayWriter] = {}
        self._retained_at = float("-inf")
        self._thread = threading.Thread(target=self._run, name="writer", daemon=True)

    def start(self) -> None:
        """Applies retention once, then begins to commit."""
        self.tick()
        self._thread.start()

    def close(self) -> None:
        """Commits what is queued, then ends the thread; blocks until it has."""
        self._intake.stop()
        if self._thread.ident is not None:
            self._thread.join()

    @property
    def alive(self) -> bool:
        """Whether the thread runs."""
        return self._thread.is_alive()

    def tick(self) -> None:
        """Looks at the disk and, every minute, at the retention; in the writer's thread."""
        try:
            now = time.monotonic()
            if now - self._retained_at >= RETENTION_SECONDS:
                self._retained_at = now
                self.removal.apply(self.limits)
            free = self._folder.free_bytes()
        except OSError as error:
            self.refuse(f"the disk cannot be read: {error.strerror}")
            return
        self._checkpoint()
        self._metrics.free.set(free)
        wanted = self.limits.min_free_bytes
        if free < wanted:
            self.refuse(
                f"disk nearly full: {free:,} bytes free in {self._folder.root}, {wanted:,} wanted"
                " (logstore.min_free_bytes): make room there, or set logstore.retention_bytes"
            )
        elif self.failing:
            # The next commit may try; health stays red until one succeeds, or there is plenty.
            self._intake.refusal = ""
            if self._folder.has_room(_PLENTY_BYTES):
                self._mend()

    def _checkpoint(self) -> None:
        """Looks after logs that have grown long: SQLite has tried in vain, and told nobody."""
        growing = {}
        for day in list(self._days.values()):
            if (size := day.log_bytes) > _LONG_LOG_BYTES:
                try:
                    day.checkpoint()
                except sqlite3.Error as error:
                    why = f"its log of {size} bytes cannot be moved into it: {error}"
                    growing[str(day.path)] = why
        self.growing = growing

    def _removed(self, file: DayFile) -> None:
        self._tell("day removed", "info", **removal.named(file))

    def refuse(self, why: str) -> None:
        """Takes nothing until the disk has mended; reading goes on."""
        if not self.failing:
            self._tell("store refusing", "error", why=why)
        self.failing = self._intake.refusal = why

    def _mend(self) -> None:
        self.failing = self._intake.refusal = ""
        self._tell("store accepting", "info", why="the disk has room again")

    def _run(self) -> None:
        try:
            ticked = time.monotonic()
            while (batches := self._intake.collect(TICK_SECONDS)) is not None:
                self.turned_at = time.monotonic()
                if batches:
                    self._commit(batches)
                if time.monotonic() - ticked >= TICK_SECONDS:
                    self.tick()
                    ticked = time.monotonic()
        except BaseException as error:  # noqa: BLE001 - whatever it is, the daemon must hear of it
            self.failure = error
        finally:
            self._intake.abandon()
            for key in list(self._days):
                self._forget(*key)
            self.broken.close()

    def _commit(self, batches: Sequence[Batch]) -> None:
        try:
            for (tenant, day), group in self._grouped(batches).items():
                self._commit_group(tenant, day, group)
        except BaseException as error:
            for batch in batches:
                batch.future.set_exception(error)
            raise
        for batch in batches:
            if batch.error is not None:
                batch.future.set_exception(batch.error)
            else:
                batch.future.set_result(batch.stored)

    def _commit_group(self, tenant: str, day: int, group: _Group) -> None:
        error = self._try(tenant, day, group)
        involved = list(dict.fromkeys(batch for batch, _ in group.places))
        alone = len(involved) == 1
        for batch in involved if error is not None else ():
            # Something in one of them cannot be stored: the others must not suffer for it.
            again = not alone and not isinstance(error, Busy)
            why = self._try(tenant, day, _only(group, batch)) if again else error
            batch.error = batch.error or why

    def _grouped(self, batches: Sequence[Batch]) -> dict[tuple[str, int], _Group]:
        groups: dict[tuple[str, int], _Group] = {}
        for batch in batches:
            first = self.removal.first_day(batch.tenant)
            for day, places in _by_day(batch.documents).items():
                if day < first:
                    self._metrics.expired.inc(len(places))
                else:
                    groups.setdefault((batch.tenant, day), _Group()).add(batch, places)
        return groups

    def _try(self, tenant: str, day: int, group: _Group) -> Exception | None:
        """Commits a group; what went wrong, if something did: then nothing of it is stored."""
        path = self._folder.path(tenant, day)
        began = time.monotonic()
        try:
            row_ids = self._day(tenant, day).write(group.documents)
        except Exception as error:  # noqa: BLE001 - sorted out below; the thread must go on
            self._forget(tenant, day)
            return self._judged(path, error)
        self._metrics.commit_seconds.observe(time.monotonic() - began)
        self.broken.clear(path)
        if self.failing and not self._intake.refusal:
            self._mend()
        self._note(tenant, day, group, row_ids)
        return None

    def _judged(self, path: Path, error: Exception) -> Exception:
        """What to tell the senders of lines that could not be written."""
        name = getattr(error, "sqlite_errorname", "")
        if isinstance(error, OSError) or name.startswith(_DISK_ERRORS):
            self.refuse(f"cannot write {path}: {getattr(error, 'strerror', None) or error}")
            return Busy("disk", self.failing, _RETRY_SECONDS)
        self._tell("commit failed", "error", path=str(path), error=repr(error)[:500])
        if isinstance(error, sqlite3.DataError | sqlite3.IntegrityError) or not isinstance(
            error, sqlite3.Error | Unavailable | UnicodeDecodeError
        ):
            return error
        self.broken.add(path, str(error))
        return Busy("file", f"cannot write {path}: {error}", _RETRY_SECONDS)

    def _note(self, tenant: str, day: int, group: _Group, row_ids: Sequence[int | None]) -> None:
        new = len(row_ids) - row_ids.count(None)
        numbers = iter(row_ids)
        for batch, places in group.places:
            for at, row_id in zip(places, numbers, strict=False):
                batch.stored[at] = row_id is not None
        self._metrics.accepted.inc(new)
        self._metrics.duplicates.inc(len(row_ids) - new)
        self._metrics.messages.inc(sum(len(d.line.message) for d in group.documents))
        if self._committed is not None:
            self._committed(tenant, day, group.documents, row_ids)

    def _day(self, tenant: str, day: int) -> DayWriter:
        key = (tenant, day)
        found = self._days.pop(key, None)
        if found is None:
            if len(self._days) >= _OPEN_DAYS:
                self._forget(*next(iter(self._days)))
            self._folder.prepare(tenant)
            found = DayWriter(self._folder.path(tenant, day))
        self._days[key] = found  # the one used longest ago stands first
        return found

    def _forget(self, tenant: str, day: int) -> None:
        found = self._days.pop((tenant, day), None)
        if found is not None:
            with contextlib.suppress(sqlite3.Error):
                found.close()


def _by_day(documents: Sequence[Document]) -> dict[int, Sequence[int]]:
    """The places of the documents of each day; nearly always it is one."""
    moments = [document.line.time_ns for document in documents]
    if moments and (day := times.day_of(min(moments))) == times.day_of(max(moments)):
        return {day: range(len(moments))}
    found: dict[int, list[int]] = {}
    for at, time_ns in enumerate(moments):
        found.setdefault(times.day_of(time_ns), []).append(at)
    return {**found}


def _only(group: _Group, wanted: Batch) -> _Group:
    only = _Group()
    for batch, places in group.places:
        if batch is wanted:
            only.add(batch, places)
    return only
