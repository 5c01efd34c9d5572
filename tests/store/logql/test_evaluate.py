"""Numbers are those that Loki's rules give; windows begin at the left border."""

import math
import re
from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from logshipper.store.model import BadQuery
from logshipper.store.query.logql import evaluate, parser, windows
from logshipper.store.query.logql.nodes import Log, Range
from logshipper.store.query.logql.windows import Moments, Spans, Vectors

SECOND = 10**9


def of(range_ns: int, function: str = "count_over_time", offset_ns: int = 0) -> Range:
    return Range(function, Log(()), range_ns, offset_ns)


@given(
    lines=st.lists(st.integers(0, 100), max_size=60),
    start=st.integers(0, 60),
    step=st.integers(1, 20),
    count=st.integers(1, 12),
    range_=st.integers(1, 30),
    offset=st.integers(0, 10),
)
def test_windows_are_sums_of_spans(
    *, lines: list[int], start: int, step: int, count: int, range_: int, offset: int
) -> None:
    when, asked = Moments(start, step, count), of(range_, offset_ns=offset)
    spans = windows.spans(asked, when)
    counted: Counter[int] = Counter()
    for line in lines:
        if spans.from_ns <= line < spans.to_ns:
            counted[line - (line - spans.from_ns) % spans.length_ns] += 1
    found = windows.windows(asked, when, {(): counted}).get((), [None] * count)
    for moment, number in zip(when.at(), found, strict=True):
        end = moment - offset
        assert (number or 0) == sum(end - range_ <= line < end for line in lines)
        assert number != 0


def test_rates_are_per_second() -> None:
    when = Moments(60 * SECOND, 60 * SECOND, 2)
    found = windows.windows(of(60 * SECOND, "rate"), when, {(): {0: 30.0, 60 * SECOND: 3.0}})
    assert found == {(): [0.5, 0.05]}


def test_spans_of_one_moment_are_one() -> None:
    assert windows.spans(of(7), Moments(100, 1, 1)) == Spans(93, 100, 7)
    assert windows.spans(of(300), Moments(1000, 120, 3)) == Spans(700, 1240, 60)


@pytest.mark.parametrize(
    ("start", "end", "step"), [(10, 0, 1), (0, 10, 0), (0, 11_000, 1), (0, 10, -5)]
)
def test_moments_that_cannot_be(start: int, end: int, step: int) -> None:
    with pytest.raises(BadQuery):
        windows.moments(start, end, step)


def test_moments() -> None:
    assert windows.moments(0, 10, 3).at() == [0, 3, 6, 9]
    assert windows.moments(5, 5, 3).at() == [5]


def test_spans_without_a_common_measure() -> None:
    with pytest.raises(BadQuery, match="common measure"):
        windows.spans(of(3600 * SECOND), windows.moments(0, 7200 * SECOND, 7 * SECOND + 1))


@pytest.mark.parametrize(
    ("function", "wanted"),
    [
        ("sum_over_time", [6.0, 9.0, None]),
        ("avg_over_time", [2.0, 4.5, None]),
        ("min_over_time", [1.0, 4.0, None]),
        ("max_over_time", [3.0, 5.0, None]),
        ("quantile_over_time", [2.5, 4.75, None]),
    ],
)
def test_numbers_in_lines(function: str, wanted: list[float | None]) -> None:
    asked = Range(function, Log(()), 10, parameter=0.75)
    held = {(): {0: [1.0, 3.0], 5: [2.0], 10: [4.0, 5.0]}}
    assert windows.reduced(asked, Moments(10, 10, 3), held) == {(): wanted}


@pytest.mark.parametrize(
    ("numbers", "wanted"),
    [([1e308, 1e308], math.inf), ([-1e308, -1e308], -math.inf), ([1e308, -1e308, 1.0], 1.0)],
)
def test_numbers_in_lines_whose_sum_is_none(numbers: list[float], wanted: float) -> None:
    for function, by in (("sum_over_time", 1), ("avg_over_time", len(numbers))):
        found = windows.reduced(of(10, function), Moments(10, 1, 1), {(): {0: numbers}})
        assert found == {(): [wanted / by]}


def test_a_sum_of_both_infinities_is_no_number() -> None:
    found = asked("sum(x * (1 / 0) - x * (1 / 0))")
    assert isinstance(found, dict)
    assert all(math.isnan(number or 0) for number in found[()])
    assert math.isnan(windows.REDUCE["sum"]([math.inf, -math.inf]))


@pytest.mark.parametrize(
    ("quantile", "wanted"), [(-1, -math.inf), (0, 1.0), (1, 3.0), (2, math.inf)]
)
def test_quantiles_at_the_ends(quantile: float, wanted: float) -> None:
    asked = Range("quantile_over_time", Log(()), 10, parameter=quantile)
    assert windows.reduced(asked, Moments(10, 1, 1), {(): {0: [1.0, 3.0]}}) == {(): [wanted]}


def test_series_of_so_many_points_are_too_many() -> None:
    when = Moments(0, SECOND, 11_000)
    counted: dict[windows.LabelSet, dict[int, float]] = {
        (("id", str(n)),): {0: 1.0} for n in range(1_000)
    }
    with pytest.raises(BadQuery, match="1000 series of 11000 points"):
        windows.windows(of(SECOND), when, counted)
    with pytest.raises(BadQuery, match="1000 series of 11000 points"):
        windows.reduced(of(SECOND, "sum_over_time"), when, {k: {0: [1.0]} for k in counted})
    with pytest.raises(BadQuery, match="too many"):
        windows.check_size(100_001, Moments(0, 1, 1))


def test_windows_that_overlap_too_much() -> None:
    asked = Range("avg_over_time", Log(()), 3600 * SECOND)
    held = {(): {0: [1.0] * 3000}}
    with pytest.raises(BadQuery, match="overlap"):
        windows.reduced(asked, Moments(0, SECOND, 11_000), held)


A, B, C = (("app", "a"), ("host", "1")), (("app", "a"), ("host", "2")), (("app", "b"),)
HELD: Vectors = {A: [1.0, 2.0, None], B: [10.0, None, None], C: [5.0, 7.0, 9.0]}


def asked(text: str) -> Vectors | float:
    """A query's numbers, where x stands for a range with the numbers above."""
    metric = parser.parse(re.sub(r"\bx\b", "rate({}[1s])", text))
    assert not isinstance(metric, Log)
    known = {id(found): HELD for found, _ in evaluate.ranges(metric)}
    return evaluate.evaluate(metric, Moments(0, 1, 3), known)


APP_A, APP_B = (("app", "a"),), (("app", "b"),)


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("x", HELD),
        ("sum(x)", {(): [16.0, 9.0, 9.0]}),
        ("sum by (app) (x)", {APP_A: [11.0, 2.0, None], APP_B: [5.0, 7.0, 9.0]}),
        ("sum without (host) (x)", {APP_A: [11.0, 2.0, None], APP_B: [5.0, 7.0, 9.0]}),
        ("sum by (none) (x)", {(): [16.0, 9.0, 9.0]}),
        ("max(x)", {(): [10.0, 7.0, 9.0]}),
        ("min(x)", {(): [1.0, 2.0, 9.0]}),
        ("avg by (app) (x)", {APP_A: [5.5, 2.0, None], APP_B: [5.0, 7.0, 9.0]}),
        ("count(x)", {(): [3.0, 2.0, 1.0]}),
        ("topk(1, x)", {B: [10.0, None, None], C: [None, 7.0, 9.0]}),
        ("bottomk(1, x)", {A: [1.0, 2.0, None], C: [None, None, 9.0]}),
        ("topk by (app) (1, x)", {A: [None, 2.0, None], B: [10.0, None, None], C: HELD[C]}),
        ("x * 2", {A: [2.0, 4.0, None], B: [20.0, None, None], C: [10.0, 14.0, 18.0]}),
        ("10 - x", {A: [9.0, 8.0, None], B: [0.0, None, None], C: [5.0, 3.0, 1.0]}),
        ("x > 6", {B: [10.0, None, None], C: [None, 7.0, 9.0]}),
        ("x > bool 6", {A: [0.0, 0.0, None], B: [1.0, None, None], C: [0.0, 1.0, 1.0]}),
        ("6 < x", {B: [10.0, None, None], C: [None, 7.0, 9.0]}),
        ("x / x", {A: [1.0, 1.0, None], B: [1.0, None, None], C: [1.0, 1.0, 1.0]}),
        ("sum(x) / count(x)", {(): [16 / 3, 4.5, 9.0]}),
        ("x == 100", {}),
        ("1 + 2 * 3", 7.0),
        ("7 % 4 / 2", 1.5),
        ("1 > 2", 0.0),
        ("vector(1)+vector(1)", {(): [2.0, 2.0, 2.0]}),
    ],
)
def test_numbers(text: str, wanted: object) -> None:
    assert asked(text) == wanted


def test_nothing_and_division() -> None:
    assert asked("1 / 0") == math.inf
    assert asked("(0 - 1) / 0") == -math.inf
    found = asked("0 / 0")
    assert isinstance(found, float)
    assert math.isnan(found)


def test_a_sum_of_a_number() -> None:
    with pytest.raises(BadQuery, match="sum of a number"):
        asked("sum(5)")


@pytest.mark.parametrize(
    ("text", "grouping"),
    [
        ("sum by (app) (x)", ("app",)),
        ("sum(x)", ()),
        ("max by (app) (x)", None),
        ("sum without (app) (x)", None),
        ("topk(5, sum by (app) (x))", ("app",)),
        ("sum by (app) (sum_over_time({} | unwrap y [1s]))", ("app",)),
        ("sum by (app) (avg_over_time({} | unwrap y [1s]))", None),
        ("max by (app) (avg_over_time({} | unwrap y [1s]) by (host))", ("host",)),
        ("avg_over_time({} | unwrap y [1s]) by ()", ()),
        ("x", None),
    ],
)
def test_which_labels_matter(text: str, grouping: object) -> None:
    metric = parser.parse(re.sub(r"\bx\b", "rate({}[1s])", text))
    assert not isinstance(metric, Log)
    assert [labels for _, labels in evaluate.ranges(metric)] == [grouping]
