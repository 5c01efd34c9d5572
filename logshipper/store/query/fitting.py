"""What of a block and of a day's streams fits a plan, expressions and all."""

from collections.abc import Callable, Sequence

from logshipper.store.engine.block import Body
from logshipper.store.engine.reader import DayReader
from logshipper.store.model import Filters
from logshipper.store.query import plan as planning
from logshipper.store.query.language import Regex
from logshipper.store.query.plan import Plan

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
    for regex in plan.regexes:
        if lines:
            held = [planning.regex_text(messages[at], extras[at]) for at in lines]
            found = matching(regex, held)
            lines = [at for n, at in enumerate(lines) if (n in found) != regex.negated]
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
