"""What answers questions: one small interface, whatever engine holds the lines."""

from collections.abc import AsyncGenerator, AsyncIterator, Mapping, Sequence
from collections.abc import Set as AbstractSet
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from typing import Final, Protocol

from logshipper.store.model import Found, Stream
from logshipper.store.query.language import Query

# Lines may be long, and a reply stands in memory as a whole, several times over. The line with
# which a page has so many characters is its last one.
PAGE_CHARACTERS: Final = 16 * 2**20

# For a field, its values; lines where they were counted, else None.
FieldValues = Mapping[str, Mapping[str, int | None]]


@dataclass(frozen=True, slots=True)
class Paging:
    """Which lines of those that fit.

    Attributes:
        limit: so many, or fewer if they are long.
        newest_first: downward in time.
        beyond: only lines after the one with this id, in that order; empty from the beginning.
    """

    limit: int = 100
    newest_first: bool = True
    beyond: str = ""


@dataclass(frozen=True, slots=True)
class Page:
    """Some of the lines that fit, in the order asked for, and whether there are more."""

    lines: Sequence[Found]
    more: bool


@dataclass(frozen=True, slots=True)
class Context:
    """A line between those of the same container, oldest first."""

    before: Sequence[Found]
    line: Found
    after: Sequence[Found]


@dataclass(frozen=True, slots=True)
class Histogram:
    """Lines by time and level.

    Attributes:
        buckets: for the nanosecond at which a bucket begins, ascending, level's name to lines.
        counted_from_ns: what is older was not counted for want of time; None if all was.
    """

    buckets: Mapping[int, Mapping[str, int]]
    counted_from_ns: int | None = None


class Backend(Protocol):
    """Holds lines and finds them; for the event loop.

    Every question raises `BadQuery` for what cannot be answered as it stands, and
    `Unavailable` when the engine cannot be reached or read.
    """

    async def search(self, tenant: str, query: Query, paging: Paging) -> Page:
        """Some of the lines that fit."""

    async def context(self, tenant: str, identity: str, before: int, after: int) -> Context:
        """The lines of the same container around the one with this id."""

    async def fields(self, tenant: str, query: Query) -> FieldValues:
        """The values of `Stream`'s fields and of `level` in the lines that fit."""

    async def histogram(self, tenant: str, query: Query, bucket_ns: int) -> Histogram:
        """The lines that fit, by level, in spans of so many nanoseconds since 1970."""

    def export(
        self, tenant: str, query: Query, *, newest_first: bool = True
    ) -> AsyncGenerator[Sequence[Found]]:
        """All lines that fit, some at a time, however many they are."""

    def tail(
        self, tenant: str, query: Query, idle_seconds: float
    ) -> AbstractAsyncContextManager[AsyncIterator[tuple[Sequence[Found], int]]]:
        """Lines that come from the moment on that the block begins.

        Each time some, and how many were left out before them because the reader is slow;
        none of both after so many seconds without any.
        """


class Counting(Backend, Protocol):
    """A back end that counts by any fields of a stream, as LogQL's metric queries need it."""

    async def series(
        self, tenant: str, query: Query, bucket_ns: int, by: Sequence[str], origin_ns: int = 0
    ) -> Mapping[int, Mapping[tuple[str, ...], int]]:
        """The lines that fit, in spans of so many nanoseconds, of which one begins at an origin.

        Returns:
            For the nanosecond at which a span begins, ascending: values of the fields, then
            the level's name, to lines.

        Raises:
            BadQuery: it takes too long; no part of it is given for the whole.
        """

    async def streams(self, tenant: str, query: Query) -> AbstractSet[Stream]:
        """The streams that fit, whatever their lines, of at least the time asked for."""
