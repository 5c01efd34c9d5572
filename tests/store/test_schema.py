"""Day files of every version: which are read, which are written to, which are left alone."""

import sqlite3
from contextlib import closing
from pathlib import Path

import pytest
import zstandard
from isal import isal_zlib

from logshipper.store.engine import schema
from logshipper.store.engine.day import DayWriter
from logshipper.store.engine.reader import DayReader
from logshipper.store.lines import documents
from logshipper.store.lines.times import DAY_NS, Arrival
from logshipper.store.model import Document
from wharfinger.errors import Unavailable

BASE_NS = 20_780 * DAY_NS


def lines(first: int, end: int) -> list[Document]:
    given = [{"message": f"line {n}", "time": BASE_NS + n, "extra": n} for n in range(first, end)]
    return [
        documents.document(fields, f"c.1.{fields['extra']:x}", Arrival.of(BASE_NS))
        for fields in given
    ]


def written(path: Path, given: list[Document]) -> None:
    with closing(DayWriter(path)) as writer:
        writer.write(given)


def as_version_1(path: Path) -> None:
    """Makes of a file what version 1 would have written: blocks of deflate, SQLite's settings."""

    def repacked(data: bytes | None) -> bytes | None:
        return data and isal_zlib.compress(zstandard.ZstdDecompressor().decompress(data), 3)

    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        connection.create_function("repacked", 1, repacked)
        connection.execute("UPDATE block SET head = repacked(head), body = repacked(body)")
        connection.execute("UPDATE part SET head = repacked(head), body = repacked(body)")
        connection.execute("INSERT INTO line_index (line_index, rank) VALUES ('automerge', 4)")
        connection.execute("INSERT INTO line_index (line_index, rank) VALUES ('crisismerge', 16)")
        connection.execute("PRAGMA user_version = 1")


def found(path: Path, word: str) -> list[str]:
    with closing(DayReader(path)) as reader:
        return [
            reader.body(number).messages[at]
            for number, places in reader.candidates(f'"{word}"', newest_first=False)
            for at in places
        ]


def kind(path: Path) -> tuple[int, dict[str, int]]:
    with closing(sqlite3.connect(path)) as connection:
        (version,) = connection.execute("PRAGMA user_version").fetchone()
        return version, dict(connection.execute("SELECT k, v FROM line_index_config"))


def test_a_file_of_version_1_is_read_as_it_is_and_written_on(tmp_path: Path) -> None:
    path = tmp_path / "d.db"
    written(path, lines(0, 1500))
    as_version_1(path)
    assert found(path, "7") == ["line 7"]  # in a block
    assert found(path, "1400") == ["line 1400"]  # in a part of the open one
    assert kind(path)[0] == 1  # to read it changes nothing

    written(path, lines(0, 3000))  # half of them again
    version, settings = kind(path)
    assert version == schema.VERSION == 2
    assert (settings["automerge"], settings["crisismerge"]) == (16, 64)
    assert found(path, "line") == [f"line {n}" for n in range(3000)]


def test_a_file_of_a_later_version_is_left_alone(tmp_path: Path) -> None:
    path = tmp_path / "d.db"
    written(path, lines(0, 1))
    with closing(sqlite3.connect(path)) as connection:
        connection.execute(f"PRAGMA user_version = {schema.VERSION + 1}")
    before = path.read_bytes()
    with pytest.raises(Unavailable, match="later version"):
        DayWriter(path)
    assert path.read_bytes() == before


def test_the_settings_of_the_index_are_written_once(tmp_path: Path) -> None:
    path = tmp_path / "d.db"
    written(path, lines(0, 1))
    before = path.read_bytes()
    DayWriter(path).close()
    assert path.read_bytes() == before
