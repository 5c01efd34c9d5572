"""The back end of this process: the archive asked in threads, the tails fed by the writer."""

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from concurrent.futures import Executor
from contextlib import asynccontextmanager
from typing import Final, TypeVar

from logshipper.store.lines import times
from logshipper.store.model import BadQuery, Found, Hit, Key
from logshipper.store.query import identity, tail
from logshipper.store.query.archive import Archive
from logshipper.store.query.backend import Context, FieldValues, Histogram, Page, Paging
from logshipper.store.query.language import Query
from logshipper.store.query.search import BUDGET_SECONDS, Effort, Order
from logshipper.store.query.tail import Follower, Tails

_EXPORT_LINES: Final = 1_000
_EXPORT_SECONDS: Final = 600.0

T = TypeVar("T")


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

    async def search(self, tenant: str, query: Query, paging: Paging) -> Page:
        """See `Backend`."""
        place = identity.parse(paging.beyond) if paging.beyond else None

        def ask(effort: Effort) -> list[Hit]:
            beyond = None if place is None else self._archive.line(tenant, *place).key
            # One more than asked for tells whether there are more.
            order = Order(paging.newest_first, beyond, paging.limit + 1)
            return self._archive.search(tenant, query, order, effort)

        hits = await self._ask(ask)
        return Page(_found(hits[: paging.limit]), len(hits) > paging.limit)

    async def context(self, tenant: str, identity_: str, before: int, after: int) -> Context:
        """See `Backend`."""
        place = identity.parse(identity_)

        def ask(effort: Effort) -> Context:
            hit = self._archive.line(tenant, *place)
            older, newer = self._archive.context(tenant, hit, before, after, effort)
            return Context(_found(older), identity.found(hit), _found(newer))

        return await self._ask(ask)

    async def fields(self, tenant: str, query: Query) -> FieldValues:
        """See `Backend`; the terms of the query do not count."""
        return await self._ask(lambda _effort: self._archive.fields(tenant, query.filters))

    async def histogram(self, tenant: str, query: Query, bucket_ns: int) -> Histogram:
        """See `Backend`; of the query only time, app and level count."""
        filters = query.filters
        if query.terms or filters.not_streams or filters.streams.keys() - {"app"}:
            raise BadQuery(
                "the histogram counts by time, app and level only",
                "leave the other conditions out",
            )
        minutes = max(1, bucket_ns // times.MINUTE_NS)
        return Histogram(
            await self._ask(lambda _effort: self._archive.histogram(tenant, filters, minutes))
        )

    async def export(
        self, tenant: str, query: Query, *, newest_first: bool = True
    ) -> AsyncIterator[Sequence[Found]]:
        """See `Backend`."""
        beyond: Key | None = None
        while True:
            order = Order(newest_first, beyond, _EXPORT_LINES)
            hits = await self._ask(
                lambda effort, order=order: self._archive.search(tenant, query, order, effort),  # type: ignore[misc]
                seconds=_EXPORT_SECONDS,
            )
            yield _found(hits)
            if len(hits) < _EXPORT_LINES:
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


def _found(hits: Sequence[Hit]) -> list[Found]:
    return [identity.found(hit) for hit in hits]
