"""All days of all tenants, for questions; every method blocks and is for a reader's thread."""

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import Final

from logshipper.store.engine.brokenfiles import BrokenFiles
from logshipper.store.engine.folder import Folder
from logshipper.store.engine.reader import DayReader, open_day
from logshipper.store.lines import times
from logshipper.store.model import BadQuery, Filters, Hit, Key, LabelMatcher, Line, Stream
from logshipper.store.query import counting, fitting, plan
from logshipper.store.query.backend import PAGE_CHARACTERS
from logshipper.store.query.counting import DayCount
from logshipper.store.query.language import Query
from logshipper.store.query.order import Order
from logshipper.store.query.plan import Plan
from logshipper.store.query.runs import Runs
from logshipper.store.query.search import DaySearch, Effort
from logshipper.store.query.tally import Tally
from logshipper.store.query.tokenizer import Tokenizer
from wharfinger.errors import Unavailable

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
        self.damaged = BrokenFiles()
        self._folder = folder
        self._tokenizer = Tokenizer()
        self._runs = Runs()

    def close(self) -> None:
        """Ends it."""
        self._tokenizer.close()
        self.damaged.close()

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
                    left = order.left(hits)
                    hits += DaySearch(reader, day, prepared, left, effort).hits()
            if order.is_filled(hits):
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
        # As they stand: a name that ends with a star would be a prefix in `Filters.streams`.
        labels = tuple(LabelMatcher(name, (getattr(hit.line.stream, name),)) for name in names)
        query = Query(filters=Filters(labels=labels))
        older = Order(
            newest_first=True, beyond=hit.key, limit=before, limit_characters=PAGE_CHARACTERS
        )
        newer = replace(older, newest_first=False, limit=after)
        found = self.search(tenant, query, older, effort) if before else []
        return found[::-1], (self.search(tenant, query, newer, effort) if after else [])

    def count(self, tenant: str, query: Query, tally: Tally, effort: Effort) -> Tally:
        """Counts the lines that fit, by level and the values of the tally's fields.

        What the roll-up answers is not counted by stream. When the time is up, what is older
        is left out.
        """
        prepared = self.plan(query)
        rolls_up = counting.rolls_up(prepared, tally)
        return self._counted(tenant, prepared, tally, effort, rolls_up=rolls_up)

    def rolls_up(self, query: Query, tally: Tally) -> bool:
        """Whether such a count costs next to nothing, and tells nothing of streams."""
        return counting.rolls_up(self.plan(query), tally)

    def streams(self, tenant: str, filters: Filters, effort: Effort) -> set[Stream]:
        """The streams that fit, of all days that the filters' times touch.

        Raises:
            BadQuery: it takes too long.
        """
        found: set[Stream] = set()
        for day in self._days(tenant, filters, Order()):
            effort.check()
            with self._reading(tenant, day) as reader:
                if reader is None:
                    continue
                numbers = fitting.streams(reader, filters)
                found.update(
                    stream
                    for number, stream in reader.streams.items()
                    if numbers is None or number in numbers
                )
        return found

    def facets(self, tenant: str, query: Query, effort: Effort) -> Tally:
        """Counts the lines that fit by stream, and by level in spans of a day."""
        prepared, tally = self.plan(query), Tally(times.DAY_NS)
        if prepared.match or prepared.checks_text:
            return self._counted(tenant, prepared, tally, effort, rolls_up=False)
        for day in self._days(tenant, prepared.filters, Order()):
            with self._reading(tenant, day) as reader:
                if reader is not None:
                    count = DayCount(reader, prepared, tally, effort)
                    tally.from_ns = count.by_runs(self._runs, reader.file)
            if tally.from_ns is not None:
                break
        return tally

    def _counted(
        self, tenant: str, prepared: Plan, tally: Tally, effort: Effort, *, rolls_up: bool
    ) -> Tally:
        for day in self._days(tenant, prepared.filters, Order()):
            with self._reading(tenant, day) as reader:
                if reader is None:
                    continue
                count = DayCount(reader, prepared, tally, effort)
                tally.from_ns = count.rolled() if rolls_up else count.walked()
            if tally.from_ns is not None:
                break
        return tally

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
        except (sqlite3.Error, Unavailable, UnicodeDecodeError, LookupError) as error:
            # The last two: names in a damaged file are no text, and numbers in it lead nowhere.
            name = getattr(error, "sqlite_errorname", _DAMAGED[0])
            if name.startswith(_DAMAGED):
                self.damaged.add(path, str(error))
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
