"""A tail above a disk that fails, a retention that is faster, and lives that end in between."""

import errno
import gzip
import os
import random
from collections.abc import Iterator
from pathlib import Path

import pytest

from logshipper import logfile
from logshipper.folder import LogFolder
from logshipper.logfile import PlainFile
from logshipper.model import Position, Progress
from logshipper.spool import Spool
from logshipper.tail import Tail
from tests.logshipper.dockerlog import CONTAINER, DockerLog, records
from tests.logshipper.test_tail import READERS, Reader


@pytest.fixture
def log(tmp_path: Path) -> Iterator[DockerLog]:
    yield DockerLog(tmp_path / "containers", max_files=3)
    while READERS:
        READERS.pop().tail.close()


@pytest.fixture
def spool(tmp_path: Path) -> Iterator[Spool]:
    opened = Spool(tmp_path / "spool", 2**30)
    yield opened
    opened.close()


def broken(*_: object) -> bytes:
    raise OSError(errno.EIO, os.strerror(errno.EIO))


def descriptors() -> int:
    return len(list(Path("/proc/self/fd").iterdir()))


def spooled(spool: Spool, reader: Reader, acknowledged: Position | None) -> int:
    def store(file: logfile.LogFile, *, start: int, gap: bool, line: bytes) -> object:
        return spool.store(CONTAINER, file, start=start, gap=gap, line=line, route=None)

    return reader.tail.spool_deleted(store, acknowledged)  # type: ignore[arg-type]


def delete(log: DockerLog, *, compress: bool = False) -> None:
    """Rotates until Docker has deleted all that was written so far."""
    for _ in range(log.max_files):
        log.rotate(compress=compress)
        log.write("later")


def test_a_copy_begins_at_what_is_acknowledged_and_ends_at_the_files_end(
    log: DockerLog, spool: Spool
) -> None:
    log.write_numbered(100)
    reader = Reader(log)
    reader.tail.look()
    chunk = reader.step()
    assert chunk is not None
    [length] = {len(each) for each in chunk.data.splitlines()}
    middle = Position(0, 40 * (length + 1))
    for number in range(3):
        log.rotate()
        log.write(f"later {number}")
        reader.tail.look()
    assert spooled(spool, reader, middle) > 0
    [first, *_] = spool.of(CONTAINER)
    assert (first.start, first.size()) == (middle.offset, chunk.end.offset)
    assert first.pread(first.start, 2**20) == chunk.data[middle.offset :]
    # A life that ends now reads what was on its way from the copy, and under the same ids.
    saved = reader.tail.saved(Progress(middle))
    before = dict(reader.found)
    reader.tail.close()
    spool.close()
    again = Spool(spool._folder, 2**30)
    later = Reader(log, saved)
    later.tail = Tail(str(log.folder), log.base, saved=saved, spooled=again.of(CONTAINER))
    assert later.read() == log.written[40:]
    assert before.items() >= {k: v for k, v in later.found.items() if k in before}.items()
    assert len(later.found.keys() & before.keys()) == 60
    assert later.losses == []
    later.tail.close()
    again.close()


def test_a_segment_that_is_acknowledged_does_not_come_again_under_another_id(
    log: DockerLog, spool: Spool
) -> None:
    """A life that ends before it could delete it, when the file behind it is gone as well."""
    log.max_files = 2
    reader = Reader(log)
    for _ in range(2):
        log.write("one")
        log.rotate()
        reader.tail.look()
    assert spooled(spool, reader, None) > 0
    assert reader.step() is not None
    assert reader.step() is not None
    saved = reader.saved()
    log.write("two")
    log.rotate()
    reader.tail.close()
    spool.close()
    again = Spool(spool._folder, 2**30)
    later = Reader(log, saved)
    later.tail = Tail(str(log.folder), log.base, saved=saved, spooled=again.of(CONTAINER))
    assert later.read() == ["two"]
    again.release({CONTAINER: later.saved()})  # type: ignore[dict-item]
    assert again.of(CONTAINER) == []
    later.tail.close()
    again.close()


def test_what_was_read_and_not_acknowledged_waits_as_well(log: DockerLog) -> None:
    """Docker may delete it while nobody reads: then it is lost, and must be counted."""
    log.write_numbered(100)
    size = log.path.stat().st_size
    reader = Reader(log)
    reader.read()
    log.rotate()
    log.write("next")
    reader.read()
    half = Position(0, size // 2)
    saved = reader.tail.saved(Progress(half))
    assert saved.waiting_bytes == size - half.offset + log.path.stat().st_size
    reader.tail.close()
    log.max_files = 2
    delete(log)
    after = Reader(log, saved)
    after.read()
    there = sum(path.stat().st_size for path in log.folder.iterdir())
    assert sum(each.size_bytes for each in after.losses) == saved.waiting_bytes - there


def test_an_acknowledgement_counts_though_the_disk_fails(
    log: DockerLog, monkeypatch: pytest.MonkeyPatch
) -> None:
    log.write("one")
    reader = Reader(log)
    reader.read()
    assert reader.progress is not None
    monkeypatch.setattr(PlainFile, "pread", broken)
    assert reader.tail.saved(reader.progress).progress == reader.progress


def test_a_disk_that_fails_at_the_beginning_costs_no_segment_and_no_descriptor(
    log: DockerLog, spool: Spool, monkeypatch: pytest.MonkeyPatch
) -> None:
    log.write_numbered(10)
    reader = Reader(log)
    reader.tail.look()
    delete(log)
    reader.tail.look()
    assert spooled(spool, reader, None) > 0
    reader.tail.close()
    again = Spool(spool._folder, 2**30)
    next_life = Reader(log)
    next_life.tail = Tail(str(log.folder), log.base, spooled=again.of(CONTAINER))
    there = descriptors()
    with monkeypatch.context() as patched:
        patched.setattr(PlainFile, "pread", broken)
        for _ in range(3):
            with pytest.raises(OSError, match="Input/output"):
                next_life.tail.look()
    assert descriptors() == there
    assert next_life.read() == log.written


def test_a_disk_that_fails_while_files_are_compared_costs_no_descriptor(
    log: DockerLog, monkeypatch: pytest.MonkeyPatch
) -> None:
    log.max_files = 2
    log.write_numbered(10)
    reader = Reader(log)
    reader.read()
    delete(log)
    there = descriptors()
    with monkeypatch.context() as patched:
        patched.setattr(PlainFile, "pread", broken)
        for _ in range(3):
            with pytest.raises(OSError, match="Input/output"):
                reader.tail.look()
    assert descriptors() == there
    assert "later" in reader.read()


def test_a_damaged_archive_that_docker_deletes_is_told_and_stops_nobody(
    log: DockerLog, spool: Spool
) -> None:
    log.write_numbered(2000)
    log.rotate(compress=True)
    archive = log.folder / f"{log.base}.1.gz"
    archive.write_bytes(archive.read_bytes()[:10] + bytes(500))
    log.write("next")
    reader = Reader(log)
    reader.tail.look()
    archive.unlink()
    spooled(spool, reader, None)
    assert spool.of(CONTAINER) == []
    assert reader.read() == ["next"]
    assert [loss.reason for loss in reader.losses] == ["corrupt"]


@pytest.mark.parametrize("place", [0.01, 0.3, 0.6, 0.9])
@pytest.mark.parametrize("junk", [b"", bytes(100), b"\xff" * 100], ids=["gap", "nul", "ones"])
def test_an_archive_that_is_damaged_within_is_a_counted_loss(
    log: DockerLog, place: float, junk: bytes
) -> None:
    """A container may write such a file, too: it must not stop the shipper for all others."""
    rng = random.Random(7)
    log.write(*(f"line {rng.randrange(10**9)}" for _ in range(5000)))
    log.rotate(compress=True)
    archive = log.folder / f"{log.base}.1.gz"
    data = archive.read_bytes()
    at = int(len(data) * place)
    archive.write_bytes(data[:at] + junk + data[at + 100 :])
    log.write("next")
    reader = Reader(log)
    assert reader.read()[-1] == "next"
    assert {loss.reason for loss in reader.losses} == {"corrupt"}


def test_what_docker_has_compressed_is_not_lost_beyond_the_limit(log: DockerLog) -> None:
    log.max_files = 9
    reader = Reader(log, hold=0)
    log.write("first")
    reader.tail.look()
    for _ in range(5):
        log.write_numbered(200)
        log.rotate(compress=True)
        log.write("later")
        reader.tail.look()
        reader.tail.hold_at_most(0)
    assert reader.tail.deleted_bytes == 0
    assert reader.read() == log.written
    assert reader.losses == []


def test_an_archive_of_the_same_beginning_that_is_another_is_not_taken(log: DockerLog) -> None:
    log.write_numbered(200)
    reader = Reader(log, hold=0)
    reader.tail.look()
    log.rotate(compress=True)
    archive = log.folder / f"{log.base}.1.gz"
    head = b"\n".join(gzip.decompress(archive.read_bytes()).split(b"\n")[:3]) + b"\n"
    archive.write_bytes(gzip.compress(head))
    log.write("later")
    reader.tail.look()
    reader.tail.hold_at_most(0)
    assert [loss.reason for loss in reader.tail.losses()] == ["rotated"]


def test_nothing_is_let_go_while_nobody_can_say_what_docker_has(
    log: DockerLog, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object) -> int:
        raise OSError(errno.EMFILE, os.strerror(errno.EMFILE))

    log.write_numbered(100)
    reader = Reader(log, hold=0)
    reader.tail.look()
    log.rotate(compress=True)
    log.write("later")
    reader.tail.look()
    with monkeypatch.context() as patched:
        patched.setattr("logshipper.folder.open_folder", full)
        with pytest.raises(OSError, match="Too many open files"):
            reader.tail.hold_at_most(0)
    assert reader.read() == log.written


@pytest.mark.parametrize("how", ["hold", "spool"])
def test_what_goes_on_behind_a_file_that_was_lost_is_not_joined(
    log: DockerLog, spool: Spool, how: str
) -> None:
    log.max_files = 2
    parts = records("a" * 16_384 + "b" * 16_384 + "c\n", number=1)
    log.append(parts[0])
    reader = Reader(log)
    reader.tail.look()
    assert reader.step() is not None
    for part in parts[1:]:
        log.rotate()
        log.append(part)
        reader.tail.look()
    log.rotate()
    log.write("next")
    reader.tail.look()
    lost = len(parts[1])
    if how == "hold":
        reader.tail.hold_at_most(0)
    else:
        assert spooled(spool, reader, None) > 0
        [*_, middle] = spool.of(CONTAINER)
        reader.tail.drop_spooled(middle)
    assert reader.read() == ["a" * 16_384, "c", "next"]
    assert sum(loss.size_bytes for loss in reader.losses) == lost


def test_a_copy_remembers_that_something_before_it_was_lost(log: DockerLog, spool: Spool) -> None:
    log.max_files = 2
    reader = Reader(log)
    for part in records("a" * 16_384 + "b" * 16_384 + "c\n", number=1):
        log.append(part)
        reader.tail.look()
        log.rotate()
        reader.tail.look()
    spooled(spool, reader, None)
    reader.tail.drop_spooled(spool.of(CONTAINER)[1])
    spool.drop(spool.of(CONTAINER)[1])
    log.write("next")
    log.rotate()
    reader.tail.look()
    spooled(spool, reader, None)
    assert [segment.header.gap for segment in spool.of(CONTAINER)] == [False, True]
    reader.tail.close()
    spool.close()
    again = Spool(spool._folder, 2**30)
    later = Reader(log)
    later.tail = Tail(str(log.folder), log.base, spooled=again.of(CONTAINER))
    assert later.read() == ["a" * 16_384, "c", "next"]
    later.tail.close()
    again.close()


@pytest.mark.parametrize("listed", [True, False], ids=["after the list", "after the first open"])
@pytest.mark.parametrize("rotations", [1, 2, 3])
def test_rotations_while_files_are_opened_change_no_order(
    log: DockerLog, monkeypatch: pytest.MonkeyPatch, rotations: int, listed: bool
) -> None:
    """A name that stood for an older file stands for a newer one by the time it is opened."""
    log.max_files = 20
    for number in range(2):
        log.write(f"before {number}")
        log.rotate()
    log.write("before")
    reader, real = Reader(log), LogFolder._open
    turns = [rotations]

    def opening(folder: LogFolder, descriptor: int, name: str) -> object:
        file = None if listed else real(folder, descriptor, name)
        if name == log.base and turns:
            for number in range(turns.pop()):
                log.rotate()
                log.write(f"meanwhile {number}")
        return file or real(folder, descriptor, name)

    monkeypatch.setattr(LogFolder, "_open", opening)
    assert reader.read() + reader.read() == log.written
    assert reader.losses == []


def test_what_comes_after_all_was_read_is_a_later_file(log: DockerLog) -> None:
    log.write("one")
    reader = Reader(log)
    assert reader.read() == ["one"]
    log.remove()
    assert reader.read() == []
    assert reader.tail.ended
    log.folder.mkdir()
    log.write("two")
    assert reader.read() == ["two"]
    assert [chunk.generation.ordinal for chunk in reader.chunks] == [0, 1]


def test_a_disk_that_was_away_for_a_while_ends_no_log(log: DockerLog) -> None:
    log.write("one")
    reader = Reader(log)
    assert reader.read() == ["one"]
    away = log.folder.with_name("away")
    log.folder.rename(away)
    assert reader.read() == []
    away.rename(log.folder)
    log.write("two")
    assert reader.read() == ["two"]
    log.path.unlink()  # by hand: dockerd has it open
    assert reader.read() == []
    assert not reader.tail.ended
