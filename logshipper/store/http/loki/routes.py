"""Loki's ways out: queries, labels, streams, volumes, and what else Grafana asks a Loki for."""

import asyncio
import time
from collections.abc import Awaitable, Callable, Mapping
from typing import Any, Final

import msgspec
from aiohttp import web

from logshipper.store.access.callers import Denied
from logshipper.store.http import guard as guarding
from logshipper.store.http.guard import Guard
from logshipper.store.http.loki import fields, replies
from logshipper.store.http.loki.asking import MAX_LIMIT, Asking, asked
from logshipper.store.http.loki.tailing import Tailing
from logshipper.store.http.loki.volumes import Volumes
from logshipper.store.lines import times
from logshipper.store.model import BadQuery
from logshipper.store.query.backend import Counting
from logshipper.store.query.logql import parser
from logshipper.store.query.logql.answers import Answers
from logshipper.store.query.logql.entries import stream_labels
from logshipper.store.query.logql.evaluate import MAX_SERIES
from logshipper.store.query.logql.nodes import Log
from logshipper.store.query.logql.translate import translate
from logshipper.store.query.logql.windows import Moments
from wharfinger.errors import Unavailable

_PREFIX: Final = "/loki/api/v1"
_LABELS_SINCE_NS: Final = 6 * 3600 * times.SECOND_NS
_CATEGORIZED: Final = "categorize-labels"
_FLAGS: Final = "X-Loki-Response-Encoding-Flags"
# The Loki whose answers these are; Grafana asks before it uses what is new.
_BUILD: Final = {
    "version": "3.5.0",
    "revision": "wharfinger",
    "branch": "",
    "buildUser": "",
    "buildDate": "",
    "goVersion": "",
}
# What Logs Drilldown asks before it shows its tabs; there are no patterns to show.
_LIMITS: Final = {
    "limits": {
        "discover_log_levels": True,
        "discover_service_name": ["app"],
        "log_level_fields": ["level"],
        "max_entries_limit_per_query": MAX_LIMIT,
        "max_query_series": MAX_SERIES,
        "volume_enabled": True,
    },
    "pattern_ingester_enabled": False,
    "version": _BUILD["version"],
}

Handler = Callable[[Asking, str, web.Request], Awaitable[Any]]


class Loki:
    """Routes that read, as Loki has them.

    Args:
        backend: what answers.
        guard: lets in who may read; `X-Scope-OrgID` says nothing here.
        tell: is told of failures: what, at which endpoint, why.
        clock_ns: wall time.
    """

    def __init__(
        self,
        backend: Counting,
        guard: Guard,
        *,
        tell: Callable[[str, str, str], None],
        clock_ns: Callable[[], int] = time.time_ns,
    ) -> None:
        self._answers = Answers(backend)
        self._volumes = Volumes(self._answers)
        self._tailing = Tailing(backend, self._answers, clock_ns)
        self._guard = guard
        self._tell = tell
        self._clock_ns = clock_ns

    def routes(self) -> list[web.RouteDef]:
        """The routes, for an aiohttp application."""
        handlers: dict[str, Handler] = {
            "query_range": self._query_range,
            "query": self._query,
            "labels": self._labels,
            "label": self._labels,
            "label/{name}/values": self._values,
            "series": self._series,
            "index/stats": self._volumes.stats,
            "index/volume": self._volumes.volume,
            "index/volume_range": self._volumes.volume_range,
            "detected_labels": self._detected_labels,
            "detected_fields": self._detected_fields,
            "detected_field/{name}/values": self._detected_values,
            "patterns": self._patterns,
        }
        routes = []
        for name, handler in handlers.items():
            guarded = self._guarded(name.partition("/{")[0], handler)
            routes += [method(f"{_PREFIX}/{name}", guarded) for method in (web.get, web.post)]
        tail = self._guarded("tail", self._tailing.tail)
        build = self._guarded("buildinfo", self._build)
        limits = self._guarded("drilldown-limits", self._limits)
        return [
            *routes,
            web.get(f"{_PREFIX}/tail", tail),
            web.get(f"{_PREFIX}/status/buildinfo", build),
            web.get(f"{_PREFIX}/drilldown-limits", limits),
        ]

    def _guarded(
        self, name: str, handler: Handler
    ) -> Callable[[web.Request], Awaitable[web.StreamResponse]]:
        async def answered(request: web.Request, tenant: str) -> web.StreamResponse:
            try:
                asking = await asked(request, self._clock_ns())
                guarding.asks(request, asking.items())
                answer = await handler(asking, tenant, request)
            except BadQuery as error:
                # Grafana shows a text that is no JSON as it is.
                return web.Response(text=f"{error} ({error.fix})\n", status=400)
            except Unavailable as error:
                self._tell("query failed", f"loki {name}", str(error))
                return web.Response(text=f"{error}\n", status=500)
            return answer if isinstance(answer, web.StreamResponse) else _json(answer)

        return self._guard.read(f"loki {name}", answered, _refusal)

    async def _query_range(self, asking: Asking, tenant: str, request: web.Request) -> Any:
        found = parser.parse(asking.query())
        if not isinstance(found, Log):
            when = asking.moments()
            numbers = await self._answers.numbers(tenant, found, when)
            return await asyncio.to_thread(replies.matrix, numbers, when)
        start_ns, end_ns = asking.span()
        return await self._lines(found, (start_ns, end_ns), asking, tenant, request)

    async def _query(self, asking: Asking, tenant: str, request: web.Request) -> Any:
        found = parser.parse(asking.query())
        at_ns = asking.time("time")
        if not isinstance(found, Log):
            numbers = await self._answers.numbers(tenant, found, Moments(at_ns, 1, 1))
            return replies.vector(numbers, at_ns)
        # Loki refuses it here; older Grafanas ask so for the lines around one.
        since_ns = at_ns - 3600 * times.SECOND_NS
        return await self._lines(found, (since_ns, at_ns), asking, tenant, request)

    async def _lines(
        self, log: Log, span: tuple[int, int], asking: Asking, tenant: str, request: web.Request
    ) -> Any:
        lines = await self._answers.lines(
            tenant, translate(log, *span), asking.limit(), newest_first=asking.newest_first()
        )
        guarding.gave(request, len(lines))
        return replies.lines(lines, categorized=_CATEGORIZED in request.headers.get(_FLAGS, ""))

    async def _label_sets(
        self, asking: Asking, tenant: str, queries: list[str]
    ) -> list[dict[str, str]]:
        """The labels of all streams that fit one of the selectors; of all without any."""
        start_ns, end_ns = asking.span(_LABELS_SINCE_NS)
        found: dict[tuple[str, ...], dict[str, str]] = {}
        for query in queries or ["{}"]:
            log = parser.parse_log(query)
            for stream in await self._answers.streams(tenant, log, start_ns, end_ns):
                found[stream] = stream_labels(stream)
        return list(found.values())

    async def _labels(self, asking: Asking, tenant: str, _request: web.Request) -> Any:
        sets = await self._label_sets(asking, tenant, asking.texts("query"))
        return _success(sorted({name for labels in sets for name in labels}))

    async def _values(self, asking: Asking, tenant: str, request: web.Request) -> Any:
        name = request.match_info["name"]
        sets = await self._label_sets(asking, tenant, asking.texts("query"))
        return _success(sorted({labels[name] for labels in sets if name in labels}))

    async def _series(self, asking: Asking, tenant: str, _request: web.Request) -> Any:
        selectors = [*asking.texts("match[]"), *asking.texts("match")]
        return _success(await self._label_sets(asking, tenant, selectors))

    async def _detected_labels(self, asking: Asking, tenant: str, _request: web.Request) -> Any:
        queries = [query for query in asking.texts("query") if query.strip()]
        sets = await self._label_sets(asking, tenant, queries)
        return {"detectedLabels": fields.cardinalities(sets)}

    async def _detected_fields(self, asking: Asking, tenant: str, _request: web.Request) -> Any:
        limit = asking.limit("limit", 1000)
        found = fields.detect(await self._sample(asking, tenant))
        return {"fields": [one.shown() for one in found.values()][:limit], "limit": limit}

    async def _detected_values(self, asking: Asking, tenant: str, request: web.Request) -> Any:
        limit = asking.limit("limit", 1000)
        found = fields.detect(await self._sample(asking, tenant)).get(request.match_info["name"])
        return {"values": sorted(found.values)[:limit] if found else [], "limit": limit}

    async def _sample(self, asking: Asking, tenant: str) -> Any:
        """The newest lines, on which fields are looked for."""
        log = parser.parse_log(asking.query())
        limit = min(asking.limit("line_limit", 100), fields.MAX_LINES)
        return await self._answers.lines(
            tenant, translate(log, *asking.span()), limit, newest_first=True
        )

    async def _patterns(self, _asking: Asking, _tenant: str, _request: web.Request) -> Any:
        # A Loki without its pattern ingester has none either.
        return _success([])

    async def _build(self, _asking: Asking, _tenant: str, _request: web.Request) -> Any:
        return _BUILD

    async def _limits(self, _asking: Asking, _tenant: str, _request: web.Request) -> Any:
        return _LIMITS


def _refusal(denied: Denied) -> web.Response:
    text = f"{denied} ({denied.fix})\n" if denied.fix else f"{denied}\n"
    return web.Response(text=text, status=denied.status, headers=denied.headers)


def _success(data: object) -> Mapping[str, object]:
    return {"status": "success", "data": data}


def _json(value: Any) -> web.Response:
    return web.Response(
        body=msgspec.json.encode(value),
        content_type="application/json",
        headers={"Cache-Control": "no-store", "X-Content-Type-Options": "nosniff"},
    )
