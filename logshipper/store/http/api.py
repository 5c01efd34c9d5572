"""The ways out over HTTP: search, context, fields, histogram, export and live tail."""

import time
from collections.abc import Awaitable, Callable
from contextlib import aclosing
from typing import Any, Final

import msgspec
from aiohttp import web

from logshipper.store.access.callers import Denied
from logshipper.store.http import export as exporting
from logshipper.store.http import guard as guarding
from logshipper.store.http import parameters
from logshipper.store.http.guard import Guard, Handler
from logshipper.store.http.hits import answer, render
from logshipper.store.http.parameters import MAX_LIMIT
from logshipper.store.lines import times
from logshipper.store.metrics import Metrics
from logshipper.store.model import BadQuery, Found, Unanswered
from logshipper.store.query.backend import Backend
from wharfinger.errors import Unavailable

_DEFAULT_CONTEXT: Final = 10
_NO_LIMIT: Final = 10**12
_PING_SECONDS: Final = 15.0
_UNBUFFERED: Final = {"X-Accel-Buffering": "no", "Cache-Control": "no-store"}
_STREAMS: Final = frozenset({"export", "tail"})
_STREAM: Final = web.RequestKey("stream", web.StreamResponse)


class Api:
    """Routes that read.

    Args:
        backend: what answers.
        metrics: what to count.
        guard: lets in who may read.
        tell: is told of failures: what, at which endpoint, why.
    """

    def __init__(
        self,
        backend: Backend,
        metrics: Metrics,
        guard: Guard,
        *,
        tell: Callable[[str, str, str], None],
    ) -> None:
        self._backend = backend
        self._metrics = metrics
        self._guard = guard
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
        # HEAD would wait for the end of a stream whose lines it may not have.
        return [
            web.get(f"/api/{name}", self._guarded(name, h), allow_head=name not in _STREAMS)
            for name, h in handlers.items()
        ]

    def denied(self, request: web.Request) -> web.Response | None:
        """The refusal of who must not have the page; it holds no line, so almost anybody may."""
        try:
            self._guard.door.check_page(request)
        except Denied as denied:
            self._guard.count(denied, request)
            return guarding.refusal(denied)
        return None

    def _guarded(
        self, name: str, handler: Handler
    ) -> Callable[[web.Request], Awaitable[web.StreamResponse]]:
        async def answered(request: web.Request, tenant: str) -> web.StreamResponse:
            try:
                return await handler(request, tenant)
            except BadQuery as error:
                refusal = _json({"error": str(error), "fix": error.fix}, 400)
            except Unanswered as error:
                self._tell("query failed", name, str(error))
                refusal = _json({"error": str(error), "fix": error.fix}, 503)
            except Unavailable as error:
                self._tell("query failed", name, str(error))
                fix = "leave its day out (from, to), or move the file away"
                refusal = _json({"error": str(error), "fix": fix}, 500)
            return _cut_off(request) or refusal

        return self._guard.read(name, answered)

    async def _search(self, request: web.Request, tenant: str) -> web.Response:
        asked, paging = parameters.query(request), parameters.paging(request)
        began = time.monotonic()
        page = await self._backend.search(tenant, asked, paging)
        self._metrics.search_seconds.observe(time.monotonic() - began)
        guarding.gave(request, len(page.lines))
        return web.Response(
            body=answer(page.lines, more=page.more),
            content_type="application/json",
            headers={"Cache-Control": "no-store"},
        )

    async def _context(self, request: web.Request, tenant: str) -> web.Response:
        identity = request.query.get("id", "")
        before = parameters.number(request, "before", _DEFAULT_CONTEXT, MAX_LIMIT, least=0)
        after = parameters.number(request, "after", _DEFAULT_CONTEXT, MAX_LIMIT, least=0)
        found = await self._backend.context(tenant, identity, before, after)
        guarding.gave(request, len(found.before) + 1 + len(found.after))
        return _json(
            {
                "before": [render(line) for line in found.before],
                "hit": render(found.line),
                "after": [render(line) for line in found.after],
            }
        )

    async def _fields(self, request: web.Request, tenant: str) -> web.Response:
        return _json(await self._backend.fields(tenant, parameters.query(request)))

    async def _histogram(self, request: web.Request, tenant: str) -> web.Response:
        asked = parameters.query(request)
        bucket_ns = parameters.bucket_ns(request, asked)
        counted = await self._backend.histogram(tenant, asked, bucket_ns)
        parameters.check_buckets(len(counted.buckets))
        seconds = bucket_ns // times.SECOND_NS
        minutes, rest = divmod(seconds, 60)
        shown: dict[str, Any] = {
            "bucket_seconds": seconds,
            "bucket_minutes": seconds / 60 if rest else minutes,
            "buckets": [
                {"time": times.text(at), "levels": levels} for at, levels in counted.buckets.items()
            ],
            "exact": counted.counted_from_ns is None,
        }
        if counted.counted_from_ns is not None:
            shown["counted_from"] = times.text(counted.counted_from_ns)
        return _json(shown)

    async def _export(self, request: web.Request, tenant: str) -> web.StreamResponse:
        asked, form = parameters.query(request), exporting.form(request)
        newest_first = parameters.newest_first(request)
        left = parameters.number(request, "limit", _NO_LIMIT, _NO_LIMIT)
        packer = exporting.Packer(form)
        response: web.StreamResponse | None = None
        lines = self._backend.export(tenant, asked, newest_first=newest_first)
        async with aclosing(lines):
            async for found in lines:
                if response is None:
                    # Only now: a query that cannot be answered is a 400, not a broken stream.
                    response = web.StreamResponse(headers={**_UNBUFFERED, **form.headers()})
                    await response.prepare(request)
                    request[_STREAM] = response
                await guarding.send(request, response, packer.pack(form.body(found[:left])))
                guarding.gave(request, min(left, len(found)))
                left -= len(found)
                if left <= 0:
                    break
        assert response is not None  # noqa: S101 - an export has one part at least
        await response.write(packer.end())
        return response

    async def _tail(self, request: web.Request, tenant: str) -> web.StreamResponse:
        response = web.StreamResponse(
            headers={**_UNBUFFERED, "Content-Type": "text/event-stream; charset=utf-8"}
        )
        async with self._backend.tail(tenant, parameters.query(request), _PING_SECONDS) as coming:
            await response.prepare(request)
            request[_STREAM] = response
            # The reader searches for what was before; from this line on nothing is missing.
            await response.write(b": following\n\n")
            async for found, dropped in coming:
                data = b"".join(_event(line) for line in found) or b": ping\n\n"
                if dropped:
                    data = b"event: dropped\ndata: %d\n\n" % dropped + data
                await guarding.send(request, response, data)
                guarding.gave(request, len(found))
        return response


def _cut_off(request: web.Request) -> web.StreamResponse | None:
    """Breaks a stream that has begun: nobody may take half an export for a whole one."""
    begun = request.get(_STREAM)
    if begun is not None and request.transport is not None:
        request.transport.abort()
    return begun


def _event(found: Found) -> bytes:
    # JSON holds no raw newline, so one data line is enough (HTML standard, 9.2).
    return b"data: " + msgspec.json.encode(render(found)) + b"\n\n"


def _json(value: Any, status: int = 200, headers: dict[str, str] | None = None) -> web.Response:
    return web.Response(
        body=msgspec.json.encode(value),
        status=status,
        content_type="application/json",
        headers={"Cache-Control": "no-store", **(headers or {})},
    )
