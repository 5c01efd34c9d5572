"""Walks along time over an engine that answers "the first N lines between these moments"."""

from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Final, Protocol

from logshipper.store.lines import times
from logshipper.store.model import BadQuery, Filters
from logshipper.store.query.backends.place import Entry, Place, ordered

# As far as nanoseconds in 64 bits reach with room to spare: years 1823 and 2116.
FIRST_NS: Final = -(2**62)
LAST_NS: Final = 2**62
# What Elasticsearch gives at most for one question (index.max_result_window).
MOMENT_LINES: Final = 10_000
STEP_LINES: Final = 5_000
_GROWTH: Final = 8


@dataclass(frozen=True, slots=True)
class Span:
    """From the first nanosecond to the one after the last."""

    from_ns: int = FIRST_NS
    to_ns: int = LAST_NS

    @property
    def empty(self) -> bool:
        """Whether nothing can be in it."""
        return self.from_ns >= self.to_ns


class Ask(Protocol):
    """Gives the first lines of a span that fit, by time; among equal times any."""

    def __call__(self, span: Span, limit: int, *, newest_first: bool) -> Awaitable[Sequence[Entry]]:
        """So many lines at most; fewer only if there are no more."""


Keep = Callable[[Sequence[Entry]], Awaitable[Sequence[Entry]]]


def span_of(filters: Filters) -> Span:
    """The time that filters leave."""
    first = FIRST_NS if filters.from_ns is None else max(filters.from_ns, FIRST_NS)
    last = LAST_NS if filters.to_ns is None else min(filters.to_ns, LAST_NS)
    return Span(first, last)


def strides(span: Span, first: int, stride_ns: int, *, newest_first: bool) -> Iterator[Span]:
    """Parts of a span for an engine that sorts all of what it is asked for.

    Each goes eight times as far as the one before: what is near costs little, and what is far
    or nowhere is reached soon. What lies beyond the first moment belongs to the first part.

    Args:
        span: all of it.
        first: where to begin.
        stride_ns: how far the first part goes.
        newest_first: downward in time.
    """
    at = min(max(first, span.from_ns), span.to_ns)
    edge = span.to_ns if newest_first else span.from_ns
    while edge > span.from_ns if newest_first else edge < span.to_ns:
        if newest_first:
            at = max(span.from_ns, at - stride_ns)
            yield Span(at, edge)
        else:
            at = min(span.to_ns, at + stride_ns)
            yield Span(edge, at)
        edge, stride_ns = at, stride_ns * _GROWTH


@dataclass(frozen=True, slots=True)
class Walk:
    """One question, answered piece by piece in the order of places.

    An engine's answer may end amid lines of one moment. What it gave of that moment is asked
    for again as a whole, so no line falls between two pieces and none is given twice.

    Attributes:
        ask: asks the engine.
        span: where.
        resolution_ns: what one moment is to the engine: Elasticsearch's dates have milliseconds.
        newest_first: downward in time.
        keep: takes away what only we can tell; None where the engine tells all.
    """

    ask: Ask
    span: Span
    resolution_ns: int = 1
    newest_first: bool = True
    keep: Keep | None = None

    async def pieces(
        self, beyond: Place | None = None, step: int = STEP_LINES
    ) -> AsyncIterator[list[Entry]]:
        """All lines beyond a place, so many or somewhat more at a time; one piece at least.

        Raises:
            BadQuery: a moment holds more lines than can be put in order.
        """
        first, last = self.span.from_ns, self.span.to_ns
        if self.span.empty:
            yield []
        if beyond is not None:
            around = await self.moment(beyond.time_ns)
            yield [entry for entry in around if self._lies(entry, beyond)]
            moment = self._moment_of(beyond.time_ns)
            first, last = self._rest(Span(first, last), moment)
        while first < last:
            asked = Span(first, last)
            given = await self.ask(asked, step, newest_first=self.newest_first)
            if len(given) < step:
                yield await self._kept(given)
                return
            edge = self._moment_of(given[-1].place.time_ns)
            whole = [e for e in given if self._moment_of(e.place.time_ns) != edge]
            yield [*(await self._kept(whole)), *(await self.moment(edge))]
            first, last = self._rest(asked, edge)

    async def moment(self, time_ns: int) -> list[Entry]:
        """All lines of a moment.

        Raises:
            BadQuery: they are too many.
        """
        start = self._moment_of(time_ns)
        span = Span(start, start + self.resolution_ns)
        given = await self.ask(span, MOMENT_LINES, newest_first=self.newest_first)
        if len(given) >= MOMENT_LINES:
            raise BadQuery(
                f"{MOMENT_LINES} lines or more share the time {times.text(start)}",
                "add an app, a container or a word",
            )
        return await self._kept(given)

    async def _kept(self, given: Sequence[Entry]) -> list[Entry]:
        span = self.span
        entries = [e for e in given if span.from_ns <= e.place.time_ns < span.to_ns]
        # Numbered before any is left out: an id must not depend on what was asked.
        placed = ordered(entries, newest_first=self.newest_first)
        return placed if self.keep is None else list(await self.keep(placed))

    def _moment_of(self, time_ns: int) -> int:
        return time_ns - time_ns % self.resolution_ns

    def _rest(self, span: Span, moment: int) -> tuple[int, int]:
        if self.newest_first:
            return span.from_ns, min(span.to_ns, moment)
        return max(span.from_ns, moment + self.resolution_ns), span.to_ns

    def _lies(self, entry: Entry, beyond: Place) -> bool:
        return entry.place < beyond if self.newest_first else entry.place > beyond
