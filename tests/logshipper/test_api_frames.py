"""Docker's answer for a log, taken apart: however it is cut, with and without a terminal."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from logshipper.api.frames import Framer, Line
from wharfinger.errors import Unavailable

TIME = b"2026-07-01T10:00:07.000000120Z"
TIME_NS = 1_782_900_007_000_000_120


def frame(text: bytes, *, kind: int = 1, time: bytes = TIME + b" ") -> bytes:
    payload = time + text
    return bytes([kind, 0, 0, 0]) + len(payload).to_bytes(4, "big") + payload


@given(
    texts=st.lists(st.tuples(st.sampled_from([1, 2]), st.binary(max_size=40)), max_size=8),
    cut=st.integers(1, 50),
)
def test_frames_come_whole_however_they_are_cut(texts: list[tuple[int, bytes]], cut: int) -> None:
    data = b"".join(frame(text, kind=kind) for kind, text in texts)
    framer = Framer(terminal=False)
    found = [
        line
        for at in range(0, len(data), cut)
        for line in framer.feed(data[at : at + cut], boundary=False)
    ]
    streams = {1: "stdout", 2: "stderr"}
    assert found == [
        Line(streams[kind], TIME_NS, "2026-07-01T10:00:07.00000012Z", text) for kind, text in texts
    ]


def test_with_a_terminal_a_chunk_of_http_is_an_entry() -> None:
    framer = Framer(terminal=True)
    assert framer.feed(TIME + b" abc", boundary=False) == []
    [line] = framer.feed(b"def", boundary=True)
    assert (line.stream, line.text) == ("stdout", b"abcdef")
    [line] = framer.feed(TIME + b" ", boundary=True)
    assert line.text == b""
    assert framer.feed(b"", boundary=True) == []


def test_whole_seconds_have_no_fraction() -> None:
    [line] = Framer(terminal=False).feed(
        frame(b"x\n", time=b"2026-07-01T10:00:07.000000000Z "), boundary=False
    )
    assert (line.time, line.time_ns) == ("2026-07-01T10:00:07Z", TIME_NS - 120)


@pytest.mark.parametrize(
    "data",
    [
        frame(b"Error grabbing logs: EOF\n", time=b"", kind=3),
        frame(b"Error grabbing logs: EOF\n", time=b""),
        frame(b"x\n", time=b"2026-07-01T10:00:07Z "),
        frame(b"x\n", time=b"2026-07-01T10:00:07.00000x120Z "),
        frame(b"x\n", time=b"2026-13-01T10:00:07.000000120Z "),
        frame(b"", time=b""),
        frame(b"x\n", kind=0),
        b"\x01\0\0\0\xff\xff\xff\xff",
        "Ärger mit der Zeit".encode() + TIME,
    ],
)
def test_what_is_no_log_is_told(data: bytes) -> None:
    with pytest.raises(Unavailable):
        Framer(terminal=False).feed(data, boundary=False)


def test_a_terminals_answer_without_times_is_told() -> None:
    with pytest.raises(Unavailable, match="Error grabbing logs"):
        Framer(terminal=True).feed(b"Error grabbing logs: unexpected EOF\n", boundary=True)
    with pytest.raises(Unavailable, match="no end"):
        Framer(terminal=True).feed(b"x" * (17 * 2**20), boundary=False)
