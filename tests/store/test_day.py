"""A day's file: what is acknowledged is in it, once, whatever happened in between."""

import sqlite3
import threading
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    rule,
    run_state_machine_as_test,
)

from logshipper.store.engine import day as day_module
from logshipper.store.engine import ledger, schema
from logshipper.store.engine.day import DayWriter
from logshipper.store.engine.ledger import Ledger
from logshipper.store.engine.reader import DayReader, open_day
from logshipper.store.lines import documents
from logshipper.store.lines.times import DAY_NS, Arrival
from logshipper.store.model import BLOCK_BYTES, BLOCK_LINES, LINE_BITS, Document
from wharfinger.errors import Unavailable

DAY = 20_780
BASE_NS = DAY * DAY_NS


def document(message: str, identity: str = "", time_ns: int = BASE_NS, **fields: Any) -> Document:
    return documents.document(
        {"message": message, "time": time_ns, **fields}, identity, Arrival.of(BASE_NS)
    )


def messages(path: Path) -> list[str]:
    reader = DayReader(path)
    try:
        numbers = sorted(entry.id for entry in reader.blocks(-(2**62), 2**62, newest_first=True))
        return [text for number in numbers for text in reader.body(number).messages]
    finally:
        reader.close()


def test_lines_are_numbered_through_blocks_and_parts(tmp_path: Path) -> None:
    path = tmp_path / "d.db"
    writer = DayWriter(path)
    sent: list[str] = []
    row_ids: list[int | None] = []
    for size in (1, 3, BLOCK_LINES - 10, 50, 2 * BLOCK_LINES, 1):
        batch = [f"line {len(sent) + n}" for n in range(size)]
        row_ids += writer.write([document(text) for text in batch])
        sent += batch
        assert messages(path) == sent  # readers see every commit at once
    writer.close()
    assert row_ids == [(n // BLOCK_LINES << LINE_BITS) + n % BLOCK_LINES for n in range(len(sent))]
    reader = DayReader(path)
    blocks = sorted(reader.blocks(-(2**62), 2**62, newest_first=False))
    assert [entry.lines for entry in blocks] == [BLOCK_LINES, BLOCK_LINES, BLOCK_LINES, 45]
    reader.close()


def test_a_reopened_day_goes_on_in_its_open_block(tmp_path: Path) -> None:
    path = tmp_path / "d.db"
    row_ids = []
    for n in range(80):  # more commits than an open block has parts
        writer = DayWriter(path)
        row_ids += writer.write([document(f"line {n}", app=f"app{n % 3}")])
        writer.close()
    assert row_ids == list(range(80))
    assert messages(path) == [f"line {n}" for n in range(80)]
    reader = DayReader(path)
    assert len(reader.streams) == 3
    assert reader.head(0).stream_ids[3] == reader.head(0).stream_ids[0]
    reader.close()


def test_many_small_commits_stay_few_parts(tmp_path: Path) -> None:
    writer = DayWriter(tmp_path / "d.db")
    for n in range(200):
        writer.write([document(f"line {n}")])
    (parts,) = writer.connection.execute("SELECT count(*) FROM part").fetchone()
    assert parts <= 32
    writer.close()
    assert messages(tmp_path / "d.db") == [f"line {n}" for n in range(200)]


def test_long_lines_close_a_block_early(tmp_path: Path) -> None:
    writer = DayWriter(tmp_path / "d.db")
    sent = [f"{n} {'x' * 200_000}" for n in range(30)]
    writer.write([document(text) for text in sent])
    writer.close()
    assert messages(tmp_path / "d.db") == sent
    reader = DayReader(tmp_path / "d.db")
    most = 2 * BLOCK_BYTES // 200_000
    assert all(e.lines <= most for e in reader.blocks(0, 2**62, newest_first=True))
    reader.close()


def test_roll_up_counts_by_minute_app_and_level(tmp_path: Path) -> None:
    writer = DayWriter(tmp_path / "d.db")
    minute = 60 * 10**9
    for _ in range(2):
        writer.write(
            [
                document("ERROR x", app="a"),
                document("INFO x", app="a"),
                document("ERROR y", app="a", time_ns=BASE_NS + minute),
            ]
        )
    writer.close()
    reader = DayReader(tmp_path / "d.db")
    first = BASE_NS // minute
    assert sorted(reader.rolled(first, first + 1, 1, by_app=True)) == [
        (first, "a", 3, 2),
        (first, "a", 5, 2),
        (first + 1, "a", 5, 2),
    ]
    reader.close()


def test_a_failed_write_leaves_nothing(tmp_path: Path) -> None:
    path = tmp_path / "d.db"
    writer = DayWriter(path)
    writer.write([document("kept", "c.1.0")])
    (pages,) = writer.connection.execute("PRAGMA page_count").fetchone()
    writer.connection.execute(f"PRAGMA max_page_count = {pages + 1}")
    with pytest.raises(sqlite3.OperationalError, match="full"):
        writer.write([document(f"{n} {hash(n)} word{n}", f"c.1.{n:x}") for n in range(1, 5000)])
    writer.close()
    again = DayWriter(path)
    assert messages(path) == ["kept"]
    assert again.write([document("kept", "c.1.0"), document("new", "c.1.1")]) == [None, 1]
    again.close()


@pytest.mark.parametrize("content", [b"not a database at all" * 100, None])
def test_a_foreign_file_is_never_written_to(tmp_path: Path, content: bytes | None) -> None:
    path = tmp_path / "d.db"
    if content is not None:
        path.write_bytes(content)
    else:
        connection = sqlite3.connect(path)
        connection.execute("CREATE TABLE t (x)")
        connection.close()
    before = path.read_bytes()
    with pytest.raises((sqlite3.DatabaseError, Unavailable)):
        DayWriter(path)
    assert path.read_bytes()[:100] == before[:100]


def test_a_missing_day_has_no_reader_and_an_emptied_one_is_said(tmp_path: Path) -> None:
    assert open_day(tmp_path / "none.db") is None
    (tmp_path / "empty.db").touch()
    with pytest.raises(Unavailable, match=r"empty\.db"):
        open_day(tmp_path / "empty.db")


def test_foreign_ids_are_bounded(tmp_path: Path) -> None:
    connection = schema.open_for_writing(tmp_path / "d.db")
    ids = Ledger(connection, foreign_ids=3)

    def admit(*names: str) -> list[bool]:
        connection.execute("BEGIN")
        answers = ids.admit([document("m", name) for name in names])
        connection.execute("COMMIT")
        return answers

    assert admit("a", "b", "a", "c") == [True, True, False, True]
    assert admit("c", "d", "b") == [False, True, False]
    assert admit("a") == [True]  # three newer ones have come since
    connection.close()


def test_many_sources_do_not_fill_memory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ledger, "_CACHED_SOURCES", 4)
    writer = DayWriter(tmp_path / "d.db")
    sent = [document("m", f"c{n}.1.{n:x}") for n in range(30)]
    assert None not in writer.write(sent)
    assert writer.write(sent) == [None] * 30
    assert len(writer._ledger._sources) <= 4
    writer.close()


OFFSETS = st.lists(st.integers(0, 60), min_size=1, max_size=12)


class Dedup(RuleBasedStateMachine):
    """Any order of bodies, retries, failures and restarts: each id is stored exactly once."""

    folder: Path

    @initialize()
    def begin(self) -> None:
        self.path = self.folder / f"{len(list(self.folder.iterdir()))}.db"
        self.writer = DayWriter(self.path)
        self.stored: set[str] = set()
        self.lines = 0

    @rule(source=st.sampled_from(["c.1", "c.2", "d.1"]), offsets=OFFSETS)
    def send(self, source: str, offsets: list[int]) -> None:
        self._send([f"{source}.{offset * 977:x}" for offset in offsets])

    @rule(names=st.lists(st.sampled_from(["u1", "u2", "u3", "c.1.G"]), min_size=1, max_size=4))
    def send_foreign(self, names: list[str]) -> None:
        self._send(names)

    @rule(start=st.integers(0, 3000), count=st.integers(1, 1500))
    def send_many(self, start: int, count: int) -> None:
        self._send([f"big.1.{n:x}" for n in range(start, start + count)])

    @rule(offsets=OFFSETS)
    def fail(self, offsets: list[int]) -> None:
        """The transaction never commits: its lines must not be taken for duplicates later."""
        sent = [document("lost", f"c.1.{offset * 977:x}") for offset in offsets]
        self.writer.connection.execute("BEGIN IMMEDIATE")
        self.writer._ledger.admit(sent)
        self.restart()

    @rule()
    def restart(self) -> None:
        self.writer.close()
        self.writer = DayWriter(self.path)

    @invariant()
    def counts_agree(self) -> None:
        if hasattr(self, "writer"):
            found = self.writer.connection.execute(
                "SELECT total(lines) FROM (SELECT count AS lines FROM block)"
            )
            assert found.fetchone()[0] == self.lines == len(self.stored)

    def teardown(self) -> None:
        if hasattr(self, "writer"):
            self.writer.close()

    def _send(self, names: list[str]) -> None:
        answers = self.writer.write([document(name, name) for name in names])
        for name, row_id in zip(names, answers, strict=True):
            assert (row_id is not None) == (name not in self.stored), name
            self.stored.add(name)
        self.lines += sum(row_id is not None for row_id in answers)


def test_every_id_is_stored_exactly_once(tmp_path: Path) -> None:
    machine = type("Placed", (Dedup,), {"folder": tmp_path})
    run_state_machine_as_test(
        machine,
        settings=settings(max_examples=25, stateful_step_count=20, deadline=None),
    )


@settings(deadline=None, max_examples=20, suppress_health_check=[HealthCheck.too_slow])
@given(st.permutations(range(12)), st.integers(1, 4))
def test_bodies_in_flight_in_any_order_with_retries(order: list[int], lost: int) -> None:
    """Twelve bodies of one source; each is stored whole, also one that failed at first."""
    connection = sqlite3.connect(":memory:", isolation_level=None)
    connection.executescript(schema._TABLES)
    ids = Ledger(connection)
    bodies = [
        [document("m", f"c.1.{n:x}") for n in range(b * 100, b * 100 + 100)] for b in range(12)
    ]
    for body in [b for b in order if b % lost]:
        assert ids.admit(bodies[body]) == [True] * 100
    for body in order:
        assert ids.admit(bodies[body]) == [not body % lost] * 100
    connection.close()


def test_hostile_text_comes_back_as_it_was(tmp_path: Path) -> None:
    sent = ["a\0b", "\n\r\n", "\u202e", "\U0010ffff", "<script>", "'; DROP TABLE block; --", ""]
    writer = DayWriter(tmp_path / "d.db")
    writer.write([document(text, app="\0'\"; x") for text in sent])
    writer.close()
    assert messages(tmp_path / "d.db") == sent
    assert day_module.__doc__


def test_a_log_that_is_always_read_does_not_grow_for_ever(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One reader comes before the other has gone: SQLite itself never begins the log anew."""
    monkeypatch.setattr(day_module, "_PATIENT_BYTES_PER_SECOND", 2**20)
    path = tmp_path / "2026-11-23.db"
    writer = DayWriter(path)
    ended = threading.Event()

    def read(delay: float) -> None:
        ended.wait(delay)
        while not ended.is_set():
            reader = DayReader(path)
            ended.wait(0.1)
            reader.close()

    readers = [threading.Thread(target=read, args=(n / 40,)) for n in range(4)]
    for thread in readers:
        thread.start()
    try:
        ended.wait(0.1)
        lengths = []
        for n in range(20):
            writer.write([document(f"{'word ' * 40} {n} {at}") for at in range(500)])
            lengths.append(writer.log_bytes)
            if writer.log_bytes > 2**20:
                writer.checkpoint()
    finally:
        ended.set()
        for thread in readers:
            thread.join()
    assert max(lengths) < 4 * 2**20
    # What this connection has done by itself is no stranger's doing.
    assert writer.write([document("after")]) != [None]
    writer.close()
    assert len(messages(path)) == 20 * 500 + 1


def test_who_reads_for_long_costs_commits_a_short_wait_now_and_then(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(day_module, "_PATIENT_BYTES_PER_SECOND", 2**32)
    path = tmp_path / "2026-11-23.db"
    writer = DayWriter(path)
    writer.write([document("before")])
    reader = DayReader(path)
    waited: list[str] = []
    writer.connection.set_trace_callback(
        lambda statement: waited.append(statement) if "wal_checkpoint" in statement else None
    )
    for n in range(20):
        writer.write([document(f"{n} {at}") for at in range(100)])
        writer.checkpoint()
    assert 0 < len(waited) < 20
    assert writer.log_bytes > 0
    reader.close()
    for _ in range(30):
        writer.write([document("more")])
        writer.checkpoint()
    assert writer.log_bytes < 2**18
    writer.close()
