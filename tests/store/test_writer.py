"""The writer: acknowledged after commit, refused when it cannot, alone with its thread."""

import sqlite3
import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future
from pathlib import Path
from typing import Any

import pytest
from prometheus_client import CollectorRegistry

from logshipper.store.engine import folder as folder_module
from logshipper.store.engine import timekeeper
from logshipper.store.engine import writer as writer_module
from logshipper.store.engine.day import DayWriter
from logshipper.store.engine.folder import Folder
from logshipper.store.engine.intake import Intake
from logshipper.store.engine.retention import DayFile, Limits
from logshipper.store.engine.timekeeper import Timekeeper
from logshipper.store.engine.writer import Writer
from logshipper.store.lines import documents, times
from logshipper.store.lines.times import DAY_NS, Arrival
from logshipper.store.metrics import Metrics
from logshipper.store.model import Busy, Document
from logshipper.store.query import language
from logshipper.store.query.archive import Archive
from logshipper.store.query.order import Order
from logshipper.store.query.search import Effort
from wharfinger.errors import Unavailable

NOW_NS = 20_780 * DAY_NS + DAY_NS // 2


def document(message: str, identity: str = "", days_ago: float = 0) -> Document:
    time_ns = NOW_NS - int(days_ago * DAY_NS)
    return documents.document({"message": message, "time": time_ns}, identity, Arrival.of(NOW_NS))


class Store:
    """A writer on a folder of its own, with a clock that stands still."""

    def __init__(self, root: Path, **limits: Any) -> None:
        self.registry = CollectorRegistry()
        self.folder = Folder(root)
        self.metrics = Metrics(self.registry)
        self.events: list[tuple[str, dict[str, object]]] = []
        self.now_ns = self.passed_ns = NOW_NS
        self.committed = threading.Event()
        self.intake = Intake(limits.pop("queue_bytes", 2**20), self.metrics, linger_seconds=0)
        self.writer = Writer(
            self.folder,
            self.intake,
            Limits(**limits),
            self.metrics,
            tell=lambda kind, _level, **fields: self.events.append((kind, fields)),
            committed=lambda *_: self.committed.set(),
            timekeeper=Timekeeper(root / "clock", lambda: self.now_ns, lambda: self.passed_ns),
        )

    def send(self, *sent: Document, tenant: str = "t") -> list[bool]:
        return self.intake.offer(tenant, sent).result(timeout=20)

    def found(self, tenant: str = "t") -> set[str]:
        archive = Archive(self.folder)
        with Effort() as effort:
            hits = archive.search(tenant, language.parse(""), Order(limit=100_000), effort)
        archive.close()
        assert len({hit.line.message for hit in hits}) == len(hits)
        return {hit.line.message for hit in hits}

    def count(self, name: str) -> float:
        return self.registry.get_sample_value(f"wharfinger_logstore_{name}") or 0.0


@pytest.fixture
def make(tmp_path: Path) -> Iterator[Callable[..., Store]]:
    made: list[Store] = []

    def start(**limits: Any) -> Store:
        store = Store(tmp_path, **limits)
        store.writer.start()
        made.append(store)
        return store

    yield start
    for store in made:
        store.writer.close()
        assert store.writer.failure is None


def test_what_is_answered_is_found(make: Callable[..., Store]) -> None:
    store = make()
    assert store.send(document("a", "c.1.0"), document("b", "c.1.1")) == [True, True]
    assert store.found() == {"a", "b"}
    assert store.send(document("b", "c.1.1"), document("c", "c.1.2")) == [False, True]
    assert store.send(document("other"), tenant="u") == [True]
    assert store.found() == {"a", "b", "c"}
    assert store.found("u") == {"other"}
    assert store.count("accepted_lines_total") == 4
    assert store.count("duplicate_lines_total") == 1


def test_many_senders_at_once(make: Callable[..., Store]) -> None:
    store = make()
    futures = [
        store.intake.offer("t", [document(f"{s} {n}", f"c{s}.1.{n:x}") for n in range(50)])
        for s in range(40)
    ]
    assert all(future.result(timeout=30) == [True] * 50 for future in futures)
    assert len(store.found()) == 2000


def test_close_commits_what_is_queued_and_takes_no_more(make: Callable[..., Store]) -> None:
    store = make()
    future = store.intake.offer("t", [document("last")])
    store.writer.close()
    assert future.result(timeout=0) == [True]
    with pytest.raises(Busy) as caught:
        store.intake.offer("t", [document("too late")])
    assert caught.value.reason == "stopping"
    assert store.found() == {"last"}


def test_late_lines_go_to_their_day_and_too_old_ones_count_as_removed(
    make: Callable[..., Store],
) -> None:
    store = make(retention_days=3)
    assert store.send(document("late", days_ago=2), document("old", days_ago=9)) == [True, False]
    assert store.found() == {"late"}
    assert store.folder.days("t") == [20_778]
    assert store.count("expired_lines_total") == 1


def test_retention_at_start_and_as_time_goes_on(tmp_path: Path, make: Callable[..., Store]) -> None:
    folder = Folder(tmp_path)
    folder.prepare("t")
    for days_ago in range(6):
        writer = DayWriter(folder.path("t", 20_780 - days_ago))
        writer.write([document(f"day {days_ago}", days_ago=days_ago)])
        writer.close()
    (tmp_path / "t" / "1999-01-01.db-wal").touch()  # a crash in the middle of a removal
    store = make(retention_days=3)
    assert store.found() == {"day 0", "day 1", "day 2", "day 3"}
    assert not list(tmp_path.glob("*/1999*"))
    assert [kind for kind, _ in store.events] == ["day removed"] * 2
    store.writer.close()
    store.now_ns = store.passed_ns = store.now_ns + DAY_NS
    store.writer.removal.apply(store.writer.limits)
    assert store.found() == {"day 0", "day 1", "day 2"}
    assert sorted(p.name for p in (tmp_path / "t").glob("*.db")) == [
        f"{times.day_name(20_780 - n)}.db" for n in (2, 1, 0)
    ]


def test_a_clock_that_leaps_a_year_ahead_removes_nothing(make: Callable[..., Store]) -> None:
    store = make(retention_days=3)
    store.send(document("today"), document("older", days_ago=3))
    store.now_ns += 365 * DAY_NS
    for _ in range(3):
        store.passed_ns += 60 * 10**9
        store.writer.removal.apply(store.writer.limits)
    assert "365.0 days ahead" in store.writer.removal.doubt
    assert store.send(document("meanwhile", days_ago=1)) == [True]
    assert store.found() == {"today", "older", "meanwhile"}
    store.now_ns = NOW_NS
    store.writer.removal.apply(store.writer.limits)
    assert store.writer.removal.doubt == ""
    assert store.found() == {"today", "older", "meanwhile"}


def test_a_leap_that_lasts_is_time_that_has_passed(make: Callable[..., Store]) -> None:
    store = make(retention_days=3)
    store.send(document("old", days_ago=3), document("new"))
    store.writer.close()
    again = make(retention_days=3)
    again.now_ns = NOW_NS + 2 * DAY_NS  # it was away for two days, or the clock is wrong
    again.writer.removal.apply(again.writer.limits)
    assert again.found() == {"old", "new"}
    again.passed_ns += DAY_NS
    again.now_ns += DAY_NS
    again.writer.removal.apply(again.writer.limits)
    assert again.found() == {"new"}


def test_retention_goes_on_when_the_disk_is_full(
    make: Callable[..., Store], monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object, **__: object) -> None:
        raise OSError(28, "no space left")

    store = make(retention_days=3)
    store.send(document("old", days_ago=3), document("new"))
    monkeypatch.setattr(timekeeper, "write_atomically", full)
    store.now_ns = store.passed_ns = NOW_NS + DAY_NS
    store.writer.removal.apply(store.writer.limits)
    assert store.found() == {"new"}


def test_a_day_that_cannot_be_removed_is_told_and_stops_nobody(
    make: Callable[..., Store], monkeypatch: pytest.MonkeyPatch
) -> None:
    def refused(_file: object) -> None:
        raise OSError(30, "Read-only file system")

    store = make(retention_days=3)
    store.send(document("old", days_ago=3), document("new"))
    store.now_ns = store.passed_ns = NOW_NS + DAY_NS
    with monkeypatch.context() as broken:
        broken.setattr(store.folder, "remove", refused)
        store.writer._retained_at = float("-inf")
        store.writer.tick()
    assert "Read-only" in store.writer.removal.excess
    assert store.writer.failing == ""
    with store.intake.reserve(1):
        assert store.send(document("newer")) == [True]
    store.writer.removal.apply(store.writer.limits)
    assert store.writer.removal.excess == ""
    assert store.found() == {"new", "newer"}


def test_a_day_that_cannot_be_removed_keeps_no_other(
    make: Callable[..., Store], monkeypatch: pytest.MonkeyPatch
) -> None:
    store = make(retention_days=3)
    for tenant in ("a", "b", "c"):
        store.send(document(f"old of {tenant}", days_ago=3), tenant=tenant)
    store.writer.close()
    store.now_ns = store.passed_ns = NOW_NS + DAY_NS
    remove = store.folder.remove

    def refused(file: DayFile) -> None:
        if file.tenant == "a":
            raise PermissionError(1, "Operation not permitted")
        remove(file)

    monkeypatch.setattr(store.folder, "remove", refused)
    store.writer.removal.apply(store.writer.limits)
    assert [file.tenant for file in store.folder.files()] == ["a"]
    assert "not permitted" in store.writer.removal.excess


def test_what_is_left_of_a_removed_day_takes_no_log_of_a_new_one(
    make: Callable[..., Store], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The end of a removal may fail; what comes back as a day since then is another."""
    store = make(retention_bytes=10)
    store.send(document("old", days_ago=1))
    store.writer.close()
    path = store.folder.path("t", NOW_NS // DAY_NS - 1)

    def fails(_folder: Path) -> None:
        raise OSError(5, "Input/output error")

    with monkeypatch.context() as broken:
        broken.setattr(folder_module, "sync_folder", fails)
        store.writer.removal.apply(store.writer.limits)
    assert "Input/output" in store.writer.removal.excess
    assert not store.writer._grouped([_batch(document("again", days_ago=1))])
    day = DayWriter(path)  # of another run, which knows of no floor
    day.write([document("again", days_ago=1)])
    store.folder.remove_leftovers(0)
    assert day.log_bytes > 0
    day.close()
    assert not list(path.parent.glob("*.gone"))


def test_a_file_that_is_only_called_like_a_day_is_none(make: Callable[..., Store]) -> None:
    store = make(retention_days=3)
    store.send(document("new"))
    for name in ("20200101.db", "2020-W01-1.db"):
        (store.folder.root / "t" / name).write_bytes(b"mine")
    store.writer.removal.apply(store.writer.limits)
    assert (store.writer.removal.excess, len(store.folder.files())) == ("", 1)
    assert store.found() == {"new"}


def test_a_day_removed_for_its_bytes_stays_away(make: Callable[..., Store]) -> None:
    store = make(retention_bytes=10)
    store.send(document("old", days_ago=1), document("new"))
    store.writer.close()
    store.writer.removal.apply(store.writer.limits)
    assert store.found() == {"new"}
    assert "more than retention_bytes" in store.writer.removal.excess
    grouped = store.writer._grouped([_batch(document("again", days_ago=1))])
    assert not grouped


def test_a_full_queue_refuses_and_recovers(make: Callable[..., Store]) -> None:
    store = make(queue_bytes=1000)
    with store.intake.reserve(600) as first:
        with pytest.raises(Busy) as caught, store.intake.reserve(500):
            pass
        assert (caught.value.reason, caught.value.retry_after_seconds) == ("queue", 1)
        with pytest.raises(Busy), store.intake.reserve(300) as second:
            second.grow(500)
        assert store.intake.held_bytes == 600
        first.grow(900)
    assert store.intake.held_bytes == 0
    with store.intake.reserve(5000):  # alone: else a big body could never be taken
        assert store.intake.held_bytes == 5000


def test_low_disk_refuses_before_anything_is_taken_and_recovers(
    make: Callable[..., Store], monkeypatch: pytest.MonkeyPatch
) -> None:
    store = make(min_free_bytes=100)
    free = [99]
    monkeypatch.setattr(store.folder, "free_bytes", lambda: free[0])
    store.writer.tick()
    with pytest.raises(Busy, match="disk nearly full: 99 bytes free"), store.intake.reserve(1):
        pass
    free[0] = 100
    store.writer.tick()
    with store.intake.reserve(1):
        pass
    assert [kind for kind, _ in store.events] == ["store refusing", "store accepting"]


def test_a_full_database_acknowledges_nothing_and_recovers(
    make: Callable[..., Store], monkeypatch: pytest.MonkeyPatch
) -> None:
    store = make()
    store.send(document("before", "c.1.0"))
    day = store.writer._days["t", 20_780]
    (pages,) = day.connection.execute("PRAGMA page_count").fetchone()
    day.connection.execute(f"PRAGMA max_page_count = {pages}")
    sent = [document(f"word{n} {n}", f"c.1.{n:x}") for n in range(1, 3000)]
    with pytest.raises(Busy, match="full") as caught:
        store.send(*sent)
    assert caught.value.reason == "disk"
    assert "full" in store.writer.failing
    with pytest.raises(Busy), store.intake.reserve(1):
        pass
    monkeypatch.setattr(store.folder, "has_room", lambda _size: False)
    store.writer.tick()
    # Senders may try again, but health stays red until a commit succeeds.
    assert ("full" in store.writer.failing, store.intake.refusal) == (True, "")
    # The day is opened anew, without the limit: the same lines are new, not duplicates.
    assert store.send(*sent) == [True] * len(sent)
    assert len(store.found()) == 3000
    assert store.writer.failing == ""
    assert [kind for kind, _ in store.events] == ["store refusing", "store accepting"]


def test_a_log_that_cannot_be_moved_into_its_file_is_told(
    make: Callable[..., Store], monkeypatch: pytest.MonkeyPatch
) -> None:
    """SQLite ignores it: lines are taken, until the log has filled the disk."""

    def fails(_day: DayWriter) -> None:
        raise sqlite3.OperationalError("disk I/O error")

    monkeypatch.setattr(writer_module, "_LONG_LOG_BYTES", 1)
    monkeypatch.setattr(writer_module, "TICK_SECONDS", 60)
    store = make()
    assert store.send(document("a")) == [True]
    store.writer.tick()
    assert store.writer.growing == {}
    with monkeypatch.context() as broken:
        broken.setattr(DayWriter, "checkpoint", fails)
        assert store.send(document("b")) == [True]
        store.writer.tick()
    (why,) = store.writer.growing.values()
    assert "cannot be moved into it: disk I/O error" in why
    store.writer.tick()
    assert store.writer.growing == {}


def test_without_traffic_plenty_of_room_mends(
    make: Callable[..., Store], monkeypatch: pytest.MonkeyPatch
) -> None:
    store = make()
    store.writer.refuse("cannot write")
    monkeypatch.setattr(store.folder, "has_room", lambda _size: False)
    store.writer.tick()
    assert store.writer.failing
    monkeypatch.undo()
    store.writer.tick()
    assert not store.writer.failing


def test_one_poisoned_body_does_not_stop_the_others(make: Callable[..., Store]) -> None:
    store = make()
    good = _batch(document("good"))
    bad_document = document("bad")
    bad = _batch(type(bad_document)(bad_document.line, "\ud800", "", -1))
    store.writer.close()  # no thread: the group is ours to make
    store.writer._commit([good, bad])
    assert good.future.result(timeout=0) == [True]
    with pytest.raises(UnicodeEncodeError):
        bad.future.result(timeout=0)
    assert store.found() == {"good"}


def test_a_broken_day_file_is_named_and_the_others_go_on(make: Callable[..., Store]) -> None:
    store = make()
    store.folder.prepare("t")
    path = store.folder.path("t", 20_779)
    path.write_bytes(b"no database " * 1000)
    with pytest.raises(Busy, match="2026-11-22"):
        store.send(document("lost?", days_ago=1))
    assert list(store.writer.broken.told()) == [str(path)]
    assert store.send(document("fine")) == [True]
    path.unlink()
    assert store.send(document("lost?", days_ago=1)) == [True]
    assert store.writer.broken.told() == {}


def test_a_sender_that_went_away_costs_nothing(make: Callable[..., Store]) -> None:
    store = make()
    gone: Future[list[bool]] = store.intake.offer("t", [document("gone")])
    if gone.cancel():
        assert store.send(document("next")) == [True]
        assert store.found() == {"next"}


def test_days_are_closed_when_there_are_many(
    make: Callable[..., Store], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(writer_module, "_OPEN_DAYS", 2)
    store = make(retention_days=30)
    for days_ago in (0, 1, 2, 3, 0, 3):
        assert store.send(document(f"{days_ago}", f"c.1.{days_ago}", days_ago)) in ([True], [False])
    assert len(store.writer._days) == 2
    assert store.found() == {"0", "1", "2", "3"}


def test_a_thread_that_dies_tells_everyone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    store = Store(tmp_path)

    def broken(_batches: Sequence[object]) -> dict[object, object]:
        raise MemoryError

    monkeypatch.setattr(store.writer, "_grouped", broken)
    store.writer.start()
    with pytest.raises(MemoryError):
        store.send(document("x"))
    store.writer._thread.join(10)
    assert isinstance(store.writer.failure, MemoryError)
    with pytest.raises(Busy):
        store.intake.offer("t", [document("y")])


def test_two_stores_never_share_a_folder(tmp_path: Path) -> None:
    with (
        Folder(tmp_path).locked(),
        pytest.raises(Unavailable, match="is held by 'logstore pid"),
        Folder(tmp_path).locked(),
    ):
        pass
    with Folder(tmp_path).locked():
        pass


def test_connections_are_durable(tmp_path: Path) -> None:
    writer = DayWriter(tmp_path / "d.db")
    assert writer.connection.execute("PRAGMA synchronous").fetchone() == (2,)
    assert writer.connection.execute("PRAGMA journal_mode").fetchone() == ("wal",)
    writer.close()
    reader = sqlite3.connect(tmp_path / "d.db")
    assert reader.execute("PRAGMA integrity_check").fetchone() == ("ok",)
    reader.close()


def _batch(*sent: Document) -> writer_module.Batch:
    batch = writer_module.Batch("t", sent, stored=[False] * len(sent))
    assert batch.future.set_running_or_notify_cancel()
    return batch
