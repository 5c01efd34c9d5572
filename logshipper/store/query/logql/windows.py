"""At which moments numbers are wanted, and what lies in the windows before them; pure."""

import math
from bisect import bisect_left
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import accumulate
from typing import Final

from logshipper.store.model import BadQuery
from logshipper.store.query.logql.nodes import Range

MAX_MOMENTS: Final = 11_000  # Prometheus' and Loki's own limit of points in a series
MAX_SPANS: Final = 500_000
_MAX_NUMBERS: Final = 10_000_000
_MAX_LABEL_SETS: Final = 100_000

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


def check_size(label_sets: int, when: Moments) -> None:
    """Refuses more numbers than memory should hold on the way to an answer.

    Raises:
        BadQuery: they are too many.
    """
    if label_sets > _MAX_LABEL_SETS or label_sets * when.count > _MAX_NUMBERS:
        raise BadQuery(
            f"{label_sets} series of {when.count} points are too many",
            "sum by fewer labels, or give a longer step",
        )


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

    Raises:
        BadQuery: they would be too many.
    """
    check_size(len(counted), when)
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


def reduced(
    of: Range, when: Moments, held: Mapping[LabelSet, Mapping[int, Sequence[float]]]
) -> Vectors:
    """The number of each window, of numbers that stand in the lines.

    Args:
        of: the range.
        when: the moments.
        held: for each label set the numbers of each span, by the nanosecond of its beginning.

    Raises:
        BadQuery: they would be too many, or windows overlap so much that they hold too many.
    """
    check_size(len(held), when)
    overlap = max(1, of.range_ns // when.step_ns) if when.count > 1 else 1
    total = sum(len(numbers) for spans_ in held.values() for numbers in spans_.values())
    if total * overlap > _MAX_NUMBERS:
        raise BadQuery("the windows overlap too much", "give a longer step, or a shorter range")
    found: Vectors = {}
    for labels, spans_ in held.items():
        begins = sorted(spans_)
        column: list[float | None] = []
        for moment in when.at():
            end_ns = moment - of.offset_ns
            low = bisect_left(begins, end_ns - of.range_ns)
            high = bisect_left(begins, end_ns, low)
            numbers = [number for at in begins[low:high] for number in spans_[at]]
            column.append(_of_numbers(of, numbers) if numbers else None)
        found[labels] = column
    return {k: v for k, v in found.items() if any(number is not None for number in v)}


def _of_numbers(of: Range, numbers: list[float]) -> float:
    name = of.function.removesuffix("_over_time")
    return _quantile(numbers, of.parameter) if name == "quantile" else REDUCE[name](numbers)


def _quantile(numbers: list[float], wanted: float) -> float:
    """As Prometheus does it: by the two numbers around the place, in proportion."""
    if not 0 <= wanted <= 1:
        return math.inf if wanted > 1 else -math.inf
    ordered = sorted(numbers)
    place = wanted * (len(ordered) - 1)
    low = math.floor(place)
    high = min(low + 1, len(ordered) - 1)
    return ordered[low] + (ordered[high] - ordered[low]) * (place - low)


def _sum(numbers: Sequence[float]) -> float:
    try:
        return math.fsum(numbers)
    except (OverflowError, ValueError):
        # Too large for it, or both infinities: IEEE 754 has an answer, as Loki gives it.
        return sum(numbers)


REDUCE: Final[dict[str, Callable[[list[float]], float]]] = {
    "sum": _sum,
    "min": min,
    "max": max,
    "avg": lambda numbers: _sum(numbers) / len(numbers),
    "count": lambda numbers: float(len(numbers)),
}
