"""What the store holds, day by day, and whether it can be read."""

import contextlib
import sqlite3
from dataclasses import dataclass, field
from pathlib import Path

from logshipper.store.engine import swap
from logshipper.store.engine.schema import SUFFIX
from logshipper.store.keeping import rows
from logshipper.store.keeping.places import DayPlace
from logshipper.store.lines import times
from wharfinger import levels
from wharfinger.errors import Unavailable

_BLOCKS = "SELECT total(count), min(first_ns), max(last_ns) FROM block NOT INDEXED"
_LEVELS = "SELECT level, sum(count) FROM roll GROUP BY level ORDER BY level"


@dataclass(slots=True)
class Day:
    """One day of one tenant.

    Attributes:
        tenant: whose.
        day: its name.
        bytes: on disk, with its write-ahead log.
        lines: so many.
        first: the earliest time; empty if it has none.
        last: the latest.
        levels: lines by level.
        state: `ok`, or why it cannot be read.
    """

    tenant: str
    day: str
    bytes: int
    lines: int = 0
    first: str = ""
    last: str = ""
    levels: dict[str, int] = field(default_factory=dict)
    state: str = "ok"


def look(place: DayPlace) -> Day | None:
    """What is in a file by its own accounts; None if it has gone meanwhile."""
    size = 0
    for path in (place.path, place.path.with_name(f"{place.path.name}-wal")):
        with contextlib.suppress(FileNotFoundError):
            size += path.stat().st_size
    name = "" if place.day is None else times.day_name(place.day)
    found = Day(place.tenant or "", name, size)
    try:
        with rows.opened(place.path) as connection:
            _read(connection, found)
    except (sqlite3.Error, Unavailable, IndexError) as error:
        if not place.path.exists():
            return None
        found.state = str(error).removeprefix(f"{place.path} ")
    return found


def kept(root: Path) -> tuple[int, int]:
    """Files of repairs and restores that lie beside days until somebody deletes them; bytes."""
    sizes = [
        path.stat().st_size
        for mark in swap.KEPT
        for path in root.glob(f"*/*{SUFFIX}{mark}*")
        if path.is_file()
    ]
    return len(sizes), sum(sizes)


def _read(connection: sqlite3.Connection, found: Day) -> None:
    lines, first_ns, last_ns = connection.execute(_BLOCKS).fetchone()
    found.lines = int(lines)
    if first_ns is not None:
        found.first, found.last = times.text(first_ns), times.text(last_ns)
    found.levels = {
        levels.NAMES[level] or "unknown": count
        for level, count in connection.execute(_LEVELS).fetchall()
    }
