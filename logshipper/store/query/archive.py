"""All days of all tenants, for questions; every method blocks and is for a reader's thread."""

import sqlite3
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import Final

from logshipper.store.engine.folder import Folder
from logshipper.store.engine.reader import DayReader, open_day
from logshipper.store.lines import times
from logshipper.store.model import STREAM_FIELDS, BadQuery, Filters, Hit, Key, Line
from logshipper.store.query import plan
from logshipper.store.query.language import Query
from logshipper.store.query.plan import Plan
from logshipper.store.query.search import DaySearch, Effort, Order
from logshipper.store.query.tokenizer import Tokenizer
from wharfinger import levels
from wharfinger.errors import Unavailable

MAX_FIELD_VALUES: Final = 1_000
# What SQLite says of a file that no second try will read.
_DAMAGED: Final = ("SQLITE_CORRUPT", "SQLITE_NOTADB")


class Archive:
    """Answers questions from the day files, each on its own read-only connection.

    Every question raises Unavailable when a file that it needs cannot be read.

    Args:
        folder: where the day files are.

    Attributes:
        damaged: files that can never be read as they are, and why.
    """

    def __init__(self, folder: Folder) -> None:
        self.damaged: dict[str, str] = {}
        self._folder = folder
        self._tokenizer = Tokenizer()

    def close(self) -> None:
        """Ends it."""
        self._tokenizer.close()

    def plan(self, query: Query, *, has_index: bool = True) -> Plan:
        """Prepares a query; see `plan.make`."""
        return plan.make(query, self._tokenizer.tokens, has_index=has_index)

    def search(self, tenant: str, query: Query, order: Order, effort: Effort) -> list[Hit]:
        """The first `order.limit` lines that fit, in that order.

        Raises:
            BadQuery: it takes too long.
        """
        prepared = self.plan(query)
        hits: list[Hit] = []
        for day in self._days(tenant, query.filters, order):
            with self._reading(tenant, day) as reader:
                if reader is not None:
                    left = replace(order, limit=order.limit - len(hits))
                    hits += DaySearch(reader, day, prepared, left, effort).hits()
            if len(hits) >= order.limit:
                break
        return hits

    def line(self, tenant: str, day: int, number: int, at: int) -> Hit:
        """The line with this id.

        Raises:
            BadQuery: there is none; retention may have removed it.
        """
        with self._reading(tenant, day) as reader:
            hit = None if reader is None else _read(reader, day, number, at)
        if hit is None:
            raise BadQuery("there is no line with this id", "its day may have been removed")
        return hit

    def context(
        self, tenant: str, hit: Hit, before: int, after: int, effort: Effort
    ) -> tuple[list[Hit], list[Hit]]:
        """The lines of the same container before and after a line, oldest first."""
        names = ("app", "env", "host", "container")
        streams = {name: (getattr(hit.line.stream, name),) for name in names}
        query = Query(filters=Filters(streams=streams))
        older = Order(newest_first=True, beyond=hit.key, limit=before)
        newer = Order(newest_first=False, beyond=hit.key, limit=after)
        found = self.search(tenant, query, older, effort) if before else []
        return found[::-1], (self.search(tenant, query, newer, effort) if after else [])

    def fields(self, tenant: str, filters: Filters) -> dict[str, dict[str, int | None]]:
        """The values of each field, with lines where the roll-up counts them, else None."""
        counts: dict[str, Counter[str]] = {"app": Counter(), "level": Counter()}
        values: dict[str, dict[str, int | None]] = {name: {} for name in (*STREAM_FIELDS, "level")}
        first, last = _minutes(filters)
        for day in self._days(tenant, filters, Order()):
            with self._reading(tenant, day) as reader:
                if reader is None:
                    continue
                for _, app, level, count in reader.minutes(first, last):
                    counts["app"][app] += count
                    counts["level"][levels.NAMES[level] or "unknown"] += count
                for stream in reader.streams.values():
                    for name, value in zip(STREAM_FIELDS, stream, strict=True):
                        if value and len(values[name]) < MAX_FIELD_VALUES:
                            values[name].setdefault(value, None)
        for name, counted in counts.items():
            values[name] = {value: n for value, n in counted.most_common(MAX_FIELD_VALUES) if value}
        return values

    def histogram(
        self, tenant: str, filters: Filters, bucket_minutes: int
    ) -> dict[int, dict[str, int]]:
        """Lines by level in each span of minutes, from the roll-up.

        Args:
            tenant: whose.
            filters: only time, app and level count here.
            bucket_minutes: minutes of a bucket.

        Returns:
            For the nanosecond at which a bucket begins, level to lines.
        """
        buckets: dict[int, Counter[str]] = {}
        first, last = _minutes(filters)
        apps = filters.streams.get("app")
        for day in self._days(tenant, filters, Order()):
            with self._reading(tenant, day) as reader:
                if reader is None:
                    continue
                for minute, app, level, count in reader.minutes(first, last):
                    if (apps and app not in apps) or not plan.accepts_level(filters, level):
                        continue
                    start = (minute - minute % bucket_minutes) * times.MINUTE_NS
                    names = buckets.setdefault(start, Counter())
                    names[levels.NAMES[level] or "unknown"] += count
        return {start: dict(counts) for start, counts in sorted(buckets.items())}

    def _days(self, tenant: str, filters: Filters, order: Order) -> list[int]:
        """The days that a search must look at, in its order."""
        days = self._folder.days(tenant)
        if filters.from_ns is not None:
            days = [day for day in days if day >= times.day_of(filters.from_ns)]
        if filters.to_ns is not None:
            days = [day for day in days if day <= times.day_of(filters.to_ns - 1)]
        if order.beyond is not None:
            edge = times.day_of(order.beyond.time_ns)
            days = [day for day in days if (day <= edge if order.newest_first else day >= edge)]
        return days if order.newest_first else days[::-1]

    @contextmanager
    def _reading(self, tenant: str, day: int) -> Iterator[DayReader | None]:
        """A reader of the day; None if retention has just removed it."""
        path = self._folder.path(tenant, day)
        reader = None
        try:
            reader = open_day(path)
            yield reader
        except (sqlite3.Error, Unavailable) as error:
            name = getattr(error, "sqlite_errorname", _DAMAGED[0])
            if name.startswith(_DAMAGED):
                self.damaged[str(path)] = str(error)
            raise Unavailable(f"{path} cannot be read: {error}") from error
        finally:
            if reader is not None:
                reader.close()


def _read(reader: DayReader, day: int, number: int, at: int) -> Hit | None:
    entry = reader.block(number)
    if entry is None or at >= entry.lines:
        return None
    head, body = reader.head(number), reader.body(number)
    stream = reader.streams[head.stream_ids[at]]
    extra = body.extras[at] if body.extras else b""
    line = Line(head.times_ns[at], stream, head.levels[at], body.messages[at], extra)
    return Hit(day, Key(line.time_ns, number, at), line)


def _minutes(filters: Filters) -> tuple[int, int]:
    first = 0 if filters.from_ns is None else filters.from_ns // times.MINUTE_NS
    last = 1 << 53 if filters.to_ns is None else (filters.to_ns - 1) // times.MINUTE_NS
    return first, last
