"""Finds the newest (or oldest) lines that fit, block by block, and stops when it can."""

import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Final, Self

from logshipper.store.engine.block import Body, Head
from logshipper.store.engine.reader import BlockEntry, DayReader
from logshipper.store.model import BadQuery, Filters, Hit, Key, Line
from logshipper.store.query import fitting, literals
from logshipper.store.query import plan as planning
from logshipper.store.query.language import Regex
from logshipper.store.query.order import Order, size
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
        return self.matchers.setdefault(regex, Matcher(regex.pattern))

    def matching(self, regex: Regex, texts: Sequence[str]) -> frozenset[int]:
        """The numbers of the texts in which an expression is found.

        Raises:
            BadQuery: it takes too long.
        """
        literal = literals.required(regex.pattern)
        possible = [n for n, text in enumerate(texts) if literal in text]
        if not possible:
            return frozenset()
        found = self.matcher(regex).matching([texts[n] for n in possible])
        return frozenset(possible[n] for n in found)


def too_long(seconds: float) -> BadQuery:
    """The refusal of what would take longer."""
    return BadQuery(
        f"the search took longer than {seconds:g} s",
        "narrow the time (from, to), or add a word that is rare",
    )


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
        self._stream_ids = fitting.streams(reader, filters)
        self._from, self._to = _window(filters, order)
        self._levels = planning.level_bits(filters)
        self._hits: list[Hit] = []
        self._characters = 0

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
        # Or each page would walk through all pages before it.
        numbers = self._reader.numbers(self._from, self._to)
        if numbers is None:
            return None
        first, last = numbers
        found = self._reader.candidates(expression, newest_first=newest, first=first, last=last)
        for number, lines in found:
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
        body = None
        if self._plan.needles:
            # Before all else: most blocks have no such text, and it is seen at once.
            body = self._reader.body(entry.id, self._plan.needles)
            if body is None:
                return
        head = self._reader.head(entry.id)
        kept = [at for at in lines if self._head_fits(head, at, entry.id)]
        if not kept:
            return
        if not self._plan.checks_text and len(kept) > self._order.limit:
            # Nothing can drop out any more: only the first ones need their texts.
            kept.sort(key=lambda at: (head.times_ns[at], at), reverse=self._order.newest_first)
            del kept[self._order.limit :]
        self._take(entry.id, head, body or self._reader.body(entry.id), kept)
        most = self._order.limit_characters
        if len(self._hits) > 2 * self._order.limit + 1000 or (
            most is not None and self._characters > 2 * most
        ):
            self._prune()

    def _take(self, number: int, head: Head, body: Body, lines: list[int]) -> None:
        extras = body.extras or [b""] * len(body.messages)
        for at in fitting.texts(self._plan, body, lines, self._effort.matching):
            stream = self._reader.streams[head.stream_ids[at]]
            line = Line(head.times_ns[at], stream, head.levels[at], body.messages[at], extras[at])
            hit = Hit(self._day, Key(line.time_ns, number, at), line)
            self._hits.append(hit)
            self._characters += size(hit)

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
        most = self._order.limit_characters
        enough = most is not None and self._characters >= most
        return enough or len(self._hits) >= self._order.limit

    def _worst(self) -> Key | None:
        """The place of the last line that is in, when there are enough."""
        if not self._is_full():
            return None
        self._prune()
        return self._hits[-1].key

    def _prune(self) -> None:
        self._order.cut(self._hits)
        self._characters = sum(map(size, self._hits))


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
