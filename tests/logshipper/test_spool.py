"""The spool: what is read back, what damage costs, and when a segment goes."""

import errno
import os
import stat
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from logshipper.held import Held
from logshipper.linesettings import LineSettings
from logshipper.logfile import CorruptLogError, PlainFile
from logshipper.model import OpenMessage, Position, Progress, Route, SavedLog
from logshipper.segment import BLOCK_BYTES, FRAME, Segment
from logshipper.spool import Spool
from tests.logshipper.dockerlog import CONTAINER, line

LINES = b"".join(line(f"line {n}\n", number=n) for n in range(8000))
HEAD = LINES[: LINES.index(b"\n") + 1]
START = LINES.index(b"\n", 100_000) + 1
OPENED: list[Spool] = []
ROUTE = Route(
    ship=True,
    fields={"app": "shop", "container_name": "web"},
    lines=LineSettings(redact=("card",), columns=("a", "b")),
)


@pytest.fixture
def source(tmp_path: Path) -> Iterator[PlainFile]:
    path = tmp_path / "log"
    path.write_bytes(LINES)
    file = PlainFile(os.open(path, os.O_RDONLY), "c-json.log.3")
    yield file
    file.close()


@pytest.fixture(autouse=True)
def opened() -> Iterator[list[Spool]]:
    """What tests open is closed, as at a life's end."""
    yield OPENED
    while OPENED:
        OPENED.pop().close()


def begun(folder: Path, limit_bytes: int = 2**20) -> Spool:
    OPENED.append(Spool(folder, limit_bytes))
    return OPENED[-1]


def stored(spool: Spool, source: PlainFile, *, start: int = 0) -> Segment:
    segment = spool.store(CONTAINER, source, start=start, gap=False, line=HEAD, route=ROUTE)
    assert segment is not None
    return segment


@pytest.fixture
def spool(tmp_path: Path) -> Spool:
    return begun(tmp_path / "spool")


def again(spool: Spool) -> Spool:
    """The same folder, as the next life reads it."""
    return begun(spool._folder, spool.limit_bytes)


@pytest.mark.parametrize("start", [0, START])
def test_a_file_is_read_from_its_copy_as_from_itself(
    spool: Spool, source: PlainFile, start: int
) -> None:
    stored(spool, source, start=start)
    [segment] = again(spool).of(CONTAINER)
    assert segment.size() == len(LINES)
    assert (segment.device, segment.inode, segment.name) == (
        source.device,
        source.inode,
        source.name,
    )
    for offset in (start, start + 1, start + BLOCK_BYTES - 3, len(LINES) - 5, len(LINES)):
        assert segment.pread(offset, 300_000) == LINES[offset : offset + 300_000]
    # It is known by its first line, even if that is not in it.
    assert segment.pread(0, len(HEAD)) == HEAD
    assert segment.stored_bytes < len(LINES) / 4
    assert again(spool).route(CONTAINER) == ROUTE


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=60)
@given(at=st.integers(0, 2**20), bit=st.integers(0, 7), torn=st.booleans())
def test_damage_costs_what_is_behind_it_and_is_never_taken_for_text(
    tmp_path_factory: pytest.TempPathFactory, at: int, bit: int, *, torn: bool
) -> None:
    folder = tmp_path_factory.mktemp("spool")
    (folder / "log").write_bytes(LINES)
    file = PlainFile(os.open(folder / "log", os.O_RDONLY), "log")
    spool = begun(folder / "spool")
    path = stored(spool, file).path
    file.close()
    data = bytearray(path.read_bytes())
    at %= len(data)
    if torn:
        del data[at:]
    else:
        data[at] ^= 1 << bit
    path.write_bytes(data)
    found = again(spool)
    offset = 0
    for segment in found.of(CONTAINER):
        with pytest.raises(CorruptLogError):  # noqa: PT012 - wherever it is
            while offset < len(LINES):
                text = segment.pread(offset, 50_000)
                assert text == LINES[offset : offset + len(text)]
                assert text
                offset += len(text)
    assert found.of(CONTAINER) or (found.refused and list((folder / "spool").glob("*.damaged")))


def test_a_checkpoint_from_before_a_segments_start_begins_at_its_start(
    spool: Spool, source: PlainFile
) -> None:
    """The other copy of the checkpoint may be older; what lies between was acknowledged."""
    segment = stored(spool, source, start=START)
    older, later = Held.resumed(segment, 3, 50), Held.resumed(segment, 3, START + 200)
    assert (older.offset, older.gap) == (START, True)
    assert (later.offset, later.gap) == (START + 200, False)
    assert segment.ordinal == 3


def test_what_is_larger_than_the_limit_is_not_kept(tmp_path: Path, source: PlainFile) -> None:
    spool = begun(tmp_path / "spool", 1000)
    assert spool.store(CONTAINER, source, start=0, gap=False, line=HEAD, route=ROUTE) is None
    assert list((tmp_path / "spool").iterdir()) == []


def test_what_was_half_written_is_nothing(spool: Spool, source: PlainFile) -> None:
    whole = stored(spool, source).path
    half = whole.with_name("000000000009.segment.staged")
    half.write_bytes(whole.read_bytes()[:5000])
    assert len(again(spool).of(CONTAINER)) == 1
    assert not half.exists()


def test_a_full_disk_leaves_nothing_of_the_attempt(
    spool: Spool, source: PlainFile, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(_: int) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", full)
        with pytest.raises(OSError, match="No space"):
            stored(spool, source)
    assert list(spool._folder.iterdir()) == []
    assert stored(spool, source).pread(0, 100) == LINES[:100]


def test_a_file_system_that_cannot_sync_folders_holds_a_spool(
    spool: Spool, source: PlainFile, monkeypatch: pytest.MonkeyPatch
) -> None:
    sync = os.fsync

    def picky(descriptor: int) -> None:
        if stat.S_ISDIR(os.fstat(descriptor).st_mode):
            raise OSError(errno.EINVAL, "Invalid argument")
        sync(descriptor)

    monkeypatch.setattr(os, "fsync", picky)
    stored(spool, source)
    [segment] = again(spool).of(CONTAINER)
    assert segment.pread(0, 100) == LINES[:100]


def test_the_oldest_goes_first(tmp_path: Path, source: PlainFile) -> None:
    spool = begun(tmp_path / "spool")
    segments = [stored(spool, source) for _ in range(3)]
    spool.limit_bytes = sum(each.stored_bytes for each in segments[1:])
    oldest = spool.oldest_beyond_limit()
    assert oldest is segments[0]
    spool.drop(oldest)
    assert spool.oldest_beyond_limit() is None
    assert [each.path for each in again(spool).of(CONTAINER)] == [s.path for s in segments[1:]]


def test_a_segment_goes_when_a_checkpoint_has_passed_it(spool: Spool, source: PlainFile) -> None:
    segment = stored(spool, source)
    within = SavedLog(Progress(Position(4, 7)), ())
    behind = SavedLog(Progress(Position(5, 0)), ())
    spool.release({CONTAINER: behind})
    assert segment.path.exists()  # no tail has said yet which file of the log it is
    segment.ordinal = 4
    spool.release({})
    spool.release({CONTAINER: within})
    head = OpenMessage("stdout", "c.g.7", Position(4, 7))
    spool.release({CONTAINER: SavedLog(Progress(Position(5, 9), (head,)), ())})
    assert segment.path.exists()
    spool.release({CONTAINER: behind})
    assert not segment.path.exists()


def test_the_segments_of_a_finished_log_go_with_its_checkpoint(
    spool: Spool, source: PlainFile
) -> None:
    segment = stored(spool, source)
    spool.finish(CONTAINER)
    spool.release({CONTAINER: SavedLog(Progress(Position(0, 0)), ())})
    assert segment.path.exists()
    spool.release({})
    assert not segment.path.exists()


def test_a_block_that_claims_to_be_huge_is_not_believed(spool: Spool, source: PlainFile) -> None:
    path = stored(spool, source).path
    with path.open("ab") as file:
        file.write(FRAME.pack(0, 2**31, 2**31))
    [segment] = again(spool).of(CONTAINER)
    assert segment.pread(len(LINES) - 10, 100) == LINES[-10:]
