"""What of a block and of a day's streams fits a plan, expressions and all."""

from collections.abc import Callable, Sequence
from typing import TypeVar

from logshipper.store.engine.block import Body
from logshipper.store.engine.reader import DayReader
from logshipper.store.model import Filters
from logshipper.store.query import plan as planning
from logshipper.store.query.language import Regex
from logshipper.store.query.plan import Plan

T = TypeVar("T")
# Runs an expression: the numbers of the texts in which it is found.
Matching = Callable[[Regex, Sequence[str]], frozenset[int]]


def texts(plan: Plan, body: Body, lines: list[int], matching: Matching) -> list[int]:
    """Those lines of a block whose text is as it must be.

    Raises:
        BadQuery: an expression takes too long.
    """
    messages, extras = body.messages, body.extras or [b""] * len(body.messages)
    for part in plan.parts:
        lines = [at for at in lines if planning.has_part(part, messages[at])]
    for pattern in plan.patterns:
        lines = [at for at in lines if planning.has_pattern(pattern, messages[at])]
    if plan.checks_fields:
        lines = [at for at in lines if planning.accepts_fields(plan, messages[at], extras[at])]
    return expressed(
        plan.regexes, lines, lambda at: planning.regex_text(messages[at], extras[at]), matching
    )


def expressed(
    regexes: Sequence[Regex], lines: list[T], text: Callable[[T], str], matching: Matching
) -> list[T]:
    """Those lines in whose text the expressions are found as they must.

    Raises:
        BadQuery: an expression takes too long.
    """
    for regex in regexes:
        if lines:
            found = matching(regex, [text(line) for line in lines])
            lines = [line for n, line in enumerate(lines) if (n in found) != regex.negated]
    return lines


def streams(reader: DayReader, filters: Filters) -> frozenset[int] | None:
    """The numbers of the day's streams that the filters take; None for all."""
    if not filters.streams and not filters.not_streams and not filters.labels:
        return None
    return frozenset(
        number
        for number, stream in reader.streams.items()
        if planning.accepts_stream(filters, stream)
    )
