"""The ways in over HTTP: `_bulk`, and what Elasticsearch's clients ask before they send."""

import asyncio
import time
import zlib
from collections.abc import Callable
from concurrent.futures import Executor
from typing import Any, Final, cast

import msgspec
from aiohttp import web
from aiohttp.web_exceptions import HTTPRequestEntityTooLarge
from isal import isal_zlib

from logshipper.store.engine.intake import Intake, Reservation
from logshipper.store.http import bulk
from logshipper.store.http.access import Tokens
from logshipper.store.metrics import Metrics
from logshipper.store.model import Busy
from wharfinger import __version__

MAX_BODY_BYTES: Final = 32 * 2**20
# A packed body of a few kilobytes may hold millions of lines of three bytes, each of which
# takes this much memory until it is committed.
MAX_BODY_ROWS: Final = 200_000
_ROW_BYTES: Final = 256
# Smaller bodies are understood at once: a trip to a thread would cost more.
_INLINE_BYTES: Final = 32 * 1024
_INLINE_PACKED_BYTES: Final = 4 * 1024
_ENCODINGS: Final = ("", "identity", "gzip", "x-gzip")
_GZIP_MAGIC: Final = b"\x1f\x8b"
_GZIP_WINDOW: Final = 31
# Elastic's clients from 8 on refuse a server that does not send it on every answer.
PRODUCT: Final = {"X-Elastic-Product": "Elasticsearch"}
_COMPATIBLE_VERSION: Final = "8.9.0"
_DENIED: Final = {"WWW-Authenticate": 'Basic realm="logstore", charset="UTF-8"'}
_READ_SECONDS: Final = 60.0
# The stubs declare an instance where the module holds a class.
_DAMAGED: Final = cast("type[Exception]", isal_zlib.error)


class Ingest:
    """Routes that take lines.

    Args:
        intake: where they go.
        metrics: what to count.
        tokens: gives those that may write.
        executor: where big bodies are understood.
        clock_ns: wall time.
    """

    def __init__(
        self,
        intake: Intake,
        metrics: Metrics,
        tokens: Callable[[], Tokens],
        executor: Executor,
        *,
        clock_ns: Callable[[], int] = time.time_ns,
    ) -> None:
        self._intake = intake
        self._metrics = metrics
        self._tokens = tokens
        self._executor = executor
        self._clock_ns = clock_ns

    def routes(self) -> list[web.RouteDef]:
        """The routes, for an aiohttp application."""
        prefix = "/insert/elasticsearch"
        routes = []
        for path in ("/_bulk", "/{index}/_bulk", f"{prefix}/_bulk", f"{prefix}/{{index}}/_bulk"):
            routes += [web.post(path, self._bulk), web.put(path, self._bulk)]
        for start in ("", prefix):
            routes += [
                web.get(f"{start}/_license", self._license),
                web.get(f"{start}/_cluster/health", self._cluster),
                web.put(f"{start}/_index_template/{{name}}", self._acknowledge),
                web.put(f"{start}/_component_template/{{name}}", self._acknowledge),
                web.put(f"{start}/_template/{{name}}", self._acknowledge),
                web.put(f"{start}/_ilm/policy/{{name}}", self._acknowledge),
            ]
        return [*routes, web.get(prefix, self.version), web.get(f"{prefix}/", self.version)]

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
        status = "red" if self._intake.refusal else "green"
        return _json({"cluster_name": "wharfinger", "status": status, "number_of_nodes": 1})

    async def _acknowledge(self, request: web.Request) -> web.Response:
        """Templates and policies mean nothing here; senders stop without a yes."""
        if self._tokens().tenant(request.headers.get("Authorization", "")) is None:
            return _error(401, "security_exception", "the token is missing or wrong", _DENIED)
        await request.content.readany()
        return _json({"acknowledged": True})

    async def _bulk(self, request: web.Request) -> web.Response:
        began = time.monotonic()
        tenant = self._tokens().tenant(request.headers.get("Authorization", ""))
        if tenant is None:
            return _error(401, "security_exception", "the token is missing or wrong", _DENIED)
        index = request.match_info.get("index", bulk.DEFAULT_INDEX)
        try:
            with self._intake.reserve(request.content_length or 0) as reservation:
                raw = await _read(request, reservation)
                parsed = await self._parsed(raw, index, reservation)
                stored = await self._committed(tenant, parsed)
        except Busy as busy:
            self._metrics.refused.labels(busy.reason).inc()
            again = {"Retry-After": str(busy.retry_after_seconds)}
            return _error(429, "es_rejected_execution_exception", str(busy), again)
        except HTTPRequestEntityTooLarge:
            most = f"{MAX_BODY_BYTES} bytes and {MAX_BODY_ROWS} lines"
            why = f"a body holds at most {most}: send smaller ones"
            return _error(413, "content_too_long_exception", why)
        except web.HTTPUnsupportedMediaType as error:
            return _error(415, "illegal_argument_exception", error.reason)
        except (zlib.error, web.HTTPBadRequest, web.RequestPayloadError) as error:
            return _error(400, "illegal_argument_exception", f"the body cannot be read: {error}")
        self._metrics.rejected.inc(parsed.bad)
        took_ms = int((time.monotonic() - began) * 1000)
        return web.Response(
            body=bulk.answer(parsed, stored, took_ms),
            content_type="application/json",
            headers=PRODUCT,
        )

    async def _parsed(self, raw: bytes, index: str, reservation: Reservation) -> bulk.Body:
        now_ns = self._clock_ns()

        def understand() -> bulk.Body:
            body = _unpacked(raw)
            rows = body.count(b"\n")
            if rows > MAX_BODY_ROWS:
                raise HTTPRequestEntityTooLarge(MAX_BODY_ROWS, rows)
            reservation.grow(len(body) + rows * _ROW_BYTES)
            return bulk.parse(body, now_ns, index)

        if len(raw) <= (_INLINE_PACKED_BYTES if _is_packed(raw) else _INLINE_BYTES):
            return understand()
        return await asyncio.get_running_loop().run_in_executor(self._executor, understand)

    async def _committed(self, tenant: str, body: bulk.Body) -> list[bool]:
        if not body.documents:
            return []
        return await asyncio.wrap_future(self._intake.offer(tenant, body.documents))


async def _read(request: web.Request, reservation: Reservation) -> bytes:
    """The whole body, whatever its Content-Type says; a form is not parsed.

    Raises:
        Busy: there is no memory left for it.
        HTTPRequestEntityTooLarge: it is too big.
        HTTPUnsupportedMediaType: it is packed in a way that is not known here.
    """
    encoding = request.headers.get("Content-Encoding", "identity").strip().lower()
    if encoding not in _ENCODINGS:
        raise web.HTTPUnsupportedMediaType(
            reason=f"only gzip is unpacked here, not {encoding[:20]!r}"
        )
    if (request.content_length or 0) > MAX_BODY_BYTES:
        raise HTTPRequestEntityTooLarge(MAX_BODY_BYTES, request.content_length or 0)
    chunks, size = [], 0
    try:
        # A sender that stops in the middle must not hold its reservation for ever.
        async with asyncio.timeout(_READ_SECONDS):
            async for chunk in request.content.iter_any():
                size += len(chunk)
                if size > MAX_BODY_BYTES:
                    raise HTTPRequestEntityTooLarge(MAX_BODY_BYTES, size)
                reservation.grow(size)
                chunks.append(chunk)
    except TimeoutError:
        raise web.HTTPBadRequest(reason=f"no whole body in {_READ_SECONDS:.0f} s") from None
    return b"".join(chunks)


def _is_packed(body: bytes) -> bool:
    """Whether a body is gzip (RFC 1952), announced or not; no line of JSON begins so."""
    return body.startswith(_GZIP_MAGIC)


def _unpacked(body: bytes) -> bytes:
    """The body, unpacked if it is packed.

    Raises:
        HTTPRequestEntityTooLarge: it is a bomb.
        zlib.error: it is damaged.
    """
    if not _is_packed(body):
        return body
    parts, size = [], 0
    while body:
        unpacker = isal_zlib.decompressobj(_GZIP_WINDOW)
        try:
            part = unpacker.decompress(body, MAX_BODY_BYTES - size + 1)
        except _DAMAGED as error:
            raise zlib.error(str(error)) from None
        size += len(part)
        if size > MAX_BODY_BYTES:
            raise HTTPRequestEntityTooLarge(MAX_BODY_BYTES, size)
        if not unpacker.eof:
            raise zlib.error("the gzip stream ends too early")
        parts.append(part)
        body = unpacker.unused_data
    return b"".join(parts)


def _json(value: Any, status: int = 200, headers: dict[str, str] | None = None) -> web.Response:
    return web.Response(
        body=msgspec.json.encode(value),
        status=status,
        content_type="application/json",
        headers={**PRODUCT, **(headers or {})},
    )


def _error(
    status: int, kind: str, reason: str, headers: dict[str, str] | None = None
) -> web.Response:
    """An error in Elasticsearch's shape, which its clients print."""
    return _json({"error": {"type": kind, "reason": reason}, "status": status}, status, headers)
