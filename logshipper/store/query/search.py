"""Finds the newest (or oldest) lines that fit, block by block, and stops when it can."""

import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Final, Self

from logshipper.store.engine.block import Body, Head
from logshipper.store.engine.reader import BlockEntry, DayReader
from logshipper.store.model import BadQuery, Filters, Hit, Key, LabelMatcher, Line
from logshipper.store.query import plan as planning
from logshipper.store.query.language import Regex
from logshipper.store.query.plan import Plan
from logshipper.store.query.regexes import Matcher

BUDGET_SECONDS: Final = 15.0
_BEGINNING: Final = -(2**62)
_END: Final = 2**62


@dataclass(slots=True)
class Effort:
    """How long one request may take, over all days; `cancelled` ends it from another thread.

    Attributes:
        seconds: the limit.
        clock: monotonic seconds.
    """

    seconds: float = BUDGET_SECONDS
    clock: Callable[[], float] = time.monotonic
    cancelled: bool = False
    matchers: dict[Regex, Matcher] = field(default_factory=dict)
    _ends_at: float = field(init=False)

    def __post_init__(self) -> None:
        self._ends_at = self.clock() + self.seconds

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        for matcher in self.matchers.values():
            matcher.close()

    def check(self) -> None:
        """Goes on if there is time left.

        Raises:
            BadQuery: there is none.
        """
        if self.cancelled or self.clock() > self._ends_at:
            raise too_long(self.seconds)

    def is_over(self) -> bool:
        """Whether the time is up, for who can answer in part.

        Raises:
            BadQuery: nobody waits for the answer any more.
        """
        if self.cancelled:
            raise too_long(self.seconds)
        return self.clock() > self._ends_at

    def matcher(self, regex: Regex) -> Matcher:
        """The process that runs this expression."""
        return self.matchers.setdefault(regex, Matcher(regex.pattern, regex.flags))


def too_long(seconds: float) -> BadQuery:
    """The refusal of what would take longer."""
    return BadQuery(
        f"the search took longer than {seconds:g} s",
        "narrow the time (from, to), or add a word that is rare",
    )


@dataclass(frozen=True, slots=True)
class Order:
    """Which lines come first, and from where.

    Attributes:
        newest_first: downward in time.
        beyond: only lines after this place in that order; None from the beginning.
        limit: so many lines.
    """

    newest_first: bool = True
    beyond: Key | None = None
    limit: int = 100


class DaySearch:
    """One query on one day.

    The index hands out lines by block number, which follows arrival, not time. So the walk
    goes by number until it has enough lines, and then looks into those blocks it has not
    seen that hold an earlier-sorting time; there are few, unless old logs have come in late.

    Args:
        reader: the day.
        day: its number, for the hits.
        plan: what fits.
        order: which of it.
        effort: how long it may take.
    """

    def __init__(
        self, reader: DayReader, day: int, plan: Plan, order: Order, effort: Effort
    ) -> None:
        self._reader = reader
        self._day = day
        self._plan = plan
        self._order = order
        self._effort = effort
        filters = plan.filters
        self._stream_ids = fitting_streams(reader, filters, effort)
        self._from, self._to = _window(filters, order)
        self._levels = planning.level_bits(filters)
        self._hits: list[Hit] = []

    def hits(self) -> list[Hit]:
        """The lines, in the order asked for.

        Raises:
            BadQuery: it takes too long.
        """
        if self._stream_ids is not None and not self._stream_ids:
            return []
        expression = planning.match_expression(self._plan, self._stream_ids)
        if expression:
            turned = self._walk_index(expression)
            if turned is not None:
                self._walk_rest(expression, turned)
        else:
            self._walk_blocks()
        self._prune()
        return self._hits

    def _walk_index(self, expression: str) -> int | None:
        """Walks by block number; the block at which there were enough lines, None at the end."""
        newest = self._order.newest_first
        for number, lines in self._reader.candidates(expression, newest_first=newest):
            entry = self._reader.block(number)
            if entry is not None:
                self._visit(entry, lines)
            if self._is_full():
                return number
        return None

    def _walk_rest(self, expression: str, turned: int) -> None:
        newest = self._order.newest_first
        for entry in self._open_blocks():
            if entry.id < turned if newest else entry.id > turned:
                found = self._reader.candidates(
                    expression, newest_first=newest, first=entry.id, last=entry.id
                )
                for _, lines in found:
                    self._visit(entry, lines)

    def _walk_blocks(self) -> None:
        for entry in self._open_blocks():
            self._visit(entry, range(entry.lines))

    def _open_blocks(self) -> Iterator[BlockEntry]:
        """Blocks that may still hold a line that sorts before the last of those found."""
        newest = self._order.newest_first
        for entry in self._reader.blocks(self._from, self._to, newest_first=newest):
            self._effort.check()
            worst = self._worst()
            if worst is not None and (
                entry.last_ns < worst.time_ns if newest else entry.first_ns > worst.time_ns
            ):
                return
            yield entry

    def _visit(self, entry: BlockEntry, lines: Iterable[int]) -> None:
        self._effort.check()
        if (
            entry.last_ns < self._from
            or entry.first_ns > self._to
            or not entry.levels & self._levels
        ):
            return
        head = self._reader.head(entry.id)
        kept = [at for at in lines if self._head_fits(head, at, entry.id)]
        if not kept:
            return
        if not self._plan.checks_text and len(kept) > self._order.limit:
            # Nothing can drop out any more: only the first ones need their texts.
            kept.sort(key=lambda at: (head.times_ns[at], at), reverse=self._order.newest_first)
            del kept[self._order.limit :]
        self._take(entry.id, head, kept)
        if len(self._hits) > 2 * self._order.limit + 1000:
            self._prune()

    def _take(self, number: int, head: Head, lines: list[int]) -> None:
        body = self._reader.body(number)
        extras = body.extras or [b""] * len(body.messages)
        for at in fitting_texts(self._plan, body, lines, self._effort):
            stream = self._reader.streams[head.stream_ids[at]]
            line = Line(head.times_ns[at], stream, head.levels[at], body.messages[at], extras[at])
            self._hits.append(Hit(self._day, Key(line.time_ns, number, at), line))

    def _head_fits(self, head: Head, at: int, number: int) -> bool:
        time_ns = head.times_ns[at]
        if not self._from <= time_ns <= self._to or not 1 << head.levels[at] & self._levels:
            return False
        if self._stream_ids is not None and head.stream_ids[at] not in self._stream_ids:
            return False
        beyond = self._order.beyond
        if beyond is None:
            return True
        key = (time_ns, number, at)
        return key < beyond if self._order.newest_first else key > beyond

    def _is_full(self) -> bool:
        return len(self._hits) >= self._order.limit

    def _worst(self) -> Key | None:
        """The place of the last line that is in, when there are enough."""
        if not self._is_full():
            return None
        self._prune()
        return self._hits[-1].key

    def _prune(self) -> None:
        self._hits.sort(key=lambda hit: hit.key, reverse=self._order.newest_first)
        del self._hits[self._order.limit :]


def fitting_texts(plan: Plan, body: Body, lines: list[int], effort: Effort) -> list[int]:
    """Those lines of a block whose text is as it must be.

    Raises:
        BadQuery: an expression takes too long.
    """
    extras = body.extras or [b""] * len(body.messages)
    lines = [at for at in lines if planning.accepts_text(plan, body.messages[at], extras[at])]
    for regex in plan.regexes:
        texts = [planning.regex_text(regex, body.messages[at], extras[at]) for at in lines]
        found = effort.matcher(regex).matching(texts) if texts else frozenset()
        lines = [at for n, at in enumerate(lines) if (n in found) != regex.negated]
    return lines


def fitting_streams(reader: DayReader, filters: Filters, effort: Effort) -> frozenset[int] | None:
    """The numbers of the day's streams that the filters take; None for all.

    Raises:
        BadQuery: an expression takes too long.
    """
    if not filters.streams and not filters.not_streams and not filters.labels:
        return None
    fitting = {
        number: stream
        for number, stream in reader.streams.items()
        if planning.accepts_stream(filters, stream)
    }
    for matcher in filters.labels:
        if matcher.pattern and fitting:
            values = sorted({getattr(stream, matcher.name) for stream in fitting.values()})
            found = fitting_values(matcher, values, effort)
            fitting = {n: s for n, s in fitting.items() if getattr(s, matcher.name) in found}
    return frozenset(fitting)


def fitting_values(matcher: LabelMatcher, values: Sequence[str], effort: Effort) -> frozenset[str]:
    """Those of the values that a matcher's expression takes.

    Raises:
        BadQuery: it takes too long.
    """
    regex = Regex(matcher.pattern, of="label", label=matcher.name)
    found = effort.matcher(regex).matching(values)
    return frozenset(v for n, v in enumerate(values) if (n in found) != matcher.negated)


def window(filters: Filters) -> tuple[int, int]:
    """The first and the last nanosecond that can fit."""
    # The year 9999 is a time that people write; SQLite's integers end in 2262.
    first = _BEGINNING if filters.from_ns is None else max(filters.from_ns, _BEGINNING)
    last = _END if filters.to_ns is None else min(filters.to_ns - 1, _END)
    return first, last


def _window(filters: Filters, order: Order) -> tuple[int, int]:
    first, last = window(filters)
    if order.beyond is not None:
        if order.newest_first:
            last = min(last, order.beyond.time_ns)
        else:
            first = max(first, order.beyond.time_ns)
    return first, last
