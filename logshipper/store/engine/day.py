"""One day of one tenant, being written: lines into blocks and index, a transaction at a time."""

import sqlite3
from collections import Counter
from collections.abc import Sequence
from itertools import accumulate, compress
from pathlib import Path
from typing import Final

from logshipper.store.engine import block, schema, twins, wal
from logshipper.store.engine.block import Columns
from logshipper.store.engine.ledger import Ledger
from logshipper.store.lines import times
from logshipper.store.lines.words import index_json
from logshipper.store.model import (
    BLOCK_BYTES,
    BLOCK_LINES,
    LINE_BITS,
    Document,
    Stream,
)
from wharfinger.errors import Unavailable

# So many small commits of an open block are read one by one; then they become one part.
_PARTS: Final = 32
# How long commits wait for those who read the log, by its length: a short log costs nobody a wait.
_PATIENT_BYTES_PER_SECOND: Final = 128 * 2**20
_PATIENCE_SECONDS: Final = 5.0
_LONGER: Final = 1.5  # and so much longer it must be before they wait again


class DayWriter:
    """The only writer of a day's file; not thread-safe.

    After an error of `write` nothing of it is stored, and the writer must be closed and
    thrown away: what it remembers of the file may not hold any more.

    A block is filled over as many commits as it takes. Until it is full its lines are in
    parts, one for each commit; then they are compressed together. Lines keep their numbers.

    Args:
        path: the file; made if it is not there.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.connection = schema.open_for_writing(path)
        try:
            self._place = wal.place(path)
            self._version = self._read_version()
            self._ledger = Ledger(self.connection)
            self._streams: dict[Stream, int] = {
                Stream(*row[1:]): row[0] for row in self.connection.execute("SELECT * FROM stream")
            }
            self._apps = {number: stream.app for stream, number in self._streams.items()}
            self._block, self._columns = self._load_open()
        except BaseException:
            self.connection.close()
            raise
        self._bytes = sum(self._columns.sizes())
        self._parts = _PARTS
        self._held_bytes = 0

    def write(self, documents: Sequence[Document]) -> list[int | None]:
        """Stores documents in one transaction, durable when it returns.

        Returns:
            For each document its row id (block << 10 | line), None for a duplicate.

        Raises:
            sqlite3.Error: nothing was stored.
            OSError: the file was taken away.
            Unavailable: another has its name, or writes to it.
        """
        self.connection.execute("BEGIN IMMEDIATE")
        if self._read_version() != self._version:
            raise Unavailable(f"somebody else has written to {self.path}")
        fresh = self._ledger.admit(documents)
        if max([document.copy for document in documents], default=-1) >= 0:
            fresh = twins.admit(self.connection, self._streams, documents, fresh)
        if all(fresh):
            row_ids: list[int | None] = [*self._store(documents)]
        else:
            new = iter(self._store(list(compress(documents, fresh))))
            row_ids = [next(new) if is_new else None for is_new in fresh]
        self.connection.execute("COMMIT")
        # SQLite goes on writing to files that were moved or removed: nobody would find the lines.
        if wal.place(self.path) != self._place:
            raise Unavailable(f"{self.path} was replaced while it was written to")
        return row_ids

    def _read_version(self) -> int:
        """A number that changes when another connection commits; then what we remember is old."""
        (version,) = self.connection.execute("PRAGMA data_version").fetchone()
        return int(version)

    @property
    def log_bytes(self) -> int:
        """How long the file's write-ahead log is."""
        return wal.size(self.path)

    def checkpoint(self) -> None:
        """Moves the log into the file and begins it anew, waiting for those who read it.

        SQLite does so by itself when nobody reads, and tells nobody of a failure. Where one
        reader comes before the other has gone, that moment never comes, and the log grows until
        the disk is full. It is enough to wait for those who read already: who comes meanwhile
        reads what has been moved.

        Raises:
            sqlite3.Error: it cannot; what was stored stays in the log.
        """
        size = self.log_bytes
        if size < self._held_bytes * _LONGER:
            return
        patience = min(size / _PATIENT_BYTES_PER_SECOND, _PATIENCE_SECONDS)
        self.connection.execute(f"PRAGMA busy_timeout = {int(patience * 1000)}")
        try:
            (is_held, *_) = self.connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()
        finally:
            self.connection.execute(f"PRAGMA busy_timeout = {int(schema.BUSY_SECONDS * 1000)}")
        self._held_bytes = size if is_held else 0

    def close(self) -> None:
        """Closes the file; an open transaction is rolled back."""
        self.connection.close()

    def _store(self, documents: Sequence[Document]) -> list[int]:
        columns, texts = self._columns_of(documents), [document.text for document in documents]
        sizes = columns.sizes()
        self._roll(columns)
        row_ids: list[int] = []
        at = 0
        while at < len(documents):
            first = len(self._columns)
            end = at + self._room(sizes[at : at + BLOCK_LINES - first])
            row_id = (self._block << LINE_BITS) + first
            self._index(row_id, texts[at:end], columns.stream_ids[at:end])
            row_ids.extend(range(row_id, row_id + end - at))
            self._columns.extend(*columns.part(at, end))
            self._bytes += sum(sizes[at:end])
            at = end
            if len(self._columns) == BLOCK_LINES or self._bytes >= BLOCK_BYTES:
                self._seal()
            else:
                self._write_part(first)
        return row_ids

    def _room(self, sizes: Sequence[int]) -> int:
        """How many lines of these sizes the open block takes: it is full when it has the bytes."""
        if self._bytes + sum(sizes) < BLOCK_BYTES:
            return len(sizes)
        filled = accumulate(sizes, initial=self._bytes)
        next(filled)
        return next((n for n, size in enumerate(filled, 1) if size >= BLOCK_BYTES), len(sizes))

    def _columns_of(self, documents: Sequence[Document]) -> Columns:
        """The lines, column by column, which costs a fraction of line by line."""
        lines = [document.line for document in documents]
        known = self._streams.get
        return Columns(
            [line.time_ns for line in lines],
            [known(line.stream) or self._add(line.stream) for line in lines],
            [line.level for line in lines],
            [line.message for line in lines],
            [line.extra for line in lines],
        )

    def _index(self, row_id: int, texts: Sequence[str], stream_ids: Sequence[int]) -> None:
        # One statement for many rows: stepping through rows one by one would hand the
        # interpreter's lock to the event loop and back for each line.
        self.connection.execute(
            "INSERT INTO line_index (rowid, text) SELECT ? + key, value"
            " FROM json_each(CAST(? AS TEXT))",
            (row_id, index_json(texts, stream_ids)),
        )

    def _seal(self) -> None:
        self._write_block(*block.encode(self._columns))
        self.connection.execute("DELETE FROM part")
        self._block += 1
        self._columns = Columns()
        self._bytes = self._parts = 0

    def _write_part(self, first: int) -> None:
        if self._parts >= _PARTS:
            self.connection.execute("DELETE FROM part")
            first = self._parts = 0
        self._parts += 1
        part = block.encode(self._columns, first)
        self.connection.execute("INSERT INTO part VALUES (?, ?, ?)", (first, *part))
        self._write_block(None, None)

    def _write_block(self, head: bytes | None, body: bytes | None) -> None:
        self.connection.execute(
            "INSERT OR REPLACE INTO block VALUES (?, ?, ?, ?, ?, ?, ?)",
            (self._block, *block.summarize(self._columns), head, body),
        )

    def _roll(self, columns: Columns) -> None:
        minutes = [time_ns // times.MINUTE_NS for time_ns in columns.times_ns]
        counts: Counter[tuple[int, str, int]] = Counter()
        for (minute, stream_id, level), count in Counter(
            zip(minutes, columns.stream_ids, columns.levels, strict=True)
        ).items():
            counts[minute, self._apps[stream_id], level] += count
        self.connection.executemany(
            "INSERT INTO roll VALUES (?, ?, ?, ?) ON CONFLICT (minute, app, level)"
            " DO UPDATE SET count = count + excluded.count",
            ((*key, count) for key, count in counts.items()),
        )

    def _add(self, stream: Stream) -> int:
        made = self.connection.execute(
            "INSERT INTO stream (app, env, host, container, stream) VALUES (?, ?, ?, ?, ?)", stream
        ).lastrowid
        assert made is not None  # noqa: S101 - an INSERT has one
        self._streams[stream] = made
        self._apps[made] = stream.app
        return made

    def _load_open(self) -> tuple[int, Columns]:
        """The number of the block to go on with, and the lines that it has."""
        found = self.connection.execute(
            "SELECT id, body IS NULL FROM block ORDER BY id DESC LIMIT 1"
        ).fetchone()
        number, is_open = found or (-1, False)
        if is_open:
            return number, read_parts(self.connection)
        return max(number + 1, schema.first_number(self.connection)), Columns()


def read_parts(connection: sqlite3.Connection) -> Columns:
    """The lines of the open block."""
    columns = Columns()
    for head, body in connection.execute("SELECT head, body FROM part ORDER BY id"):
        columns.extend(block.decode_head(head), block.decode_body(body))
    return columns
