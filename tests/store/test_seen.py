"""Sets of offsets, exact whatever the order in which they come."""

from hypothesis import given
from hypothesis import strategies as st

from logshipper.store.engine import seen
from logshipper.store.engine.seen import Span

OFFSETS = st.lists(st.integers(0, 2**59), min_size=1, max_size=50, unique=True).map(sorted)


@given(OFFSETS)
def test_span_round_trip(offsets: list[int]) -> None:
    span = Span(tuple(offsets))
    assert seen.decode(span.low, seen.encode(span)) == span
    assert seen.is_ascending(span)


def test_close_offsets_take_two_bytes_each() -> None:
    span = Span(tuple(range(0, 480 * 180, 180)))
    assert len(seen.encode(span)) <= 2 * 480


@given(st.lists(st.integers(0, 30)), st.lists(st.integers(0, 30), min_size=1, unique=True))
def test_fresh_is_set_membership(sent: list[int], stored: list[int]) -> None:
    known = set(stored)
    expected = []
    for offset in sent:
        expected.append(offset not in known)
        known.add(offset)
    assert seen.fresh(sent, [Span(tuple(sorted(stored)))]) == expected


@given(OFFSETS, OFFSETS)
def test_extend_keeps_every_offset_and_never_two_of_one_low(
    before: list[int], after: list[int]
) -> None:
    new = [offset for offset in after if offset not in before]
    last = Span(tuple(before))
    written = seen.extend(last, new)
    spans = {last.low: last} | {span.low: span for span in written}
    assert {o for span in spans.values() for o in span.offsets} == {*before, *new}
    assert all(len(span.offsets) <= seen.SPAN_OFFSETS for span in written)


def test_extend_cuts_what_is_too_long() -> None:
    written = seen.extend(None, range(0, 5000, 2))
    assert sum(len(span.offsets) for span in written) == 2500
    assert max(len(span.offsets) for span in written) == seen.SPAN_OFFSETS


def test_nothing_new_writes_nothing() -> None:
    assert seen.extend(Span((1,)), []) == ()


@given(OFFSETS, OFFSETS)
def test_a_span_is_lengthened_as_if_it_were_encoded_anew(
    before: list[int], after: list[int]
) -> None:
    span = Span(tuple(before))
    longer = seen.lengthened(seen.encode(span), span.high, after)
    if longer is None:
        assert after[0] <= span.high or after[-1] - span.high >= 1 << 16
    else:
        assert seen.decode(span.low, longer).offsets == (*before, *after)
        assert seen.extend(span, after) == (seen.decode(span.low, longer),)


def test_a_full_span_is_not_lengthened() -> None:
    data = seen.encode(Span(tuple(range(seen.SPAN_OFFSETS - 1))))
    assert seen.lengthened(data, seen.SPAN_OFFSETS - 2, [500]) is not None
    assert seen.lengthened(data, seen.SPAN_OFFSETS - 2, [500, 501]) is None
