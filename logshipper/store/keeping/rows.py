"""Reads a day's file of which anything may be damaged: row by row, past what cannot be read."""

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final, NamedTuple

from logshipper.store.engine import block, schema
from logshipper.store.engine.block import Body, Columns, Head, Summary
from logshipper.store.engine.day import read_parts
from logshipper.store.keeping import accounts
from logshipper.store.model import Stream
from wharfinger.errors import Unavailable

_BUSY_SECONDS: Final = 5.0
_SUMMARY: Final = "SELECT first_ns, last_ns, count, levels, body IS NULL FROM block WHERE id = ?"


class BlockRow(NamedTuple):
    """What is to be had of a block.

    Attributes:
        number: its number.
        summary: what is noted about it; None if that cannot be read.
        head: its filter columns, None with `why`.
        body: its texts, None with `why`.
        packed: both as they are on disk; None for the open block, whose lines are in parts.
        why: why its lines cannot be read; empty if they can.
    """

    number: int
    summary: Summary | None
    head: Head | None = None
    body: Body | None = None
    packed: tuple[bytes, bytes] | None = None
    why: str = ""


class LaterVersion(Unavailable):
    """The file is one of this store, and newer than this program."""


@contextmanager
def opened(path: Path, *, with_log: bool = True) -> Iterator[sqlite3.Connection]:
    """A read-only connection that sees one moment of the file; it may have temporary tables.

    Args:
        path: the file.
        with_log: whether its write-ahead log counts; without it nobody may be writing.

    Raises:
        sqlite3.Error: it cannot be opened.
        Unavailable: it is no file of this store.
    """
    if not path.is_file():
        raise Unavailable(f"{path} is not there")
    connection = sqlite3.connect(
        f"{path.absolute().as_uri()}?mode=ro{'' if with_log else '&immutable=1'}",
        uri=True,
        timeout=_BUSY_SECONDS,
        isolation_level=None,
        check_same_thread=False,
    )
    try:
        connection.execute("PRAGMA temp_store = FILE")
        connection.execute("BEGIN")
        _check_kind(connection, path)
        yield connection
    finally:
        connection.close()


def _check_kind(connection: sqlite3.Connection, path: Path) -> None:
    (application,) = connection.execute("PRAGMA application_id").fetchone()
    (version,) = connection.execute("PRAGMA user_version").fetchone()
    if application == schema.APPLICATION_ID and version > schema.VERSION:
        raise LaterVersion(f"{path} is of a later version of this store")
    if application != schema.APPLICATION_ID or version not in schema.READABLE:
        raise Unavailable(f"{path} is no file of this store")


def foreign_log(connection: sqlite3.Connection, path: Path) -> str:
    """Why the file's write-ahead log must be another's; empty if it may be its own.

    No file of ours is ever cut shorter, so its log never says that it is.
    """
    (pages,) = connection.execute("PRAGMA page_count").fetchone()
    (size,) = connection.execute("PRAGMA page_size").fetchone()
    has = path.stat().st_size // size
    return (
        f"is of {pages} pages by its -wal, and has {has}: that is another's" if has > pages else ""
    )


def all_rows(connection: sqlite3.Connection, query: str) -> tuple[list[Any], str]:
    """The rows of a query as far as they can be read, and why not further."""
    rows: list[Any] = []
    try:
        rows.extend(connection.execute(query))
    except (sqlite3.Error, UnicodeDecodeError) as error:
        # extend() keeps what came before the error.
        return rows, str(error)
    return rows, ""


def streams(connection: sqlite3.Connection) -> tuple[dict[int, Stream], str]:
    """The streams by number, and why some may be missing."""
    rows, why = all_rows(connection, "SELECT id, app, env, host, container, stream FROM stream")
    return {row[0]: Stream(*row[1:]) for row in rows}, why


def nameless(number: int) -> Stream:
    """A stream of which only the number is left."""
    return Stream("", "", "", f"unknown-{number}", "")


def roll(connection: sqlite3.Connection) -> tuple[dict[tuple[int, str, int], int], str]:
    """The roll-up, and why some of it may be missing."""
    rows, why = all_rows(connection, "SELECT minute, app, level, count FROM roll")
    return {tuple(row[:3]): row[3] for row in rows}, why


def block_numbers(
    connection: sqlite3.Connection,
) -> tuple[dict[int, tuple[int, int] | None], str]:
    """Every block that some page tells of, with its time if one does; why some may be missing."""
    found: dict[int, tuple[int, int] | None] = {}
    reasons = []
    for query in (
        "SELECT id, NULL, NULL FROM block NOT INDEXED ORDER BY id",
        "SELECT id, NULL, NULL FROM block NOT INDEXED ORDER BY id DESC",
        "SELECT id, first_ns, last_ns FROM block INDEXED BY block_by_last ORDER BY last_ns",
        "SELECT id, first_ns, last_ns FROM block INDEXED BY block_by_last ORDER BY last_ns DESC",
    ):
        told, why = all_rows(connection, query)
        for number, first_ns, last_ns in told:
            found[number] = found.get(number) if first_ns is None else (first_ns, last_ns)
        reasons += [why] if why else []
    return dict(sorted(found.items())), next(iter(reasons), "")


def read_block(connection: sqlite3.Connection, number: int) -> BlockRow:
    """A block, or why it cannot be read."""
    try:
        noted = connection.execute(_SUMMARY, (number,)).fetchone()
    except sqlite3.Error as error:
        return BlockRow(number, None, why=f"its row cannot be read: {error}")
    if noted is None:
        return BlockRow(number, None, why="its row is not there")
    summary = Summary(*noted[:4])
    try:
        if noted[4]:
            columns = read_parts(connection)
            head = Head(columns.times_ns, columns.stream_ids, columns.levels)
            return _whole(number, summary, head, Body(columns.messages, columns.extras), None)
        packed = connection.execute(
            "SELECT head, body FROM block WHERE id = ?", (number,)
        ).fetchone()
        return unpacked(number, summary, *packed)
    except (sqlite3.Error, Unavailable, TypeError) as error:
        return BlockRow(number, summary, why=str(error))


def unpacked(number: int, summary: Summary, head: bytes, body: bytes) -> BlockRow:
    """A block as it is on disk, read.

    Raises:
        Unavailable: it is damaged.
    """
    if not isinstance(head, bytes) or not isinstance(body, bytes):
        raise Unavailable("its lines are not there")
    return _whole(number, summary, block.decode_head(head), block.decode_body(body), (head, body))


def read_open_parts(connection: sqlite3.Connection, row: BlockRow) -> BlockRow:
    """What the parts of an open block hold that can be read; the row as it was if nothing."""
    try:
        query = "SELECT id FROM block WHERE id = ? AND body IS NULL"
        if connection.execute(query, (row.number,)).fetchone() is None:
            return row
    except sqlite3.Error:
        return row
    columns = Columns()
    for (part,) in all_rows(connection, "SELECT id FROM part ORDER BY id")[0]:
        try:
            packed = connection.execute("SELECT head, body FROM part WHERE id = ?", (part,))
            head, body = packed.fetchone()
            decoded = block.decode_head(head), block.decode_body(body)
        except (sqlite3.Error, Unavailable, TypeError):
            continue
        if not accounts.uneven(*decoded):
            columns.extend(*decoded)
    if not columns.times_ns:
        return row
    head = Head(columns.times_ns, columns.stream_ids, columns.levels)
    return row._replace(head=head, body=Body(columns.messages, columns.extras))


def _whole(
    number: int, summary: Summary, head: Head, body: Body, packed: tuple[bytes, bytes] | None
) -> BlockRow:
    if not head.times_ns:
        return BlockRow(number, summary, why="it has no lines")
    if why := accounts.uneven(head, body):
        return BlockRow(number, summary, why=f"it {why}")
    return BlockRow(number, summary, head, body, packed)
