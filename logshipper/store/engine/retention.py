"""Which days must go: too old, or more bytes than are allowed."""

from collections.abc import Sequence
from dataclasses import dataclass

from logshipper.store.lines.times import DAY_NS, day_of


@dataclass(frozen=True, slots=True)
class DayFile:
    """One day of one tenant on disk.

    Attributes:
        tenant: whose.
        day: days since 1970.
        size: bytes, with its write-ahead log.
    """

    tenant: str
    day: int
    size: int


@dataclass(frozen=True, slots=True)
class Limits:
    """What the writer keeps to.

    Attributes:
        retention_days: whole days that a line is kept.
        retention_bytes: of all day files; None for no limit.
        min_free_bytes: with less on the disk nothing is taken.
    """

    retention_days: int = 7
    retention_bytes: int | None = None
    min_free_bytes: int = 0


def first_day(now_ns: int, retention_days: int) -> int:
    """The oldest day that holds a line that is still to be kept."""
    return day_of(now_ns - retention_days * DAY_NS)


def expired(
    files: Sequence[DayFile], now_ns: int, retention_days: int, retention_bytes: int | None
) -> tuple[DayFile, ...]:
    """The files to remove, oldest first.

    Today's files stay, however big: what was just acknowledged does not vanish. A store whose
    one day is bigger than its limit is refused new lines by the disk's own limit.
    """
    first = first_day(now_ns, retention_days)
    ordered = sorted(files, key=lambda file: (file.day, file.tenant))
    gone = [file for file in ordered if file.day < first]
    if retention_bytes is not None:
        kept = [file for file in ordered if file.day >= first]
        excess = sum(file.size for file in kept) - retention_bytes
        today = day_of(now_ns)
        for file in kept:
            if excess <= 0 or file.day >= today:
                break
            gone.append(file)
            excess -= file.size
    return tuple(gone)
