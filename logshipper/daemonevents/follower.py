"""Follows the events of one daemon for one sink, over both of their lives and deaths."""

import asyncio
import time
from collections.abc import AsyncGenerator, Coroutine, Iterator, Mapping
from contextlib import aclosing, suppress
from pathlib import Path
from typing import Any, Final, Never

import aiohttp

from logshipper.daemonevents.documents import Place, began, fields, message, missed, read
from logshipper.daemonevents.places import Places
from logshipper.delivery import Delivery
from logshipper.encoding import Encoding
from logshipper.metrics import Metrics
from wharfinger.backoff import Backoff
from wharfinger.endpoints import DAEMON_HEADER, START_HEADER
from wharfinger.errors import Rejected

BATCH_EVENTS: Final = 500
BATCH_SECONDS: Final = 0.5
# Any process of this host may listen in a daemon's place: however much it says, no more is held
# than this and a few lines.
BATCH_BYTES: Final = 4 * 2**20
QUEUED_EVENTS: Final = 4
# Of one daemon. Who says more is read later, and what its ring has lost by then is told of: a
# daemon that is beside itself must not take the sink for itself.
EVENTS_PER_SECOND: Final = 200.0
MAX_LINE_BYTES: Final = 2**20
TIMEOUT: Final = aiohttp.ClientTimeout(total=None, sock_connect=3.0)
_PLAIN: Final = {"Accept-Encoding": "identity"}
_OK: Final = 200

_Event = tuple[Place, dict[str, Any]]
_Line = tuple[_Event, int]  # and its length in bytes


class Ended(Exception):
    """The stream is over, or cannot be begun."""


class Follower:
    """Ships one daemon's events.

    It holds no more than a batch: the ring in the daemon is the buffer. What is gone from that
    before it was read comes as an event `gap` with its number.

    Args:
        daemon: whose.
        url: where it would answer.
        host: this host's name.
        delivery: brings documents into the sink.
        encoding: of the sink.
        places: how far it got.
        metrics: the shipper's.
    """

    def __init__(
        self,
        daemon: str,
        url: str,
        host: str,
        *,
        delivery: Delivery,
        encoding: Encoding,
        places: Places,
        metrics: Metrics,
    ) -> None:
        self._daemon = daemon
        self._url = url
        self._host = host
        self._delivery = delivery
        self._encoder = encoding.compile(fields(daemon, host))
        self._places = places
        self._metrics = metrics
        self._backoff = Backoff(first_seconds=0.5, cap_seconds=10.0)

    async def run(self) -> Never:
        """Follows for ever; a daemon that is not there may come."""
        connector = aiohttp.TCPConnector(ssl=False)  # this host's own, whatever its name is
        async with aiohttp.ClientSession(
            timeout=TIMEOUT, connector=connector, headers=_PLAIN, auto_decompress=False
        ) as session:
            while True:
                with suppress(Ended, aiohttp.ClientError, OSError):
                    await self._follow(session)
                self._places.write()
                await asyncio.sleep(self._backoff.next_delay_seconds())

    async def _follow(self, session: aiohttp.ClientSession) -> None:
        place = self._places.of(self._daemon)
        since = place.seq if place is not None else 0
        asked = session.get(f"{self._url}/events", params={"since": since}, allow_redirects=False)
        async with asked as response:
            start = self._started(response)
            if place is None or place.start != start:
                # Another life counts from one again: asked with a number of this one, it would
                # keep to itself what it said first.
                self._places.move(self._daemon, place := Place(start, 0))
                if since:
                    self._backoff.reset()
                    return
            queue: asyncio.Queue[_Line | None] = asyncio.Queue(QUEUED_EVENTS)
            async with asyncio.TaskGroup() as tasks:
                tasks.create_task(_read_into(queue, response, place), name="read events")
                await self._ship_from(queue)

    def _started(self, response: aiohttp.ClientResponse) -> int:
        start = began(response.headers.get(START_HEADER, ""))
        named = response.headers.get(DAEMON_HEADER)
        if response.status != _OK or named != self._daemon or start is None:
            raise Ended
        return start

    async def _ship_from(self, queue: "asyncio.Queue[_Line | None]") -> None:
        while True:
            batch, ended = await _batch(queue)
            if batch:
                began = time.monotonic()
                await self._ship(batch)
                self._backoff.reset()
                spent = time.monotonic() - began
                await asyncio.sleep(max(0.0, len(batch) / EVENTS_PER_SECOND - spent))
            if ended:
                return

    async def _ship(self, batch: list[_Event]) -> None:
        messages = [message(self._daemon, self._host, place, event) for place, event in batch]
        documents = [self._encoder.message(each) for each in messages if each is not None]
        await self._delivery.deliver(documents)
        self._metrics.shipped_events.labels(self._delivery.name, self._daemon).inc(len(documents))
        gone = sum(missed(event) for _, event in batch)
        self._metrics.missed_events.labels(self._delivery.name, self._daemon).inc(gone)
        self._places.move(self._daemon, batch[-1][0])


def following(
    urls: Mapping[str, str],
    host: str,
    folder: Path,
    *,
    delivery: Delivery,
    encoding: Encoding,
    metrics: Metrics,
) -> Iterator[tuple[str, Coroutine[Any, Any, None]]]:
    """What must run to ship the events of a host's daemons to one sink, by name.

    Args:
        urls: where each daemon would answer.
        host: its name.
        folder: of the sink.
        delivery: brings documents into it.
        encoding: of it.
        metrics: the shipper's.
    """
    places = Places(folder)
    for daemon, url in urls.items():
        follower = Follower(
            daemon, url, host, delivery=delivery, encoding=encoding, places=places, metrics=metrics
        )
        yield f"{delivery.name} events of {daemon}", follower.run()


async def _read_into(
    queue: "asyncio.Queue[_Line | None]", response: aiohttp.ClientResponse, place: Place
) -> None:
    try:
        async with aclosing(_lines(response)) as lines:
            async for line in lines:
                try:
                    seq, event = read(line)
                except Rejected:
                    continue
                await queue.put(((Place(place.start, seq), event), len(line)))
    except (aiohttp.ClientError, OSError):
        pass
    await queue.put(None)


async def _lines(response: aiohttp.ClientResponse) -> AsyncGenerator[bytes, None]:
    """Lines within bounds; one that is too long is passed over."""
    held, skipping = b"", False
    async for chunk in response.content.iter_any():
        *whole, held = (held + chunk).split(b"\n")
        for line in whole:
            if not skipping:
                yield line
            skipping = False
        if len(held) > MAX_LINE_BYTES:
            held, skipping = b"", True


async def _batch(queue: "asyncio.Queue[_Line | None]") -> tuple[list[_Event], bool]:
    """What has come within a moment, and whether nothing more will."""
    first = await queue.get()
    if first is None:
        return [], True
    event, held = first
    batch = [event]
    try:
        async with asyncio.timeout(BATCH_SECONDS):
            while len(batch) < BATCH_EVENTS and held < BATCH_BYTES:
                more = await queue.get()
                if more is None:
                    return batch, True
                event, length = more
                batch.append(event)
                held += length
    except TimeoutError:
        pass
    return batch, False
