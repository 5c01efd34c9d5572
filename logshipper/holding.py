"""The files of one log that are held open, and what becomes of those that Docker has deleted."""

from collections.abc import Iterator, Sequence

from logshipper.arrivals import compressed_of
from logshipper.folder import LogFolder, close_from
from logshipper.held import Held, Store
from logshipper.model import Loss, Position
from logshipper.segment import Segment


class Holding:
    """Owns the open files of a log, and knows what of them was lost.

    Every method is synchronous and short; one thread at a time may call them.

    Args:
        folder: of the log.
        spooled: what an earlier life kept of its deleted files, oldest first.

    Attributes:
        ended: nothing will come of it any more.
    """

    def __init__(self, folder: LogFolder, spooled: Sequence[Segment]) -> None:
        self.ended = False
        self._folder = folder
        self._folder_gone = False
        self._held: list[Held] = []
        self._spooled = list(spooled)
        # Read to their end, and not acknowledged: only a copy of them would survive us.
        self._done: list[Held] = []
        self._losses: list[Loss] = []

    @property
    def newest_fd(self) -> int | None:
        """The file that dockerd writes, for a watch on it."""
        # In one step: a thread may let the last file go meanwhile.
        return next((held.file.fd for held in self._held[-1:]), None)

    @property
    def unread_bytes(self) -> int:
        """How many bytes are in its files and were not read."""
        return sum(held.unread_bytes for held in self._held)

    @property
    def deleted_bytes(self) -> int:
        """How many of them are in files that only this process keeps on the disk."""
        return sum(held.unread_bytes for held in self._deleted())

    @property
    def has_deleted(self) -> bool:
        """Whether files without a name are held that are not in the spool."""
        return next(self._unspooled(), None) is not None

    def files(self, acknowledged: Position | None = None) -> list[dict[str, object]]:
        """The files that it holds, oldest first, for `/status`."""
        return [held.told(acknowledged) for held in (*self._done, *self._held)]

    def losses(self) -> list[Loss]:
        """What was lost since this was last asked."""
        losses, self._losses = self._losses, []
        return losses + [Loss("refused", 0, why) for why in self._folder.refused()]

    def close(self) -> None:
        """Lets every file go."""
        for held in (*self._held, *self._done):
            held.file.close()
        self._held.clear()
        self._done.clear()

    def hold_at_most(self, limit_bytes: int) -> None:
        """Lets the oldest deleted files go when they keep more of the disk from being freed.

        Raises:
            OSError: nobody can say now what Docker still has of them; all are still held.
        """
        if self.deleted_bytes > limit_bytes:
            self._change_to_compressed()
        deleted = [held for held in self._deleted() if held.unread_bytes]
        total = sum(h.unread_bytes for h in deleted)
        while deleted and total > limit_bytes:
            oldest = deleted.pop(0)
            total -= oldest.unread_bytes
            reason = "removed" if self._folder_gone else "rotated"
            self._lose(reason, oldest.unread_bytes, "deleted by Docker; hold limit reached")
            self._after_gap(self._held.index(oldest) + 1)
            self._held.remove(oldest)
            oldest.file.close()
        self.ended = self.ended or self._is_over()

    def spool_deleted(self, store: Store, acknowledged: Position | None) -> int:
        """Copies deleted files, from what is acknowledged on; gives how many bytes that were.

        Raises:
            OSError: one could not be copied; it and those after it are still held.
        """
        self._change_to_compressed()
        stored = 0
        for held in list(self._unspooled()):
            start = 0
            if acknowledged is not None and acknowledged.generation >= held.ordinal:
                same = acknowledged.generation == held.ordinal
                start = acknowledged.offset if same else held.file.size()
            if start >= held.file.size():
                continue
            segment = held.spool(store, start)
            if segment is not None:
                stored += segment.size() - start
        return stored

    def drop_spooled(self, segment: Segment) -> None:
        """Lets a segment go; what was not read of it is lost."""
        for held in [each for each in self._held if each.file is segment]:
            self._lose("spool", held.unread_bytes, "the spool is full")
            self._after_gap(self._held.index(held) + 1)
            self._held.remove(held)
        self._done = [each for each in self._done if each.file is not segment]
        if segment in self._spooled:  # its folder could not be looked into yet
            self._lose("spool", segment.size() - segment.start, "the spool is full")
            self._spooled.remove(segment)
        segment.close()
        self.ended = self.ended or self._is_over()

    def _is_over(self) -> bool:
        """Whether nothing follows what is held."""
        return self._folder_gone and not self._held

    def _change_to_compressed(self) -> None:
        """Reads on from what Docker has compressed, which deletes the file that was held."""
        deleted = [held for held in self._unspooled() if not held.file.compressed]
        if not deleted or self._folder_gone:
            return
        try:
            with self._folder.opened() as descriptor:
                files = self._folder.open_newest_first(descriptor, None)
        except (FileNotFoundError, NotADirectoryError):
            return
        try:
            for held in deleted:
                if (file := compressed_of(held, files)) is not None:
                    files.remove(file)
                    held.file.close()
                    held.file = file
        finally:
            close_from(files, 0)

    def _deleted(self) -> list[Held]:
        """Files without a name; the newest of a container that is there gets its name back."""
        held = self._held if self._folder_gone else self._held[:-1]
        return [each for each in held if not each.file.linked()]

    def _unspooled(self) -> Iterator[Held]:
        """Files without a name that are not in the spool, oldest first, read or not."""
        yield from (done for done in self._done if not done.file.linked())
        yield from self._deleted()

    def _after_gap(self, index: int) -> None:
        if index < len(self._held):
            self._held[index].gap = True

    def _lose(self, reason: str, size_bytes: int, why: str) -> None:
        # That a file is missing is told even if nobody knows how much was in it.
        if size_bytes or reason in {"rotated", "corrupt"}:
            self._losses.append(Loss(reason, size_bytes, why))
