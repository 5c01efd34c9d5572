"""Files that rotted, were cut, moved or mixed up: said so, and nothing else suffers."""

import errno
import random
import shutil
import sqlite3
from collections.abc import Callable
from pathlib import Path

import pytest

from logshipper.store.engine import schema, wal
from logshipper.store.engine.day import DayWriter
from logshipper.store.engine.folder import Folder
from logshipper.store.lines import documents
from logshipper.store.lines.times import DAY_NS, Arrival
from logshipper.store.model import Busy, Document
from tests.stack.storecheck import check_file, check_index, check_lines, found
from tests.stack.storelife import TODAY, Body, Life
from wharfinger.errors import Unavailable

DAY_START_NS = TODAY * DAY_NS
PAGE = 4096


def lines(first: int, count: int, day: int = TODAY) -> list[Document]:
    time_ns = day * DAY_NS + DAY_NS // 2
    return [
        documents.document(
            {"message": f"word{n} of {n * 7919 % 10007}", "time": time_ns + n, "app": "shop"},
            f"c.1.{n * 97:x}",
            Arrival.of(time_ns),
        )
        for n in range(first, first + count)
    ]


def messages(sent: list[Document]) -> set[str]:
    return {document.line.message for document in sent}


def killed(root: Path, *bodies: list[Document], day: int = TODAY, tenant: str = "t") -> Path:
    """A day file as a kill leaves it, with a log of as many transactions."""
    folder = Folder(root)
    folder.prepare(tenant)
    path, apart = folder.path(tenant, day), root / "apart"
    apart.mkdir(exist_ok=True)
    alive = apart / path.name
    writer = DayWriter(alive)
    for body in bodies:
        writer.write(body)
    for suffix in ("", "-wal"):
        shutil.copyfile(f"{alive}{suffix}", f"{path}{suffix}")
    writer.close()
    shutil.rmtree(apart)
    return path


@pytest.fixture
def closed(tmp_path: Path) -> Path:
    """A day file of 3,000 lines that was closed."""
    folder = Folder(tmp_path)
    folder.prepare("t")
    writer = DayWriter(folder.path("t", TODAY))
    for at in range(0, 3000, 500):
        writer.write(lines(at, 500))
    writer.close()
    return writer.path


@pytest.mark.parametrize("seed", range(4))
def test_a_flipped_bit_changes_no_line_in_silence(closed: Path, seed: int) -> None:
    dice, good = random.Random(seed), closed.read_bytes()
    expected = messages(lines(0, 3000))
    said = 0
    for _ in range(40):
        content = bytearray(good)
        content[dice.randrange(len(content))] ^= 1 << dice.randrange(8)
        closed.write_bytes(content)
        try:
            assert set(found(Folder(closed.parents[1]), "t")) == expected
        except Unavailable:
            said += 1
    assert said


@pytest.mark.parametrize(
    ("text", "damaged"),
    [(b"USING fts5", b"USING \xe6ts5"), (b"count INTEGER NOT NULL", b"count INTEGER NOT NU\xccL")],
)
def test_a_damaged_schema_is_said_although_it_is_no_text(
    closed: Path, text: bytes, damaged: bytes
) -> None:
    """SQLite quotes it in its message, which Python then cannot decode."""
    content = closed.read_bytes()
    assert text in content
    closed.write_bytes(content.replace(text, damaged, 1))
    with pytest.raises(Unavailable, match=closed.name):
        found(Folder(closed.parents[1]), "t", "word7")
    life = Life(closed.parents[1])
    with pytest.raises(Busy, match=closed.name):
        life.send(Body("t", 0, "a", 0, 3))
    life.close()


def test_a_line_of_no_known_stream_is_damage(closed: Path) -> None:
    connection = sqlite3.connect(closed)
    connection.execute("UPDATE stream SET id = 77")
    connection.commit()
    connection.close()
    with pytest.raises(Unavailable, match=closed.name):
        found(Folder(closed.parents[1]), "t")


@pytest.mark.parametrize(
    "damage",
    [
        lambda content: b"",
        lambda content: content[: len(content) // 2],
        lambda content: content[: 3 * PAGE],
        lambda content: bytes(PAGE) + content[PAGE:],
        lambda content: b"no database " * 500,
        lambda content: content[:PAGE] + bytes(len(content) - PAGE),
    ],
)
def test_a_cut_or_zeroed_file_is_refused_and_left_as_it_is(
    closed: Path, damage: Callable[[bytes], bytes]
) -> None:
    content = damage(closed.read_bytes())
    closed.write_bytes(content)
    life = Life(closed.parents[1])
    with pytest.raises(Busy, match=closed.name):
        life.send(Body("t", 0, "a", 0, 3))
    assert closed.name in life.why
    life.send(Body("t", -1, "b", 0, 3))  # other days go on
    life.close()
    assert closed.read_bytes() == content
    assert set(found(Folder(closed.parents[1]), "u")) == set()


def test_a_torn_end_of_a_log_is_no_damage(tmp_path: Path) -> None:
    bodies = [lines(n * 20, 20) for n in range(4)]
    path = killed(tmp_path, *bodies)
    log = path.with_name(f"{path.name}-wal")
    log.write_bytes(log.read_bytes()[:-600])
    writer = DayWriter(path)
    assert writer.write(bodies[3]) != [None] * 20
    writer.close()
    assert not Folder(tmp_path).strays()
    everything = messages([document for body in bodies for document in body])
    check_lines(tmp_path, "t", everything, everything)
    check_index(tmp_path, "t", everything)


def test_damage_in_the_middle_of_a_log_is_told_and_kept(tmp_path: Path) -> None:
    """SQLite takes the first bad page for the end, and would write over what is behind it."""
    bodies = [lines(n * 20, 20) for n in range(4)]
    path = killed(tmp_path, *bodies)
    log = path.with_name(f"{path.name}-wal")
    content = _spoiled(log, path, 2)
    writer = DayWriter(path)
    (told,) = Folder(tmp_path).strays()
    assert told == f"{log}.damaged"
    assert Path(told).read_bytes() == content
    # What was lost is taken again when somebody still has it.
    for body in bodies:
        writer.write(body)
    writer.close()
    check_file(path)
    everything = messages([document for body in bodies for document in body])
    check_lines(tmp_path, "t", everything, everything)
    check_index(tmp_path, "t", everything)


def _spoiled(log: Path, path: Path, transaction: int) -> bytes:
    """Flips a bit in a transaction of a log; what the log holds then."""
    content = bytearray(log.read_bytes())
    page = [at for at, frame in enumerate(wal._frames(path)) if frame.ends][transaction]
    content[32 + page * (24 + PAGE) + 100] ^= 1
    log.write_bytes(content)
    return bytes(content)


def test_without_room_for_a_copy_of_a_damaged_log_it_stays_as_it_is(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """SQLite deletes a log with the last connection: what it could not read would be lost."""
    path = killed(tmp_path, *(lines(n * 20, 20) for n in range(4)))
    log = path.with_name(f"{path.name}-wal")
    content = _spoiled(log, path, 2)

    def full(source: Path, target: Path) -> None:
        target.write_bytes(source.read_bytes()[:5_000])
        raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as disk:
        disk.setattr(shutil, "copyfile", full)
        for _ in range(2):
            with pytest.raises(OSError, match="No space"):
                DayWriter(path)
            assert log.read_bytes() == content
            assert not Folder(tmp_path).strays()
    DayWriter(path).close()
    (told,) = Folder(tmp_path).strays()
    assert Path(told).read_bytes() == content


def test_every_damaged_log_is_kept_and_each_once(tmp_path: Path) -> None:
    (tmp_path / "first").mkdir()
    contents = []
    for first in (0, 100):
        made = killed(tmp_path / "first", *(lines(first + n * 20, 20) for n in range(4)))
        path = tmp_path / "t" / made.name
        path.parent.mkdir(exist_ok=True)
        for suffix in ("", "-wal"):
            shutil.move(f"{made}{suffix}", f"{path}{suffix}")
        contents.append(_spoiled(Path(f"{path}-wal"), path, 2))
        for _ in range(2):  # killed before it has written, and started again
            other = DayWriter(path)
            left = [Path(f"{path}{suffix}").read_bytes() for suffix in ("", "-wal")]
            other.close()
            for suffix, content in zip(("", "-wal"), left, strict=True):
                Path(f"{path}{suffix}").write_bytes(content)
    assert [Path(told).read_bytes() for told in sorted(Folder(tmp_path).strays())] == contents


def test_every_log_that_lost_its_file_is_kept(tmp_path: Path) -> None:
    contents = []
    for first in (0, 100):
        path = killed(tmp_path, lines(first, 30))
        contents.append(Path(f"{path}-wal").read_bytes())
        path.unlink()
        DayWriter(path).close()
        path.unlink()
    assert [Path(told).read_bytes() for told in sorted(Folder(tmp_path).strays())] == contents


def test_the_log_of_another_day_is_not_believed(tmp_path: Path) -> None:
    other = killed(tmp_path, lines(500, 50, TODAY - 1), day=TODAY - 1)
    path = killed(tmp_path, lines(0, 30))
    assert Path(f"{path}-wal").read_bytes() != Path(f"{other}-wal").read_bytes()
    shutil.copyfile(f"{other}-wal", f"{path}-wal")
    contents = [Path(f"{path}{suffix}").read_bytes() for suffix in ("", "-wal")]
    life = Life(tmp_path)
    with pytest.raises(Busy, match="of another"):
        life.send(Body("t", 0, "a", 0, 3))
    life.close()
    assert [Path(f"{path}{suffix}").read_bytes() for suffix in ("", "-wal")] == contents


def test_a_log_without_its_file_is_kept_for_it(tmp_path: Path) -> None:
    path = killed(tmp_path, lines(0, 30))
    log, moved = path.with_name(f"{path.name}-wal"), tmp_path / "moved.db"
    path.rename(moved)
    life = Life(tmp_path)
    assert f"{log} is without its day file" in life.why
    life.send(Body("t", 0, "a", 0, 3))
    assert f"{log}.orphan" in life.why
    life.close()
    check_file(path)
    assert set(found(Folder(tmp_path), "t")) == set(Body("t", 0, "a", 0, 3).words())
    path.unlink()
    moved.rename(path)
    Path(f"{log}.orphan").rename(log)
    assert set(found(Folder(tmp_path), "t")) == messages(lines(0, 30))


@pytest.mark.parametrize("removed", [("",), ("", "-wal", "-shm"), ("-wal",)])
def test_nothing_is_acknowledged_into_a_file_that_was_removed(
    tmp_path: Path, removed: tuple[str, ...]
) -> None:
    life = Life(tmp_path)
    life.send(Body("t", 0, "a", 0, 3))
    for suffix in removed:
        Path(f"{Folder(tmp_path).path('t', TODAY)}{suffix}").unlink()
    with pytest.raises(Busy):
        life.send(Body("t", 0, "a", 3, 3))
    life.tick()
    life.send(Body("t", 0, "a", 3, 3))
    life.close()
    there = set(found(Folder(tmp_path), "t"))
    kept = set(Body("t", 0, "a", 0, 3).words()) if removed == ("-wal",) else set()
    assert there == kept | set(Body("t", 0, "a", 3, 3).words())


def test_a_file_put_back_while_another_has_its_name(tmp_path: Path) -> None:
    life, path = Life(tmp_path), Folder(tmp_path).path("t", TODAY)
    life.send(Body("t", 0, "a", 0, 3))
    path.rename(tmp_path / "first.db")
    other = sqlite3.connect(path)
    other.execute("CREATE TABLE mine (x)")
    other.close()
    for _ in range(3):
        with pytest.raises(Busy):
            life.send(Body("t", 0, "a", 3, 3))
        life.tick()
    assert "no file of this store" in life.why
    life.close()
    other = sqlite3.connect(path)
    assert other.execute("SELECT name FROM sqlite_master").fetchall() == [("mine",)]
    other.close()


def test_two_writers_do_not_write_over_each_other(tmp_path: Path) -> None:
    """The folder's lock keeps them apart; should somebody have removed it, lines are safe."""
    Folder(tmp_path).prepare("t")
    path = Folder(tmp_path).path("t", TODAY)
    bodies = [lines(n * 20, 20) for n in range(4)]
    one, other = DayWriter(path), DayWriter(path)
    one.write(bodies[0])
    with pytest.raises(Unavailable, match="somebody else"):
        other.write(bodies[1])
    other.close()
    other = DayWriter(path)
    assert None not in other.write(bodies[1])
    with pytest.raises(Unavailable, match="somebody else"):
        one.write(bodies[2])
    one.close()
    assert None not in other.write(bodies[2])
    assert other.write(bodies[0]) == [None] * 20
    other.close()
    everything = messages([document for body in bodies[:3] for document in body])
    check_lines(tmp_path, "t", everything, everything)
    check_index(tmp_path, "t", everything)
    check_file(path)


def test_a_crash_in_the_middle_of_making_or_removing_a_file(tmp_path: Path) -> None:
    path = killed(tmp_path, lines(0, 30))
    gone = killed(tmp_path, lines(0, 30, TODAY - 1), day=TODAY - 1)
    gone.rename(gone.with_name(f"{gone.name}.gone"))
    staged = path.with_name("2026-11-25.db.new")
    staged.write_bytes(b"half")
    staged.with_name(f"{staged.name}-journal").write_bytes(b"half")
    life = Life(tmp_path)
    assert not life.why
    life.close()
    assert sorted(file.name for file in path.parent.iterdir()) == [path.name, f"{path.name}-wal"]


def test_a_file_is_made_whole_or_not_at_all(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(_path: Path) -> None:
        raise OSError(28, "no space left")

    monkeypatch.setattr(schema, "sync_file", full)
    with pytest.raises(OSError, match="no space"):
        schema.open_for_writing(tmp_path / "2026-11-23.db")
    assert [file.name for file in tmp_path.iterdir()] == ["2026-11-23.db.new"]
    monkeypatch.undo()
    schema.open_for_writing(tmp_path / "2026-11-23.db").close()
    check_file(tmp_path / "2026-11-23.db")
