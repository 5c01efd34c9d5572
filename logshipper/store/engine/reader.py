"""One day of one tenant, being read: its streams, its blocks, what its index finds."""

import sqlite3
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from itertools import groupby
from pathlib import Path
from typing import Final, NamedTuple, overload

import msgspec

from logshipper.store.engine import block, schema
from logshipper.store.engine.block import Body, Columnar, Head
from logshipper.store.engine.day import read_parts
from logshipper.store.model import LINE_BITS, Stream
from wharfinger.errors import Unavailable

_LINE_MASK: Final = (1 << LINE_BITS) - 1
_LAST_BLOCK: Final = (1 << 62 - LINE_BITS) - 1  # its row ids still fit SQLite's integer
_LINES_UP: Final = (
    "SELECT rowid FROM line_index WHERE line_index MATCH ? AND rowid BETWEEN ? AND ? ORDER BY rowid"
)
_LINES_DOWN: Final = _LINES_UP + " DESC"
# One text of all numbers: rows of Python's for each would cost three times as much, and would
# hold the interpreter's lock all the while.
_LINES_AT_ONCE: Final = (
    "SELECT json_group_array(rowid) FROM line_index"
    " WHERE line_index MATCH ? AND rowid BETWEEN ? AND ?"
)
_BLOCKS: Final = (
    "SELECT id, first_ns, last_ns, count, levels FROM block WHERE last_ns >= ? AND first_ns <= ?"
)
_BLOCKS_UP: Final = _BLOCKS + " ORDER BY first_ns"
_BLOCKS_DOWN: Final = _BLOCKS + " ORDER BY last_ns DESC"
_COLUMNS_DOWN: Final = _BLOCKS_DOWN.replace(" levels ", " levels, head ")
_COLUMNS_BETWEEN: Final = (
    "SELECT id, first_ns, last_ns, count, levels, head FROM block WHERE id BETWEEN ? AND ?"
    " ORDER BY id"
)
_NUMBERS: Final = (
    "SELECT min(id), max(id) FROM block INDEXED BY block_by_last"
    " WHERE last_ns >= ? AND first_ns <= ?"
)
# From an index alone: rows of the table are wide.
_RUNS: Final = (
    "SELECT id / ?, count(*), min(first_ns), max(last_ns) FROM block INDEXED BY block_by_last"
    " GROUP BY 1 ORDER BY 4 DESC"
)
_ROLLED_BY_APP: Final = (
    "SELECT minute / ?, app, level, sum(count) FROM roll WHERE minute BETWEEN ? AND ?"
    " GROUP BY 1, 2, 3"
)
_ROLLED: Final = _ROLLED_BY_APP.replace("app,", "'',").replace("1, 2, 3", "1, 3")

_row_ids = msgspec.json.Decoder(list[int])


class BlockEntry(NamedTuple):
    """A block's summary, without its lines."""

    id: int
    first_ns: int
    last_ns: int
    lines: int
    levels: int


class Run(NamedTuple):
    """Blocks of neighbouring numbers.

    Attributes:
        number: of the run.
        blocks: how many there are of it.
        first_ns: the earliest time in them.
        last_ns: the latest.
        is_sealed: whether nothing of it can change any more.
    """

    number: int
    blocks: int
    first_ns: int
    last_ns: int
    is_sealed: bool


class DayReader:
    """A read-only connection to a day's file, seeing one moment of it; for one thread.

    Args:
        path: the file.

    Attributes:
        file: tells it from any file that had its path before.
        streams: by number.

    Raises:
        sqlite3.OperationalError: it is not there.
        FileNotFoundError: it has just gone.
    """

    def __init__(self, path: Path) -> None:
        self._connection = schema.open_for_reading(path)
        try:
            # A day that is brought back from a backup has its path again, and other lines.
            self.file = (str(path), path.stat().st_ino)
            # One snapshot: between finding a line in a part and reading it, the writer may
            # have sealed the block and deleted its parts.
            self._connection.execute("BEGIN")
            self.streams: dict[int, Stream] = {
                row[0]: Stream(*row[1:]) for row in self._connection.execute("SELECT * FROM stream")
            }
        except BaseException:
            self._connection.close()
            raise

    def close(self) -> None:
        """Ends it."""
        self._connection.close()

    def candidates(
        self, expression: str, *, newest_first: bool, first: int = 0, last: int = _LAST_BLOCK
    ) -> Iterator[tuple[int, list[int]]]:
        """Blocks and line numbers that the index names, by block number, up or down.

        Args:
            expression: an FTS5 query.
            newest_first: from the highest block downward.
            first: lowest block to look at.
            last: highest.
        """
        rows = self._connection.execute(
            _LINES_DOWN if newest_first else _LINES_UP,
            (expression, first << LINE_BITS, last << LINE_BITS | _LINE_MASK),
        )
        for number, group in groupby(rows, key=lambda row: row[0] >> LINE_BITS):
            yield number, [row_id & _LINE_MASK for (row_id,) in group]

    def blocks(self, first_ns: int, last_ns: int, *, newest_first: bool) -> Iterator[BlockEntry]:
        """Blocks that touch a time, by their latest time downward or their earliest upward."""
        rows = self._connection.execute(
            _BLOCKS_DOWN if newest_first else _BLOCKS_UP, (first_ns, last_ns)
        )
        for row in rows:
            yield BlockEntry(*row)

    def numbers(self, first_ns: int, last_ns: int) -> tuple[int, int] | None:
        """The lowest and the highest number of a block that touches a time; None without any."""
        first, last = self._connection.execute(_NUMBERS, (first_ns, last_ns)).fetchone()
        return None if first is None else (first, last)

    def columns(
        self, first_ns: int, last_ns: int
    ) -> Iterator[tuple[BlockEntry, Callable[[], Columnar]]]:
        """The same, the latest first, each with what reads its columns."""
        rows = self._connection.execute(_COLUMNS_DOWN, (first_ns, last_ns))
        for *entry, head in rows:
            yield BlockEntry(*entry), partial(self._columnar, head)

    def columns_between(
        self, first: int, last: int
    ) -> Iterator[tuple[BlockEntry, Callable[[], Columnar]]]:
        """The same of the blocks of these numbers, by number."""
        for *entry, head in self._connection.execute(_COLUMNS_BETWEEN, (first, last)):
            yield BlockEntry(*entry), partial(self._columnar, head)

    def runs(self, length: int) -> list[Run]:
        """The blocks of the day, so many numbers together, those with the latest time first."""
        rows = self._connection.execute(_RUNS, (length,)).fetchall()
        newest = max((row[0] for row in rows), default=0)
        # The block that is written to is one of the last run.
        return [
            Run(number, blocks, first_ns, last_ns, blocks == length and number != newest)
            for number, blocks, first_ns, last_ns in rows
        ]

    def lines(self, expression: str, first: int, last: int) -> dict[int, list[int]]:
        """For each block from `first` to `last`, the lines in it that the index names."""
        ((row_ids,),) = self._connection.execute(
            _LINES_AT_ONCE, (expression, first << LINE_BITS, last << LINE_BITS | _LINE_MASK)
        ).fetchall()
        found: dict[int, list[int]] = {}
        for number, group in groupby(_row_ids.decode(row_ids), key=lambda row: row >> LINE_BITS):
            found[number] = [row_id & _LINE_MASK for row_id in group]
        return found

    def block(self, number: int) -> BlockEntry | None:
        """The summary of one block."""
        row = self._connection.execute(
            "SELECT id, first_ns, last_ns, count, levels FROM block WHERE id = ?", (number,)
        ).fetchone()
        return None if row is None else BlockEntry(*row)

    def head(self, number: int) -> Head:
        """The filter columns of a block."""
        (data,) = self._connection.execute(
            "SELECT head FROM block WHERE id = ?", (number,)
        ).fetchone()
        if data is not None:
            return block.decode_head(data)
        columns = read_parts(self._connection)
        return Head(columns.times_ns, columns.stream_ids, columns.levels)

    @overload
    def body(self, number: int) -> Body: ...

    @overload
    def body(self, number: int, needles: Sequence[bytes]) -> Body | None: ...

    def body(self, number: int, needles: Sequence[bytes] = ()) -> Body | None:
        """The texts of a block; None if its messages lack one of the needles, in UTF-8."""
        (data,) = self._connection.execute(
            "SELECT body FROM block WHERE id = ?", (number,)
        ).fetchone()
        if data is not None:
            return block.decode_body_with(data, needles) if needles else block.decode_body(data)
        columns = read_parts(self._connection)
        return Body(columns.messages, columns.extras)

    def _columnar(self, head: bytes | None) -> Columnar:
        if head is not None:
            return block.decode_columns(head)
        parts = read_parts(self._connection)
        return block.columnar(Head(parts.times_ns, parts.stream_ids, parts.levels))

    def rolled(
        self, first: int, last: int, minutes: int, *, by_app: bool
    ) -> Iterator[tuple[int, str, int, int]]:
        """The roll-up: number of a span, app, level, lines.

        Args:
            first: the first minute since 1970.
            last: the last.
            minutes: how many make a span.
            by_app: False to add up all apps; then the app is empty.
        """
        yield from self._connection.execute(
            _ROLLED_BY_APP if by_app else _ROLLED, (minutes, first, last)
        )


def open_day(path: Path) -> DayReader | None:
    """A reader of a day's file; None if the file has gone.

    Raises:
        sqlite3.Error: it is there and cannot be read.
        Unavailable: it is there and holds nothing of ours; a day file is never made so.
    """
    try:
        return DayReader(path)
    except FileNotFoundError:
        return None
    except sqlite3.OperationalError as error:
        if not path.exists():
            return None
        if "no such table" in str(error):
            raise Unavailable(f"{path} is no file of this store: {error}") from None
        raise
