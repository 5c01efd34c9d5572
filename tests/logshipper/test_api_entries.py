"""From entries of Docker's API to documents: parts, bytes, ids, also when lives end in between."""

from collections.abc import Iterable

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec import json

from logshipper.api.anchor import Seeker
from logshipper.api.entries import Entries
from logshipper.api.frames import Line
from logshipper.api.tail import GENERATION, ROOM_BYTES, ApiTail
from logshipper.checkpoint import State, decode, encode
from logshipper.linesettings import LineSettings
from logshipper.model import Entry, EntryChunk, Loss, Position, SavedLog, Slice
from logshipper.sinks.encoding.bulk import BulkEncoding

CONTAINER = "0123456789abcdef" * 4
PART = 16_384
Documents = dict[str, dict[str, object]]


def line(text: bytes, number: int, stream: str = "stdout") -> Line:
    return Line(stream, number * 10**9, f"2026-07-01T10:00:{number % 60:02}Z", text)


def entries(lines: Iterable[Line]) -> list[Entry]:
    seeker = Seeker(None, whole=True)
    return [entry for each in lines if (entry := seeker.take(each)) is not None]


def pipeline(saved: SavedLog | None = None, **settings: object) -> Entries:
    return Entries(
        CONTAINER,
        {"app": "shop"},
        encoding=BulkEncoding(),
        limit_bytes=40_000,
        fallback_time="2026-01-01T00:00:00Z",
        lines=LineSettings(**settings),  # type: ignore[arg-type]
        progress=saved.progress if saved else None,
    )


def documents(*slices: Slice) -> Documents:
    """By id; a repeated id must carry the same document."""
    found: Documents = {}
    for each in slices:
        for raw in each.documents:
            action, source, _ = raw.split(b"\n")
            identity = json.decode(action)["create"]["_id"]
            document = json.decode(source)
            assert found.setdefault(identity, document) == document
    return found


def taken(lines: list[Line], **settings: object) -> Documents:
    tail, made = ApiTail(), pipeline(**settings)
    tail.put(entries(lines))
    chunk = tail.read()
    assert chunk is not None
    return documents(made.take(chunk), made.finish(chunk.end))


def texts(found: Documents) -> list[object]:
    return [each["message"] for each in found.values()]


def test_a_document_is_what_a_file_would_have_given_under_an_id_of_its_own() -> None:
    found = taken([Line("stderr", 255, "2026-07-01T10:00:07.5Z", b'say "hi"\t\n')])
    [(identity, document)] = found.items()
    assert identity.startswith(f"{CONTAINER[:16]}.ff.")
    assert document == {
        "@timestamp": "2026-07-01T10:00:07.5Z",
        "message": 'say "hi"\t',
        "stream": "stderr",
        "app": "shop",
    }


@pytest.mark.parametrize("last", [b"end", b"end\n", b"", b"\n"], ids=repr)
def test_parts_are_joined_whether_the_last_one_has_its_newline(last: bytes) -> None:
    lines = [
        line(b"a" * PART, 1),
        line(b"between\n", 2, "stderr"),
        line(b"b" * PART, 1),
        line(last, 1),
        line(b"next\n", 3),
    ]
    joined = "a" * PART + "b" * PART + last.decode().strip()
    assert sorted(map(str, texts(taken(lines)))) == sorted([joined, "between", "next"])


def test_a_character_across_the_edge_of_a_part_stays_whole() -> None:
    text = "x" * (PART - 1) + "码头"
    data = text.encode() + b"\xff\n"
    assert texts(taken([line(data[:PART], 1), line(data[PART:], 1)])) == [text + "\ufffd"]
    data = ("x" * (PART - 1)).encode() + "码头".encode("gbk") + b"\n"
    found = taken([line(data[:PART], 1), line(data[PART:], 1)], charset="gbk")
    assert texts(found) == [text]


def test_bytes_without_a_meaning_are_counted_and_shipped() -> None:
    tail, made = ApiTail(), pipeline()
    tail.put(entries([line(b"\xff\xfe\0ok\n", 1), line(b"\n", 2), line(b"", 3)]))
    chunk = tail.read()
    assert chunk is not None
    piece = made.take(chunk)
    assert texts(documents(piece)) == ["\ufffd\ufffd\0ok", "", ""]
    assert piece.undecoded == 1
    assert piece.read_bytes == chunk.end.offset == 31 * 3 + 7


def test_what_is_longer_than_the_limit_is_cut_into_numbered_pieces() -> None:
    lines = [line(bytes([97 + number]) * PART, 1) for number in range(5)] + [line(b"end\n", 1)]
    found = taken(lines)
    assert "".join(map(str, texts(found))) == "".join(c * PART for c in "abcde") + "end"
    assert [each["partial_ordinal"] for each in found.values()] == [1, 2, 3]
    assert len({each["partial_id"] for each in found.values()}) == 1


KINDS = st.sampled_from([b"x\n", b"  at y\n", b"a" * PART, b"b" * PART, b"tail", b""])
LOG = st.lists(st.tuples(KINDS, st.sampled_from(["stdout", "stderr"])), min_size=1, max_size=25)


@pytest.mark.parametrize("multiline", ["", "java"])
@given(log=LOG, lives=st.lists(st.tuples(st.integers(1, 9), st.integers(0, 4)), max_size=6))
def test_lives_that_end_anywhere_build_the_documents_of_one(
    multiline: str, log: list[tuple[bytes, str]], lives: list[tuple[int, int]]
) -> None:
    """Each life takes pieces, has some of them acknowledged, is killed, and its checkpoint read."""
    lines = [line(text, number + 1, stream) for number, (text, stream) in enumerate(log)]
    whole = taken(lines, multiline=multiline)
    saved: SavedLog | None = None
    slices: list[Slice] = []
    for step, acknowledged in [*lives, (len(lines), 10**6)]:
        tail, made = ApiTail(saved), pipeline(saved, multiline=multiline)
        seeker = Seeker(tail.read_to, whole=True)
        new = [entry for each in lines if (entry := seeker.take(each)) is not None]
        assert seeker.found
        at, mine = tail_start(saved), []
        for begin in range(0, len(new), step):
            tail.put(new[begin : begin + step])
            chunk = tail.read()
            assert chunk is not None
            assert chunk.offset == at.offset
            at = chunk.end
            mine.append(made.take(chunk))
        slices += mine[: acknowledged + 1]  # one more was sent, and its answer lost
        for piece in mine[:acknowledged]:
            saved = through_the_disk(tail.saved(piece.progress))
        if acknowledged >= len(mine):
            slices.append(made.finish(at))
    assert documents(*slices) == whole


def tail_start(saved: SavedLog | None) -> Position:
    return Position(0, saved.anchor.offset if saved and saved.anchor else 0)


def through_the_disk(saved: SavedLog) -> SavedLog:
    return decode(encode(State(1, {CONTAINER: saved}))).logs[CONTAINER]


def test_what_follows_a_gap_is_not_taken_for_what_was_shipped() -> None:
    """The head of a message was left open, and is gone: what comes now is new, under its ids."""
    lines = [line(b"a" * PART, 1), line(b"err\n", 2, "stderr")]
    tail, made = ApiTail(), pipeline()
    tail.put(entries(lines))
    chunk = tail.read()
    assert chunk is not None
    saved = tail.saved(made.take(chunk).progress)
    assert saved.progress.open
    assert saved.anchor is not None
    assert saved.anchor.ahead  # the message begins with the log
    for known in (saved, None):
        tail, made = ApiTail(known), pipeline(known)
        tail.put(entries([line(b"before\n", 8)]))
        tail.skip(Loss("rotated", 0, "gone"))
        tail.put(entries([line(b"new\n", 9, "stderr")]))
        first, second = tail.read(), tail.read()
        assert first is not None
        assert second is not None
        assert [each.text for each in first.entries] == [b"before\n"]
        assert second.gap
        assert second.offset >= saved.progress.read.offset or known is None
        assert texts(documents(made.take(second))) == ["new"]
        # The head that was left open was not found again either.
        assert [loss.reason for loss in tail.losses()] == ["rotated"] * (2 if known else 1)
        assert tail.losses() == []


def test_a_log_whose_head_was_left_open_and_is_gone_begins_anew() -> None:
    lines = [line(b"a" * PART, 1), line(b"x\n", 2, "stderr"), line(b"y\n", 3, "stderr")]
    tail, made = ApiTail(), pipeline()
    tail.put(entries(lines))
    chunk = tail.read()
    assert chunk is not None
    saved = through_the_disk(tail.saved(made.take(chunk).progress))
    for left, gone in ((lines, False), (lines[1:], True)):
        tail, made = ApiTail(saved), pipeline(saved)
        assert tail.read_to is None
        tail.put(entries([*left, line(b"new\n", 4, "stderr")]))
        chunk = tail.read()
        assert chunk is not None
        assert chunk.gap is gone
        assert [loss.reason for loss in tail.losses()] == ["rotated"] * gone
        found = texts(documents(made.take(chunk)))
        assert found == (["x", "y", "new"] if gone else ["new"])  # again, under their ids


def test_a_tail_has_room_until_what_it_holds_is_taken() -> None:
    tail = ApiTail()
    told: list[bool] = []
    tail.on_room = lambda: told.append(tail.has_room)
    assert tail.read() is None
    assert not tail.stirred
    tail.put(entries([line(b"x" * PART, number) for number in range(10)]))
    assert not tail.has_room
    assert tail.unread_bytes > ROOM_BYTES
    assert tail.stirred
    assert tail.written_at == 0.0
    chunk = tail.read()
    assert isinstance(chunk, EntryChunk)
    assert chunk.times == (0.0, 9.0)
    assert chunk.generation == GENERATION
    assert told == [True]
    assert tail.unread_bytes == 0
    assert tail.written_at is None


def test_a_tail_ends_when_all_of_it_is_taken() -> None:
    tail = ApiTail()
    tail.put(entries([line(b"x\n", 1)]))
    tail.end(Loss("removed", 0, "nobody knows"))
    assert tail.stirred
    assert not tail.ended
    tail.put(entries([line(b"late\n", 2)]))
    chunk = tail.read()
    assert chunk is not None
    assert len(chunk.entries) == 1
    assert tail.ended
    assert [loss.reason for loss in tail.losses()] == ["removed"]
    tail.trouble = "dockerd is down"
    tail.look()


def test_what_cannot_be_read_is_trouble() -> None:
    tail = ApiTail()
    tail.look()
    tail.trouble = "dockerd is down"
    with pytest.raises(ConnectionError, match="dockerd is down"):
        tail.look()
    tail.close()
    tail.look()
    assert tail.ended
