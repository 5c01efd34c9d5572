"""New lines as they come, through restarts of the store: none is left out, none comes twice."""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Callable
from contextlib import aclosing
from datetime import UTC, datetime, timedelta
from typing import Any, Final, TypeVar

from wharfinger.backoff import Backoff
from wharfinger.errors import Unavailable
from wharfinger.operator.logs.client import Busy, Store
from wharfinger.operator.logs.pages import lines, pages
from wharfinger.operator.logs.question import Parameters, having
from wharfinger.operator.logs.seen import Seen, time_of

BACKOFF_CAP_SECONDS: Final = 2.0
# Lines of a host that was slow come in late: so far before the break they are looked for.
LATE: Final = timedelta(minutes=15)
# A store that has no time is not asked for as much, again and again.
LATE_UNDER_LOAD: Final = timedelta(minutes=1)
TOLD_AGAIN_AFTER: Final = timedelta(minutes=1)
PAUSE_SECONDS: Final = 0.5

T = TypeVar("T")


class Following:
    """One live tail, opened again when it breaks.

    The tail gives what is committed while it is open, a search what was before: each is opened
    before the other is asked, and what both give is given once.

    Args:
        store: who is asked.
        parameters: what is asked.
        limit: of the past the newest lines at most; None for all of it.
        complain: is told when the store goes away and is back, and of what is not told otherwise.
        clock: the time now.
    """

    def __init__(
        self,
        store: Store,
        parameters: Parameters,
        limit: int | None,
        complain: Callable[[str], None],
        clock: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        self._store = store
        self._parameters = parameters
        self._limit = limit
        self._complain = complain
        self._clock = clock
        since = dict(parameters).get("from", "")
        self._seen = Seen(time_of(since) if since else None)
        self._backoff = Backoff(first_seconds=0.2, cap_seconds=BACKOFF_CAP_SECONDS)
        self._last_heard = clock()
        self._away = False
        self._begun = False
        self._late = LATE
        self._told: datetime | None = None

    async def lines(self) -> AsyncGenerator[list[dict[str, Any]], None]:
        """What there is, oldest first, then what comes; an empty list as a sign of life.

        Raises:
            Unavailable: the store cannot be reached at the beginning.
            Rejected: it cannot understand the question.
            ConfigError: it takes our token no more.
        """
        while True:
            try:
                async with aclosing(self._once()) as found:
                    async for each in found:
                        yield each
            except Unavailable as error:
                if not self._begun:
                    raise
                await self._wait(error)

    async def _once(self) -> AsyncGenerator[list[dict[str, Any]], None]:
        """Follows until the tail breaks, or leaves lines out."""
        # The past is the search's matter.
        async with self._store.tail(having(self._parameters, from_="")) as coming:
            if self._away:
                self._complain(f"log store {self._store.url} is back")
            self._heard()
            async with aclosing(self._missed() if self._begun else self._past()) as before:
                async for each in before:
                    self._begun = True
                    yield self._new(each)
                    self._heard()
            self._begun, self._late = True, LATE
            async for hit in coming:
                self._heard()
                if hit is True:
                    self._fall_behind()
                    return
                yield self._new([hit] if hit else [])

    async def _past(self) -> AsyncGenerator[list[dict[str, Any]], None]:
        if self._limit is None:
            async with aclosing(pages(self._store, self._parameters)) as every:
                async for page in every:
                    yield lines(page)
            return
        newest = pages(self._store, self._parameters, limit=self._limit, newest_first=True)
        found = [hit async for page in newest for hit in lines(page)][::-1]
        if len(found) == self._limit:
            # What is older was not asked for.
            self._seen.begin_at(time_of(found[0].get("time")))
        yield found

    async def _missed(self) -> AsyncGenerator[list[dict[str, Any]], None]:
        since = self._seen.resume_from(self._last_heard, self._late).isoformat()
        asked = having(self._parameters, from_=since)
        async with aclosing(pages(self._store, asked)) as found:
            async for page in found:
                yield lines(page)

    def _new(self, hits: list[dict[str, Any]]) -> list[dict[str, Any]]:
        return [hit for hit in hits if self._seen.add(str(hit.get("id")), time_of(hit.get("time")))]

    def _fall_behind(self) -> None:
        self._late = LATE_UNDER_LOAD
        if self._told is None or self._clock() - self._told > TOLD_AGAIN_AFTER:
            self._complain(
                "lines come too fast to follow; those left out are read from the store, "
                "of late ones those of the last minute"
            )
        self._told = self._clock()

    def _heard(self) -> None:
        self._last_heard, self._away = self._clock(), False
        self._backoff.reset()

    async def _wait(self, error: Unavailable) -> None:
        if not self._away:
            self._complain(f"{error}; trying again until it is back")
            self._away = True
        self._late = LATE
        wait = self._backoff.next_delay_seconds()
        await asyncio.sleep(max(wait, error.wait_seconds) if isinstance(error, Busy) else wait)


async def with_pauses(
    source: AsyncIterator[T], seconds: float = PAUSE_SECONDS
) -> AsyncGenerator[T | None, None]:
    """What a source gives, and None when it has given nothing for a while."""
    iterator, given = aiter(source), False
    while True:
        following = asyncio.ensure_future(anext(iterator))
        try:
            if given and not (await asyncio.wait({following}, timeout=seconds))[0]:
                yield None
            found = await following
        except StopAsyncIteration:
            return
        finally:
            if not following.done():
                following.cancel()
                await asyncio.wait({following})
        yield found
        given = True
