"""Day files to damage: written by the engine, spoiled by hand."""

import sqlite3
from collections.abc import Callable
from hashlib import blake2b
from pathlib import Path
from typing import Any

from logshipper.store.engine.day import DayWriter
from logshipper.store.keeping import rows
from logshipper.store.lines import documents, times
from logshipper.store.lines.times import DAY_NS, SECOND_NS, Arrival
from logshipper.store.model import Document

DAY = 20_780
NAME = "2026-11-23.db"
BASE_NS = DAY * DAY_NS
PAGE = 4096


def document(number: int, identity: str = "", **fields: Any) -> Document:
    """A line that no other is like; every seventh has other fields, every ninth is Chinese."""
    # What packs badly spreads the blocks over many pages, with pages above them.
    trace = blake2b(b"%d" % number, digest_size=20).hexdigest()
    level = "ERROR" if number % 5 == 0 else "INFO"
    given: dict[str, Any] = {
        "message": f"{level} order {number} of {number % 37} done {trace}",
        "time": BASE_NS + number * SECOND_NS // 2,
        "app": f"app{number % 3}",
        "env": "prod",
        "host": f"host{number % 2}",
        "container": f"{number % 4:016x}",
        "stream": "stdout",
    }
    if number % 9 == 0:
        given["message"] += " 数据库连接超时"
    if number % 7 == 0:
        given["trace"] = f"t{number}"
    return documents.document(given | fields, identity, Arrival.of(BASE_NS + 9 * DAY_NS))


def write(path: Path, lines: int, *, first: int = 0, at_once: int = 700) -> list[str]:
    """Adds so many lines with ids, in several commits; their messages."""
    path.parent.mkdir(parents=True, exist_ok=True)
    writer = DayWriter(path)
    base_ns = (times.parse_day(path.name[:10]) or DAY) * DAY_NS
    sent = [
        document(n, f"{n % 4:016x}.1.{n * 100:x}", time=base_ns + n * SECOND_NS // 2)
        for n in range(first, first + lines)
    ]
    for at in range(0, lines, at_once):
        writer.write(sent[at : at + at_once])
    writer.close()
    return [each.line.message for each in sent]


def messages(path: Path) -> list[str]:
    """All that can be read of a file that is whole."""
    with rows.opened(path) as connection:
        numbers, why = rows.block_numbers(connection)
        assert not why
        read = [rows.read_block(connection, number) for number in numbers]
    assert all(row.body is not None for row in read), read
    return [text for row in read if row.body is not None for text in row.body.messages]


def sql(*statements: str) -> Callable[[Path], None]:
    """Damage that SQLite itself does."""

    def spoil(path: Path) -> None:
        connection = sqlite3.connect(path, isolation_level=None)
        for statement in statements:
            connection.execute(statement)
        connection.close()

    return spoil


def zeroed(*numbers: int) -> Callable[[Path], None]:
    """Pages of nothing, counted from 1."""

    def spoil(path: Path) -> None:
        with path.open("r+b") as file:
            for number in numbers:
                file.seek((number - 1) * PAGE)
                file.write(bytes(PAGE))

    return spoil


def root_of(path: Path, table: str) -> int:
    """The page at which a table begins."""
    connection = sqlite3.connect(path)
    (page,) = connection.execute(
        "SELECT rootpage FROM sqlite_master WHERE name = ?", (table,)
    ).fetchone()
    connection.close()
    return int(page)


def root_of_quietly(path: Path, table: str) -> int:
    """The same, and its log stays as it is."""
    with rows.opened(path) as connection:
        (page,) = connection.execute(
            "SELECT rootpage FROM sqlite_master WHERE name = ?", (table,)
        ).fetchone()
    return int(page)
