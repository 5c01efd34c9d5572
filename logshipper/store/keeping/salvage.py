"""Everything of a damaged day that can still be read: through SQLite, and past it page by page."""

import contextlib
import mmap
import sqlite3
from collections.abc import Iterator
from contextlib import ExitStack
from copy import deepcopy
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final, Self

from logshipper.store.engine import block, schema, wal
from logshipper.store.engine.block import Body, Columns, Head, Summary
from logshipper.store.keeping import accounts, pages, rows, words
from logshipper.store.keeping.pages import Pages, Place
from logshipper.store.keeping.rows import BlockRow
from logshipper.store.model import LINE_BITS, Stream
from wharfinger.errors import Unavailable

# What the rows of our tables look like; see the schema.
_BLOCK: Final = "niiiibb"
_STREAM: Final = "nttttt"
_OPEN_BLOCK: Final = "niiiinn"
_PART: Final = "nbb"
_SOURCE: Final = "nti"
_SPAN: Final = "niiib"
_FOREIGN: Final = "nt"
_SHAPES: Final = (_STREAM, _OPEN_BLOCK, _PART, _SOURCE, _SPAN, _FOREIGN)
# A row that was found by its shape alone may be anything.
_MOST_TRIES: Final = 1_000
_MOST_BLOCKS: Final = 1 << 62 - LINE_BITS

# The kinds of rows beside the blocks, by what tells one from another.
Rows = dict[Any, tuple[Any, ...]]


@dataclass(slots=True)
class _Found:
    """Rows that were found page by page."""

    blocks: dict[int, list[tuple[Pages, Place]]] = field(default_factory=dict)
    others: dict[str, list[tuple[int, list[Any]]]] = field(default_factory=dict)


class Salvage:
    """A day's file, read as far as it goes.

    Args:
        path: the file; its write-ahead log is read with it. Nothing of it is changed.
        log: another log in place of its own; then there need be no file.

    Attributes:
        times: earliest and latest of each block that anything tells of; None if that is not told.
        streams: by number.
        sources: number, name and highest offset, by number.
        spans: source, low, high and offsets, by source and low.
        foreign: digests of ids without an order, in the order they came.
        roll: what the roll-up says; empty if it cannot be read.
        last_indexed: the last block that the index names, -1 for none; None if it cannot be read.
        first_number: above the numbers of all blocks that were ever there, as far as is known.
        doubts: what could not be read, table by table.
    """

    def __init__(self, path: Path, log: Path | None = None) -> None:
        self.times: dict[int, tuple[int, int] | None] = {}
        self.streams: dict[int, Stream] = {}
        self.sources: Rows = {}
        self.spans: Rows = {}
        self.foreign: list[str] = []
        self.roll: dict[tuple[int, str, int], int] = {}
        self.last_indexed: int | None = None
        self.first_number = 0
        self.doubts: dict[str, str] = {}
        self._path = path
        self._log = path.with_name(f"{path.name}{wal.SUFFIX}") if log is None else log
        self._stack = ExitStack()
        self._connection: sqlite3.Connection | None = None
        self._found = _Found()
        self._open: BlockRow | None = None

    def __enter__(self) -> Self:
        try:
            self._read()
        except BaseException:
            self._stack.close()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()

    def blocks(self) -> Iterator[BlockRow]:
        """Each block, by number, as well as it can be had."""
        for number in sorted(self.times):
            row = BlockRow(number, None, why="no page of it can be read")
            if self._connection is not None:
                row = rows.read_block(self._connection, number)
            if row.body is None:
                row = self._by_page(row)
            if row.body is None and self._connection is not None and row.summary is not None:
                row = rows.read_open_parts(self._connection, row)
            yield row

    def versions(self) -> Iterator[BlockRow]:
        """Every version of each block that can be read: a file may hold more than its rows say."""
        for number in sorted(self.times):
            known = set()
            row = BlockRow(number, None)
            if self._connection is not None:
                row = rows.read_block(self._connection, number)
            for found in (row, *self._by_pages(number)):
                if found.body is not None and found.packed not in known:
                    known.add(found.packed)
                    yield found
            if self._open is not None and self._open.number == number:
                yield self._put_together(self._open)

    def _read(self) -> None:
        try:
            with rows.opened(self._path) as connection:
                foreign = rows.foreign_log(connection, self._path)
            self._connection = self._stack.enter_context(
                rows.opened(self._path, with_log=not foreign)
            )
        except rows.LaterVersion:
            raise
        except (sqlite3.Error, Unavailable) as error:
            self.doubts["file"] = str(error)
        if self._connection is not None:
            self._ask(self._connection)
        self._scan()

    def _ask(self, connection: sqlite3.Connection) -> None:
        self.times, why = rows.block_numbers(connection)
        self._doubt("block", why)
        self.streams, why = rows.streams(connection)
        self._doubt("stream", why)
        self.roll, why = rows.roll(connection)
        if why:
            # Half of it would look like lines that never were.
            self._doubt("roll", why)
            self.roll = {}
        sources, why = rows.all_rows(connection, "SELECT id, name, high FROM source")
        self._doubt("source", why)
        self.sources = {row[0]: row for row in sources}
        spans, why = rows.all_rows(connection, "SELECT source, low, high, offsets FROM seen")
        self._doubt("seen", why)
        self.spans = {row[:2]: row for row in spans if not accounts.span_fault(*row[1:])}
        digests, why = rows.all_rows(connection, "SELECT digest FROM foreign_id ORDER BY id")
        self._doubt("foreign_id", why)
        self.foreign = [digest for (digest,) in digests]
        with contextlib.suppress(sqlite3.Error):
            self.last_indexed = words.last_block(connection)
            self.first_number = self.last_indexed + 1
        with contextlib.suppress(sqlite3.Error):
            self.first_number = max(self.first_number, schema.first_number(connection))

    def _doubt(self, table: str, why: str) -> None:
        if why:
            self.doubts[table] = why

    def _scan(self) -> None:
        """Looks at every page, first with its log over it, then without.

        A log that is torn, or another file's, may hide what is still there.
        """
        file = self._mapped(self._path)
        log = self._mapped(self._log)
        size = pages.page_size(file, log)
        logged = pages.wal_pages(log, size)
        for view in (logged, {}) if logged else ({},):
            self._take(Pages(file, log, view, size))
        for number in self._found.blocks:
            self.times.setdefault(number, None)
        self.first_number = max(self.first_number, *(number + 1 for number in self.times), 0)
        if not self.times.keys() or self.doubts.keys() & {"file", "block"}:
            self._take_open()
        for row_id, (_, *labels) in self._of(_STREAM):
            self.streams.setdefault(row_id, Stream(*labels))
        if self.doubts.keys() & {"file", "source", "seen", "foreign_id"}:
            self._take_ids()

    def _take_open(self) -> None:
        """The open block, if it comes after all others; its earlier states may be there, too."""
        told = [
            (number, *values[1:5])
            for number, values in self._of(_OPEN_BLOCK)
            if 0 <= number < _MOST_BLOCKS
        ]
        last = max(self._found.blocks, default=-1)
        number, *summary = max(told, key=lambda row: (row[0], row[3]), default=(-1, 0, 0, 0, 0))
        if number > last:
            self.times.setdefault(number, None)
            self._open = BlockRow(number, Summary(*summary), why="its parts cannot be read")

    def _take_ids(self) -> None:
        for row_id, (_, name, high) in self._of(_SOURCE):
            held = self.sources.get(row_id)
            if held is None or held[2] < high:
                self.sources[row_id] = (row_id, name, high)
        for _, (_, source, low, high, offsets) in self._of(_SPAN):
            held = self.spans.get((source, low))
            longer = held is None or len(held[3]) < len(offsets)
            if longer and not accounts.span_fault(low, high, offsets):
                self.spans[source, low] = (source, low, high, offsets)
        known = set(self.foreign)
        digests = {row_id: digest for row_id, (_, digest) in self._of(_FOREIGN)}
        self.foreign += [d for _, d in sorted(digests.items()) if len(d) == 32 and d not in known]  # noqa: PLR2004

    def _of(self, shape: str) -> list[tuple[int, list[Any]]]:
        return self._found.others.get(shape, [])

    def _take(self, view: Pages) -> None:
        for place, row_id, shape in view.rows():
            if shape == _BLOCK and 0 <= row_id < _MOST_BLOCKS:
                self._found.blocks.setdefault(row_id, []).append((view, place))
            elif shape in _SHAPES:
                with contextlib.suppress(ValueError):
                    found = self._found.others.setdefault(shape, [])
                    found.append((row_id, view.values(place)))

    def _by_page(self, row: BlockRow) -> BlockRow:
        """The same block from pages that SQLite does not reach; itself if there is none."""
        for found in self._by_pages(row.number):
            return found
        if self._open is not None and self._open.number == row.number:
            return self._put_together(self._open)
        return row

    def _by_pages(self, number: int) -> Iterator[BlockRow]:
        for view, place in self._found.blocks.get(number, ()):
            try:
                _, first, last, count, levels, head, body = view.values(place)
                found = rows.unpacked(number, Summary(first, last, count, levels), head, body)
            except (ValueError, Unavailable):
                continue
            if found.body is not None:
                yield found

    def _put_together(self, row: BlockRow) -> BlockRow:
        """The open block from parts that fit; parts of blocks before it may be there as well."""
        by_first: dict[int, list[tuple[Head, Body]]] = {}
        for first, (_, head, body) in self._of(_PART):
            with contextlib.suppress(Unavailable):
                decoded = block.decode_head(head), block.decode_body(body)
                if decoded[0].times_ns and not accounts.uneven(*decoded):
                    by_first.setdefault(first, []).append(decoded)
        tries = [Columns()]
        for _ in range(_MOST_TRIES):
            if not tries:
                break
            columns = tries.pop()
            if columns.times_ns and block.summarize(columns) == row.summary:
                head = Head(columns.times_ns, columns.stream_ids, columns.levels)
                return row._replace(head=head, body=Body(columns.messages, columns.extras))
            for decoded in by_first.get(len(columns), ()):
                longer = deepcopy(columns)
                longer.extend(*decoded)
                tries.append(longer)
        return row

    def _mapped(self, path: Path) -> memoryview:
        try:
            with path.open("rb") as file:
                # Ends with the last view of it.
                return memoryview(mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ))
        except (FileNotFoundError, ValueError):
            return memoryview(b"")  # not there, or empty


def summarized(row: BlockRow) -> Summary:
    """What the lines of a block that could be read say of it."""
    assert row.head is not None  # noqa: S101 - the caller looks
    head = row.head
    return block.summarize(Columns(list(head.times_ns), list(head.stream_ids), list(head.levels)))
