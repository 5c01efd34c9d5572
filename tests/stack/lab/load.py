"""Numbered POSTs through all edges, none tried twice, and what became of each."""

import asyncio
import itertools
import time
from collections import Counter
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any, Final

import aiohttp

from tests.stack.lab.namespaces import Namespaces
from wharfinger.operator.parts.process import until

WORKERS: Final = 3  # at each edge
PAUSE_SECONDS: Final = 0.02
TIMEOUT: Final = aiohttp.ClientTimeout(total=20)


@dataclass(frozen=True, slots=True)
class Lost:
    """A request without a good answer.

    Attributes:
        number: of the request.
        edge: whom it was sent to.
        why: the status or the error.
        began: when it was sent, in seconds of time.monotonic().
        ended: when that was known.
    """

    number: int
    edge: str
    why: str
    began: float
    ended: float


@dataclass(slots=True)
class Load:
    """What came back so far.

    Attributes:
        answered: numbers of requests with status 200.
        lost: all others that are over.
        under_way: since when each request is waited for.
        edges: whom requests are sent to from now on.
    """

    edges: list[str]
    answered: set[int] = field(default_factory=set)
    lost: list[Lost] = field(default_factory=list)
    under_way: dict[int, float] = field(default_factory=dict)

    @property
    def reasons(self) -> dict[str, int]:
        """How often each reason was given for a loss."""
        return dict(Counter(each.why for each in self.lost))

    async def more(self, count: int) -> None:
        """Waits until so many more were answered.

        Raises:
            Unavailable: they were not.
        """
        wanted = len(self.answered) + count

        async def reached() -> bool:
            return len(self.answered) >= wanted

        await until(reached, timeout_seconds=60, what=f"{count} more requests are answered")


class Loopback:
    """Where load comes from without a lab: this very process, each request's connection new."""

    def session(self, **more: Any) -> aiohttp.ClientSession:
        """A client."""
        return aiohttp.ClientSession(connector=aiohttp.TCPConnector(force_close=True), **more)


LOOPBACK: Final = Loopback()


@asynccontextmanager
async def posting(
    client: Namespaces | Loopback,
    edges: Sequence[str],
    site: str,
    numbers: Iterator[int] | None = None,
) -> AsyncIterator[Load]:
    """Posts from several workers for each edge until the block ends; the last are waited for.

    A worker whose edge is no longer among `Load.edges` goes on with another, as with an address
    that moves. Each request has a connection of its own.

    Args:
        client: where they come from.
        edges: addresses of those asked.
        site: the host name asked for.
        numbers: of the requests, from one on unless given.
    """
    load, stop = Load(list(edges)), asyncio.Event()
    numbers = itertools.count(1) if numbers is None else numbers

    async def work(session: aiohttp.ClientSession, turn: int) -> None:
        while not stop.is_set():
            number, edge = next(numbers), load.edges[turn % len(load.edges)]
            began = load.under_way[number] = time.monotonic()
            why = await _sent(session, f"http://{edge}/order?n={number}", site)
            del load.under_way[number]
            if why:
                load.lost.append(Lost(number, edge, why, began, time.monotonic()))
            else:
                load.answered.add(number)
            await asyncio.sleep(PAUSE_SECONDS)

    async with client.session(timeout=TIMEOUT) as session, asyncio.TaskGroup() as group:
        for turn in range(WORKERS * len(edges)):
            group.create_task(work(session, turn))
        try:
            yield load
        finally:
            stop.set()


async def _sent(session: aiohttp.ClientSession, url: str, site: str) -> str:
    """Sends one; gives what was wrong with the answer, or nothing."""
    try:
        async with session.post(url, data=b"order", headers={"Host": site}) as answer:
            await answer.read()
            return "" if answer.status == 200 else f"status {answer.status}"
    except (aiohttp.ClientError, OSError, TimeoutError) as error:
        return type(error).__name__
