"""From lines asked for in LogQL to our query, and to what is left to do on each line found."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Final

from logshipper.store.model import STREAM_FIELDS, Filters, LabelMatcher
from logshipper.store.query import linear
from logshipper.store.query.language import Part, Pattern, Query, Term
from logshipper.store.query.logql import patterns
from logshipper.store.query.logql.nodes import (
    All,
    Condition,
    Decolorize,
    Labels,
    LineFilter,
    Log,
    Matcher,
    Stage,
)
from wharfinger import levels

# What Loki makes of a label `app`, and what Grafana's Logs Drilldown begins with.
SERVICE: Final = "service_name"
NO_SERVICE: Final = "unknown_service"
# `detected_level` is Loki's own name; `level` is what everybody writes.
DETECTED: Final = "detected_level"
LEVELS: Final = ("level", DETECTED)
# By these lines are counted without one being looked at.
COUNTED: Final = frozenset({*STREAM_FIELDS, SERVICE, *LEVELS})
_LEVEL_NAMES: Final = ("unknown", *levels.NAMES[1:])


@dataclass(frozen=True, slots=True)
class Asked:
    """Lines asked for.

    Attributes:
        query: those that the store can find.
        stages: what to do on each of them, in order.
    """

    query: Query
    stages: tuple[Stage, ...] = ()


def translate(log: Log, from_ns: int | None = None, to_ns: int | None = None) -> Asked:
    """The query for some lines.

    Raises:
        BadQuery: an expression is none.
    """
    asked = _Asking(Filters(from_ns=from_ns, to_ns=to_ns))
    for matcher in log.matchers:
        asked.match(matcher)
    stages = list(log.stages)
    # The store does what stands before anything that gives a line other labels or another text.
    while stages and asked.stage(stages[0]):
        del stages[0]
    kept: list[Stage] = []
    for at, stage in enumerate(stages):
        # Labels that were parsed change no text: such a filter may go first.
        changed = any(isinstance(before, Decolorize) for before in stages[:at])
        if changed or not isinstance(stage, LineFilter):
            kept.append(stage)
        else:
            asked.line(stage)
    return Asked(Query(tuple(asked.terms), asked.filters), tuple(kept))


def plain_count(stages: Sequence[Stage]) -> bool:
    """Whether these stages leave every line in, and the labels that the store counts by."""
    return not any(
        isinstance(stage, LineFilter | Condition)
        or (isinstance(stage, Labels) and (stage.keep or COUNTED & {*stage.names}))
        for stage in stages
    )


class _Asking:
    """A query, on its way."""

    def __init__(self, filters: Filters) -> None:
        self.filters = filters
        self.terms: list[Term] = []

    def stage(self, stage: Stage) -> bool:
        """Takes a stage, if the store can do it."""
        match stage:
            case LineFilter():
                self.line(stage)
            case Matcher():
                self.match(stage)
            case All(conditions) if all(isinstance(one, Matcher) for one in conditions):
                for one in conditions:
                    self.stage(one)
            case _:
                return False
        return True

    def line(self, stage: LineFilter) -> None:
        """Takes a filter of lines."""
        negated = stage.op in {"!=", "!~"}
        if stage.op in {"|=", "!="}:
            # Grafana sends |= `` where nothing is filled in; it is in every line.
            if negated or all(stage.values):
                self.terms.append(Part(stage.values, negated))
            return
        # One expression for all choices, so that each line is looked at once.
        pattern = patterns.choice(stage.values)
        if pattern or negated:
            self.terms.append(Pattern(pattern, negated))

    def match(self, matcher: Matcher) -> None:
        """Takes a condition on a label."""
        name, negated = matcher.name, matcher.op in {"!=", "!~"}
        values: tuple[str, ...] = (matcher.value,)
        prefixes: tuple[str, ...] = ()
        pattern = ""
        if matcher.op in {"=~", "!~"}:
            known = patterns.plain(matcher.value)
            if matcher.value == ".+":
                values, negated = ("",), not negated
            elif known is None:
                values, pattern = (), matcher.value
                linear.compiled(pattern, whole=True)
            else:
                values, prefixes = known
        if name in LEVELS:
            if name == DETECTED:
                # Loki calls what it did not detect `unknown`; the label is never empty.
                values = tuple(value or "none" for value in values)
            self._level(values, prefixes, pattern, negated=negated)
        elif name == SERVICE:
            if matcher.value == ".+":
                # What has no name is called so: the label is never empty.
                values, prefixes, negated = (), ("",), not negated
            values = tuple("" if value == NO_SERVICE else value for value in values)
            self._add(LabelMatcher("app", values, prefixes, pattern, negated))
        elif name in STREAM_FIELDS:
            self._add(LabelMatcher(name, values, prefixes, pattern, negated))
        else:
            self.terms.append(LabelMatcher(name, values, prefixes, pattern, negated))

    def _add(self, matcher: LabelMatcher) -> None:
        self.filters = replace(self.filters, labels=(*self.filters.labels, matcher))

    def _level(
        self, values: Iterable[str], prefixes: tuple[str, ...], pattern: str, *, negated: bool
    ) -> None:
        wanted = {_level_number(value) for value in values}
        for number, name in enumerate(_LEVEL_NAMES):
            found = pattern and linear.compiled(pattern, whole=True).found(name)
            if found or name.startswith(prefixes):
                wanted.add(number)
        # All conditions hold at once, so what remains of the levels is kept as those refused.
        refused = wanted if negated else set(range(len(_LEVEL_NAMES))) - wanted
        self.filters = replace(
            self.filters, not_levels=self.filters.not_levels | frozenset(refused)
        )


def _level_number(value: str) -> int:
    """The number of a level in any spelling; of one that no line has, a number that none has."""
    if value in {"", "unknown"}:
        return levels.UNKNOWN
    return levels.level_of(value) or len(_LEVEL_NAMES)
