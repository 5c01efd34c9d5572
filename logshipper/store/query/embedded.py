"""The back end of this process: the archive asked in threads, the tails fed by the writer."""

import asyncio
from collections import Counter
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Iterable, Mapping, Sequence
from collections.abc import Set as AbstractSet
from concurrent.futures import Executor
from contextlib import asynccontextmanager
from typing import Final, NamedTuple, TypeVar

from logshipper.store.lines import times
from logshipper.store.model import STREAM_FIELDS, Found, Hit, Key, Stream
from logshipper.store.query import identity, tail
from logshipper.store.query.archive import Archive
from logshipper.store.query.backend import (
    PAGE_CHARACTERS,
    Context,
    FieldValues,
    Histogram,
    Page,
    Paging,
)
from logshipper.store.query.language import Query
from logshipper.store.query.order import Order
from logshipper.store.query.search import BUDGET_SECONDS, Effort, too_long
from logshipper.store.query.shared import Shared
from logshipper.store.query.tail import Follower, Tails
from logshipper.store.query.tally import Kind, Tally

MAX_FIELD_VALUES: Final = 1_000
# A person waits for it; beyond, what was counted is shown, and from when on.
COUNT_SECONDS: Final = 5.0
_EXPORT_LINES: Final = 1_000
_EXPORT_SECONDS: Final = 600.0

T = TypeVar("T")


class _Asked(NamedTuple):
    """A count; `walks` tells that lines are counted by stream, too."""

    tenant: str
    query: str
    walks: bool
    how: tuple[object, ...] = ()


class Embedded:
    """Answers from the day files.

    Args:
        archive: what answers.
        tails: who is told of new lines.
        executor: where questions are answered; the event loop never waits for a disk.
    """

    def __init__(self, archive: Archive, tails: Tails, executor: Executor) -> None:
        self._archive = archive
        self._tails = tails
        self._executor = executor
        self._shared: Shared[_Asked, Tally] = Shared()

    async def search(self, tenant: str, query: Query, paging: Paging) -> Page:
        """See `Backend`."""
        place = identity.parse(paging.beyond) if paging.beyond else None

        def ask(effort: Effort) -> Page:
            beyond = None if place is None else self._archive.line(tenant, *place).key
            # One more than asked for tells whether there are more.
            order = Order(paging.newest_first, beyond, paging.limit + 1, PAGE_CHARACTERS)
            hits = self._archive.search(tenant, query, order, effort)
            return Page(_found(hits[: paging.limit]), order.is_filled(hits))

        return await self._ask(ask)

    async def context(self, tenant: str, identity_: str, before: int, after: int) -> Context:
        """See `Backend`."""
        place = identity.parse(identity_)

        def ask(effort: Effort) -> Context:
            hit = self._archive.line(tenant, *place)
            older, newer = self._archive.context(tenant, hit, before, after, effort)
            return Context(_found(older), identity.found(hit), _found(newer))

        return await self._ask(ask)

    async def fields(self, tenant: str, query: Query) -> FieldValues:
        """See `Backend`; where there was no time to count all, values without lines."""
        tally = await self._facets(tenant, query)
        exact = tally.from_ns is None
        values = {
            name: _most_common(_lines_by(tally.streams.items(), place), exact=exact)
            for place, name in enumerate(STREAM_FIELDS)
        }
        values["level"] = _most_common(_lines_by(tally.kinds().items(), -1), exact=exact)
        rolled = Tally(times.DAY_NS, ("app",))
        if not exact and self._archive.rolls_up(query, rolled):
            kinds = (await self._counted(tenant, query, rolled, BUDGET_SECONDS)).kinds()
            values["app"] = _most_common(_lines_by(kinds.items(), 0))
            values["level"] = _most_common(_lines_by(kinds.items(), -1))
        return values

    async def histogram(self, tenant: str, query: Query, bucket_ns: int) -> Histogram:
        """See `Backend`."""
        tally = await self._counted(tenant, query, Tally(bucket_ns), COUNT_SECONDS)
        return Histogram(await asyncio.to_thread(_buckets, tally), tally.from_ns)

    async def series(
        self, tenant: str, query: Query, bucket_ns: int, by: Sequence[str], origin_ns: int = 0
    ) -> Mapping[int, Mapping[Kind, int]]:
        """See `Counting`."""
        wanted = Tally(bucket_ns, by, origin_ns)
        tally = await self._counted(tenant, query, wanted, BUDGET_SECONDS)
        if tally.from_ns is not None:
            raise too_long(BUDGET_SECONDS)
        return await asyncio.to_thread(tally.spans)

    async def streams(self, tenant: str, query: Query) -> AbstractSet[Stream]:
        """See `Counting`."""
        return await self._ask(lambda effort: self._archive.streams(tenant, query.filters, effort))

    async def _counted(self, tenant: str, query: Query, tally: Tally, seconds: float) -> Tally:
        how = (tally.bucket_ns, tally.fields, tally.origin_ns, seconds)
        asked = _Asked(tenant, repr(query), not self._archive.rolls_up(query, tally), how)
        return await self._shared.get(
            asked,
            self._tails.version(tenant),
            lambda: self._ask(
                lambda effort: self._archive.count(tenant, query, tally, effort), seconds
            ),
        )

    async def _facets(self, tenant: str, query: Query) -> Tally:
        """What a walk for a histogram has counted beside it, or else a walk of its own."""
        version = self._tails.version(tenant)
        asked = _Asked(tenant, repr(query), walks=True)
        return await self._shared.get(
            next((key for key in self._shared.keys(version) if key[:3] == asked[:3]), asked),
            version,
            lambda: self._ask(
                lambda effort: self._archive.facets(tenant, query, effort), COUNT_SECONDS
            ),
        )

    async def export(
        self, tenant: str, query: Query, *, newest_first: bool = True
    ) -> AsyncGenerator[Sequence[Found]]:
        """See `Backend`."""
        beyond: Key | None = None
        while True:
            order = Order(newest_first, beyond, _EXPORT_LINES, PAGE_CHARACTERS)
            hits = await self._ask(
                lambda effort, order=order: self._archive.search(tenant, query, order, effort),  # type: ignore[misc]
                seconds=_EXPORT_SECONDS,
            )
            yield _found(hits)
            if not order.is_filled(hits):
                return
            beyond = hits[-1].key

    @asynccontextmanager
    async def tail(
        self, tenant: str, query: Query, idle_seconds: float
    ) -> AsyncIterator[AsyncIterator[tuple[Sequence[Found], int]]]:
        """See `Backend`."""
        plan = self._archive.plan(query, has_index=False)
        with self._tails.follow(tenant, plan) as follower:
            yield self._coming(follower, idle_seconds)

    async def _coming(
        self, follower: Follower, idle_seconds: float
    ) -> AsyncIterator[tuple[Sequence[Found], int]]:
        plan = follower.plan
        async for hits, dropped in follower.batches(idle_seconds):
            if plan.regexes and hits:
                hits = await self._ask(  # noqa: PLW2901 - those of them that fit
                    lambda effort, hits=hits: tail.matching(plan, hits, effort)  # type: ignore[misc]
                )
            yield _found(hits), dropped

    async def _ask(self, question: Callable[[Effort], T], seconds: float = BUDGET_SECONDS) -> T:
        """Answers a question in a thread; ends it when the asker has gone away."""
        effort = Effort(seconds)

        def work() -> T:
            with effort:
                return question(effort)

        try:
            return await asyncio.get_running_loop().run_in_executor(self._executor, work)
        finally:
            effort.cancelled = True


def _buckets(tally: Tally) -> dict[int, dict[str, int]]:
    return {
        start: {kind[-1]: lines for kind, lines in kinds.items()}
        for start, kinds in tally.spans().items()
    }


def _lines_by(counts: Iterable[tuple[Sequence[str], int]], place: int) -> Counter[str]:
    """Lines for each value at a place of the keys."""
    values: Counter[str] = Counter()
    for key, lines in counts:
        values[key[place]] += lines
    return values


def _most_common(counts: Counter[str], *, exact: bool = True) -> dict[str, int | None]:
    return {
        value: lines if exact else None
        for value, lines in counts.most_common(MAX_FIELD_VALUES)
        if value
    }


def _found(hits: Sequence[Hit]) -> list[Found]:
    return [identity.found(hit) for hit in hits]
