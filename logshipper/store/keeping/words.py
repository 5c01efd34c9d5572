"""Holds the index of a day against the words of its lines: the same file is made once more."""

import sqlite3
from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import chain
from typing import Final

from logshipper.store.engine import schema
from logshipper.store.keeping.rows import BlockRow
from logshipper.store.lines import documents
from logshipper.store.lines.words import index_json
from logshipper.store.model import LINE_BITS, Line, Stream

# A row for each word of each line (FTS5's documentation, 6.3).
_VOCABULARY: Final = "fts5vocab({}, instance)"
_INDEX: Final = "main, line_index"
_AT_ONCE: Final = 10_000
# Fields that were left out of a line for their size are in the index all the same.
_CUT: Final = b"truncated_"

# A word and the row id of a line that has it.
Entry = tuple[str, int]

_NOWHERE: Final = Stream("", "", "", "", "")


@dataclass(slots=True)
class Differences:
    """Where an index and the lines differ.

    Attributes:
        unfound: words of lines that the index does not find.
        unfounded: entries of the index whose line does not have the word, or is not there.
        blocks: the blocks concerned.
        first_unfound: one of them.
        first_unfounded: one of them.
    """

    unfound: int = 0
    unfounded: int = 0
    blocks: set[int] = field(default_factory=set)
    first_unfound: Entry | None = None
    first_unfounded: Entry | None = None

    def faults(self) -> Iterator[str]:
        """Says so."""
        if self.first_unfound is not None:
            yield f"does not find {self.unfound} words, the first is {_shown(self.first_unfound)}"
        if self.first_unfounded is not None:
            told = _shown(self.first_unfounded)
            yield f"finds {self.unfounded} words where they are not, the first is {told}"


def insert(connection: sqlite3.Connection, table: str, row: BlockRow) -> None:
    """Tells an index the lines of a block that could be read."""
    assert row.head is not None  # noqa: S101 - the caller looks
    assert row.body is not None  # noqa: S101
    extras = row.body.extras or [b""] * len(row.body.messages)
    texts = [
        documents.kept(Line(0, _NOWHERE, 0, message, extra)).text
        for message, extra in zip(row.body.messages, extras, strict=True)
    ]
    connection.execute(
        f"INSERT INTO {table} (rowid, text) SELECT ? + key, value"  # noqa: S608
        " FROM json_each(CAST(? AS TEXT))",
        (row.number << LINE_BITS, index_json(texts, row.head.stream_ids)),
    )


def last_block(connection: sqlite3.Connection) -> int:
    """The last block that a day's index names; -1 if it names none.

    Raises:
        sqlite3.Error: it cannot be read.
    """
    connection.execute(f"CREATE VIRTUAL TABLE temp.have USING {_VOCABULARY.format(_INDEX)}")
    (last,) = connection.execute("SELECT max(doc) FROM temp.have").fetchone()
    return -1 if last is None else int(last) >> LINE_BITS


class Index:
    """An index made anew in a temporary file, and the one that is there.

    Args:
        connection: to the day's file; may have temporary tables.

    Raises:
        sqlite3.Error: the file has no index, or there is no room for a temporary one.
    """

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection = connection
        connection.execute("PRAGMA temp.secure_delete = OFF")
        connection.execute(
            "CREATE VIRTUAL TABLE temp.expected USING fts5 (text, content='', detail=none,"
            f" columnsize=0, tokenize='{schema.TOKENIZER}')"
        )
        for name, place in (("have", _INDEX), ("want", "temp, expected")):
            connection.execute(
                f"CREATE VIRTUAL TABLE temp.{name} USING {_VOCABULARY.format(place)}"
            )
        connection.execute("CREATE TABLE temp.unread (id INTEGER PRIMARY KEY)")
        connection.execute("CREATE TABLE temp.loose (id INTEGER PRIMARY KEY)")

    def take(self, row: BlockRow) -> None:
        """Takes the words of a block's lines; of one that cannot be read nothing is expected."""
        if row.body is None:
            self._connection.execute("INSERT INTO temp.unread VALUES (?)", (row.number,))
            return
        insert(self._connection, "temp.expected", row)
        loose = [
            ((row.number << LINE_BITS) + at,)
            for at, extra in enumerate(row.body.extras)
            if _CUT in extra
        ]
        self._connection.executemany("INSERT INTO temp.loose VALUES (?)", loose)

    def differences(self) -> Differences:
        """Where both differ.

        Raises:
            sqlite3.Error: the one that is there cannot be read.
        """
        found = Differences()
        have, want = (self._chunks(name) for name in ("have", "want"))
        while True:
            ours, theirs = next(have, []), next(want, [])
            if ours != theirs:
                break
            if not ours:
                return found
        # Equal runs are compared as lists, in C; only from the first difference on each by each.
        _merge(
            chain(ours, chain.from_iterable(have)), chain(theirs, chain.from_iterable(want)), found
        )
        return found

    def _chunks(self, name: str) -> Iterator[list[Entry]]:
        left_out = ("unread", f"doc >> {LINE_BITS}"), ("loose", "doc")
        wheres = [
            f"{what} NOT IN (SELECT id FROM temp.{table})"  # noqa: S608
            for table, what in left_out
            if self._connection.execute(f"SELECT 1 FROM temp.{table} LIMIT 1").fetchone()  # noqa: S608
        ]
        where = f" WHERE {' AND '.join(wheres)}" if wheres else ""
        rows = self._connection.execute(f"SELECT term, doc FROM temp.{name}{where}")  # noqa: S608
        while chunk := rows.fetchmany(_AT_ONCE):
            yield chunk


def _merge(have: Iterator[Entry], want: Iterator[Entry], found: Differences) -> None:
    ours, theirs = next(have, None), next(want, None)
    while ours is not None or theirs is not None:
        if ours == theirs:
            ours, theirs = next(have, None), next(want, None)
        elif theirs is None or (ours is not None and ours < theirs):
            assert ours is not None  # noqa: S101 - one of them is there
            found.unfounded += 1
            found.first_unfounded = found.first_unfounded or ours
            found.blocks.add(ours[1] >> LINE_BITS)
            ours = next(have, None)
        else:
            found.unfound += 1
            found.first_unfound = found.first_unfound or theirs
            found.blocks.add(theirs[1] >> LINE_BITS)
            theirs = next(want, None)


def _shown(entry: Entry) -> str:
    word, row_id = entry
    line = row_id & ((1 << LINE_BITS) - 1)
    return f"{word[:40]!r} in line {line} of block {row_id >> LINE_BITS}"
