"""`logstore check --data`: what is wrong with a day's file is found, each kind of it."""

import shutil
import sqlite3
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from logshipper.store.engine.day import DayWriter
from logshipper.store.keeping import accounts
from logshipper.store.keeping.inspection import Inspection
from logshipper.store.keeping.progress import told
from logshipper.store.lines import documents
from logshipper.store.lines.times import Arrival
from tests.store import damage
from tests.store.damage import BASE_NS, DAY, sql, zeroed

LINES = 3_500


@pytest.fixture(scope="module")
def sound(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("sound") / damage.NAME
    damage.write(path, LINES)
    return path


def findings(path: Path, day: int | None = DAY) -> list[str]:
    found = Inspection(path, day, "repair it").run().findings
    assert all(finding.fix == "repair it" for finding in found)
    assert not any("***" in finding.problem for finding in found)  # SQLite's headings
    return [str(finding).removeprefix(str(path)) for finding in found]


def test_a_sound_file_has_no_findings_and_all_its_lines(sound: Path) -> None:
    report = Inspection(sound, DAY, "").run()
    assert (report.lines, report.findings) == (LINES, [])


@pytest.mark.parametrize(
    ("spoil", "expected"),
    [
        (sql("UPDATE block SET body = substr(body, 1, 99) WHERE id = 1"), "block 1: a block of"),
        (sql("UPDATE block SET head = zeroblob(9) WHERE id = 0"), "(1,000 lines from 2026-11-23T"),
        (sql("UPDATE block SET head = NULL WHERE id = 0"), "block 0: its lines are not there"),
        (
            sql(
                "UPDATE block SET body = (SELECT body FROM part LIMIT 1) WHERE id = 0",
            ),
            "block 0: it has 1,000 times but",
        ),
        (sql("UPDATE block SET count = 999 WHERE id = 1"), "says lines 999, its lines say 1000"),
        (sql("UPDATE block SET last_ns = last_ns + 1 WHERE id = 2"), "its summary says last_ns"),
        (sql("UPDATE block SET levels = 1 WHERE id = 3"), "its summary says levels 1"),
        (
            sql("UPDATE block SET head = NULL, body = NULL WHERE id = 1"),
            "block 1: is open, though others",
        ),
        (sql("DELETE FROM block WHERE id = 1"), "roll-up: "),
        (sql("DELETE FROM part"), "block 3: it has no lines"),
        (sql("DELETE FROM block WHERE id = 3"), "parts: are there, though no block is open"),
        (sql("DELETE FROM stream WHERE id = 2"), "names 1 stream not there"),
        (
            sql("UPDATE roll SET count = count + 5 WHERE app = 'app1'"),
            "roll-up: ",
        ),
        (sql("DELETE FROM seen"), "ids: source"),
        (sql("DELETE FROM source WHERE id = 2"), "which is not there"),
        (sql("UPDATE seen SET offsets = x'48ffff0000' WHERE id = 1"), "does not ascend"),
        (sql("UPDATE seen SET offsets = x'51ff' WHERE id = 1"), "cannot be decoded"),
        (
            sql("INSERT INTO line_index (rowid, text) VALUES (5000000, 'nowhere')"),
            "index: finds 1 words where they are not, the first is 'nowhere'",
        ),
        (sql("DELETE FROM line_index_data WHERE id > 100"), "index: "),
        (sql("DROP TABLE line_index"), "index: cannot be read"),
        (sql("DROP TABLE roll"), "roll: cannot be read"),
        (sql("PRAGMA application_id = 7"), ": is no file of this store"),
        (sql("PRAGMA user_version = 99"), "is of a later version"),
        (zeroed(1), ": cannot be read: file is not a database"),
        (lambda path: zeroed(damage.root_of(path, "block"))(path), "block: cannot be read"),
        (lambda path: path.write_bytes(path.read_bytes()[:100_000]), "cannot be read"),
        (lambda path: path.write_bytes(b""), ": is no file of this store"),
        (lambda path: path.write_bytes(b"x" * 50_000), ": cannot be read: file is not a"),
    ],
)
def test_each_kind_of_damage_is_found(
    sound: Path, tmp_path: Path, spoil: Callable[[Path], None], expected: str
) -> None:
    path = tmp_path / damage.NAME
    shutil.copy(sound, path)
    spoil(path)
    found = findings(path)
    assert any(expected in finding for finding in found), found


def test_a_word_that_the_index_lost_is_named(sound: Path, tmp_path: Path) -> None:
    path = tmp_path / damage.NAME
    shutil.copy(sound, path)
    connection = sqlite3.connect(path)
    # A contentless index takes a line away only when it is told what it said.
    connection.execute(
        "INSERT INTO line_index (line_index, rowid, text) VALUES ('delete', 1, ?)", ("order",)
    )
    connection.commit()
    connection.close()
    (found,) = findings(path)
    assert "index: does not find 1 words, the first is 'order' in line 1 of block 0" in found


def test_lines_of_another_day_are_found(sound: Path) -> None:
    assert any("holds lines of another day" in finding for finding in findings(sound, DAY + 1))
    assert findings(sound, None) == []


def test_a_file_that_is_written_meanwhile_is_seen_at_one_moment(tmp_path: Path) -> None:
    path = tmp_path / damage.NAME
    writer = DayWriter(path)
    for n in range(30):
        writer.write([damage.document(n * 100 + each) for each in range(100)])
        assert findings(path) == []
    writer.close()


def test_fields_that_were_left_out_may_stand_in_the_index(tmp_path: Path) -> None:
    path = tmp_path / damage.NAME
    writer = DayWriter(path)
    long = {"message": "m" * 300_000, "time": BASE_NS}
    wide = {"message": "x", "time": BASE_NS, "wide": "w" * 70_000, "more": "word"}
    writer.write([documents.document(fields, "", Arrival.of(BASE_NS)) for fields in (long, wide)])
    writer.close()
    assert findings(path) == []


@settings(max_examples=30)
@given(
    st.lists(
        st.tuples(
            st.text(max_size=60),
            st.dictionaries(
                st.text(max_size=8),
                st.recursive(
                    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=9),
                    lambda inner: st.lists(inner, max_size=3),
                    max_leaves=5,
                ),
                max_size=4,
            ),
        ),
        min_size=1,
        max_size=20,
    )
)
def test_whatever_was_stored_is_found_sound(
    tmp_path_factory: pytest.TempPathFactory, lines: list[tuple[str, dict[str, object]]]
) -> None:
    path = tmp_path_factory.mktemp("any") / damage.NAME
    writer = DayWriter(path)
    taken = []
    for message, fields in lines:
        body = documents._encoder.encode({**fields, "message": message, "time": BASE_NS})
        taken.append(documents.document(documents.decode(body), "", Arrival.of(BASE_NS)))
    writer.write(taken)
    writer.close()
    assert findings(path) == []


def test_lines_that_the_roll_up_alone_knows_are_missing() -> None:
    noted = {(1, "a", 0): 5, (2, "a", 0): 1, (3, "b", 1): 2}
    assert accounts.missing_lines(noted, {(1, "a", 0): 5, (3, "b", 1): 1}) == {
        (2, "a", 0): 1,
        (3, "b", 1): 1,
    }


def test_progress_says_how_long_still() -> None:
    assert told("x", 50, 200, 10, "blocks") == "x: 50 of 200 blocks (25 %), 5 a second, 30 s left"
    assert told("x", 0, 0, 0, "lines") == "x: 0 lines"
