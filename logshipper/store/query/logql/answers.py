"""Answers queries in LogQL from a back end: lines, numbers, streams."""

import asyncio
import time
from collections import Counter
from collections.abc import AsyncGenerator, Callable, Mapping, Sequence
from contextlib import aclosing
from typing import Final

from logshipper.store.model import STREAM_FIELDS, BadQuery, Found, Stream
from logshipper.store.query.backend import PAGE_CHARACTERS, Counting, Paging
from logshipper.store.query.logql import entries
from logshipper.store.query.logql.entries import Entry, stream_labels
from logshipper.store.query.logql.evaluate import MAX_SERIES, evaluate, ranges
from logshipper.store.query.logql.nodes import Log, Metric, Parse, Range
from logshipper.store.query.logql.parser import VALUES
from logshipper.store.query.logql.translate import (
    COUNTED,
    LEVELS,
    SERVICE,
    Asked,
    plain_count,
    translate,
)
from logshipper.store.query.logql.windows import (
    LabelSet,
    Moments,
    Vectors,
    check_size,
    reduced,
    spans,
    windows,
)

LOOKING_SECONDS: Final = 15.0
_COUNTED: Final = ("count_over_time", "rate")


class Answers:
    """Answers from a back end; for the event loop.

    Args:
        backend: what holds the lines.
        clock: monotonic seconds.
    """

    def __init__(self, backend: Counting, clock: Callable[[], float] = time.monotonic) -> None:
        self._backend = backend
        self._clock = clock

    async def lines(
        self, tenant: str, asked: Asked, limit: int, *, newest_first: bool
    ) -> list[Entry]:
        """The first so many lines.

        Raises:
            BadQuery: it takes too long, or the lines are.
        """
        if not asked.stages:
            paging = Paging(limit, newest_first=newest_first)
            page = await self._backend.search(tenant, asked.query, paging)
            if page.more and len(page.lines) < limit:
                raise _too_long()
            return [entries.entry(found) for found in page.lines]
        kept: list[Entry] = []
        characters = 0
        looked = self._looked(tenant, asked, newest_first=newest_first)
        async with aclosing(looked):
            async for some in looked:
                kept += some
                characters += sum(len(one.line) for one in some)
                if characters > 2 * PAGE_CHARACTERS:
                    raise _too_long()
                if len(kept) >= limit:
                    break
        return kept[:limit]

    async def numbers(self, tenant: str, metric: Metric, when: Moments) -> Vectors:
        """The numbers of a query at each moment.

        Raises:
            BadQuery: it takes too long, or makes too many series.
        """
        known: dict[int, Vectors] = {}
        # In threads: many series of many points take seconds, in which the loop serves others.
        for of, grouping in ranges(metric):
            if of.function in VALUES:
                held = await self._numbers(tenant, of, when, grouping)
                known[id(of)] = await asyncio.to_thread(reduced, of, when, held)
            else:
                counted = await self._counted(tenant, of, when, grouping)
                known[id(of)] = await asyncio.to_thread(windows, of, when, counted)
        found = await asyncio.to_thread(evaluate, metric, when, known)
        if isinstance(found, float):
            return {(): [found] * when.count}
        if len(found) > MAX_SERIES:
            raise BadQuery(
                f"{len(found)} series are more than {MAX_SERIES}",
                "narrow the selector, or sum by fewer labels",
            )
        return found

    async def streams(self, tenant: str, log: Log, from_ns: int, to_ns: int) -> list[Stream]:
        """The streams whose labels fit."""
        asked = translate(Log(log.matchers), from_ns, to_ns)
        return sorted(await self._backend.streams(tenant, asked.query))

    async def _counted(
        self, tenant: str, of: Range, when: Moments, grouping: Sequence[str] | None
    ) -> Mapping[LabelSet, Mapping[int, float]]:
        """For each label set the sum of each span."""
        needed = spans(of, when)
        asked = translate(of.log, needed.from_ns, needed.to_ns)
        parses = any(isinstance(stage, Parse) for stage in asked.stages)
        counts = of.function in _COUNTED and plain_count(asked.stages)
        if counts and (not parses if grouping is None else _known(grouping)):
            by = _fields(grouping)
            counted = await self._backend.series(
                tenant, asked.query, needed.length_ns, by, needed.from_ns
            )
            return await asyncio.to_thread(_labelled, counted, by, grouping)
        weigh = _one if of.function in _COUNTED else _bytes
        sums: dict[LabelSet, Counter[int]] = {}
        looked = self._looked(tenant, asked, newest_first=True)
        async with aclosing(looked):
            async for some in looked:
                for one in some:
                    past = (one.time_ns - needed.from_ns) % needed.length_ns
                    held = sums.setdefault(_label_set(one, grouping), Counter())
                    held[one.time_ns - past] += weigh(one)
                check_size(len(sums), when)
        return sums

    async def _numbers(
        self, tenant: str, of: Range, when: Moments, grouping: Sequence[str] | None
    ) -> Mapping[LabelSet, Mapping[int, Sequence[float]]]:
        """For each label set the numbers that stand in the lines of each span."""
        needed = spans(of, when)
        asked = translate(of.log, needed.from_ns, needed.to_ns)
        held: dict[LabelSet, dict[int, list[float]]] = {}
        looked = self._looked(tenant, asked, newest_first=True)
        async with aclosing(looked):
            async for some in looked:
                for one in some:
                    past = (one.time_ns - needed.from_ns) % needed.length_ns
                    by_span = held.setdefault(_label_set(one, grouping), {})
                    by_span.setdefault(one.time_ns - past, []).append(one.number)
                check_size(len(held), when)
        return held

    async def _looked(
        self, tenant: str, asked: Asked, *, newest_first: bool
    ) -> AsyncGenerator[list[Entry]]:
        """All lines, looked at one by one."""
        ends_at = self._clock() + LOOKING_SECONDS
        lines = self._backend.export(tenant, asked.query, newest_first=newest_first)
        async with aclosing(lines):
            async for found in lines:
                if self._clock() > ends_at:
                    raise BadQuery(
                        f"to look at every line took longer than {LOOKING_SECONDS:g} s",
                        "narrow the time, or group by labels of streams only",
                    )
                yield await asyncio.to_thread(passed, found, asked)


def _too_long() -> BadQuery:
    # Grafana takes fewer lines than it asked for for all that there are.
    return BadQuery("so many lines of this length are too much for one answer", "ask for fewer")


def passed(found: Sequence[Found], asked: Asked) -> list[Entry]:
    """What is left of some lines."""
    kept = map(entries.entry, found)
    return [one for one in kept if entries.passes(one, asked.stages)]


def _known(grouping: Sequence[str]) -> bool:
    """Whether the store counts by these labels without looking at a line."""
    return {*grouping} <= COUNTED


def _fields(grouping: Sequence[str] | None) -> tuple[str, ...]:
    """The fields of `Stream` by which to count."""
    if grouping is None:
        return STREAM_FIELDS
    names = {"app" if name == SERVICE else name for name in grouping}
    return tuple(name for name in STREAM_FIELDS if name in names)


def _labelled(
    counted: Mapping[int, Mapping[tuple[str, ...], int]],
    by: Sequence[str],
    grouping: Sequence[str] | None,
) -> dict[LabelSet, Counter[int]]:
    """The counts under their labels instead of kinds."""
    names: dict[tuple[str, ...], LabelSet] = {}
    sums: dict[LabelSet, Counter[int]] = {}
    for start, kinds in counted.items():
        for kind, lines in kinds.items():
            if kind not in names:
                names[kind] = _kind_labels(kind, by, grouping)
            sums.setdefault(names[kind], Counter())[start] += lines
    return sums


def _kind_labels(
    kind: tuple[str, ...], by: Sequence[str], grouping: Sequence[str] | None
) -> LabelSet:
    *values, level = kind
    fields = dict(zip(by, values, strict=True))
    labels = stream_labels(Stream(*(fields.get(name, "") for name in STREAM_FIELDS)))
    labels |= dict.fromkeys(LEVELS, level)
    if grouping is None:
        del labels[LEVELS[0]]
    return tuple(sorted(pair for pair in labels.items() if grouping is None or pair[0] in grouping))


def _label_set(one: Entry, grouping: Sequence[str] | None) -> LabelSet:
    if grouping is None:
        return tuple(sorted(one.all().items()))
    return tuple((name, value) for name in sorted(grouping) if (value := one.get(name)))


def _one(_entry: Entry) -> int:
    return 1


def _bytes(one: Entry) -> int:
    return len(one.line.encode(errors="replace"))
