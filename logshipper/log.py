"""One container's log in one shipment: its files, its pipeline, and what of it is on its way."""

import contextlib
import errno
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import partial
from math import inf
from typing import Final

from logshipper.account import Account, Standing, called
from logshipper.age import Age
from logshipper.batch import Ledger, Ticket
from logshipper.logfile import CorruptLogError
from logshipper.model import Loss, Position, Progress, Route, SavedLog, Slice
from logshipper.pipeline import Pipeline
from logshipper.segment import Segment
from logshipper.source import Source
from logshipper.spool import Spool

# A part that is followed by nothing for so long was the end of its message: a process that was
# killed within a line, or one that ends its output at exactly 16,384 bytes without a newline.
JOIN_SECONDS: Final = 30.0
PATIENCE_SECONDS: Final = 0.05
# Then whoever reads waits for it, and all other logs with them: that must not look well.
STUCK_SECONDS: Final = 30.0
_FIXES: Final = {
    errno.EMFILE: "raise the limit of open files (LimitNOFILE)",
    errno.ENFILE: "raise fs.file-max",
    errno.EACCES: "run as root",
    errno.EPERM: "run as root",
}


@dataclass(slots=True)
class Log:
    """A log; its methods may be called in threads, one at a time enters.

    Attributes:
        container_id: 64 hexadecimal digits; of a file of text, where it is: see `Found.key`.
        tail: its files, or Docker's API.
        saved: what the checkpoint knew of it when it was opened.
        route: None as long as nobody has said who the container is.
        pipeline: None as long as it is not shipped.
        ledger: what is on its way to the sink.
        queued: waits for its turn to be read.
        armed: a change of its file will wake it.
        timed: a timer will wake it.
        finished: nothing will come of it any more.
        unread_bytes: in its files when it was last looked at or read.
        deleted_bytes: those of them that only this process keeps on the disk.
        read_since: Unix seconds: when the oldest line that was read last was written.
        taken_bytes: read, and not on their way yet.
        gone: its container's folder is no more.
        has_deleted: it holds files that are deleted and not spooled, acknowledged or not.
        offered_bytes: what was left of the deleted files when they were last offered to the spool.
        parked: it was shipped, and is not now: its checkpoint stays, should it be once more.
        opened_anew: makes the same log again, once it was let go.
    """

    container_id: str
    tail: Source
    saved: SavedLog | None
    route: Route | None = None
    pipeline: Pipeline | None = None
    ledger: Ledger = field(default_factory=Ledger)
    queued: bool = False
    armed: bool = False
    timed: bool = False
    finished: bool = False
    unread_bytes: int = 0
    deleted_bytes: int = 0
    read_since: float = 0.0
    taken_bytes: int = 0
    gone: bool = False
    _age: Age = field(default_factory=Age)
    _torn_bytes: int = 0
    has_deleted: bool = False
    offered_bytes: int = 0
    parked: bool = False
    opened_anew: "Callable[[], Log] | None" = None
    _unopened: str = ""
    _unread: str = ""
    _unseen: str = ""
    _losses: deque[Loss] = field(default_factory=deque)
    _files: list[dict[str, object]] = field(default_factory=list)
    _at: Position | None = None
    _asked_at: float | None = None
    _grown_at: float = 0.0
    _mutex: threading.Lock = field(default_factory=threading.Lock)

    @property
    def whose(self) -> str:
        """The container that it is of; `host` for the host's own files."""
        if self.route is None or not self.route.owner:
            return self.container_id
        return self.route.fields.get("container", "host")

    @property
    def trouble(self) -> str:
        """Why it cannot be opened or read now; empty when it can."""
        asked_at = self._asked_at
        if asked_at is not None and (seconds := time.monotonic() - asked_at) >= STUCK_SECONDS:
            return f"its disk has not answered for {seconds:.0f} s: does a mount hang?"
        return self._unopened or self._unread or self._unseen

    @contextlib.contextmanager
    def _asking(self) -> Iterator[None]:
        """What is short, as long as the disk answers."""
        with self._mutex:
            self._asked_at = time.monotonic()
            try:
                yield
            finally:
                self._asked_at = None

    def look(self) -> bool:
        """Opens files that have appeared; whether there is something to read, or to watch."""
        with self._asking():
            if self.finished:
                return False
            try:
                self.tail.look()
                self._unopened = ""
            except (OSError, CorruptLogError) as error:
                self._unopened = _said(error)
            self._note()
            try:
                stirred = self.tail.stirred
            except OSError:
                return False  # told by the note
            # One that was empty when it appeared must be watched before its first line.
            unwatched = not self.armed and self.tail.newest_fd is not None
            return stirred or unwatched or self._overdue() or self.due_seconds <= 0

    def read_from(self, source: Source) -> None:
        """Takes another source, before anything was read: now it is known where its log is."""
        with self._mutex:
            self.tail.close()
            self.tail = source

    def hold_at_most(self, limit_bytes: int) -> None:
        """Lets deleted files go beyond a limit; what was unread in them is lost."""
        with self._mutex:
            try:
                self.tail.hold_at_most(limit_bytes)
            except OSError as error:
                self._unopened = _said(error)
            self._note()

    def spool_deleted(self, spool: Spool, acknowledged: Position | None) -> int:
        """Copies deleted files into the spool; gives how many bytes they had.

        Raises:
            OSError: the spool cannot be written; what was not copied is still held.
        """
        with self._mutex:
            try:
                store = partial(spool.store, self.container_id, route=self.route)
                return self.tail.spool_deleted(store, acknowledged)
            finally:
                self._note()
                # Files that go from now on were not offered yet, however soon somebody looks.
                self.offered_bytes = self.deleted_bytes

    def drop_spooled(self, segment: Segment) -> None:
        """Lets a segment go for which there is no room; what was unread in it is lost."""
        with self._mutex:
            self.tail.drop_spooled(segment)
            self._note()

    def step(self) -> Slice | None:
        """Reads and encodes the next piece; None when there is nothing now, or `trouble`."""
        with self._asking():
            if self.finished or self.pipeline is None:
                return None
            waited = self._age.since
            try:
                chunk = self.tail.read()
                self._unread = ""
                self.taken_bytes = chunk.size_bytes if chunk is not None else 0
            except OSError as error:
                self._unread = _said(error)
                return None
            finally:
                self._note()
            if chunk is not None:
                self._at, self._grown_at = chunk.end, time.monotonic()
                self._age.since = waited
                waiting_bytes, seen_at = self.unread_bytes, self._seen_at()
                self.read_since = self._age.took(chunk.data, waiting_bytes, seen_at, chunk.times)
                return self.pipeline.take(chunk)
            # What is there is no line yet, and may never be one: a host that lost power.
            self._torn_bytes, self._age.since = self.unread_bytes, None
            return self._ended(self.pipeline)

    def _ended(self, pipeline: Pipeline) -> Slice | None:
        """There is nothing to read: what is over, by that or by the clock."""
        if self._at is not None and self._overdue():
            return pipeline.finish(self._at)
        if self._at is not None and self.due_seconds <= 0:
            return pipeline.settle(self._at)
        if not self.tail.ended:
            return None
        self.finished = True
        # Its checkpoint may outlive it, and must not go back.
        read = self.saved.progress.read if self.saved else Position(0, 0)
        return pipeline.finish(self._at or read)

    def losses(self) -> Iterator[Loss]:
        """What of it was lost since this was last asked; never waits for a thread."""
        while self._losses:
            yield self._losses.popleft()

    def issue(self, piece: Slice) -> Ticket:
        """Enters what `step` gave into the ledger: it is on its way."""
        ticket = self.ledger.issue(piece, self.read_since)
        self.taken_bytes = 0
        return ticket

    def _note(self) -> None:
        self._losses.extend(self.tail.losses())
        try:
            self.unread_bytes = self.tail.unread_bytes
            self.deleted_bytes = self.tail.deleted_bytes
            self.has_deleted = self.tail.has_deleted
            self._unseen = ""
        except OSError as error:
            self._unseen = _said(error)
        waiting_bytes = 0 if self.unread_bytes == self._torn_bytes else self.unread_bytes
        if not waiting_bytes or self._age.since is None:
            self._age.noted(waiting_bytes, self._seen_at())

    def _seen_at(self) -> float:
        """When what waits was written at the latest: not after it was seen."""
        now, written_at = time.time(), None
        with contextlib.suppress(OSError):
            written_at = self.tail.written_at
        return now if written_at is None else min(now, written_at)

    @property
    def due_seconds(self) -> float:
        """With nothing new, an event of several lines is over in so long; infinite without any."""
        if self.pipeline is None or self._at is None:
            return inf
        return self.pipeline.patience_seconds - (time.monotonic() - self._grown_at)

    def _overdue(self) -> bool:
        waits = self.pipeline is not None and self.pipeline.waits
        return waits and time.monotonic() - self._grown_at >= JOIN_SECONDS

    def saved_at(self, progress: Progress) -> SavedLog:
        """What the checkpoint shall hold once `progress` is acknowledged."""
        with self._asking():
            return self.tail.saved(progress)

    def close(self) -> None:
        """Lets its files go; nothing of it is read any more."""
        with self._mutex:
            self.finished = True
            self.tail.close()

    @property
    def lag_bytes(self) -> int:
        """Bytes in its files that the sink does not hold yet; never waits for a thread."""
        waiting_bytes = self.unread_bytes + self.taken_bytes + self.ledger.in_flight_bytes
        return waiting_bytes if self._shipped else 0

    @property
    def lag_seconds(self) -> float:
        """Age of its oldest line that the sink does not hold yet; never waits for a thread."""
        since = self.ledger.since
        if since is None:
            since = self.read_since if self.taken_bytes else self._age.since
        return max(0.0, time.time() - since) if self._shipped and since is not None else 0.0

    @property
    def _shipped(self) -> bool:
        return self.pipeline is not None and self.route is not None and self.route.ship

    @property
    def name(self) -> str:
        """The container's; empty as long as nobody has said it."""
        return self.route.fields.get("container_name", "") if self.route else ""

    def standing(self, sink: str, account: Account | None) -> Standing:
        """How it stands now."""
        return Standing(
            sink,
            self.container_id,
            called(self.container_id, self.name),
            self.lag_bytes,
            self.lag_seconds,
            "" if self.finished else self.trouble,
            account,
            whose=self.whose,
        )

    def status(self, saved: SavedLog | None) -> dict[str, object]:
        """Where it stands, for `/status`."""
        lag_bytes, lag_seconds = self.lag_bytes, round(self.lag_seconds, 3)
        in_flight_bytes = self.ledger.in_flight_bytes
        current = self._look_at_files(saved.progress.read if saved else None)
        return {
            "container": self.container_id,
            "file": self.route.fields.get("file", "") if self.route else "",
            "name": self.name,
            "ship": self.route.ship if self.route else None,
            "why": self.route.reason if self.route else "not known to Docker yet",
            "trouble": self.trouble,
            "lag_bytes": lag_bytes,
            "lag_seconds": lag_seconds,
            "in_flight_bytes": in_flight_bytes,
            "held_deleted_bytes": self.deleted_bytes,
            "acknowledged": saved.progress.read.offset if saved else 0,
            "files": self._files,
            "files_are_current": current,
        }

    def _look_at_files(self, acknowledged: Position | None) -> bool:
        """Whether it could: who asks for the status must not wait until a file is copied."""
        if not self._mutex.acquire(timeout=PATIENCE_SECONDS):
            return False
        try:
            self._files = self.tail.files(acknowledged)
        except OSError:
            return False
        finally:
            self._mutex.release()
        return True


def _said(error: OSError | CorruptLogError) -> str:
    fix = _FIXES.get(getattr(error, "errno", None) or 0)
    return f"{error}; {fix}" if fix else str(error)
