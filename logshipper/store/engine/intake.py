"""The bounded way in: memory reserved for bodies, documents queued for the next transaction."""

import contextlib
import threading
import time
from collections import deque
from collections.abc import Iterator, Sequence
from concurrent.futures import Future
from dataclasses import dataclass, field
from typing import Final

from logshipper.store.metrics import Metrics
from logshipper.store.model import Busy, Document

GROUP_LINES: Final = 5_000
LINGER_SECONDS: Final = 0.05
_STOPPING: Final = "the store is stopping"
_STOPPING_SECONDS: Final = 5


@dataclass(slots=True, eq=False)
class Batch:
    """The documents of one request, on their way.

    Attributes:
        tenant: whose.
        documents: in the order sent.
        future: done when all of them are on disk, or cannot be.
        stored: for each whether it was new.
        error: why some of them could not be stored.
    """

    tenant: str
    documents: Sequence[Document]
    future: "Future[list[bool]]" = field(default_factory=Future)
    stored: list[bool] = field(default_factory=list)
    error: Exception | None = None


class Intake:
    """What waits to be committed; thread-safe.

    Args:
        queue_bytes: of bodies that are being read, understood and committed.
        metrics: what to count.
        linger_seconds: a small commit waits for company until so long after the last one: a line
            that comes alone is on disk at once.

    Attributes:
        queue_bytes: the same; may be changed.
        refusal: why nothing is taken at present; empty if something is.
    """

    def __init__(
        self, queue_bytes: int, metrics: Metrics, *, linger_seconds: float = LINGER_SECONDS
    ) -> None:
        self.queue_bytes = queue_bytes
        self.refusal = ""
        self._metrics = metrics
        self._linger_seconds = linger_seconds
        self._taken_at = float("-inf")
        self._changed = threading.Condition()
        self._queue: deque[Batch] = deque()
        self._held_bytes = 0
        self._stopping = False

    @property
    def held_bytes(self) -> int:
        """Bytes of bodies that are being read, understood or committed."""
        return self._held_bytes

    @contextlib.contextmanager
    def reserve(self, size: int) -> "Iterator[Reservation]":
        """Sets memory aside for a body while the block runs.

        Raises:
            Busy: nothing was taken; try again later.
        """
        reservation = Reservation(self)
        try:
            reservation.grow(max(1, size))
            yield reservation
        finally:
            self._add(-reservation.size)

    def offer(self, tenant: str, documents: Sequence[Document]) -> "Future[list[bool]]":
        """Queues documents for the next transaction.

        Returns:
            A future that is done when all of them are on disk: for each whether it was new
            (False: it is stored already, or older than the retention). It raises Busy if they
            could not be stored now, another error if never.

        Raises:
            Busy: the store is stopping.
        """
        batch = Batch(tenant, documents, stored=[False] * len(documents))
        with self._changed:
            self._check()
            self._queue.append(batch)
            self._changed.notify_all()
        return batch.future

    def collect(self, timeout_seconds: float) -> list[Batch] | None:
        """The batches of the next transaction, none if none came in time, None at the end."""
        with self._changed:
            if not self._queue and not self._stopping:
                self._changed.wait(timeout_seconds)
            if not self._queue:
                return None if self._stopping else []
            ends_at = self._taken_at + self._linger_seconds
            while not self._stopping and self._lines() < GROUP_LINES:
                left = ends_at - time.monotonic()
                if left <= 0 or not self._changed.wait(left):
                    break
            self._taken_at = time.monotonic()
            return list(self._taken())

    def stop(self) -> None:
        """Takes nothing more; `collect` still hands out what was taken."""
        with self._changed:
            self._stopping = True
            self._changed.notify_all()

    def abandon(self) -> None:
        """Tells everyone who still waits that nothing will come."""
        self.stop()
        for batch in self._taken():
            batch.future.set_exception(Busy("stopping", _STOPPING, _STOPPING_SECONDS))

    def hold(self, own: int, more: int) -> None:
        """Adds to a reservation that has `own` bytes; see `reserve`."""
        with self._changed:
            self._check()
            if self.refusal:
                raise Busy("disk", self.refusal, _STOPPING_SECONDS)
            # One body is taken whatever its size, or a small queue would refuse it for ever.
            others = self._held_bytes - own
            if others and others + own + more > self.queue_bytes:
                raise Busy("queue", "the queue is full")
            self._add(more)

    def _check(self) -> None:
        if self._stopping:
            raise Busy("stopping", _STOPPING, _STOPPING_SECONDS)

    def _add(self, size: int) -> None:
        with self._changed:
            self._held_bytes += size
            self._metrics.queue.set(self._held_bytes)

    def _lines(self) -> int:
        return sum(len(batch.documents) for batch in self._queue)

    def _taken(self) -> Iterator[Batch]:
        lines = 0
        while self._queue and (lines < GROUP_LINES or self._stopping):
            batch = self._queue.popleft()
            # A sender that went away sends again; what is not begun need not be done.
            if batch.future.set_running_or_notify_cancel():
                lines += len(batch.documents)
                yield batch


class Reservation:
    """Memory that is set aside for one body.

    Attributes:
        size: bytes.
    """

    def __init__(self, intake: Intake) -> None:
        self._intake = intake
        self.size = 0

    def grow(self, size: int) -> None:
        """Raises the reservation to `size`, when more turns out to be needed.

        Raises:
            Busy: there is no room for it.
        """
        if size > self.size:
            self._intake.hold(self.size, size - self.size)
            self.size = size
