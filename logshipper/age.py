"""Since when a log's oldest unread line waits, from what was read and seen anyway; pure."""

from datetime import UTC, datetime
from typing import Final

from logshipper.decode import OPENING

_TIME: Final = b'"time":"'
# Nanoseconds and a zone, and some room.
_LONGEST: Final = 40


class Age:
    """Keeps the time of the oldest line that waits in a log's files.

    Exact where Docker's times were read, as they are before lines go out. Of lines that nobody has
    read yet, it is the time of the last one before them; of those that come after a pause, when the
    file was last written as they were first seen.

    Attributes:
        since: Unix seconds; None when nothing waits.
    """

    def __init__(self) -> None:
        self.since: float | None = None

    def noted(self, unread_bytes: int, seen_at: float) -> None:
        """Takes what a look has found.

        Args:
            unread_bytes: in the log's files.
            seen_at: Unix seconds, when the oldest of them were last written to.
        """
        if not unread_bytes:
            self.since = None
        elif self.since is None:
            self.since = seen_at

    def took(
        self,
        data: bytes,
        unread_bytes: int,
        seen_at: float,
        times: tuple[float, float] | None = None,
    ) -> float:
        """Takes what was read; gives since when its first line had waited, Unix seconds.

        Args:
            data: whole lines.
            unread_bytes: behind them, in the log's files.
            seen_at: for lines without a time, when nothing better is known.
            times: of the first and the last line, where they need not be looked for.
        """
        waited = self.since if self.since is not None else seen_at
        first, last = times or _times(data, last=unread_bytes > 0)
        if not unread_bytes:
            self.since = None
        else:
            self.since = waited if last is None else last
        return waited if first is None else first


def _times(data: bytes, *, last: bool) -> tuple[float | None, float | None]:
    first = line_time(data, 0, data.find(b"\n") + 1 or len(data))
    end = data.rfind(b"\n", 0, -1) + 1
    return first, line_time(data, end, len(data)) if last else None


def line_time(data: bytes, begin: int, end: int) -> float | None:
    """When Docker wrote the line there, Unix seconds; None where it does not say."""
    at = data.rfind(_TIME, begin, end)
    if at < 0 or not data.startswith(OPENING, begin):
        return None
    at += len(_TIME)
    text = data[at : data.find(b'"', at, at + _LONGEST)]
    try:
        time = datetime.fromisoformat(text.decode("ascii"))
        return (time if time.tzinfo else time.replace(tzinfo=UTC)).timestamp()
    except (ValueError, OverflowError):
        return None
