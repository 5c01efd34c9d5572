"""A log read as the shipper reads it, for a person: no sink, no checkpoint."""

import asyncio
from collections import deque
from collections.abc import AsyncGenerator, AsyncIterator, Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

import msgspec

from logshipper.api.entries import Entries
from logshipper.lastlines import Beginning, begin
from logshipper.log import Log
from logshipper.logfile import CorruptLogError
from logshipper.model import Position, Route, SavedLog, Slice
from logshipper.pipeline import Typed
from logshipper.sinks.encoding.jsonline import JsonlineEncoding
from logshipper.source import Source
from logshipper.tail import Tail
from wharfinger.errors import Rejected
from wharfinger.text import quantity

POLL_SECONDS: Final = 0.2
FIRST_BYTES: Final = 64 * 2**10
GROWTH: Final = 4

Document = dict[str, Any]
Complain = Callable[[str], None]
Show = Callable[[Document], None]


@dataclass(frozen=True, slots=True)
class Wish:
    """What is to be shown of what is there.

    Attributes:
        count: so many of the last lines; None for all.
        since: Unix seconds; None for any time.
    """

    count: int | None
    since: float | None = None

    def fits(self, document: Document) -> bool:
        """Whether a document is young enough; one without a time is."""
        if self.since is None:
            return True
        try:
            time = datetime.fromisoformat(str(document.get("@timestamp")))
        except ValueError:
            return True
        return (time if time.tzinfo else time.replace(tzinfo=UTC)).timestamp() >= self.since

    def is_within(self, time: float | None) -> bool:
        """Whether all that is young enough is behind `time`, Unix seconds, as far as one knows."""
        return self.since is not None and time is not None and time < self.since


class Wished:
    """Takes what is read, and shows what of it is wished.

    Args:
        wish: what that is.
        show: given each document, oldest first.

    Attributes:
        seen: how many there were, young enough or not.
    """

    def __init__(self, wish: Wish, show: Show) -> None:
        self._wish = wish
        self._show = show
        self._last: deque[Document] = deque(maxlen=wish.count)
        self.seen = 0

    @property
    def is_full(self) -> bool:
        """Whether there are as many as are wished; the first may be the rest of an older one."""
        return self._wish.count is not None and self.seen > self._wish.count

    def take(self, document: Document) -> None:
        """Shows it now, if nothing that follows can take its place."""
        self.seen += 1
        if not self._wish.fits(document):
            return
        if self._wish.count is None:
            self._show(document)
        else:
            self._last.append(document)

    def end(self) -> None:
        """Shows the last ones: nothing follows."""
        for document in self._last:
            self._show(document)


@dataclass(frozen=True, slots=True)
class Place:
    """Whose log it is, and where.

    Attributes:
        container_id: 64 hexadecimal digits.
        folder: of its files, if it has any.
        base: name of the file that dockerd writes.
        route: what is done to its lines, and what its documents carry.
        limit_bytes: a message longer than this is cut.
    """

    container_id: str
    folder: Path
    base: str
    route: Route
    limit_bytes: int


class Reader:
    """Reads a log: decoded, joined, ruled; closes its files with `close`.

    Args:
        place: of the log.
        source: what it is read from.
        complain: told what was lost, or cannot be read now.
        saved: where to begin; None for the head.
    """

    def __init__(
        self, place: Place, source: Source, complain: Complain, *, saved: SavedLog | None = None
    ) -> None:
        self._pipeline = (Entries if place.route.driver else Typed)(
            place.container_id,
            place.route.fields,
            encoding=JsonlineEncoding(),
            limit_bytes=place.limit_bytes,
            fallback_time=datetime.now(UTC).isoformat().replace("+00:00", "Z"),
            lines=place.route.lines,
        )
        self._log = Log(place.container_id, source, saved, place.route, self._pipeline)
        self._complain = complain
        self._trouble = ""

    async def there(self, *, whole: bool = False) -> AsyncIterator[Document]:
        """What is there now; with `whole`, also what waits for more of itself, as it is."""
        await asyncio.to_thread(self._log.look)
        while (piece := await asyncio.to_thread(self._step)) is not None:
            for document in piece.documents:
                yield msgspec.json.decode(document)
        if whole:
            for document in self._pipeline.finish(Position(0, 0)).documents:
                yield msgspec.json.decode(document)
        for loss in self._log.losses():
            size = quantity(loss.size_bytes, "byte")
            self._complain(f"{size} {loss.reason}: {loss.why}" if loss.size_bytes else loss.why)
        if self._log.trouble != self._trouble:
            self._trouble = self._log.trouble
            self._complain(self._trouble or "the log can be read again")

    async def coming(self) -> AsyncGenerator[Document, None]:
        """What comes, until the container is removed and its log read to the end."""
        while not self._log.finished:
            async for document in self.there():
                yield document
            await self._pause()

    def close(self) -> None:
        """Lets its files go."""
        self._log.close()

    async def _pause(self) -> None:
        await asyncio.sleep(POLL_SECONDS)

    def _step(self) -> Slice | None:
        piece = self._log.step()
        if piece is not None:
            # Nobody asks for it again: what is kept until it is acknowledged may go.
            self._log.saved_at(piece.progress)
        return piece


async def caught_up(
    place: Place,
    wish: Wish,
    complain: Complain,
    show: Show,
    *,
    follow: bool,
) -> Reader:
    """Shows what is wished of what is there; gives the reader, which stands at its end.

    A log may be huge: it is read from near its end, then from further back, until that is enough.

    Args:
        place: of the log.
        wish: what is to be shown.
        complain: told what was lost, or cannot be read now.
        show: given each document, oldest first.
        follow: the reader will be asked for what comes.

    Raises:
        Rejected: the log cannot be read.
    """
    size_bytes = FIRST_BYTES
    while True:
        beginning = await _beginning(place, wish, size_bytes)
        size_bytes *= GROWTH
        enough = beginning.saved is None or wish.is_within(beginning.time)
        if wish.since is not None and not enough:
            continue
        tail = Tail(str(place.folder), place.base, saved=beginning.saved)
        reader = Reader(place, tail, complain, saved=beginning.saved)
        wished = Wished(wish, show)
        async for document in reader.there(whole=not follow):
            wished.take(document)
        if enough or wished.is_full:
            wished.end()
            return reader
        reader.close()


async def _beginning(place: Place, wish: Wish, size_bytes: int) -> Beginning:
    if wish.count is None and wish.since is None:
        return Beginning()
    try:
        return await asyncio.to_thread(begin, str(place.folder), place.base, size_bytes)
    except (FileNotFoundError, CorruptLogError):
        return Beginning()
    except OSError as error:
        raise Rejected(f"{place.folder} cannot be read: {error.strerror}; run as root") from error
