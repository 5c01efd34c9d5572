"""A steady stream of POST requests that counts what fails; nothing is tried again."""

import asyncio
import itertools
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Final

import aiohttp

from wharfinger.operator.parts.process import until

WORKERS: Final = 8
REQUEST_TIMEOUT: Final = aiohttp.ClientTimeout(total=15)


@dataclass(slots=True)
class Traffic:
    """What came back so far.

    Attributes:
        answered: requests with status 200.
        failures: everything else, by reason.
    """

    answered: int = 0
    failures: Counter[str] = field(default_factory=Counter)

    async def more(self, count: int) -> None:
        """Waits until so many more requests came back, one way or the other.

        Raises:
            Unavailable: they did not.
        """
        wanted = self.answered + self.failures.total() + count

        async def reached() -> bool:
            return self.answered + self.failures.total() >= wanted

        await until(reached, timeout_seconds=60, what=f"{count} more requests have come back")


@asynccontextmanager
async def posting(url: str, host: str) -> AsyncIterator[Traffic]:
    """Posts from several workers at once until the block ends; requests under way are awaited.

    Each request has a connection of its own: one that Nginx's reload closes between two
    requests would count as a failure of the service, which it is not.
    """
    traffic, stop = Traffic(), asyncio.Event()
    numbers = itertools.count(1)

    async def work(session: aiohttp.ClientSession) -> None:
        while not stop.is_set():
            try:
                body = f"order {next(numbers)}"
                async with session.post(url, data=body, headers={"Host": host}) as response:
                    await response.read()
                    if response.status == 200:  # noqa: PLR2004
                        traffic.answered += 1
                    else:
                        traffic.failures[f"status {response.status}"] += 1
            except (aiohttp.ClientError, TimeoutError) as error:
                traffic.failures[type(error).__name__] += 1

    connector = aiohttp.TCPConnector(force_close=True, limit=0)
    async with (
        aiohttp.ClientSession(connector=connector, timeout=REQUEST_TIMEOUT) as session,
        asyncio.TaskGroup() as group,
    ):
        for _ in range(WORKERS):
            group.create_task(work(session))
        try:
            yield traffic
        finally:
            stop.set()
