"""Makes a day's file anew from what could be read of another, with its index and its counts."""

import sqlite3
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from logshipper.store.engine import block, schema, wal
from logshipper.store.engine.block import Columns
from logshipper.store.keeping import accounts, rows, words
from logshipper.store.keeping.accounts import Accounts
from logshipper.store.keeping.inspection import Inspection
from logshipper.store.keeping.progress import Progress
from logshipper.store.keeping.rows import BlockRow
from logshipper.store.keeping.salvage import Salvage, summarized
from wharfinger.errors import Unavailable
from wharfinger.text import quantity

_BLOCKS_AT_ONCE: Final = 50
_BESIDE: Final = (*wal.BESIDE, schema.STAGED)


@dataclass(frozen=True, slots=True)
class Gap:
    """A block of which lines are lost.

    Attributes:
        number: of the block.
        lines: that are lost of it; None if nobody knows.
        first_ns: the earliest time that it had; None if nobody knows.
        last_ns: the latest.
        why: they cannot be read.
    """

    number: int
    lines: int | None
    first_ns: int | None
    last_ns: int | None
    why: str


@dataclass(slots=True)
class Result:
    """What came of it.

    Attributes:
        kept: lines.
        gaps: blocks of which lines are lost.
        missing: lines that the old roll-up counts and no block has, by minute, app and level.
        lacks: whether blocks may be lost of which nothing tells but the old roll-up.
        has_roll: whether that could be read; without it nothing is `missing`.
        nameless: streams whose names are lost.
        doubts: what could not be read in the ordinary way, table by table.
    """

    kept: int = 0
    gaps: list[Gap] = field(default_factory=list)
    missing: dict[tuple[int, str, int], int] = field(default_factory=dict)
    lacks: bool = False
    has_roll: bool = True
    nameless: int = 0
    doubts: dict[str, str] = field(default_factory=dict)

    @property
    def lost(self) -> int:
        """Lines that are lost for certain."""
        counted = sum(gap.lines or 0 for gap in self.gaps)
        return max(counted, sum(self.missing.values()))

    @property
    def is_exact(self) -> bool:
        """Whether no more can be lost than that."""
        return self.has_roll or not self.lacks


def look(salvage: Salvage, progress: Progress | None = None) -> Result:
    """What rebuilding would come to; writes nothing."""
    return _Rebuild(salvage, None, progress).run()


def rebuild(salvage: Salvage, target: Path, progress: Progress | None = None) -> Result:
    """Writes the new file, whole and on disk when this returns, and looks at it.

    Args:
        salvage: what could be read.
        target: the file to make; what is there of an earlier try goes.
        progress: is told of blocks.

    Raises:
        sqlite3.Error: it cannot be written.
        OSError: the same.
        Unavailable: what was written is not as it should be.
    """
    remove(target)
    with closing(schema.open_for_writing(target)) as connection:
        # Nobody has it yet, and all of it is synced at the end.
        connection.execute("PRAGMA synchronous = OFF")
        result = _Rebuild(salvage, connection, progress).run()
        connection.execute("INSERT INTO line_index (line_index) VALUES ('integrity-check')")
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    report = Inspection(target, None, "report it", with_words=False).run()
    if report.lines != result.kept or report.findings:
        why = "; ".join(str(finding) for finding in report.findings[:3])
        held = quantity(report.lines, "line")
        raise Unavailable(f"{target} did not become what it should: {held}; {why}")
    for suffix in _BESIDE:
        # Empty: a reader makes them.
        target.with_name(target.name + suffix).unlink(missing_ok=True)
    return result


def remove(path: Path) -> None:
    """Removes a file of ours that is not in its place."""
    for beside in (path, *(path.with_name(path.name + suffix) for suffix in _BESIDE)):
        beside.unlink(missing_ok=True)


class _Rebuild:
    def __init__(
        self, salvage: Salvage, connection: sqlite3.Connection | None, progress: Progress | None
    ) -> None:
        self._salvage = salvage
        self._connection = connection
        self._progress = progress
        self._streams = dict(salvage.streams)
        self._counted = Accounts()
        self._result = Result(has_roll=bool(salvage.roll), doubts=dict(salvage.doubts))

    def run(self) -> Result:
        """Takes block after block, then what is counted and known of them."""
        self._execute("BEGIN")
        for at, row in enumerate(self._salvage.blocks(), 1):
            self._take(row)
            if at % _BLOCKS_AT_ONCE == 0:
                self._execute("COMMIT")
                self._execute("BEGIN")
            if self._progress is not None:
                self._progress.add("blocks", 1)
        self._finish()
        self._execute("COMMIT")
        self._result.kept = self._counted.lines
        self._result.lacks = self._may_lack_blocks()
        if self._result.lacks:
            noted, kept = self._salvage.roll, self._counted.roll
            if self._result.nameless:
                noted, kept = accounts.without_apps(noted), accounts.without_apps(kept)
            self._result.missing = accounts.missing_lines(noted, kept)
        return self._result

    def _may_lack_blocks(self) -> bool:
        """Whether anything but the roll-up tells of lines that are not there; it may be wrong."""
        numbers = self._salvage.times.keys()
        return (
            bool(self._result.gaps)
            or not self._salvage.doubts.keys().isdisjoint({"file", "block"})
            or len(numbers) != max(numbers, default=-1) + 1
            or self._salvage.last_indexed is None
            or self._salvage.last_indexed not in {*numbers, -1}
        )

    def _take(self, row: BlockRow) -> None:
        if row.head is None or row.body is None:
            self._gap(row, 0)
            return
        lines = len(row.head.times_ns)
        if row.summary is not None and row.summary.lines > lines:
            self._gap(row, lines)
        for number in set(row.head.stream_ids) - self._streams.keys():
            self._streams[number] = rows.nameless(number)
            self._result.nameless += 1
        self._counted.take(row.head, self._streams)
        if self._connection is None:
            return
        packed = row.packed or block.encode(
            Columns(
                list(row.head.times_ns),
                list(row.head.stream_ids),
                list(row.head.levels),
                list(row.body.messages),
                list(row.body.extras) or [b""] * lines,
            )
        )
        self._connection.execute(
            "INSERT INTO block VALUES (?, ?, ?, ?, ?, ?, ?)",
            (row.number, *summarized(row), *packed),
        )
        words.insert(self._connection, "line_index", row)

    def _gap(self, row: BlockRow, kept: int) -> None:
        told = row.summary
        span = self._salvage.times.get(row.number)
        if told is not None:
            span = told.first_ns, told.last_ns
        first_ns, last_ns = span or (None, None)
        lost = None if told is None else told.lines - kept
        self._result.gaps.append(Gap(row.number, lost, first_ns, last_ns, row.why))

    def _finish(self) -> None:
        if self._connection is None:
            return
        self._connection.executemany(
            "INSERT INTO stream VALUES (?, ?, ?, ?, ?, ?)",
            ((number, *stream) for number, stream in sorted(self._streams.items())),
        )
        self._connection.executemany(
            "INSERT INTO roll VALUES (?, ?, ?, ?)",
            ((*key, count) for key, count in sorted(self._counted.roll.items())),
        )
        # Links to lines that are lost must not lead to others.
        first = self._salvage.first_number
        if self._connection.execute("SELECT max(id) FROM block").fetchone() < (first - 1,):
            schema.skip_blocks(self._connection, first)
        highs: dict[int, int] = {}
        for source, _, high, _ in self._salvage.spans.values():
            highs[source] = max(highs.get(source, -1), high)
        sources = {number: row for number, row in self._salvage.sources.items() if number in highs}
        self._connection.executemany(
            "INSERT INTO source VALUES (?, ?, ?)",
            ((number, row[1], highs[number]) for number, row in sorted(sources.items())),
        )
        self._connection.executemany(
            "INSERT INTO seen (source, low, high, offsets) VALUES (?, ?, ?, ?)",
            (row for key, row in sorted(self._salvage.spans.items()) if key[0] in sources),
        )
        self._connection.executemany(
            "INSERT OR IGNORE INTO foreign_id (digest) VALUES (?)",
            ((digest,) for digest in self._salvage.foreign),
        )

    def _execute(self, statement: str) -> None:
        if self._connection is not None:
            self._connection.execute(statement)
