"""Which lines were shown, and from when on a store that was away is asked again; pure."""

from collections import OrderedDict
from datetime import UTC, datetime, timedelta
from typing import Final

REMEMBERED: Final = 100_000


class Seen:
    """The lines shown of late.

    What is forgotten is not asked for again: of the lines that are older than the newest one
    forgotten, nobody knows any more whether they were shown.

    Args:
        since: no line before this one's time was asked for; None for all.
        remembered: so many ids.
    """

    def __init__(self, since: datetime | None, remembered: int = REMEMBERED) -> None:
        self._floor = since
        self._remembered = remembered
        self._times: OrderedDict[str, datetime | None] = OrderedDict()
        self._newest: datetime | None = None

    def add(self, identity: str, time: datetime | None) -> bool:
        """Takes a line; whether it is new."""
        if identity in self._times:
            return False
        self._times[identity] = time
        if time is not None and (self._newest is None or time > self._newest):
            self._newest = time
        if len(self._times) > self._remembered:
            _, forgotten = self._times.popitem(last=False)
            if forgotten is not None:
                self.begin_at(forgotten + timedelta(microseconds=1))
        return True

    def begin_at(self, time: datetime | None) -> None:
        """Lines before this time are not asked for again."""
        if time is not None and (self._floor is None or time > self._floor):
            self._floor = time

    def resume_from(self, last_heard: datetime, late: timedelta) -> datetime:
        """From when on to ask what has come since.

        Args:
            last_heard: when the store last gave a sign of life, by this machine's clock.
            late: how old a line may be that comes in.
        """
        # A host whose clock is ahead must not hide what the others write.
        edge = last_heard if self._newest is None else min(self._newest, last_heard)
        try:
            edge -= late
        except OverflowError:
            edge = datetime.min.replace(tzinfo=UTC)
        return edge if self._floor is None else max(edge, self._floor)


def time_of(text: object) -> datetime | None:
    """The time of a line, to the microsecond below it; None if it has none with a zone."""
    try:
        found = datetime.fromisoformat(str(text))
    except ValueError:
        return None
    return found if found.tzinfo else None
