"""Computes what a query asks of numbers: groups, arithmetic, comparisons; pure."""

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from operator import add, eq, ge, gt, le, lt, mul, ne, sub
from typing import Final, assert_never

from logshipper.store.model import BadQuery
from logshipper.store.query.logql.nodes import Aggregate, Binary, Constant, Metric, Range
from logshipper.store.query.logql.windows import REDUCE, LabelSet, Moments, Vectors

MAX_SERIES: Final = 500  # Loki's default of max_query_series


def ranges(
    metric: Metric, grouping: Sequence[str] | None = None
) -> Iterable[tuple[Range, Sequence[str] | None]]:
    """The ranges of a query, each with the labels that alone matter of it; None if all may."""
    match metric:
        case Range():
            yield metric, grouping if metric.labels is None else metric.labels
        case Aggregate(function, of, labels, without):
            # A sum of sums, and no other, may be made at once of all lines of a group.
            useful = function == "sum" and not without and adds_up(of)
            yield from ranges(of, labels if useful and isinstance(of, Range) else None)
        case Binary(_, left, right):
            yield from ranges(left)
            yield from ranges(right)
        case Constant():
            return
        case _:
            assert_never(metric)


def adds_up(metric: Metric) -> bool:
    """Whether the number of two groups together is the sum of theirs."""
    return isinstance(metric, Range) and not metric.function.startswith(("avg", "min", "max", "q"))


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
        found[kept] = [REDUCE[metric.function](numbers) if numbers else None for numbers in present]
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


_COMPUTE: Final[dict[str, Callable[[float, float], float]]] = {
    "+": add, "-": sub, "*": mul, "/": _divided, "%": _rest,
}  # fmt: skip
_COMPARE: Final[dict[str, Callable[[float, float], bool]]] = {
    "==": eq, "!=": ne, ">": gt, ">=": ge, "<": lt, "<=": le,
}  # fmt: skip
