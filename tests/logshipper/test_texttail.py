"""A file of text on a real file system: rotation, truncation, ends, and its lines' ids."""

import gzip
import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from logshipper.files.tail import NAMELESS_SECONDS, TextTail
from logshipper.files.text import TextLines
from logshipper.linesettings import LineSettings
from logshipper.model import Loss, Position, Progress, SavedLog
from logshipper.sinks.encoding.bulk import BulkEncoding

OWNER = "0123456789abcdef"


READERS: list["Reader"] = []


@pytest.fixture(autouse=True)
def closed() -> Iterator[None]:
    yield
    while READERS:
        READERS.pop().tail.close()


class Reader:
    """A tail and its pipeline; a new one is a new life of the process."""

    def __init__(
        self,
        folder: Path,
        saved: SavedLog | None = None,
        *,
        charset: str = "utf-8",
        limit: int = 65_536,
    ) -> None:
        self.now = 0.0
        self.tail = TextTail(
            str(folder), "", "a.log", lasting=False, saved=saved, clock=lambda: self.now
        )
        self.lines = TextLines(
            OWNER,
            {},
            encoding=BulkEncoding(),
            limit_bytes=limit,
            now=lambda: "2026-07-01T00:00:00Z",
            lines=LineSettings(charset=charset),
            progress=saved and saved.progress,
        )
        self.progress = saved.progress if saved else Progress(Position(0, 0))
        self.documents: dict[str, dict[str, object]] = {}
        self.losses: list[Loss] = []
        READERS.append(self)

    def read(self) -> list[str]:
        before = len(self.documents)
        self.tail.look()
        while (chunk := self.tail.read()) is not None:
            piece = self.lines.take(chunk)
            self.progress = piece.progress
            for document in piece.documents:
                action, source = document.split(b"\n")[:2]
                identity = json.loads(action)["create"]["_id"]
                assert identity not in self.documents
                self.documents[identity] = json.loads(source)
        self.losses += self.tail.losses()
        return [str(d["message"]) for d in list(self.documents.values())[before:]]

    def saved(self) -> SavedLog:
        return self.tail.saved(self.progress)


def test_ids_begin_with_the_owner_and_end_with_the_offset(tmp_path: Path) -> None:
    (tmp_path / "a.log").write_text("one\ntwo\nhalf")
    reader = Reader(tmp_path)
    assert reader.read() == ["one", "two"]
    first, second = reader.documents
    assert first.startswith(f"{OWNER}.")
    assert (first[-2:], second[-2:]) == (".0", ".4")
    assert reader.documents[first]["stream"] == "file"
    assert Reader(tmp_path).read() == ["one", "two"]


def test_files_that_begin_alike_get_ids_of_their_own(tmp_path: Path) -> None:
    log = tmp_path / "a.log"
    reader = Reader(tmp_path)
    for number in range(12):
        log.write_text(f"heading\n{number}\n")
        assert reader.read() == ["heading", str(number)]
        log.unlink() if number % 3 == 0 else log.rename(tmp_path / f"old{number}.log")
    assert len(reader.documents) == 24
    assert reader.losses == []


def test_truncation_to_the_same_beginning_is_seen_and_named_anew(tmp_path: Path) -> None:
    log = tmp_path / "a.log"
    reader = Reader(tmp_path)
    for number in range(12):
        # Longer than before, and begins as before: only what stood at the old end tells.
        log.write_text("heading\n" + f"{number}\n" * (number + 1))
        assert reader.read() == ["heading", *[str(number)] * (number + 1)]
    assert {loss.reason for loss in reader.losses} <= {"truncated"}
    assert sum(loss.size_bytes for loss in reader.losses) == 0


def test_a_next_life_goes_on_in_what_was_renamed_or_compressed(tmp_path: Path) -> None:
    log = tmp_path / "a.log"
    log.write_text("one\n")
    first = Reader(tmp_path)
    assert first.read() == ["one"]
    with log.open("a") as file:
        file.write("two\n")
    log.rename(tmp_path / "a.log.1")
    log.write_text("three\n")
    plain = Reader(tmp_path, first.saved())
    assert plain.read() == ["two", "three"]
    packed = gzip.compress((tmp_path / "a.log.1").read_bytes())
    (tmp_path / "a.log.1").unlink()
    (tmp_path / "a.log.1.gz").write_bytes(packed)
    zipped = Reader(tmp_path, first.saved())
    assert zipped.read() == ["two", "three"]
    assert list(zipped.documents) == list(plain.documents)
    assert plain.losses == zipped.losses == []


def test_what_vanished_between_two_lives_is_counted(tmp_path: Path) -> None:
    log = tmp_path / "a.log"
    log.write_text("one\n")
    first = Reader(tmp_path)
    first.read()
    with log.open("a") as file:
        file.write("two\n")
    saved = first.saved()
    assert saved.waiting_bytes == 4
    log.unlink()
    second = Reader(tmp_path, saved)
    assert second.read() == []
    assert [(loss.reason, loss.size_bytes) for loss in second.losses] == [("removed", 4)]
    assert second.tail.ended


def test_a_file_without_a_name_is_let_go_when_nothing_comes_any_more(tmp_path: Path) -> None:
    log = tmp_path / "a.log"
    log.write_text("one\n")
    reader = Reader(tmp_path)
    reader.read()
    with log.open("a") as file:
        log.unlink()
        file.write("two\n")
        file.flush()
        reader.now = NAMELESS_SECONDS + 1
        assert reader.read() == ["two"]
        assert not reader.tail.ended
    reader.now += NAMELESS_SECONDS
    reader.read()
    assert reader.tail.ended


def test_a_link_in_place_of_the_file_or_its_folder_is_not_followed(tmp_path: Path) -> None:
    outside, inside = tmp_path / "outside", tmp_path / "inside"
    outside.mkdir()
    inside.mkdir()
    (outside / "a.log").write_text("secret\n")
    (inside / "a.log").symlink_to(outside / "a.log")
    assert Reader(inside).read() == []
    (tmp_path / "way").symlink_to(outside)
    assert Reader(tmp_path / "way").read() == []


def test_a_line_without_end_is_cut_into_pieces_that_make_it_whole(tmp_path: Path) -> None:
    text = "中" * 1_000_000  # three bytes each: no power of two is a boundary
    (tmp_path / "a.log").write_text(f"before\n{text}\nafter\n")
    reader = Reader(tmp_path, limit=100_001)
    messages = reader.read()
    assert (messages[0], messages[-1]) == ("before", "after")
    pieces = list(reader.documents.values())[1:-1]
    assert all(len(str(piece["message"]).encode()) <= 100_004 for piece in pieces)
    assert [piece["partial_ordinal"] for piece in pieces] == list(range(1, len(pieces) + 1))
    assert [piece["partial_last"] for piece in pieces].count(True) == 1
    assert "".join(messages[1:-1]) == text


def test_other_character_sets_and_holes_are_read(tmp_path: Path) -> None:
    (tmp_path / "a.log").write_bytes("中文\r\n".encode("gbk") + b"\0" * 5000 + b"on\n\n")
    assert Reader(tmp_path, charset="gbk").read() == ["中文", "on", ""]
