"""What a log is read from: files, or Docker's API; chosen for each log."""

from typing import Protocol

from logshipper.held import Store
from logshipper.model import Chunk, Loss, Position, Progress, SavedLog
from logshipper.segment import Segment


class Source(Protocol):
    """Reads one log; every method is synchronous and short, and one thread at a time calls."""

    @property
    def base(self) -> str:
        """What it reads, for people."""

    @property
    def ended(self) -> bool:
        """Whether nothing will come of it any more."""

    @property
    def kept(self) -> bool:
        """Whether its checkpoint outlives it."""

    @property
    def newest_fd(self) -> int | None:
        """The file that is written, for a watch on it; None where none is to be watched."""

    @property
    def unread_bytes(self) -> int:
        """How many bytes are there, as far as can be seen, and were not read."""

    @property
    def deleted_bytes(self) -> int:
        """How many of them only this process keeps on the disk."""

    @property
    def has_deleted(self) -> bool:
        """Whether files without a name are held that are not in the spool."""

    @property
    def stirred(self) -> bool:
        """Whether a read would bring something, or find an end."""

    @property
    def written_at(self) -> float | None:
        """When the oldest of what is unread was written, Unix seconds, at the latest."""

    def files(self, acknowledged: Position | None = None) -> list[dict[str, object]]:
        """What it reads from, for `/status`."""

    def losses(self) -> list[Loss]:
        """What was lost since this was last asked."""

    def saved(self, progress: Progress) -> SavedLog:
        """What the checkpoint shall hold once `progress` is acknowledged."""

    def look(self) -> None:
        """Opens what has appeared.

        Raises:
            OSError: it cannot be read now; try again later.
        """

    def read(self) -> Chunk | None:
        """The next whole lines; None when there is nothing now."""

    def hold_at_most(self, limit_bytes: int) -> None:
        """Lets deleted files go when they keep more of the disk from being freed."""

    def spool_deleted(self, store: Store, acknowledged: Position | None) -> int:
        """Copies deleted files; gives how many bytes that were."""

    def drop_spooled(self, segment: Segment) -> None:
        """Lets a segment go."""

    def close(self) -> None:
        """Lets everything go."""
