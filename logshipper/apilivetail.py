"""A log that is read through Docker's API, for a person: what there is of it, and what comes."""

import asyncio
import contextlib
from collections.abc import AsyncGenerator, Iterator
from contextlib import aclosing
from dataclasses import dataclass
from typing import Final

from logshipper.api.anchor import Marker, windows
from logshipper.api.frames import Framer
from logshipper.api.stream import Logs, Stream
from logshipper.api.tail import ApiTail
from logshipper.api.written import Written
from logshipper.inquiry import Registry
from logshipper.livetail import (
    POLL_SECONDS,
    Complain,
    Document,
    Place,
    Reader,
    Show,
    Wish,
    Wished,
)
from logshipper.model import Mark
from wharfinger.container import Container
from wharfinger.errors import Rejected, Unavailable

# A container that has stopped is asked after: it may start again, or be removed.
LOOK_SECONDS: Final = 1.0


@dataclass(frozen=True, slots=True)
class Asked:
    """Whom to ask, and about whom.

    Attributes:
        logs: Docker's.
        registry: Docker.
        container: whose log.
    """

    logs: Logs
    registry: Registry
    container: Container


class ApiReader(Reader):
    """Reads a log through Docker's API: the last of its entries first, then what comes.

    Args:
        asked: for the log.
        place: of the log.
        complain: told what was lost, or cannot be read now.

    Attributes:
        first: entry of those that there were; None before it is read.
        entries: how many there were.
    """

    def __init__(self, asked: Asked, place: Place, complain: Complain) -> None:
        self._asked = asked
        self._folder = str(place.folder)
        self._tail = ApiTail()
        super().__init__(place, self._tail, complain)
        self._data = asyncio.Event()
        self.first: Mark | None = None
        self.entries = 0

    @property
    def is_placed(self) -> bool:
        """Whether what comes is sure to be told from what there was.

        Entries that are all of one time may be parts of one line, alike, and begin within it.
        """
        last = self._tail.read_to
        return self.first is None or last is None or self.first.time_ns != last.time_ns

    def is_within(self, wish: Wish) -> bool:
        """Whether it began before all that is young enough."""
        return self.first is not None and wish.is_within(self.first.time_ns / 1e9)

    async def last(self, count: int | None, *, whole: bool) -> AsyncGenerator[Document, None]:
        """What there is now, from so many of the last entries on; None for all.

        Raises:
            Rejected: nothing can be read of it.
            Unavailable: Docker cannot be asked.
        """
        container = self._asked.container
        framer, marker = Framer(terminal=container.tty), Marker()
        # An answer that ends is of one piece, however the log is rotated meanwhile.
        async with self._asked.logs.logs(
            container.id, follow=False, last=count, terminal=container.tty
        ) as pieces:
            if pieces is None:
                raise Rejected(f"container {container.name} was removed")
            async for data, boundary in pieces:
                entries = [marker.entry(line) for line in framer.feed(data, boundary=boundary)]
                if not entries:
                    continue
                self.first = self.first or entries[0].mark
                self.entries += len(entries)
                self._tail.put(entries)
                if self._tail.has_room:
                    continue
                async for document in self.there():
                    yield document
        async for document in self.there(whole=whole):
            yield document

    async def coming(self) -> AsyncGenerator[Document, None]:
        """What comes, until the container is removed and its log read to the end.

        Raises:
            Rejected: nothing can be read of it any more.
        """
        container = self._asked.container
        stream = Stream(
            self._asked.logs,
            self._asked.registry,
            container,
            self._tail,
            Written(self._folder, container.log_driver, container.log_options),
            gate=asyncio.Semaphore(),
            on_data=self._data.set,
        )
        reading = asyncio.create_task(self._read(stream))
        looking = asyncio.create_task(self._look(stream))
        try:
            async for document in super().coming():
                yield document
            await reading
        finally:
            reading.cancel()
            looking.cancel()
            await asyncio.gather(reading, looking, return_exceptions=True)

    async def _read(self, stream: Stream) -> None:
        try:
            await stream.run()
        finally:
            self._tail.end()
            self._data.set()

    async def _look(self, stream: Stream) -> None:
        """Tells the stream when its container was started, or is gone."""
        before = self._asked.container
        while True:
            await asyncio.sleep(LOOK_SECONDS)
            try:
                now = await self._asked.registry.inspect(before.id)
            except (Unavailable, Rejected):
                continue
            if now is None:
                stream.stir()
                continue
            if now.started_at_ns != before.started_at_ns:
                stream.stir(started=True)
            before = now

    async def _pause(self) -> None:
        """Not longer than until something comes: what is not taken holds up Docker's answer."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(POLL_SECONDS):
                await self._data.wait()
        self._data.clear()


async def caught_up(
    asked: Asked, place: Place, wish: Wish, complain: Complain, show: Show, *, follow: bool
) -> Reader:
    """Shows what is wished of what is there; gives the reader, which stands at its end.

    As of a log in files, no more is read than is needed: so many of the last entries, then more.

    Args:
        asked: for the log.
        place: of the log.
        wish: what is to be shown.
        complain: told what was lost, or cannot be read now.
        show: given each document, oldest first.
        follow: the reader will be asked for what comes.

    Raises:
        Rejected: the log cannot be read.
        Unavailable: Docker cannot be asked.
    """
    for count in _counts(wish):
        reader, wished = ApiReader(asked, place, complain), Wished(wish, show)
        if await _is_enough(reader, count, wish, wished, whole=not follow):
            break
        reader.close()
    wished.end()
    return reader


async def _is_enough(
    reader: ApiReader, count: int | None, wish: Wish, wished: Wished, *, whole: bool
) -> bool:
    """Whether all that is wished was among so many of the last entries."""
    async with aclosing(reader.last(count, whole=whole)) as documents:
        async for document in documents:
            if count is not None and wish.since is not None and not reader.is_within(wish):
                return False
            wished.take(document)
    if count is None or reader.entries < count:
        return True
    enough = wished.is_full if wish.since is None else reader.is_within(wish)
    return enough and reader.is_placed


def _counts(wish: Wish) -> Iterator[int | None]:
    """How many of the last entries to ask for, one after the other; None, for all, comes last."""
    if wish.count is None and wish.since is None:
        return iter([None])
    return windows(wish.count or 0)
