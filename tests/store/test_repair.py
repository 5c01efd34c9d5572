"""`logstore repair`: what can be read is kept, what is lost is told, nothing is made worse."""

import os
import random
import shutil
import signal
import sqlite3
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from logshipper.store.engine import swap
from logshipper.store.engine.day import DayWriter
from logshipper.store.keeping import pages, places, rebuild, repair
from logshipper.store.keeping.inspection import Inspection
from logshipper.store.keeping.repair import Repair
from logshipper.store.keeping.salvage import Salvage
from logshipper.store.model import LINE_BITS
from tests.store import damage
from tests.store.damage import DAY, sql, zeroed
from wharfinger.errors import Conflict, Unavailable

LINES = 3_500
STAMP = "20261126T070000Z"


@pytest.fixture(scope="module")
def sound(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("sound") / damage.NAME
    damage.write(path, LINES)
    return path


@pytest.fixture
def spoiled(sound: Path, tmp_path: Path) -> Path:
    path = tmp_path / damage.NAME
    shutil.copy(sound, path)
    return path


def repaired(path: Path, *, dry_run: bool = False) -> Repair:
    return repair.repair(places.moved(path), STAMP, dry_run=dry_run)


def assert_sound(path: Path, lines: int) -> None:
    report = Inspection(path, DAY, "").run()
    assert (report.lines, report.findings) == (lines, [])
    # It goes on as any other: new lines come in, known ones are known.
    writer = DayWriter(path)
    assert (
        writer.write([damage.document(9_000, "9.1.0"), damage.document(9_000, "9.1.0")])[1] is None
    )
    writer.close()
    assert Inspection(path, DAY, "").run().findings == []


def test_a_sound_file_is_left_alone(spoiled: Path) -> None:
    before = spoiled.read_bytes()
    done = repaired(spoiled)
    assert (done.findings, done.result, done.damaged) == ((), None, None)
    assert list(repair.told(done, dry_run=False)) == [f"{spoiled}: nothing is wrong with it"]
    assert spoiled.read_bytes() == before
    assert not list(spoiled.parent.glob(f"*{swap.DAMAGED}*"))


@pytest.mark.parametrize(
    "spoil",
    [
        sql("DROP TABLE line_index"),
        sql("DELETE FROM line_index_data WHERE id > 100"),
        sql("UPDATE roll SET count = count + 5 WHERE app = 'app1'"),
        sql("DROP TABLE roll"),
        sql("UPDATE block SET count = 1, levels = 0"),
        sql("UPDATE block SET first_ns = 0 WHERE id = 1"),
        sql("DROP TABLE part"),
        sql("DROP INDEX block_by_last"),
        sql("PRAGMA application_id = 99"),
        zeroed(1),
        lambda path: zeroed(damage.root_of(path, "block"))(path),
        lambda path: zeroed(damage.root_of(path, "line_index_data"))(path),
        lambda path: zeroed(damage.root_of(path, "block_by_last"))(path),
        lambda path: zeroed(damage.root_of(path, "roll"))(path),
        lambda path: zeroed(damage.root_of(path, "source"))(path),
    ],
)
def test_what_can_be_made_from_the_blocks_is_made_and_no_sealed_line_is_lost(
    spoiled: Path, spoil: Callable[[Path], None]
) -> None:
    sent = damage.messages(spoiled)
    spoil(spoiled)
    before = spoiled.read_bytes()
    done = repaired(spoiled)
    assert done.result is not None
    kept = damage.messages(spoiled)
    assert kept[:3_000] == sent[:3_000]
    assert set(kept) <= set(sent)
    assert len(kept) == done.result.kept
    assert done.result.lost == LINES - len(kept)
    assert done.damaged is not None
    assert done.damaged.read_bytes() == before
    assert_sound(spoiled, done.result.kept)


@pytest.mark.parametrize("number", [0, 2])
def test_lines_of_a_block_that_is_lost_are_counted_and_dated(spoiled: Path, number: int) -> None:
    sent = damage.messages(spoiled)
    sql(f"UPDATE block SET body = substr(body, 1, 500) WHERE id = {number}")(spoiled)
    done = repaired(spoiled)
    assert done.result is not None
    assert (done.result.kept, done.result.lost, done.result.is_exact) == (LINES - 1000, 1000, True)
    (gap,) = done.result.gaps
    assert (gap.number, gap.lines) == (number, 1000)
    told = "\n".join(repair.told(done, dry_run=False))
    first = f"2026-11-23T00:{number * 500 // 60:02}"
    assert f"block {number}: 1,000 lines lost from {first}" in told
    assert f"1,000 lines between {first}Z and 2026-11-23T" in told
    assert damage.messages(spoiled) == sent[: number * 1000] + sent[number * 1000 + 1000 :]
    assert_sound(spoiled, LINES - 1000)


def test_a_dry_run_says_the_same_and_writes_nothing(spoiled: Path) -> None:
    sql("UPDATE block SET head = zeroblob(8) WHERE id = 1")(spoiled)
    before = spoiled.read_bytes()
    planned = repaired(spoiled, dry_run=True)
    assert spoiled.read_bytes() == before
    assert not list(spoiled.parent.glob(f"*{swap.DAMAGED}*"))
    done = repaired(spoiled)
    assert planned.result == done.result
    assert "would be kept" in next(iter(repair.told(planned, dry_run=True)))


def test_any_page_may_be_lost(sound: Path, tmp_path: Path) -> None:
    """Whichever page is zeroed: the file becomes sound, and every line is kept or counted."""
    sent = damage.messages(sound)
    dice = random.Random(7)
    count = sound.stat().st_size // damage.PAGE
    for at in [1, 2, 3, *dice.sample(range(4, count + 1), 10)]:
        path = tmp_path / str(at) / damage.NAME
        path.parent.mkdir()
        shutil.copy(sound, path)
        zeroed(at)(path)
        done = repaired(path)
        if done.result is None:
            continue  # a page that is free
        kept = damage.messages(path)
        assert set(kept) <= set(sent)
        assert len(set(kept)) == len(kept)
        if done.result.has_roll:
            assert done.result.lost == LINES - len(kept), at
        assert Inspection(path, DAY, "").run().findings == []


def test_flipped_bits_are_survived(sound: Path, tmp_path: Path) -> None:
    sent = damage.messages(sound)
    for seed in range(7):
        dice = random.Random(seed)
        path = tmp_path / str(seed) / damage.NAME
        path.parent.mkdir()
        data = bytearray(sound.read_bytes())
        for _ in range(seed + 1):
            data[dice.randrange(len(data))] ^= 1 << dice.randrange(8)
        path.write_bytes(data)
        repaired(path)
        assert set(damage.messages(path)) <= set(sent)
        assert Inspection(path, DAY, "").run().findings == []


def test_lines_in_the_log_alone_are_kept(tmp_path: Path) -> None:
    """A process that was killed leaves its last lines in the -wal; the file itself may be torn."""
    path = tmp_path / damage.NAME
    writer = DayWriter(path)
    writer.connection.execute("PRAGMA wal_autocheckpoint = 0")
    for n in range(4):
        writer.write([damage.document(n * 1000 + each) for each in range(1000)])
    other = tmp_path / "killed"
    other.mkdir()
    for name in (damage.NAME, f"{damage.NAME}-wal"):
        shutil.copy(tmp_path / name, other / name)
    sent = damage.messages(path)
    writer.close()
    path = other / damage.NAME
    zeroed(1)(path)  # its only page: all else is in the log
    log = (other / f"{damage.NAME}-wal").read_bytes()
    sql("UPDATE block SET levels = 0 WHERE id = 1")  # not applied: SQLite would checkpoint
    with Salvage(path) as salvage:
        kept = [t for row in salvage.blocks() if row.body is not None for t in row.body.messages]
    assert kept == sent
    done = repaired(path)
    if done.result is not None:
        assert done.damaged is not None
        assert done.damaged.with_name(done.damaged.name + "-wal").read_bytes() == log
    assert damage.messages(path) == sent
    assert_sound(path, 4000)


def test_a_log_of_another_file_hides_nothing(tmp_path: Path, spoiled: Path) -> None:
    other = tmp_path / "other" / damage.NAME
    other.parent.mkdir()
    writer = DayWriter(other)
    writer.connection.execute("PRAGMA wal_autocheckpoint = 0")
    writer.write([damage.document(100_000 + n) for n in range(300)])
    sent = damage.messages(spoiled)
    shutil.copy(f"{other}-wal", f"{spoiled}-wal")
    writer.close()
    done = repaired(spoiled)
    assert done.result is not None
    assert set(sent) <= set(damage.messages(spoiled))
    assert Inspection(spoiled, DAY, "").run().findings == []


def test_a_file_of_which_nothing_is_left_stays_as_it_is(tmp_path: Path) -> None:
    for content in (b"", b"x" * 100_000, bytes(50_000), b"SQLite format 3\0" + bytes(9_000)):
        path = tmp_path / damage.NAME
        path.write_bytes(content)
        with pytest.raises(Unavailable, match="as it was: no line of it can be read"):
            repaired(path)
        assert path.read_bytes() == content
        assert list(tmp_path.iterdir()) == [path]


def test_a_file_of_a_later_version_stays_as_it_is(spoiled: Path) -> None:
    sql("PRAGMA user_version = 99")(spoiled)
    before = spoiled.read_bytes()
    with pytest.raises(Unavailable, match="is of a later version of this store"):
        repaired(spoiled)
    assert spoiled.read_bytes() == before


def test_with_no_room_the_file_stays_as_it_is(
    spoiled: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    zeroed(damage.root_of(spoiled, "block"))(spoiled)
    before = spoiled.read_bytes()

    def full(*_: object) -> None:
        raise sqlite3.OperationalError("database or disk is full")

    monkeypatch.setattr(rebuild.words, "insert", full)
    with pytest.raises(Unavailable, match="as it was: database or disk is full"):
        repaired(spoiled)
    assert spoiled.read_bytes() == before
    assert not list(spoiled.parent.glob(f"*{swap.REPAIRED}*"))


def killed(work: Callable[[], object], names: tuple[str, ...], left: int) -> bool:
    """Works in a process that dies at its call number `left` of these that change a folder."""
    pid = os.fork()
    if pid == 0:
        calls = 0

        def dying(real: Callable[..., Any]) -> Callable[..., Any]:
            def call(*given: Any, **named: Any) -> Any:
                nonlocal calls
                calls += 1
                if calls > left:
                    os.kill(os.getpid(), signal.SIGKILL)
                return real(*given, **named)

            return call

        for name in names:
            setattr(os, name, dying(getattr(os, name)))
        try:
            work()
        finally:
            os._exit(0)
    _, status = os.waitpid(pid, 0)
    return os.WIFSIGNALED(status)


@pytest.mark.parametrize("log", [b"", b"a log with lines in it"])
def test_killed_anywhere_while_files_change_places_one_is_there_whole(
    tmp_path: Path, log: bytes
) -> None:
    def beside(path: Path) -> bytes:
        file = path.with_name(f"{path.name}-wal")
        return file.read_bytes() if file.exists() else b""

    kills = 0
    for left in range(60):
        path = tmp_path / str(left) / damage.NAME
        path.parent.mkdir()
        path.write_bytes(b"old")
        if log:
            path.with_name(f"{path.name}-wal").write_bytes(log)
        new, kept = swap.staged(path, STAMP), swap.kept(path, STAMP)
        new.write_bytes(b"new")
        work = partial(swap.swap, path, new, STAMP)
        if not killed(work, ("link", "unlink", "rename", "fsync"), left):
            break
        kills += 1
        old = path if path.exists() and path.read_bytes() == b"old" else kept
        assert (old.read_bytes(), beside(old)) == (b"old", log), left
        swap.finish(path)
        if path.read_bytes() == b"new":
            assert (kept.read_bytes(), beside(kept), beside(path)) == (b"old", log, b""), left
        else:
            assert (path.read_bytes(), beside(path)) == (b"old", log), left
            swap.sweep(path)
        assert not list(path.parent.glob(f"*{swap.REPAIRED}*"))
    assert kills >= 8
    assert (path.read_bytes(), beside(path), kept.read_bytes()) == (b"new", b"", b"old")
    assert beside(kept) == log


@pytest.mark.parametrize("left", [0, 3, 6])
def test_killed_while_it_is_made_anew_the_file_is_as_it_was(spoiled: Path, left: int) -> None:
    zeroed(damage.root_of(spoiled, "line_index_data"))(spoiled)
    before = spoiled.read_bytes()
    assert killed(partial(repaired, spoiled), ("unlink", "rename", "fsync"), left)
    assert spoiled.read_bytes() == before
    assert repaired(spoiled).damaged is not None
    assert len(damage.messages(spoiled)) == LINES
    assert not list(spoiled.parent.glob(f"*{swap.REPAIRED}*"))


def test_a_day_that_began_anew_during_an_interrupted_repair_is_not_overwritten(
    spoiled: Path,
) -> None:
    shutil.copy(spoiled, swap.kept(spoiled, STAMP))
    shutil.copy(spoiled, swap.staged(spoiled, STAMP))
    with pytest.raises(Conflict, match="move that away"):
        repaired(spoiled)
    assert len(damage.messages(spoiled)) == LINES


def test_ids_of_lines_that_are_lost_are_given_to_no_others(tmp_path: Path) -> None:
    path = tmp_path / damage.NAME
    damage.write(path, 3_500)
    sql("DELETE FROM block WHERE id >= 2", "DELETE FROM part")(path)
    for _ in range(2):  # an id stays lost when the file is repaired once more
        done = repaired(path)
        assert done.damaged is not None
        done.damaged.unlink()
        sql("UPDATE roll SET count = count + 1")(path)
    repaired(path)
    writer = DayWriter(path)
    assert writer.write([damage.document(9_000)]) == [4 << LINE_BITS]
    writer.close()
    assert Inspection(path, DAY, "").run().findings == []


def test_pages_of_nonsense_are_passed_over() -> None:
    dice = random.Random(3)
    for _ in range(200):
        data = bytearray(dice.randbytes(damage.PAGE * 3))
        for at in range(0, len(data), damage.PAGE):
            data[at] = 0x0D
            data[at + 3 : at + 5] = dice.randrange(60).to_bytes(2, "big")
        view = pages.Pages(bytes(data), b"", {}, damage.PAGE)
        for place, _, _ in view.rows():
            try:
                view.values(place)
            except ValueError:
                continue
    assert pages.wal_pages(b"nonsense" * 99, damage.PAGE) == {}
    assert pages.page_size(b"", b"") == damage.PAGE
