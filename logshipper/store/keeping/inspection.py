"""Looks at everything in a day's file and holds it against everything else; changes nothing."""

import sqlite3
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from logshipper.store.keeping import accounts, rows
from logshipper.store.keeping.accounts import Accounts
from logshipper.store.keeping.progress import Progress
from logshipper.store.keeping.rows import BlockRow
from logshipper.store.keeping.words import Index
from logshipper.store.lines import times
from logshipper.store.model import Stream
from wharfinger.errors import Finding, Unavailable
from wharfinger.text import quantity

_SHOWN: Final = 20


@dataclass(slots=True)
class Report:
    """What was found in a file.

    Attributes:
        lines: that can be read.
        findings: what is wrong.
    """

    lines: int = 0
    findings: list[Finding] = field(default_factory=list)


class Inspection:
    """One look at a day's file, which may be written meanwhile.

    Args:
        path: the file.
        day: days since 1970 that it is of; None if nobody knows.
        fix: what to do about what is wrong.
        with_words: whether the index is compared with all words of all lines, too.
        with_log: whether the file's write-ahead log counts.
        progress: is told of blocks.
    """

    def __init__(
        self,
        path: Path,
        day: int | None,
        fix: str,
        *,
        with_words: bool = True,
        with_log: bool = True,
        progress: Progress | None = None,
    ) -> None:
        self._path = path
        self._day = day
        self._fix = fix
        self._with_words = with_words
        self._with_log = with_log
        self._progress = progress
        self._report = Report()
        self._unread = 0

    def run(self) -> Report:
        """Looks at all of it."""
        try:
            with rows.opened(self._path, with_log=self._with_log) as connection:
                self._whole(connection)
        except Unavailable as error:
            self._find("", str(error).removeprefix(f"{self._path} "))
        except sqlite3.Error as error:
            self._find("", f"cannot be read: {error}")
        return self._report

    def _whole(self, connection: sqlite3.Connection) -> None:
        self._pages(connection)
        streams, why = rows.streams(connection)
        self._doubt("stream", why)
        told, why = rows.block_numbers(connection)
        numbers = list(told)
        self._doubt("block", why)
        counted = Accounts()
        index = self._index(connection)
        for number in numbers:
            row = rows.read_block(connection, number)
            self._block(row, streams, counted)
            if index is not None:
                index.take(row)
            if self._progress is not None:
                self._progress.add(self._path.name, 1)
        self._parts(connection, numbers)
        self._report.lines = counted.lines
        noted, why = rows.roll(connection)
        self._doubt("roll", why)
        # Where a block cannot be read the roll-up knows more: that says nothing new.
        if not why and not self._unread:
            self._all("roll-up", accounts.roll_faults(noted, counted.roll))
        self._words(index)
        self._ids(connection)

    def _pages(self, connection: sqlite3.Connection) -> None:
        if why := rows.foreign_log(connection, self._path):
            self._find("pages", why)
        told, why = rows.all_rows(connection, f"PRAGMA quick_check({_SHOWN})")
        self._doubt("pages", why)
        lines = (line for (text,) in told if text != "ok" for line in text.split("\n"))
        # Without its heading, `*** in database main ***`.
        self._all("pages", (line for line in lines if not line.startswith("***")))

    def _index(self, connection: sqlite3.Connection) -> Index | None:
        if not self._with_words:
            return None
        try:
            return Index(connection)
        except sqlite3.Error as error:
            self._find("index", f"cannot be read: {error}")
            return None

    def _block(self, row: BlockRow, streams: dict[int, Stream], counted: Accounts) -> None:
        where = f"block {row.number}"
        if row.summary is None or row.head is None or row.body is None:
            self._unread += 1
            self._find(where, f"{row.why}{_extent(row)}")
            return
        for fault in accounts.block_faults(
            row.summary, row.head, row.body, streams.keys(), self._day
        ):
            self._find(where, fault)
        counted.take(row.head, streams)

    def _parts(self, connection: sqlite3.Connection, numbers: list[int]) -> None:
        """Only the last block may be open, and only an open one has parts."""
        query = "SELECT id FROM block WHERE body IS NULL ORDER BY id"
        opened = [number for (number,) in rows.all_rows(connection, query)[0]]
        if stale := [number for number in opened if number != numbers[-1]]:
            self._find(f"block {stale[0]}", "is open, though others come after it")
        if not opened and rows.all_rows(connection, "SELECT id FROM part LIMIT 1")[0]:
            self._find("parts", "are there, though no block is open")

    def _words(self, index: Index | None) -> None:
        if index is None:
            return
        try:
            self._all("index", index.differences().faults())
        except sqlite3.Error as error:
            self._find("index", f"cannot be read: {error}")

    def _ids(self, connection: sqlite3.Connection) -> None:
        sources, why = rows.all_rows(connection, "SELECT id, high FROM source")
        self._doubt("source", why)
        highs = dict(sources)
        reached: dict[int, int] = {}
        spans, why = rows.all_rows(connection, "SELECT source, low, high, offsets FROM seen")
        self._doubt("seen", why)
        for source, low, high, data in spans:
            if fault := accounts.span_fault(low, high, data):
                self._find("ids", f"the span from {low} of source {source} {fault}")
            if source not in highs:
                self._find("ids", f"a span is of source {source}, which is not there")
            reached[source] = max(reached.get(source, -1), high)
        if not why:
            for source, high in highs.items():
                if reached.get(source, -1) != high:
                    self._find("ids", f"source {source} ends at {high}, not at its last span")

    def _doubt(self, table: str, why: str) -> None:
        if why:
            self._find(table, f"cannot be read whole: {why}")

    def _all(self, where: str, faults: Iterator[str]) -> None:
        for fault in faults:
            self._find(where, fault)

    def _find(self, where: str, problem: str) -> None:
        place = f"{self._path}, {where}" if where else str(self._path)
        self._report.findings.append(Finding(place, problem, self._fix))


def _extent(row: BlockRow) -> str:
    if row.summary is None:
        return ""
    first, last = times.text(row.summary.first_ns), times.text(row.summary.last_ns)
    return f" ({quantity(row.summary.lines, 'line')} from {first} to {last})"
