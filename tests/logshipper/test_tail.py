"""A log on a real file system, read through everything that happens to such files."""

import gzip
import os
import random
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from logshipper.logfile import READ_BYTES
from logshipper.model import Chunk, Loss, Progress, SavedLog
from logshipper.pipeline import Typed
from logshipper.sinks.encoding.bulk import BulkEncoding
from logshipper.tail import KEPT_GENERATIONS, Tail
from tests.logshipper.dockerlog import CONTAINER, DockerLog, line, records
from tests.logshipper.test_pipeline import documents


class Reader:
    """A tail and a pipeline, as a shipment uses them; a new one is a new life of the process."""

    def __init__(self, log: DockerLog, saved: SavedLog | None = None, *, hold: int = 2**30) -> None:
        self.tail = Tail(str(log.folder), log.base, saved=saved)
        self.hold = hold
        self.pipeline = Typed(
            CONTAINER,
            {},
            encoding=BulkEncoding(),
            limit_bytes=2**20,
            fallback_time="t",
            progress=saved and saved.progress,
        )
        self.found: dict[str, dict[str, object]] = {}
        self.losses: list[Loss] = []
        self.progress: Progress | None = None
        self.chunks: list[Chunk] = []
        self.zeroed = 0
        READERS.append(self)

    def read(self) -> list[str]:
        """Looks, reads all there is, and gives the messages of it."""
        before = len(self.found)
        self.tail.look()
        self.tail.hold_at_most(self.hold)
        while self.step() is not None:
            pass
        if self.tail.ended and self.progress is not None:
            self.add(self.pipeline.finish(self.progress.read))
        self.losses += self.tail.losses()
        return [str(d["message"]) for d in list(self.found.values())[before:]]

    def step(self) -> Chunk | None:
        chunk = self.tail.read()
        if chunk is not None:
            self.chunks.append(chunk)
            self.add(self.pipeline.take(chunk))
        return chunk

    def add(self, piece: "object") -> None:
        new = documents(piece)  # type: ignore[arg-type]
        assert not new.keys() & self.found.keys()
        self.found |= new
        self.progress = piece.progress  # type: ignore[attr-defined]
        self.zeroed += piece.zeroed_bytes  # type: ignore[attr-defined]

    def saved(self) -> SavedLog | None:
        return self.tail.saved(self.progress) if self.progress else None

    def die(self) -> SavedLog | None:
        saved = self.saved()
        self.tail.close()
        return saved


READERS: list[Reader] = []


@pytest.fixture
def log(tmp_path: Path) -> Iterator[DockerLog]:
    yield DockerLog(tmp_path)
    while READERS:
        READERS.pop().tail.close()


def test_a_log_is_read_from_its_head_and_then_as_it_grows(log: DockerLog) -> None:
    log.write("one", "two")
    reader = Reader(log)
    assert reader.read() == ["one", "two"]
    assert reader.read() == []
    log.write("three")
    assert reader.read() == ["three"]
    assert reader.tail.unread_bytes == 0


def test_a_log_that_does_not_exist_yet_is_read_when_it_does(log: DockerLog) -> None:
    reader = Reader(log)
    assert reader.read() == []
    assert not reader.tail.ended
    log.path.touch()
    assert reader.read() == []
    log.write("at last")
    assert reader.read() == ["at last"]


def test_rotation_while_tailing_loses_nothing(log: DockerLog) -> None:
    reader = Reader(log)
    rng = random.Random(7)
    for _ in range(40):
        log.write_numbered(rng.randrange(1, 30))
        if rng.random() < 0.5:
            reader.read()
        log.write_numbered(rng.randrange(0, 3))
        log.rotate(compress=rng.random() < 0.3)
        if rng.random() < 0.8:
            reader.tail.look()
    log.write("last")
    reader.read()
    assert [d["message"] for d in reader.found.values()] == log.written
    assert reader.losses == []


@pytest.mark.parametrize("compress", [False, True])
@pytest.mark.parametrize("rotations", [1, 2, 3])
def test_rotation_while_down_is_read_oldest_first(
    log: DockerLog, rotations: int, compress: bool
) -> None:
    log.write_numbered(50)
    before = Reader(log)
    before.read()
    log.write_numbered(10)
    saved = before.die()
    for _ in range(rotations):
        log.write_numbered(30)
        log.rotate(compress=compress)
    log.write_numbered(5)
    after = Reader(log, saved)
    assert after.read() == log.written[50:]
    assert after.losses == []
    assert not before.found.keys() & after.found.keys()


def test_rotation_beyond_retention_while_down_is_counted(log: DockerLog) -> None:
    log.write_numbered(50)
    before = Reader(log)
    before.read()
    size = log.path.stat().st_size
    log.write_numbered(100)
    before.tail.look()
    assert before.progress is not None
    lost = log.path.stat().st_size - size
    saved = before.die()
    for _ in range(5):
        log.rotate()
        log.write_numbered(10)
    after = Reader(log, saved)
    got = after.read()
    assert got == log.written[-40:]
    # What was written while it was down is in nobody's memory: the bytes are a lower bound.
    [loss] = after.losses
    assert loss.reason == "rotated"
    assert 0 < loss.size_bytes <= lost
    assert not before.found.keys() & after.found.keys()


def test_every_checkpoint_lost_repeats_the_ids_and_makes_no_others(log: DockerLog) -> None:
    log.write_numbered(20)
    log.rotate()
    log.write_numbered(20)
    first = Reader(log)
    first.read()
    first.die()
    log.rotate(compress=True)
    log.write_numbered(3)
    second = Reader(log)
    second.read()
    assert second.found.items() >= first.found.items()
    assert len(second.found) == 43


def test_a_reused_inode_is_not_read_from_a_stale_offset(log: DockerLog) -> None:
    log.write_numbered(100)
    reader = Reader(log)
    reader.read()
    saved = reader.die()
    inode = log.path.stat().st_ino
    for _ in range(200):
        log.path.unlink()
        log.path.touch()
        if log.path.stat().st_ino == inode:
            break
    else:
        pytest.skip("this file system does not reuse inodes")
    log.write_numbered(200)
    after = Reader(log, saved)
    assert after.read() == log.written[100:]
    assert [loss.reason for loss in after.losses] == ["rotated"]
    assert not reader.found.keys() & after.found.keys()


def test_truncation_begins_a_new_generation(log: DockerLog) -> None:
    reader = Reader(log)
    log.write_numbered(30)
    reader.read()
    os.truncate(log.path, 0)
    assert reader.read() == []
    log.write("after")
    assert reader.read() == ["after"]
    assert reader.losses == []
    assert len(reader.found) == 31


def test_truncated_and_grown_past_the_old_offset_is_noticed(log: DockerLog) -> None:
    reader = Reader(log)
    log.write_numbered(5)
    reader.read()
    os.truncate(log.path, 0)
    log.write_numbered(50)
    assert reader.read() == log.written[5:]


def test_what_truncation_took_unread_is_counted(log: DockerLog) -> None:
    reader = Reader(log)
    log.write("x" * 1000)
    reader.read()
    before = log.path.stat().st_size
    log.append(b"y" * 700)
    reader.read()
    os.truncate(log.path, 0)
    log.write("z")
    assert reader.read() == ["z"]
    assert [(loss.reason, loss.size_bytes) for loss in reader.losses] == [("truncated", 700)]
    assert before > 700


@pytest.mark.parametrize("new", [2, 20])
def test_a_file_cut_short_by_a_power_loss_hides_no_line(log: DockerLog, new: int) -> None:
    log.write_numbered(10)
    before = Reader(log)
    before.read()
    saved = before.die()
    os.truncate(log.path, sum(map(len, log.path.read_bytes().splitlines(keepends=True)[:7])))
    log.write(*(f"after the power came back {n}" for n in range(new)))
    after = Reader(log, saved)
    # Whether or not it has grown to where it was: no new line behind an id that is taken.
    assert after.read() == [*log.written[:7], *log.written[10:]]
    assert not before.found.keys() & after.found.keys()
    third = Reader(log, after.die())
    log.write("once more")
    assert third.read() == ["once more"]


def test_a_torn_last_line_waits_until_it_is_completed(log: DockerLog) -> None:
    log.write("whole")
    whole = line("torn and mended\n", number=99)
    log.append(whole[:25])
    reader = Reader(log)
    assert reader.read() == ["whole"]
    log.append(whole[25:])
    assert reader.read() == ["torn and mended"]


def test_a_torn_last_line_of_a_rotated_file_is_delivered_as_it_is(log: DockerLog) -> None:
    log.write("whole")
    log.append(b'{"log":"never compl')
    reader = Reader(log)
    reader.read()
    log.rotate()
    log.write("next")
    assert reader.read() == ['{"log":"never compl', "next"]


def test_a_removed_container_is_read_to_its_end(log: DockerLog) -> None:
    log.write_numbered(5)
    reader = Reader(log)
    reader.tail.look()
    log.write_numbered(5)
    log.rotate()
    log.write_numbered(5)
    reader.tail.look()
    log.append(records("x" * 16_384)[0])
    log.remove()
    assert reader.read() == [*log.written, "x" * 16_384]
    assert reader.tail.ended
    assert reader.losses == []


def test_a_container_removed_while_down_is_a_counted_loss(log: DockerLog) -> None:
    log.write_numbered(5)
    reader = Reader(log)
    reader.read()
    log.append(b"z" * 40)
    saved = reader.die()
    log.remove()
    assert saved is not None
    after = Reader(log, saved)
    assert after.read() == []
    assert after.tail.ended
    assert [(loss.reason, loss.size_bytes) for loss in after.losses] == [("removed", 40)]


def test_a_log_deleted_by_hand_is_read_on(log: DockerLog) -> None:
    log.write("one")
    reader = Reader(log)
    reader.read()
    with log.path.open("ab") as held_by_dockerd:
        log.path.unlink()
        reader.read()
        held_by_dockerd.write(line("two\n", number=2))
        held_by_dockerd.flush()
        assert reader.read() == ["two"]
    assert not reader.tail.ended


def test_a_line_of_ten_megabytes_is_cut_and_its_files_go_on(log: DockerLog) -> None:
    text = "".join(random.Random(1).choices("abcdefgh", k=10 * 2**20))
    reader = Reader(log)
    pieces = records(text + "\n", number=1)
    for number, part in enumerate(pieces):
        log.append(part)
        if number % 100 == 99:
            log.rotate()
            reader.tail.look()
    log.write("after it")
    got = reader.read()
    assert "".join(got[:-1]) == text
    assert got[-1] == "after it"
    assert max(map(len, got)) <= 2**20


def test_a_message_longer_than_files_that_are_all_alike_keeps_ids_apart(log: DockerLog) -> None:
    reader = Reader(log)
    parts = records("x" * (6 * 2**20) + "\n", number=1)
    for number, part in enumerate(parts):
        log.append(part)
        if number % 64 == 63:
            log.rotate()
            reader.tail.look()
    assert "".join(reader.read()) == "x" * (6 * 2**20)


def test_a_line_without_end_does_not_stop_the_file_or_fill_memory(log: DockerLog) -> None:
    log.append(b"j" * (3 * 2**20))
    reader = Reader(log)
    reader.read()
    log.append(b"\n")
    log.write("after")
    reader.read()
    got = [str(d["message"]) for d in reader.found.values()]
    assert "".join(got[:-1]) == "j" * (3 * 2**20)
    assert got[-1] == "after"
    assert max(len(chunk.data) for chunk in reader.chunks) <= 2**20


def test_nul_and_invalid_bytes_are_delivered_or_counted(log: DockerLog) -> None:
    log.write("one")
    log.append(b"\0" * 5000)
    log.write("two")
    log.append(b"\xff\xfe\xfd\n")
    log.write("three")
    reader = Reader(log)
    assert reader.read() == ["one", "two", "\N{REPLACEMENT CHARACTER}" * 3, "three"]
    assert reader.zeroed == 5000


def test_links_and_devices_in_a_log_folder_are_never_opened(log: DockerLog, tmp_path: Path) -> None:
    secret = tmp_path / "shadow"
    secret.write_bytes(line("root:secret\n"))
    log.path.symlink_to(secret)
    os.mkfifo(log.folder / f"{log.base}.1")
    (log.folder / f"{log.base}.2").mkdir()
    os.link(secret, log.folder / f"{log.base}.3")
    reader = Reader(log)
    assert reader.read() == []
    assert [loss.reason for loss in reader.losses] == ["refused"] * 4
    assert reader.read() == []
    assert len(reader.losses) == 4


def test_a_folder_that_is_a_link_is_not_followed(log: DockerLog, tmp_path: Path) -> None:
    log.write("secret")
    (tmp_path / "link").symlink_to(log.folder)
    tail = Tail(str(tmp_path / "link"), log.base)
    tail.look()
    assert tail.read() is None


def test_a_damaged_archive_costs_its_rest_and_no_more(log: DockerLog) -> None:
    log.write_numbered(50_000)
    log.rotate(compress=True)
    archive = log.folder / f"{log.base}.1.gz"
    data = archive.read_bytes()
    archive.write_bytes(data[: len(data) // 2])
    log.write("next")
    reader = Reader(log)
    got = reader.read()
    written = set(log.written)
    whole = [text for text in got if text in written]
    assert whole[:-1] == log.written[: len(whole) - 1]
    assert got[-1] == "next"
    assert len(whole) > 1000
    assert [loss.reason for loss in reader.losses] == ["corrupt"]


def test_deleted_files_are_let_go_beyond_the_limit_and_counted(log: DockerLog) -> None:
    reader = Reader(log, hold=3000)
    log.write("first")
    reader.read()
    lost = 0
    for _ in range(12):
        log.write_numbered(10)
        log.rotate()
        log.write_numbered(1)
        reader.tail.look()
    reader.read()
    got = [str(d["message"]) for d in reader.found.values()]
    missing = [text for text in log.written if text not in set(got)]
    assert got == [text for text in log.written if text in set(got)]
    lost = sum(len(line(text + "\n", number=1)) for text in missing)
    counted = sum(loss.size_bytes for loss in reader.losses)
    assert missing
    assert {loss.reason for loss in reader.losses} == {"rotated"}
    assert counted == lost


def test_a_deleted_file_of_which_nothing_is_unread_is_no_loss(log: DockerLog) -> None:
    reader = Reader(log, hold=0)
    log.max_files = 2
    log.write("first")
    reader.tail.look()
    assert reader.tail.read() is not None  # to its last byte, but its end was not seen
    for _ in range(2):
        log.rotate()
        log.write("later")
        reader.tail.look()
    reader.tail.hold_at_most(0)
    assert sum(loss.size_bytes for loss in reader.tail.losses()) == 0
    assert not reader.tail.losses()
    assert reader.tail.read() is not None


def test_restarts_at_random_points_lose_nothing_and_repeat_no_id(log: DockerLog) -> None:
    rng = random.Random(3)
    saved: SavedLog | None = None
    everything: dict[str, dict[str, object]] = {}
    for _ in range(30):
        reader = Reader(log, saved)
        for _ in range(rng.randrange(4)):
            log.write_numbered(rng.randrange(200))
            if rng.random() < 0.2:
                log.write("w" * rng.randrange(100_000))
            reader.tail.look()
            for _ in range(rng.randrange(3)):
                reader.step()
            if rng.random() < 0.4:
                log.rotate(compress=rng.random() < 0.5)
        assert reader.tail.losses() == []
        assert not reader.found.keys() & everything.keys()
        everything |= reader.found
        saved = reader.die() or saved
        if rng.random() < 0.5:
            log.write("while down " + str(rng.random()))
    reader = Reader(log, saved)
    reader.read()
    everything |= reader.found
    assert reader.losses == []
    assert sorted(str(d["message"]) for d in everything.values()) == sorted(log.written)


def test_reads_are_bounded(log: DockerLog) -> None:
    log.write_numbered(20_000)
    reader = Reader(log)
    reader.read()
    assert max(len(chunk.data) for chunk in reader.chunks) <= READ_BYTES
    assert len(reader.found) == 20_000


def meanwhile(monkeypatch: pytest.MonkeyPatch, happens: Callable[[], None]) -> None:
    """Has something happen once, between the list of a folder and the first open."""
    listed, left = os.listdir, [happens]

    def listdir(descriptor: int) -> list[str]:
        names = listed(descriptor)
        if left:
            left.pop()()
        return names

    monkeypatch.setattr("logshipper.folder.os.listdir", listdir)


def test_a_rotation_between_list_and_open_loses_nothing_and_says_so(
    log: DockerLog, monkeypatch: pytest.MonkeyPatch
) -> None:
    log.write("a")
    reader = Reader(log)
    assert reader.read() == ["a"]
    log.rotate()
    log.write("b")
    meanwhile(monkeypatch, lambda: (log.rotate(), log.write("c"))[0])
    assert reader.read() + reader.read() == ["b", "c"]
    assert reader.losses == []


def test_a_file_compressed_between_list_and_open_is_read_once(
    log: DockerLog, monkeypatch: pytest.MonkeyPatch
) -> None:
    log.max_files = 6
    reader = Reader(log)
    for text in ("a", "b", "c"):
        log.write(text)
        assert reader.read() == [text]
        log.rotate(compress=text != "c")
    log.write("d")
    first = log.folder / f"{log.base}.1"
    (log.folder / f"{log.base}.1.gz").write_bytes(gzip.compress(first.read_bytes()))
    meanwhile(monkeypatch, first.unlink)
    assert reader.read() == ["d"]
    assert reader.losses == []


def test_after_a_rotation_beyond_retention_older_files_are_not_read_again(log: DockerLog) -> None:
    log.max_files = 9
    reader = Reader(log)
    for text in ("a", "b", "c"):
        log.write(text)
        assert reader.read() == [text]
        log.rotate()
    (log.folder / f"{log.base}.1").unlink()  # the newest that was read; nobody knows what followed
    log.write("d")
    assert reader.read() == ["d"]
    assert [loss.reason for loss in reader.losses] == ["rotated"]


def test_generations_that_are_acknowledged_are_forgotten(log: DockerLog) -> None:
    reader = Reader(log)
    for number in range(50):
        log.write(str(number))
        reader.read()
        reader.saved()
        log.rotate()
    assert len(reader.tail._generations) <= KEPT_GENERATIONS + 2
