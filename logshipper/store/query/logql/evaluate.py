"""Computes what a query asks of numbers: windows over counts, groups, arithmetic; pure."""

import math
from bisect import bisect_left
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import accumulate
from operator import add, eq, ge, gt, le, lt, mul, ne, sub
from typing import Final, assert_never

from logshipper.store.model import BadQuery
from logshipper.store.query.logql.nodes import Aggregate, Binary, Constant, Metric, Range

MAX_MOMENTS: Final = 11_000  # Prometheus' and Loki's own limit of points in a series
MAX_SPANS: Final = 500_000
MAX_SERIES: Final = 500  # Loki's default of max_query_series

# Names and values, sorted by name.
LabelSet = tuple[tuple[str, str], ...]
# For each label set a number for each moment; None where there is none.
Vectors = dict[LabelSet, list[float | None]]


@dataclass(frozen=True, slots=True)
class Moments:
    """At which moments numbers are wanted.

    Attributes:
        start_ns: the first.
        step_ns: from each to the next.
        count: how many.
    """

    start_ns: int
    step_ns: int
    count: int

    @property
    def last_ns(self) -> int:
        """The last."""
        return self.start_ns + (self.count - 1) * self.step_ns

    def at(self) -> list[int]:
        """All of them."""
        return [self.start_ns + n * self.step_ns for n in range(self.count)]


@dataclass(frozen=True, slots=True)
class Spans:
    """The spans of time in which lines must be counted to know all windows of a range.

    Attributes:
        from_ns: the beginning of the first.
        to_ns: the end of the last.
        length_ns: the length of each.
    """

    from_ns: int
    to_ns: int
    length_ns: int


def moments(start_ns: int, end_ns: int, step_ns: int) -> Moments:
    """Those from a start to an end.

    Raises:
        BadQuery: there are none, or too many.
    """
    if step_ns <= 0 or end_ns < start_ns:
        raise BadQuery("the end is before the start, or the step is nothing", "mend them")
    count = (end_ns - start_ns) // step_ns + 1
    if count > MAX_MOMENTS:
        raise BadQuery(
            f"{count} points in a series are more than {MAX_MOMENTS}", "give a longer step"
        )
    return Moments(start_ns, step_ns, count)


def spans(of: Range, when: Moments) -> Spans:
    """The spans for a range: windows begin and end where spans do.

    A window is [moment - range, moment): a line at the very border counts to the later one.

    Raises:
        BadQuery: they would be too many.
    """
    first_ns = when.start_ns - of.offset_ns - of.range_ns
    last_ns = when.last_ns - of.offset_ns
    length_ns = of.range_ns if when.count == 1 else math.gcd(of.range_ns, when.step_ns)
    if (last_ns - first_ns) // length_ns > MAX_SPANS:
        raise BadQuery(
            "the step and the range have no common measure", "make one a multiple of the other"
        )
    return Spans(first_ns, last_ns, length_ns)


def windows(of: Range, when: Moments, counted: Mapping[LabelSet, Mapping[int, float]]) -> Vectors:
    """The number of each window.

    Args:
        of: the range.
        when: the moments.
        counted: for each label set the sum of each span, by the nanosecond of its beginning.
    """
    per_second = of.range_ns / 1e9 if of.function in {"rate", "bytes_rate"} else 1.0
    ends = [moment - of.offset_ns for moment in when.at()]
    found: Vectors = {}
    for labels, sums in counted.items():
        begins = sorted(sums)
        totals = list(accumulate((sums[at] for at in begins), initial=0.0))
        numbers: list[float | None] = []
        for end_ns in ends:
            low = bisect_left(begins, end_ns - of.range_ns)
            high = bisect_left(begins, end_ns, low)
            # Where no line is there is no number, and no zero either.
            numbers.append((totals[high] - totals[low]) / per_second if high > low else None)
        if any(number is not None for number in numbers):
            found[labels] = numbers
    return found


def ranges(
    metric: Metric, grouping: Sequence[str] | None = None
) -> Iterable[tuple[Range, Sequence[str] | None]]:
    """The ranges of a query, each with the labels that alone matter of it; None if all may."""
    match metric:
        case Range():
            yield metric, grouping
        case Aggregate(function, of, labels, without):
            # A sum of sums, and no other, may be made at once of all lines of a group.
            useful = function == "sum" and not without
            yield from ranges(of, labels if useful and isinstance(of, Range) else None)
        case Binary(_, left, right):
            yield from ranges(left)
            yield from ranges(right)
        case Constant():
            return
        case _:
            assert_never(metric)


def evaluate(metric: Metric, when: Moments, known: Mapping[int, Vectors]) -> Vectors | float:
    """The numbers of a query: a scalar, or vectors.

    Args:
        metric: the query.
        when: at which moments.
        known: the vectors of its ranges, by their objects' ids.

    Raises:
        BadQuery: there are too many series, or two vectors do not fit each other.
    """
    match metric:
        case Range():
            return known[id(metric)]
        case Constant(value, vector):
            return {(): [value] * when.count} if vector else value
        case Aggregate():
            inside = evaluate(metric.of, when, known)
            if isinstance(inside, float):
                raise BadQuery(f"{metric.function} of a number is not possible", "leave it out")
            return _aggregated(metric, inside)
        case Binary(op, left, right, as_bool):
            return _combined(
                op, evaluate(left, when, known), evaluate(right, when, known), as_bool=as_bool
            )
        case _:
            assert_never(metric)


def _aggregated(metric: Aggregate, inside: Vectors) -> Vectors:
    groups: dict[LabelSet, list[LabelSet]] = {}
    for labels in inside:
        kept = tuple(pair for pair in labels if (pair[0] in metric.labels) != metric.without)
        groups.setdefault(kept, []).append(labels)
    if metric.function in {"topk", "bottomk"}:
        return _most(metric, inside, groups.values())
    found: Vectors = {}
    for kept, members in groups.items():
        columns = zip(*(inside[labels] for labels in members), strict=True)
        present = ([number for number in column if number is not None] for column in columns)
        found[kept] = [
            _REDUCE[metric.function](numbers) if numbers else None for numbers in present
        ]
    return found


def _most(metric: Aggregate, inside: Vectors, groups: Iterable[list[LabelSet]]) -> Vectors:
    found: Vectors = {}
    sign = -1 if metric.function == "topk" else 1
    for members in groups:
        for at in range(len(inside[members[0]])):
            there = [
                (sign * number, labels)
                for labels in members
                if (number := inside[labels][at]) is not None
            ]
            for number, labels in sorted(there)[: metric.parameter]:
                found.setdefault(labels, [None] * len(inside[labels]))[at] = sign * number
    return found


def _combined(
    op: str, left: Vectors | float, right: Vectors | float, *, as_bool: bool
) -> Vectors | float:
    compute = _COMPARE.get(op) or _COMPUTE[op]
    keeps = op in _COMPARE and not as_bool

    def one(a: float | None, b: float | None, shown: float | None) -> float | None:
        if a is None or b is None:
            return None
        result = compute(a, b)
        if keeps:
            return shown if result else None
        return float(result)

    if isinstance(left, float) and isinstance(right, float):
        return float(compute(left, right))
    if isinstance(right, float):
        assert not isinstance(left, float)  # noqa: S101 - for the type checker
        return _pruned({k: [one(a, right, a) for a in v] for k, v in left.items()})
    if isinstance(left, float):
        return _pruned({k: [one(left, b, b) for b in v] for k, v in right.items()})
    return _pruned(
        {
            k: [one(a, b, a) for a, b in zip(left[k], right[k], strict=True)]
            for k in left.keys() & right.keys()
        }
    )


def _pruned(vectors: Vectors) -> Vectors:
    return {k: v for k, v in vectors.items() if any(number is not None for number in v)}


def _divided(a: float, b: float) -> float:
    if b:
        return a / b
    return math.nan if not a or math.isnan(a) else math.copysign(math.inf, a)


def _rest(a: float, b: float) -> float:
    return math.fmod(a, b) if b and math.isfinite(a) else math.nan


_REDUCE: Final[dict[str, Callable[[list[float]], float]]] = {
    "sum": math.fsum,
    "min": min,
    "max": max,
    "avg": lambda numbers: math.fsum(numbers) / len(numbers),
    "count": lambda numbers: float(len(numbers)),
}
_COMPUTE: Final[dict[str, Callable[[float, float], float]]] = {
    "+": add, "-": sub, "*": mul, "/": _divided, "%": _rest,
}  # fmt: skip
_COMPARE: Final[dict[str, Callable[[float, float], bool]]] = {
    "==": eq, "!=": ne, ">": gt, ">=": ge, "<": lt, "<=": le,
}  # fmt: skip
