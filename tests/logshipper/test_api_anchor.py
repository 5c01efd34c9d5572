"""Going on in a log without offsets: a model of Docker, read in windows, rotated, killed."""

from hypothesis import given
from hypothesis import strategies as st

from logshipper.api.anchor import WINDOW, Marker, Seeker, windows
from logshipper.api.frames import Line
from logshipper.model import Entry, Mark

TIMES = st.integers(0, 6)  # few, so that they are equal, and go backwards
TEXTS = st.one_of(st.sampled_from([b"tick\n", b""]), st.binary(max_size=2))
LINES = st.lists(
    st.builds(
        lambda stream, time, text: Line(stream, time, str(time), text),
        st.sampled_from(["stdout", "stderr"]),
        TIMES,
        TEXTS,
    ),
    max_size=40,
)


def marks(lines: list[Line]) -> list[Mark]:
    marker = Marker()
    return [marker.entry(line).mark for line in lines]


def read(log: list[Line], anchor: Mark | None, counts: list[int | None]) -> list[Entry] | None:
    """As a stream does it: larger and larger windows; None when the anchor is nowhere."""
    for count in counts:
        seeker = Seeker(anchor, whole=count is None)
        window = log if count is None else log[-count:] if count else []
        new = [entry for line in window if (entry := seeker.take(line)) is not None]
        if seeker.found:
            assert seeker.taken == len(new)
            return new
    return None


def unambiguous(log: list[Line]) -> bool:
    """Each mark names one entry: the clock was not set back between two that are alike."""
    found = marks(log)
    return len(set(found)) == len(found)


@given(log=LINES, cut=st.integers(1, 40), counts=st.lists(st.integers(0, 40), max_size=3))
def test_behind_an_anchor_comes_exactly_what_follows(
    log: list[Line], cut: int, counts: list[int]
) -> None:
    found = marks(log)
    if not unambiguous(log) or not log:
        return
    at = min(cut, len(log))
    new = read(log, found[at - 1], [*sorted(counts), None])
    assert new is not None
    assert [entry.mark for entry in new] == found[at:]
    assert [entry.text for entry in new] == [line.text for line in log[at:]]


@given(log=LINES, steps=st.lists(st.integers(1, 5), max_size=20), window=st.integers(0, 10))
def test_a_log_read_as_it_grows_is_read_once(
    log: list[Line], steps: list[int], window: int
) -> None:
    """The ids are those of one reading, wherever lives ended."""
    if not unambiguous(log):
        return
    taken: list[Mark] = []
    there = 0
    for step in [*steps, len(log)]:
        there = min(there + step, len(log))
        anchor = taken[-1] if taken else None
        new = read(log[:there], anchor, [window, None] if anchor else [None])
        assert new is not None
        taken += [entry.mark for entry in new]
    assert taken == marks(log)


@given(log=LINES, rotated=st.integers(1, 40), cut=st.integers(1, 40))
def test_an_anchor_that_was_rotated_away_is_not_found(
    log: list[Line], rotated: int, cut: int
) -> None:
    found = marks(log)
    if not unambiguous(log) or not 0 < cut <= rotated < len(log):
        return
    # But for entries that are all alike, of which some are gone: see `Seeker`.
    left, anchor = log[rotated:], found[cut - 1]
    if any(
        (line.time_ns, Marker().entry(line).mark.crc) == (anchor.time_ns, anchor.crc)
        for line in left
    ):
        return
    assert read(left, anchor, [3, None]) is None


def test_a_window_that_begins_among_entries_that_are_alike_is_not_believed() -> None:
    same = [Line("stdout", 7, "t", b"a" * 10)] * 5
    log = [Line("stdout", 1, "t", b"before\n"), *same, Line("stdout", 9, "t", b"behind\n")]
    anchor = marks(log)[3]  # the third of five
    new = read(log, anchor, [4, None])
    assert new is not None
    assert [entry.text for entry in new] == [b"a" * 10, b"a" * 10, b"behind\n"]


def test_the_streams_are_told_apart() -> None:
    lines = [Line("stdout", 7, "t", b"x\n"), Line("stderr", 7, "t", b"x\n")]
    first, second = marks(lines)
    assert first.crc != second.crc
    assert (first.nth, second.nth) == (0, 0)
    assert marks([*lines, lines[0]])[2].nth == 1
    assert str(Mark(255, 1)) == "ff.00000001"
    assert str(Mark(255, 1, 10)) == "ff.00000001.a"


def test_windows_grow_until_all_is_asked_for() -> None:
    assert list(windows(0)) == [WINDOW, WINDOW * 16, WINDOW * 256, None]
    assert next(windows(10_000)) == 20_000
    assert list(windows(10**9)) == [None]


def test_parts_that_are_alike_are_told_apart_with_the_other_stream_between() -> None:
    log = [
        Line("stdout", 0, "0", b"tick\n"),
        Line("stderr", 1, "1", b"tick\n"),
        Line("stdout", 0, "0", b"tick\n"),
        Line("stdout", 0, "0", b"tick\n"),
    ]
    new = read(log, marks(log)[0], [3, None])
    assert new is not None
    assert [entry.mark for entry in new] == marks(log)[1:]


def test_a_stream_that_spoke_once_costs_no_reading_of_everything() -> None:
    log = [Line("stdout", n, "t", b"x\n") for n in range(5000)] + [Line("stderr", 9, "t", b"e\n")]
    assert read(log, marks(log)[-1], [WINDOW]) == []
