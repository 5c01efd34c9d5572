"""What all back ends over HTTP share: search, context and export as walks along time."""

import asyncio
import time
from abc import ABC, abstractmethod
from collections import Counter
from collections.abc import (
    AsyncGenerator,
    AsyncIterator,
    Awaitable,
    Callable,
    Mapping,
    Sequence,
)
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import replace
from typing import Final, TypeAlias, TypeVar

from logshipper.store.lines import times
from logshipper.store.model import DEFAULT_TENANT, STREAM_FIELDS, BadQuery, Filters, Found
from logshipper.store.query.backend import Context, FieldValues, Histogram, Page, Paging
from logshipper.store.query.backends import place as places
from logshipper.store.query.backends.connection import Connection, Slow, slow
from logshipper.store.query.backends.place import Entry, Place
from logshipper.store.query.backends.walk import Ask, Keep, Span, Walk, span_of, strides
from logshipper.store.query.language import Query
from wharfinger.errors import Finding

_EXPORT_LINES: Final = 5_000
_NEAR_NS: Final = times.DAY_NS
# What a person looks at is counted in one go, mostly.
_COUNTED_NS: Final = 3600 * times.SECOND_NS
MAX_VALUES: Final = 1_000

K = TypeVar("K", str, int)
Counts: TypeAlias = Mapping[K, Mapping[str, int]]


class Remote(ABC):
    """A back end that another process is.

    Args:
        connection: to it.
        now_ns: the clock.
    """

    resolution_ns = 1

    def __init__(self, connection: Connection, now_ns: Callable[[], int] = time.time_ns) -> None:
        self.connection = connection
        self.now_ns = now_ns

    @abstractmethod
    async def asking(self, tenant: str, query: Query) -> tuple[Ask, Keep | None]:
        """How to ask for the lines of a query, and what is to be done with the answers."""

    @abstractmethod
    async def values(self, tenant: str, query: Query, span: Span) -> Counts[str]:
        """For each label, and `level`, its values in the lines of a span that fit."""

    @abstractmethod
    async def levels(self, tenant: str, query: Query, span: Span, bucket_ns: int) -> Counts[int]:
        """For the beginning of each bucket the levels of the lines of a span that fit."""

    @abstractmethod
    def tail(
        self, tenant: str, query: Query, idle_seconds: float
    ) -> AbstractAsyncContextManager[AsyncIterator[tuple[Sequence[Found], int]]]:
        """See `Backend`."""

    @abstractmethod
    async def reach(self) -> None:
        """Asks for a sign of life.

        Raises:
            Unanswered: there is none.
        """

    @abstractmethod
    async def findings(self) -> list[Finding]:
        """What stands in the way of good answers there."""

    def place(self, tenant: str) -> str:
        """What the tenant sees there.

        Raises:
            BadQuery: nothing.
        """
        place = self.connection.config.place(tenant)
        if not place:
            fix = "let the operator name it in [logstore.backend] tenants"
            raise BadQuery(f"the tenant {tenant} has no place in the back end", fix)
        return place

    @property
    def tenants(self) -> tuple[str, ...]:
        """Those who see anything there."""
        return tuple(self.connection.config.tenants) or (DEFAULT_TENANT,)

    async def search(self, tenant: str, query: Query, paging: Paging) -> Page:
        """See `Backend`."""
        beyond = places.parse(paging.beyond) if paging.beyond else None
        async with _limited(self.connection.seconds):
            walk = await self._walk(tenant, query, newest_first=paging.newest_first)
            # One more than asked for tells whether there are more.
            entries = await _first(walk, paging.limit + 1, beyond)
        found = [entry.found for entry in entries]
        return Page(found[: paging.limit], len(found) > paging.limit)

    async def context(self, tenant: str, identity: str, before: int, after: int) -> Context:
        """See `Backend`."""
        place = places.parse(identity)
        async with _limited(self.connection.seconds):
            hit = await self._line(tenant, place)
        names = ("app", "env", "host", "container")
        stream = hit.line.stream
        query = Query(filters=Filters(streams={name: (getattr(stream, name),) for name in names}))
        older, newer = await asyncio.gather(
            self._around(tenant, query, hit.place, before, newest_first=True),
            self._around(tenant, query, hit.place, after, newest_first=False),
        )
        return Context([e.found for e in older[::-1]], hit.found, [e.found for e in newer])

    async def fields(self, tenant: str, query: Query) -> FieldValues:
        """See `Backend`; where there was no time to count all, values without lines."""
        counts, from_ns = await self._counted(query, lambda span: self.values(tenant, query, span))
        return {
            name: {
                value: lines if from_ns is None else None
                for value, lines in counts.get(name, Counter()).most_common(MAX_VALUES)
            }
            for name in (*STREAM_FIELDS, "level")
        }

    async def histogram(self, tenant: str, query: Query, bucket_ns: int) -> Histogram:
        """See `Backend`."""
        counts, from_ns = await self._counted(
            query, lambda span: self.levels(tenant, query, span, bucket_ns)
        )
        return Histogram({start: dict(counts[start]) for start in sorted(counts)}, from_ns)

    async def export(
        self, tenant: str, query: Query, *, newest_first: bool = True
    ) -> AsyncGenerator[Sequence[Found]]:
        """See `Backend`."""
        walk = await self._walk(tenant, query, newest_first=newest_first)
        async for entries in walk.pieces(step=_EXPORT_LINES):
            yield [entry.found for entry in entries]

    async def close(self) -> None:
        """Closes the connections."""
        await self.connection.close()

    async def _counted(
        self, query: Query, count: Callable[[Span], Awaitable[Counts[K]]]
    ) -> tuple[dict[K, Counter[str]], int | None]:
        """Counts of a query's time, the newest first, and from when on; None if from its start.

        Raises:
            BadQuery: there was no time even for the newest.
        """
        span, counts = span_of(query.filters), dict[K, Counter[str]]()
        first = min(span.to_ns, self.now_ns())
        # Within a moment no engine can be asked for a part.
        parts = strides(span, first - first % self.resolution_ns, _COUNTED_NS, newest_first=True)
        counted_from_ns = None
        try:
            async with _limited(self.connection.seconds):
                for part in parts:
                    for key, found in (await count(part)).items():
                        counts.setdefault(key, Counter()).update(found)
                    counted_from_ns = part.from_ns
        except Slow:
            if counted_from_ns is None:
                raise
            return counts, counted_from_ns
        return counts, None

    async def _walk(self, tenant: str, query: Query, *, newest_first: bool) -> Walk:
        ask, keep = await self.asking(tenant, query)
        span = span_of(query.filters)
        return Walk(ask, span, self.resolution_ns, newest_first, keep)

    async def _line(self, tenant: str, place: Place) -> Entry:
        walk = await self._walk(tenant, Query(), newest_first=True)
        for entry in await walk.moment(place.time_ns):
            if entry.place == place:
                return entry
        raise BadQuery("there is no line with this id", "retention may have removed it")

    async def _around(
        self, tenant: str, query: Query, place: Place, count: int, *, newest_first: bool
    ) -> list[Entry]:
        """The lines next to one: those of a day first, as most are near and all may be far."""
        if not count:
            return []
        near: list[Entry] = []
        day = Span(place.time_ns - _NEAR_NS, place.time_ns + _NEAR_NS)
        for span in (day, span_of(query.filters)):
            try:
                async with _limited(self.connection.seconds):
                    walk = await self._walk(tenant, query, newest_first=newest_first)
                    near = await _first(replace(walk, span=span), count, place)
            except BadQuery:
                if span is day:
                    raise
            if len(near) >= count:
                break
        return near[:count]


async def _first(walk: Walk, count: int, beyond: Place | None) -> list[Entry]:
    entries: list[Entry] = []
    async for piece in walk.pieces(beyond, step=max(100, min(count, 5_000))):
        entries += piece
        if len(entries) >= count:
            break
    return entries[:count]


@asynccontextmanager
async def _limited(seconds: float) -> AsyncIterator[None]:
    """A time limit for several questions together."""
    try:
        async with asyncio.timeout(seconds):
            yield
    except TimeoutError as error:
        raise slow(seconds) from error
