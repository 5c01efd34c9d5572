"""One container's log as it comes from Docker's API: what was read and not taken yet, bounded."""

import threading
from collections import deque
from collections.abc import Callable, Sequence
from typing import Final

from logshipper.held import Store
from logshipper.model import (
    ENTRY_BYTES,
    Anchor,
    Entry,
    EntryChunk,
    Generation,
    Loss,
    Mark,
    Position,
    Progress,
    SavedLog,
)
from logshipper.segment import Segment

# What dockerd has on its way in the socket comes on top.
ROOM_BYTES: Final = 128 * 2**10
HEAD_GONE: Final = "the head of a message that goes on is gone; nobody knows what else is"
GENERATION: Final = Generation(0, "api", 0, 0)


class ApiTail:
    """Stands between the stream that reads a log and the shipment that takes it.

    `put`, `lose` and the like are the stream's, in the loop; the others are the shipment's, in
    threads.

    Args:
        saved: where an earlier life stopped; None for a log that was never seen.
        on_room: told, in any thread, when there is room again.

    Attributes:
        base: name of the log, for people.
        ended: nothing will come of it any more.
        trouble: why it cannot be read now; empty when it can.
        read_to: of the last entry that was read; None before the first.
        state: what its stream is doing, for people.
    """

    kept = False
    newest_fd: int | None = None
    deleted_bytes = 0
    has_deleted = False

    def __init__(self, saved: SavedLog | None = None) -> None:
        self.base = "the log behind Docker's API"
        self.trouble = ""
        self.state = "waits"
        self.on_room: Callable[[], None] = lambda: None
        anchor = saved.anchor if saved else None
        self.read_to: Mark | None = anchor.mark if anchor and not anchor.ahead else None
        self._first = anchor.mark if anchor and anchor.ahead else None
        self._offset = anchor.offset if anchor else 0
        self._read_before = saved.progress.read.offset if saved else 0
        self._over = False
        # None stands where something is missing.
        self._entries: deque[Entry | None] = deque()
        self._bytes = 0
        # Where each entry ends that is not acknowledged, and the one before them.
        self._marks: deque[Anchor] = deque([anchor] if anchor else ())
        self._losses: deque[Loss] = deque()
        self._mutex = threading.Lock()

    @property
    def ended(self) -> bool:
        """Whether nothing will come of it any more."""
        return self._over and not self._bytes

    @property
    def has_room(self) -> bool:
        """Whether more may be put."""
        return self._bytes < ROOM_BYTES

    @property
    def unread_bytes(self) -> int:
        """How much came and was not taken yet; of what Docker has beyond, nobody knows."""
        return self._bytes

    @property
    def stirred(self) -> bool:
        """Whether a read would bring something, or find an end."""
        return self._bytes > 0 or self._over

    @property
    def written_at(self) -> float | None:
        """When the oldest of what is unread was written, Unix seconds."""
        with self._mutex:
            oldest = next((each for each in self._entries if each is not None), None)
        return oldest.mark.time_ns / 1e9 if oldest is not None else None

    def put(self, entries: Sequence[Entry]) -> None:
        """Takes what is new, in its order."""
        with self._mutex:
            if self._over:
                return
            if self._first not in {None, entries[0].mark}:
                self._entries.append(None)
                self._losses.append(Loss("rotated", 0, HEAD_GONE))
            self._first = None
            self._entries.extend(entries)
            self._bytes += sum(len(entry.text) for entry in entries) + ENTRY_BYTES * len(entries)
            self.read_to = entries[-1].mark

    def skip(self, loss: Loss) -> None:
        """What follows is not what came behind the last entry."""
        with self._mutex:
            self._entries.append(None)
            self._losses.append(loss)

    def end(self, loss: Loss | None = None) -> None:
        """Nothing follows what is there; tells what is known to be lost."""
        if loss is not None:
            self._losses.append(loss)
        self._over = True

    def files(self, acknowledged: Position | None = None) -> list[dict[str, object]]:
        """How it is read, for `/status`."""
        return [
            {
                "name": self.base,
                "state": self.state,
                "read_bytes": self._offset,
                "acknowledged_bytes": acknowledged.offset if acknowledged else 0,
                "buffered_bytes": self._bytes,
            }
        ]

    def losses(self) -> list[Loss]:
        """What was lost since this was last asked."""
        losses = []
        while self._losses:
            losses.append(self._losses.popleft())
        return losses

    def saved(self, progress: Progress) -> SavedLog:
        """What the checkpoint shall hold once `progress` is acknowledged."""
        offset = progress.resume.offset
        with self._mutex:
            while len(self._marks) > 1 and self._marks[1].offset <= offset:
                self._marks.popleft()
            anchor = self._marks[0] if self._marks and self._marks[0].offset <= offset else None
        return SavedLog(progress, (), anchor=anchor)

    def look(self) -> None:
        """Tells whether it can be read now.

        Raises:
            ConnectionError: it cannot.
        """
        if self.trouble and not self._over:
            raise ConnectionError(self.trouble)

    def read(self) -> EntryChunk | None:
        """What has come; None when there is nothing now."""
        with self._mutex:
            gap = False
            while self._entries and self._entries[0] is None:
                self._entries.popleft()
                gap = True
                # Nothing of what comes is to be taken for what was shipped.
                self._offset = max(self._offset, self._read_before)
            entries: list[Entry] = []
            while self._entries and (entry := self._entries[0]) is not None:
                self._entries.popleft()
                entries.append(entry)
            if not entries:
                if gap:
                    self._entries.append(None)
                return None
            offset = self._offset
            if not self._marks:
                self._marks.append(Anchor(offset, entries[0].mark, ahead=True))
            for entry in entries:
                self._offset += len(entry.text) + ENTRY_BYTES
                self._marks.append(Anchor(self._offset, entry.mark))
            self._bytes -= self._offset - offset
        chunk = EntryChunk(GENERATION, offset, b"", gap=gap, entries=tuple(entries))
        self.on_room()
        return chunk

    def hold_at_most(self, limit_bytes: int) -> None:
        """Holds nothing on the disk."""

    def spool_deleted(self, store: Store, acknowledged: Position | None) -> int:
        """Spools nothing: what Docker deletes, its API does not give; gives 0."""
        del store, acknowledged
        return 0

    def drop_spooled(self, segment: Segment) -> None:
        """Has nothing in the spool."""

    def close(self) -> None:
        """Lets what came go."""
        with self._mutex:
            self._over = True
            self._entries.clear()
            self._bytes = 0
        self.on_room()
