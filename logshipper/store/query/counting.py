"""Counts all lines that fit on one day: from the roll-up, the index, the columns, the texts."""

from collections.abc import Callable, Iterator, Sequence
from itertools import islice
from typing import Final

from logshipper.store.engine.block import Body, Columnar
from logshipper.store.engine.reader import BlockEntry, DayReader
from logshipper.store.lines import times
from logshipper.store.model import Filters, Stream
from logshipper.store.query import fitting, runs
from logshipper.store.query import plan as planning
from logshipper.store.query.plan import Plan
from logshipper.store.query.runs import RUN_BLOCKS, Kinds, Runs
from logshipper.store.query.search import Effort, window
from logshipper.store.query.tally import DayTally, Tally

# The index is asked for so many blocks at once: enough that the asking costs nothing, few enough
# that a count whose time is up has not read far ahead.
_BLOCKS: Final = 256

Read = tuple[BlockEntry, Callable[[], Columnar]]


def rolls_up(plan: Plan, tally: Tally) -> bool:
    """Whether the roll-up can answer: it knows minutes, apps and levels only."""
    filters = plan.filters
    matched = [matcher.name for matcher in filters.labels]
    return (
        {*filters.streams, *filters.not_streams, *matched, *tally.fields} <= {"app"}
        and not plan.match
        and not plan.checks_text
        and tally.bucket_ns % times.MINUTE_NS == 0
        and not tally.origin_ns
    )


class DayCount:
    """One count on one day, the latest blocks first.

    Args:
        reader: the day.
        plan: what fits.
        tally: where it is counted.
        effort: how long it may take.
    """

    def __init__(self, reader: DayReader, plan: Plan, tally: Tally, effort: Effort) -> None:
        self._reader = reader
        self._plan = plan
        self._tally = tally
        self._effort = effort
        self._streams = fitting.streams(reader, plan.filters)
        self._levels = planning.level_bits(plan.filters)

    def rolled(self) -> int | None:
        """Counts by the roll-up, and by the blocks what is no whole minute.

        Returns:
            From which nanosecond on all was counted; None if all was.
        """
        first_ns, last_ns = window(self._plan.filters)
        first, last = -(-first_ns // times.MINUTE_NS), (last_ns + 1) // times.MINUTE_NS - 1
        if first > last:
            return self.walked()
        self._roll(first, last)
        for edge in (
            Filters(from_ns=(last + 1) * times.MINUTE_NS, to_ns=last_ns + 1),
            Filters(from_ns=first_ns, to_ns=first * times.MINUTE_NS),
        ):
            left = self.walked(edge)
            if left is not None:
                return left
        return None

    def walked(self, window_: Filters | None = None) -> int | None:
        """Counts by the blocks.

        Args:
            window_: in place of the query's own times.

        Returns:
            From which nanosecond on all was counted; None if all was.

        Raises:
            BadQuery: an expression takes too long, or nobody waits any more.
        """
        first_ns, last_ns = window(window_ or self._plan.filters)
        if first_ns > last_ns or (self._streams is not None and not self._streams):
            return None
        expression = planning.match_expression(self._plan, self._streams)
        day = self._tally.day(self._reader.streams)
        try:
            for (entry, read), lines in self._blocks(first_ns, last_ns, expression):
                if self._effort.is_over():
                    return entry.last_ns + 1
                if not entry.levels & self._levels:
                    continue
                # First of all: most blocks have no such text, and it is seen at once.
                needles = self._plan.needles
                body = self._reader.body(entry.id, needles) if needles else None
                if needles and body is None:
                    continue
                columns = read()
                kept = self._kept(entry, columns, lines, (first_ns, last_ns))
                if self._plan.checks_text and (kept is None or kept):
                    kept = self._worded(entry, body or self._reader.body(entry.id), kept)
                if kept is None or kept:
                    day.add((entry.first_ns, entry.last_ns), columns, kept)
        finally:
            day.close()
        return None

    def by_runs(self, runs_: Runs, file: object) -> int | None:
        """Counts all lines in one span, by stream and level: what is sealed, only once.

        Args:
            runs_: what is known.
            file: which file this is.

        Returns:
            From which nanosecond on all was counted; None if all was.

        Raises:
            BadQuery: nobody waits any more.
        """
        within = window(self._plan.filters)
        if within[0] > within[1] or (self._streams is not None and not self._streams):
            return None
        day = self._tally.day(self._reader.streams)
        try:
            for run in self._reader.runs(RUN_BLOCKS):
                if run.last_ns < within[0] or run.first_ns > within[1]:
                    continue
                if self._effort.is_over():
                    return run.last_ns + 1
                first = run.number * RUN_BLOCKS
                blocks = self._reader.columns_between(first, first + RUN_BLOCKS - 1)
                if not run.is_sealed or run.first_ns < within[0] or run.last_ns > within[1]:
                    for entry, read in blocks:
                        self._add(day, entry, read, within)
                    continue
                key = (file, *run)
                held = runs_.get(key)
                if held is None:
                    held = runs.count(read() for _, read in blocks)
                    runs_.put(key, held)
                self._add_kinds(day, held, run.first_ns)
        finally:
            day.close()
        return None

    def _add(
        self,
        day: DayTally,
        entry: BlockEntry,
        read: Callable[[], Columnar],
        within: tuple[int, int],
    ) -> None:
        outside = entry.last_ns < within[0] or entry.first_ns > within[1]
        if outside or not entry.levels & self._levels:
            return
        columns = read()
        kept = self._kept(entry, columns, None, within)
        if kept is None or kept:
            day.add((entry.first_ns, entry.last_ns), columns, kept)

    def _add_kinds(self, day: DayTally, held: Kinds, time_ns: int) -> None:
        for stream, level, lines in runs.kinds(held):
            if 1 << level & self._levels and (self._streams is None or stream in self._streams):
                day.add_kind(time_ns, stream, level, lines)

    def _roll(self, first: int, last: int) -> None:
        filters = self._plan.filters
        asked = filters.streams or filters.not_streams or filters.labels
        by_app = bool(asked or self._tally.fields)
        minutes = self._tally.bucket_ns // times.MINUTE_NS
        groups: dict[str, int | None] = {}
        for bucket, app, level, lines in self._reader.rolled(first, last, minutes, by_app=by_app):
            if app not in groups:
                stream = Stream(app, "", "", "", "")
                fits = planning.accepts_stream(filters, stream)
                groups[app] = self._tally.group(stream) if fits else None
            group = groups[app]
            if group is not None and 1 << level & self._levels:
                self._tally.add(bucket, group, level, lines)

    def _blocks(
        self, first_ns: int, last_ns: int, expression: str
    ) -> Iterator[tuple[Read, Sequence[int] | None]]:
        """The blocks that can hold what fits, and which lines of them; None for all."""
        blocks = self._reader.columns(first_ns, last_ns)
        while some := list(islice(blocks, _BLOCKS)):
            if not expression:
                yield from ((one, None) for one in some)
                continue
            # Blocks follow arrival, mostly: their numbers make few runs, often one.
            numbers = sorted(entry.id for entry, _ in some)
            found: dict[int, list[int]] = {}
            for first, last in _runs(numbers):
                found |= self._reader.lines(expression, first, last)
            yield from ((one, found[one[0].id]) for one in some if one[0].id in found)

    def _kept(
        self,
        entry: BlockEntry,
        columns: Columnar,
        lines: Sequence[int] | None,
        within: tuple[int, int],
    ) -> Sequence[int] | None:
        """Those of the lines that fit; None for all of the block."""
        first_ns, last_ns = within
        if entry.first_ns < first_ns or entry.last_ns > last_ns:
            moments = columns.times_ns(lines)
            numbers = range(entry.lines) if lines is None else lines
            lines = [
                at
                for at, moment in zip(numbers, moments, strict=True)
                if first_ns <= moment <= last_ns
            ]
        if entry.levels & ~self._levels:
            wanted, levels = self._levels, columns.levels
            numbers = range(entry.lines) if lines is None else lines
            lines = [at for at in numbers if 1 << levels[at] & wanted]
        if self._streams is not None:
            taken, streams = self._streams, columns.stream_ids
            numbers = range(entry.lines) if lines is None else lines
            lines = [at for at in numbers if streams[at] in taken]
        return lines

    def _worded(self, entry: BlockEntry, body: Body, lines: Sequence[int] | None) -> list[int]:
        """Those of the lines whose text fits."""
        numbers = list(range(entry.lines)) if lines is None else list(lines)
        return fitting.texts(self._plan, body, numbers, self._effort.matching)


def _runs(numbers: Sequence[int]) -> Iterator[tuple[int, int]]:
    """The first and last of each run without a gap."""
    first = last = numbers[0]
    for number in numbers[1:]:
        if number != last + 1:
            yield first, last
            first = number
        last = number
    yield first, last
