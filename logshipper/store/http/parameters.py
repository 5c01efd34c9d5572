"""What the API's requests ask for, from their query strings; each refusal says how to ask."""

from typing import Final

from aiohttp import web

from logshipper.store.lines import times
from logshipper.store.model import STREAM_FIELDS, BadQuery, Filters
from logshipper.store.query import language
from logshipper.store.query.backend import Paging
from logshipper.store.query.language import Query

MAX_LIMIT: Final = 10_000
MAX_BUCKETS: Final = 2_000
_DEFAULT_LIMIT: Final = 100
_MAX_BUCKET_MINUTES: Final = 1440
_DIGITS: Final = 10
_SPARSE: Final = 10


def query(request: web.Request) -> Query:
    """The conditions that every endpoint takes.

    Raises:
        BadQuery: one of them cannot be understood.
    """
    given = request.query
    from_ns, to_ns = (_time(request, name) for name in ("from", "to"))
    named = frozenset(language.level_filter(level) for level in given.getall("level", []) if level)
    streams = {
        name: values
        for name in STREAM_FIELDS
        if (values := tuple(value for value in given.getall(name, []) if value))
    }
    filters = Filters(streams=streams, levels=named, from_ns=from_ns, to_ns=to_ns)
    return language.parse(given.get("q", ""), filters)


def newest_first(request: web.Request, *, default: bool = True) -> bool:
    """The order of the lines.

    Raises:
        BadQuery: there is no such order.
    """
    order = request.query.get("order", "")
    if order not in {"", "newest", "oldest"}:
        raise BadQuery(f"order={order[:20]!r} is no order", "write order=newest or order=oldest")
    return order == "newest" if order else default


def paging(request: web.Request) -> Paging:
    """Which of the lines that fit.

    Raises:
        BadQuery: one of the parameters cannot be understood, or they contradict each other.
    """
    limit = number(request, "limit", _DEFAULT_LIMIT, MAX_LIMIT)
    before, after = (request.query.get(name, "") for name in ("before", "after"))
    newest = newest_first(request, default=not after)
    if before and after:
        raise BadQuery("before and after together are not possible", "leave one of them out")
    if (before and not newest) or (after and newest):
        raise BadQuery("before goes with order=newest, after with order=oldest", "leave order out")
    return Paging(limit, newest_first=newest, beyond=before or after)


def bucket_ns(request: web.Request, asked: Query) -> int:
    """The length of a histogram's buckets.

    Raises:
        BadQuery: it is no number, or makes too many of them.
    """
    minutes = number(request, "bucket_minutes", 1, _MAX_BUCKET_MINUTES)
    seconds = number(request, "bucket_seconds", minutes * 60, _MAX_BUCKET_MINUTES * 60)
    filters, length = asked.filters, seconds * times.SECOND_NS
    if filters.from_ns is not None and filters.to_ns is not None:
        # Empty ones are not given, so there may be more of them than can be looked at.
        check_buckets((filters.to_ns - filters.from_ns) // length, _SPARSE * MAX_BUCKETS)
    return length


def check_buckets(count: int, most: int = MAX_BUCKETS) -> None:
    """Refuses more buckets than anybody can look at.

    Raises:
        BadQuery: there are too many.
    """
    if count > most:
        raise BadQuery(
            f"{count} buckets are too many", "give bucket_seconds, or narrow from and to"
        )


def number(request: web.Request, name: str, default: int, most: int, *, least: int = 1) -> int:
    """A whole number, cut at what is the most.

    Raises:
        BadQuery: it is none, or too small.
    """
    text = request.query.get(name, "")
    if not text:
        return default
    if not (text.isascii() and text.isdigit() and len(text) < _DIGITS and int(text) >= least):
        raise BadQuery(f"{name}={text[:20]!r} is no number", f"write {name}={default}")
    return min(int(text), most)


def _time(request: web.Request, name: str) -> int | None:
    text = request.query.get(name, "")
    if not text:
        return None
    # A plus sign that was not encoded arrives as a blank: 2026-11-23T08:00:00 01:00.
    time_ns = times.parse(text.replace(" ", "+") if text.count(":") > 2 else text)  # noqa: PLR2004
    if time_ns is None:
        raise BadQuery(f"{name}={text[:40]!r} is no time", f"write {name}=2026-11-23T08:00:00Z")
    return time_ns
