"""What Elasticsearch's clients send and ask: `_bulk`, and questions that come before it."""

import time
from typing import Any, Final

import msgspec
from aiohttp import web

from logshipper.store.http.ingest import Ingest, Refusal, Way
from logshipper.store.http.protocols import bulk
from logshipper.store.http.protocols.understood import weigh_lines
from wharfinger import __version__

PREFIX: Final = "/insert/elasticsearch"
WAYS: Final = tuple(
    f"{start}{path}" for start in ("", PREFIX) for path in ("/_bulk", "/{index}/_bulk")
)
# Elastic's clients from 8 on refuse a server that does not send it on every answer.
PRODUCT: Final = {"X-Elastic-Product": "Elasticsearch"}
_COMPATIBLE_VERSION: Final = "8.9.0"
_KINDS: Final = {
    401: "security_exception",
    404: "resource_not_found_exception",
    413: "content_too_long_exception",
    429: "es_rejected_execution_exception",
}
# Templates, policies and pipelines mean nothing here; senders stop without a yes.
_SETTINGS: Final = (
    "_index_template/{name}",
    "_component_template/{name}",
    "_template/{name}",
    "_ilm/policy/{name}",
    "_ingest/pipeline/{name}",
    "_data_stream/{name}",
)


class Elastic:
    """Routes for those who take this for Elasticsearch.

    Args:
        ingest: takes the lines.
    """

    def __init__(self, ingest: Ingest) -> None:
        self._ingest = ingest

    def routes(self) -> list[web.RouteDef]:
        """The routes, for an aiohttp application."""
        routes = [web.get(PREFIX, self.version), web.get(f"{PREFIX}/", self.version)]
        for start in ("", PREFIX):
            for path in (f"{start}/_bulk", f"{start}/{{index}}/_bulk"):
                routes += [web.post(path, self._bulk), web.put(path, self._bulk)]
            for setting in _SETTINGS:
                routes += [
                    web.put(f"{start}/{setting}", self._acknowledge),
                    web.post(f"{start}/{setting}", self._acknowledge),
                    web.get(f"{start}/{setting}", self._unknown),
                ]
            routes += [
                web.get(f"{start}/_license", self._license),
                web.get(f"{start}/_xpack", self._license),
                web.get(f"{start}/_cluster/health", self._cluster),
                web.get(f"{start}/_cat/health", self._cat_health),
                web.head(f"{start}/{{index}}", self._index),
                # Or a path that nobody serves would be answered with 405.
                web.get(f"{start}/{{name}}", self._unknown, allow_head=False),
                web.put(f"{start}/{{index}}", self._index),
            ]
        return routes

    async def version(self, _request: web.Request) -> web.Response:
        """What `GET /` tells a client that takes us for Elasticsearch."""
        number = {
            "number": _COMPATIBLE_VERSION,
            "build_flavor": "default",
            "minimum_wire_compatibility_version": "7.17.0",
            "minimum_index_compatibility_version": "7.0.0",
        }
        return _json(
            {
                "name": "logstore",
                "cluster_name": "wharfinger",
                "version": number,
                "wharfinger": __version__,
                "tagline": "You Know, for Search",
            }
        )

    async def _license(self, _request: web.Request) -> web.Response:
        return _json({"license": {"status": "active", "uid": "wharfinger", "type": "basic"}})

    async def _cluster(self, _request: web.Request) -> web.Response:
        return _json({"cluster_name": "wharfinger", "status": self._colour, "number_of_nodes": 1})

    async def _cat_health(self, _request: web.Request) -> web.Response:
        return web.Response(text=f"wharfinger {self._colour} 1\n", headers=PRODUCT)

    @property
    def _colour(self) -> str:
        return "red" if self._ingest.refusing else "green"

    async def _acknowledge(self, request: web.Request) -> web.Response:
        return await self._settled(request, {"acknowledged": True})

    async def _index(self, request: web.Request) -> web.Response:
        """An index is there as soon as somebody asks for it."""
        index = request.match_info["index"]
        if index.startswith("_"):
            return _refused(Refusal(404, f"no such thing: {index[:64]}"))
        told = {"acknowledged": True, "shards_acknowledged": True, "index": index}
        return await self._settled(request, told)

    async def _settled(self, request: web.Request, told: dict[str, Any]) -> web.Response:
        try:
            self._ingest.tenant(request)
        except Refusal as refusal:
            return _refused(refusal)
        await request.content.readany()
        return _json(told)

    async def _unknown(self, request: web.Request) -> web.Response:
        """None of these is kept, so whoever wants one puts it."""
        return _refused(Refusal(404, f"{request.match_info['name'][:64]} is not kept here"))

    async def _bulk(self, request: web.Request) -> web.Response:
        began = time.monotonic()
        index = request.match_info.get("index", bulk.DEFAULT_INDEX)
        way = Way(lambda body, arrival: bulk.parse(body, arrival, index), weigh_lines)
        try:
            taken = await self._ingest.take(request, way)
        except Refusal as refusal:
            return _refused(refusal)
        took_ms = int((time.monotonic() - began) * 1000)
        return web.Response(
            body=bulk.answer(taken.body, taken.stored, took_ms),
            content_type="application/json",
            headers=PRODUCT,
        )


def _json(value: Any, status: int = 200, headers: dict[str, str] | None = None) -> web.Response:
    return web.Response(
        body=msgspec.json.encode(value),
        status=status,
        content_type="application/json",
        headers={**PRODUCT, **(headers or {})},
    )


def _refused(refusal: Refusal) -> web.Response:
    """An error in Elasticsearch's shape, which its clients print."""
    kind = _KINDS.get(refusal.status, "illegal_argument_exception")
    error = {"type": kind, "reason": str(refusal)}
    return _json({"error": error, "status": refusal.status}, refusal.status, refusal.headers)
