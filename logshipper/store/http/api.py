"""The ways out over HTTP: search, context, fields, histogram, export and live tail."""

import asyncio
import time
from collections.abc import Awaitable, Callable
from concurrent.futures import Executor
from typing import Any, Final, TypeVar

import msgspec
from aiohttp import web

from logshipper.store.http.access import Tokens
from logshipper.store.http.hits import answer, parse_identity, render
from logshipper.store.lines import times
from logshipper.store.metrics import Metrics
from logshipper.store.model import STREAM_FIELDS, BadQuery, Filters, Hit, Key
from logshipper.store.query import language, tail
from logshipper.store.query.archive import Archive
from logshipper.store.query.language import Query
from logshipper.store.query.search import Effort, Order
from logshipper.store.query.tail import Tails
from wharfinger.errors import Unavailable

MAX_LIMIT: Final = 10_000
_DEFAULT_LIMIT: Final = 100
_DEFAULT_CONTEXT: Final = 10
_MAX_BUCKETS: Final = 2_000
_EXPORT_PAGE: Final = 1_000
_EXPORT_SECONDS: Final = 600.0
_PING_SECONDS: Final = 15.0
_UNBUFFERED: Final = {"X-Accel-Buffering": "no", "Cache-Control": "no-store"}
_DENIED: Final = {"WWW-Authenticate": 'Basic realm="logstore", charset="UTF-8"'}
_STREAM: Final = web.RequestKey("stream", web.StreamResponse)

T = TypeVar("T")
Handler = Callable[[web.Request, str], Awaitable[web.StreamResponse]]


class Api:
    """Routes that read.

    Args:
        archive: what answers.
        tails: who is told of new lines.
        metrics: what to count.
        tokens: gives those that may read.
        executor: where questions are answered; the event loop never waits for a disk.
        tell: is told of failures: what, at which endpoint, why.
    """

    def __init__(
        self,
        archive: Archive,
        tails: Tails,
        metrics: Metrics,
        tokens: Callable[[], Tokens],
        executor: Executor,
        *,
        tell: Callable[[str, str, str], None],
    ) -> None:
        self._archive = archive
        self._tails = tails
        self._metrics = metrics
        self._tokens = tokens
        self._executor = executor
        self._tell = tell

    def routes(self) -> list[web.RouteDef]:
        """The routes, for an aiohttp application."""
        handlers: dict[str, Handler] = {
            "search": self._search,
            "context": self._context,
            "fields": self._fields,
            "histogram": self._histogram,
            "export": self._export,
            "tail": self._tail,
        }
        return [web.get(f"/api/{name}", self._guarded(name, h)) for name, h in handlers.items()]

    def denied(self, request: web.Request) -> web.Response | None:
        """The refusal of a request without a token that may read; None if it has one."""
        if self._tokens().tenant(request.headers.get("Authorization", "")) is None:
            return _json({"error": "the token is missing or wrong"}, 401, _DENIED)
        return None

    def _guarded(
        self, name: str, handler: Handler
    ) -> Callable[[web.Request], Awaitable[web.StreamResponse]]:
        async def guarded(request: web.Request) -> web.StreamResponse:
            tenant = self._tokens().tenant(request.headers.get("Authorization", ""))
            if tenant is None:
                return _json({"error": "the token is missing or wrong"}, 401, _DENIED)
            self._metrics.queries.labels(name).inc()
            try:
                return await handler(request, tenant)
            except BadQuery as error:
                refusal = _json({"error": str(error), "fix": error.fix}, 400)
            except Unavailable as error:
                self._tell("query failed", name, str(error))
                fix = "leave its day out (from, to), or move the file away"
                refusal = _json({"error": str(error), "fix": fix}, 500)
            return _cut_off(request) or refusal

        return guarded

    async def _search(self, request: web.Request, tenant: str) -> web.Response:
        asked = _query(request)
        limit = _number(request, "limit", _DEFAULT_LIMIT, MAX_LIMIT)
        beyond = await self._place(request, tenant, "before")
        began = time.monotonic()
        # One more than asked for tells whether there are more.
        order = Order(beyond=beyond, limit=limit + 1)
        hits = await self._ask(lambda effort: self._archive.search(tenant, asked, order, effort))
        self._metrics.search_seconds.observe(time.monotonic() - began)
        more = len(hits) > limit
        return web.Response(
            body=answer(hits[:limit], more=more),
            content_type="application/json",
            headers={"Cache-Control": "no-store"},
        )

    async def _context(self, request: web.Request, tenant: str) -> web.Response:
        place = parse_identity(request.query.get("id", ""))
        before = _number(request, "before", _DEFAULT_CONTEXT, MAX_LIMIT, least=0)
        after = _number(request, "after", _DEFAULT_CONTEXT, MAX_LIMIT, least=0)

        def ask(effort: Effort) -> tuple[list[Hit], Hit, list[Hit]]:
            hit = self._archive.line(tenant, *place)
            older, newer = self._archive.context(tenant, hit, before, after, effort)
            return older, hit, newer

        older, hit, newer = await self._ask(ask)
        return _json(
            {
                "before": [render(h) for h in older],
                "hit": render(hit),
                "after": [render(h) for h in newer],
            }
        )

    async def _fields(self, request: web.Request, tenant: str) -> web.Response:
        filters = _query(request).filters
        return _json(await self._ask(lambda _effort: self._archive.fields(tenant, filters)))

    async def _histogram(self, request: web.Request, tenant: str) -> web.Response:
        asked = _query(request)
        if asked.terms or asked.filters.not_streams or asked.filters.streams.keys() - {"app"}:
            raise BadQuery(
                "the histogram counts by time, app and level only",
                "leave the other conditions out",
            )
        minutes = _number(request, "bucket_minutes", 1, 1440)
        counted = await self._ask(
            lambda _effort: self._archive.histogram(tenant, asked.filters, minutes)
        )
        if len(counted) > _MAX_BUCKETS:
            raise BadQuery(
                f"{len(counted)} buckets are too many", "give bucket_minutes, or narrow from and to"
            )
        buckets = [{"time": times.text(at), "levels": levels} for at, levels in counted.items()]
        return _json({"bucket_minutes": minutes, "buckets": buckets})

    async def _export(self, request: web.Request, tenant: str) -> web.StreamResponse:
        asked = _query(request)
        beyond: Key | None = None
        response: web.StreamResponse | None = None
        while True:
            order = Order(beyond=beyond, limit=_EXPORT_PAGE)
            hits = await self._ask(
                lambda effort, order=order: self._archive.search(tenant, asked, order, effort),  # type: ignore[misc]
                seconds=_EXPORT_SECONDS,
            )
            if response is None:
                # Only now: a query that cannot be answered is a 400, not a broken stream.
                name = 'attachment; filename="logs.ndjson"'
                response = web.StreamResponse(
                    headers={
                        **_UNBUFFERED,
                        "Content-Type": "application/x-ndjson",
                        "Content-Disposition": name,
                    }
                )
                await response.prepare(request)
                request[_STREAM] = response
            lines = b"".join(msgspec.json.encode(render(hit)) + b"\n" for hit in hits)
            await response.write(lines)
            if len(hits) < _EXPORT_PAGE:
                return response
            beyond = hits[-1].key

    async def _tail(self, request: web.Request, tenant: str) -> web.StreamResponse:
        plan = self._archive.plan(_query(request), has_index=False)
        response = web.StreamResponse(
            headers={**_UNBUFFERED, "Content-Type": "text/event-stream; charset=utf-8"}
        )
        with self._tails.follow(tenant, plan) as follower:
            await response.prepare(request)
            request[_STREAM] = response
            # The reader searches for what was before; from this line on nothing is missing.
            await response.write(b": following\n\n")
            async for hits, dropped in follower.batches(_PING_SECONDS):
                if plan.regexes and hits:
                    hits = await self._ask(  # noqa: PLW2901 - those of them that fit
                        lambda effort, hits=hits: tail.matching(plan, hits, effort)  # type: ignore[misc]
                    )
                data = b"".join(_event(hit) for hit in hits) or b": ping\n\n"
                if dropped:
                    data = b"event: dropped\ndata: %d\n\n" % dropped + data
                await response.write(data)
        return response

    async def _place(self, request: web.Request, tenant: str, name: str) -> Key | None:
        text = request.query.get(name, "")
        if not text:
            return None
        place = parse_identity(text)
        hit = await self._ask(lambda _effort: self._archive.line(tenant, *place))
        return hit.key

    async def _ask(self, question: Callable[[Effort], T], seconds: float | None = None) -> T:
        """Answers a question in a thread; ends it when the asker has gone away."""
        effort = Effort() if seconds is None else Effort(seconds)

        def work() -> T:
            with effort:
                return question(effort)

        try:
            return await asyncio.get_running_loop().run_in_executor(self._executor, work)
        finally:
            effort.cancelled = True


def _cut_off(request: web.Request) -> web.StreamResponse | None:
    """Breaks a stream that has begun: nobody may take half an export for a whole one."""
    begun = request.get(_STREAM)
    if begun is not None and request.transport is not None:
        request.transport.abort()
    return begun


def _query(request: web.Request) -> Query:
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


def _time(request: web.Request, name: str) -> int | None:
    text = request.query.get(name, "")
    if not text:
        return None
    # A plus sign that was not encoded arrives as a blank: 2026-11-23T08:00:00 01:00.
    time_ns = times.parse(text.replace(" ", "+") if text.count(":") > 2 else text)  # noqa: PLR2004
    if time_ns is None:
        raise BadQuery(f"{name}={text[:40]!r} is no time", f"write {name}=2026-11-23T08:00:00Z")
    return time_ns


def _number(request: web.Request, name: str, default: int, most: int, *, least: int = 1) -> int:
    text = request.query.get(name, "")
    if not text:
        return default
    if not (text.isascii() and text.isdigit() and len(text) < 10 and int(text) >= least):  # noqa: PLR2004
        raise BadQuery(f"{name}={text[:20]!r} is no number", f"write {name}={default}")
    return min(int(text), most)


def _event(hit: Hit) -> bytes:
    # JSON holds no raw newline, so one data line is enough (HTML standard, 9.2).
    return b"data: " + msgspec.json.encode(render(hit)) + b"\n\n"


def _json(value: Any, status: int = 200, headers: dict[str, str] | None = None) -> web.Response:
    return web.Response(
        body=msgspec.json.encode(value),
        status=status,
        content_type="application/json",
        headers={"Cache-Control": "no-store", **(headers or {})},
    )
