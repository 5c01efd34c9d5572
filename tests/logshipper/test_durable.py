"""What must have reached the disk before somebody counts on it."""

import os
import stat
from pathlib import Path

import pytest

from logshipper.checkpoint import Checkpoint
from logshipper.deadletter import DeadLetters
from logshipper.logfile import PlainFile
from logshipper.model import Position, Progress, Refusal, SavedLog
from logshipper.spool import Spool
from tests.logshipper.dockerlog import CONTAINER


@pytest.fixture
def synced(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """What was synced, in order, as kind and size."""
    told: list[str] = []
    sync = os.fsync

    def watched(descriptor: int) -> None:
        status = os.fstat(descriptor)
        told.append("folder" if stat.S_ISDIR(status.st_mode) else f"{status.st_size} bytes")
        sync(descriptor)

    monkeypatch.setattr(os, "fsync", watched)
    return told


def test_a_segment_with_its_name_before_its_source_is_let_go(
    tmp_path: Path, synced: list[str]
) -> None:
    (tmp_path / "log").write_bytes(b"one\n" * 1000)
    file = PlainFile(os.open(tmp_path / "log", os.O_RDONLY), "log")
    spool = Spool(tmp_path / "spool", 2**20)
    segment = spool.store(CONTAINER, file, start=0, gap=False, line=b"one\n", route=None)
    assert segment is not None
    assert synced == [f"{segment.stored_bytes} bytes", "folder"]
    spool.close()
    file.close()


def test_dead_letters_before_the_sink_is_told_to_forget_them(
    tmp_path: Path, synced: list[str]
) -> None:
    letters = DeadLetters(tmp_path / "letters")
    letters.write([Refusal(b"one", 400, "no")])
    first = letters.path.stat().st_size
    letters.write([Refusal(b"two", 400, "no")])
    # A file that is new has no name on the disk before its folder was synced.
    assert synced == [f"{first} bytes", "folder", f"{letters.path.stat().st_size} bytes"]


def test_the_checkpoint_that_frees_segments_and_no_other(tmp_path: Path, synced: list[str]) -> None:
    checkpoint = Checkpoint(tmp_path)
    checkpoint.load()
    checkpoint.save({"c": SavedLog(Progress(Position(0, 1)), ())})
    assert synced == []  # at each acknowledgement: that would be all that the disk does
    checkpoint.sync()
    assert synced == [f"{(tmp_path / 'checkpoint').stat().st_size} bytes", "folder"]
