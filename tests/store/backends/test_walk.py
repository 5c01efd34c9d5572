"""Walks along time: every line once, in one order, whatever the engine does with equal times."""

import random
from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from logshipper.store.model import BadQuery, Filters, Line, Stream
from logshipper.store.query.backends import place, walk
from logshipper.store.query.backends.place import Entry, Place
from logshipper.store.query.backends.walk import FIRST_NS, LAST_NS, Span, Walk

NOWHERE = Stream("", "", "", "", "")


def entry(time_ns: int, text: str) -> Entry:
    return Entry(Place(time_ns, place.digest(text)), Line(time_ns, NOWHERE, 0, text, b""))


class Engine:
    """Gives lines by time, in steps as coarse as it knows; equal ones as chance has it."""

    def __init__(self, entries: list[Entry], resolution_ns: int, dice: random.Random) -> None:
        self.entries = entries
        self.resolution_ns = resolution_ns
        self.dice = dice
        self.questions = 0

    async def ask(self, span: Span, limit: int, *, newest_first: bool) -> Sequence[Entry]:
        self.questions += 1
        r = self.resolution_ns
        first, last = span.from_ns // r, -(-span.to_ns // r)
        found = [e for e in self.entries if first <= e.place.time_ns // r < last]
        self.dice.shuffle(found)
        found.sort(key=lambda e: e.place.time_ns // r, reverse=newest_first)
        return found[:limit]


async def walked(steps: Walk, step: int, beyond: Place | None = None) -> list[Entry]:
    return [entry async for piece in steps.pieces(beyond, step) for entry in piece]


@given(
    st.lists(st.tuples(st.integers(0, 30), st.sampled_from("abc")), max_size=40),
    st.tuples(st.integers(1, 12), st.sampled_from([1, 4]), st.booleans()),
    st.tuples(st.integers(0, 30), st.integers(0, 31)),
    st.randoms(use_true_random=False),
)
async def test_every_line_once_in_one_order(
    drawn: list[tuple[int, str]],
    steps_of: tuple[int, int, bool],
    bounds: tuple[int, int],
    dice: random.Random,
) -> None:
    step, resolution_ns, newest_first = steps_of
    engine = Engine([entry(*each) for each in drawn], resolution_ns, dice)
    steps = Walk(engine.ask, Span(*bounds), resolution_ns, newest_first)
    whole = await walked(steps, step)
    inside = sorted(each for each in drawn if bounds[0] <= each[0] < bounds[1])
    assert sorted((e.place.time_ns, e.line.message) for e in whole) == inside
    places = [e.place for e in whole]
    assert places == sorted(places, reverse=newest_first)
    assert len(set(places)) == len(places)
    # From each line on the rest is the same, under the same ids.
    for at, each in enumerate(whole):
        again = place.parse(each.found.id)
        assert again == each.place
        assert await walked(steps, step, again) == whole[at + 1 :]


@given(
    st.tuples(st.integers(0, 500), st.integers(0, 500)),
    st.integers(-100, 600),
    st.integers(1, 50),
    st.booleans(),
)
def test_strides_cover_a_span_once(
    bounds: tuple[int, int], first: int, stride_ns: int, newest_first: bool
) -> None:
    span = Span(*bounds)
    parts = list(walk.strides(span, first, stride_ns, newest_first=newest_first))
    ordered = parts[::-1] if newest_first else parts
    covered = [each for part in ordered for each in range(part.from_ns, part.to_ns)]
    assert covered == list(range(span.from_ns, span.to_ns))
    assert len(parts) <= 6


async def test_a_moment_with_too_many_lines_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(walk, "MOMENT_LINES", 10)
    engine = Engine([entry(5, str(n)) for n in range(10)], 1, random.Random(0))
    with pytest.raises(BadQuery, match="10 lines or more share the time 1970-01-01"):
        await walked(Walk(engine.ask, Span()), 5)


async def test_what_only_we_can_tell_is_taken_away_before_it_counts() -> None:
    engine = Engine([entry(n, str(n)) for n in range(100)], 1, random.Random(0))

    async def even(entries: Sequence[Entry]) -> Sequence[Entry]:
        return [e for e in entries if int(e.line.message) % 2 == 0]

    found = await walked(Walk(engine.ask, Span(), keep=even), 10)
    assert [e.line.message for e in found] == [str(n) for n in range(98, -1, -2)]


def test_times_beyond_what_engines_know_are_cut() -> None:
    span = walk.span_of(Filters(from_ns=-(2**70), to_ns=2**70))
    assert span == Span(FIRST_NS, LAST_NS)
    assert not span.empty
    assert Span(5, 5).empty


@pytest.mark.parametrize(
    "text",
    [
        "",
        "x",
        "1-xyz",
        "1-0123456789abcdef-x",
        "20251120.1.2",
        "1-0123456789ABCDEF",
        "٣-0123456789abcdef",
    ],
)
def test_ids_that_are_none(text: str) -> None:
    with pytest.raises(BadQuery):
        place.parse(text)
