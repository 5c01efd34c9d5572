"""One day of one tenant, being read: its streams, its blocks, what its index finds."""

import sqlite3
from collections.abc import Iterator
from itertools import groupby
from pathlib import Path
from typing import Final, NamedTuple

from logshipper.store.engine import block, schema
from logshipper.store.engine.block import Body, Head
from logshipper.store.engine.day import read_parts
from logshipper.store.model import LINE_BITS, Stream

_LINE_MASK: Final = (1 << LINE_BITS) - 1
_LAST_BLOCK: Final = (1 << 62 - LINE_BITS) - 1  # its row ids still fit SQLite's integer
_LINES_UP: Final = (
    "SELECT rowid FROM line_index WHERE line_index MATCH ? AND rowid BETWEEN ? AND ? ORDER BY rowid"
)
_LINES_DOWN: Final = _LINES_UP + " DESC"
_BLOCKS: Final = (
    "SELECT id, first_ns, last_ns, count, levels FROM block WHERE last_ns >= ? AND first_ns <= ?"
)
_BLOCKS_UP: Final = _BLOCKS + " ORDER BY first_ns"
_BLOCKS_DOWN: Final = _BLOCKS + " ORDER BY last_ns DESC"


class BlockEntry(NamedTuple):
    """A block's summary, without its lines."""

    id: int
    first_ns: int
    last_ns: int
    lines: int
    levels: int


class DayReader:
    """A read-only connection to a day's file, seeing one moment of it; for one thread.

    Args:
        path: the file.

    Raises:
        sqlite3.OperationalError: it is not there.
    """

    def __init__(self, path: Path) -> None:
        self._connection = schema.open_for_reading(path)
        try:
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

    def body(self, number: int) -> Body:
        """The texts of a block."""
        (data,) = self._connection.execute(
            "SELECT body FROM block WHERE id = ?", (number,)
        ).fetchone()
        if data is not None:
            return block.decode_body(data)
        columns = read_parts(self._connection)
        return Body(columns.messages, columns.extras)

    def minutes(self, first: int, last: int) -> Iterator[tuple[int, str, int, int]]:
        """The roll-up from minute `first` to `last`: minute, app, level, lines."""
        yield from self._connection.execute(
            "SELECT minute, app, level, count FROM roll WHERE minute BETWEEN ? AND ?",
            (first, last),
        )


def open_day(path: Path) -> DayReader | None:
    """A reader of a day's file; None if the file has gone, or is only just being made.

    Raises:
        sqlite3.Error: it is there and cannot be read.
    """
    try:
        return DayReader(path)
    except sqlite3.OperationalError as error:
        if not path.exists() or "no such table" in str(error):
            return None
        raise
