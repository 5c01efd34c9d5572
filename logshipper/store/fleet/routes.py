"""The fleet over HTTP: whole, live, its events, and orders."""

import zlib
from collections.abc import Awaitable, Callable
from contextlib import aclosing
from typing import Final

import msgspec
from aiohttp import web

from logshipper.store.access.callers import Denied
from logshipper.store.fleet import recent
from logshipper.store.fleet.frames import GZIP_HEADER, Frame
from logshipper.store.fleet.live import Live
from logshipper.store.fleet.ordering import Ordering
from logshipper.store.http import guard as guarding
from logshipper.store.http.export import accepts_gzip
from logshipper.store.http.guard import Guard, Handler, refusal
from logshipper.store.model import DEFAULT_TENANT, BadQuery
from logshipper.store.query.backend import Backend
from wharfinger.errors import Unavailable

_NO_STORE: Final = {"Cache-Control": "no-store", "Vary": "Accept-Encoding"}
_UNBUFFERED: Final = {**_NO_STORE, "X-Accel-Buffering": "no"}
_LAST_BLOCK: Final = b"\x03\x00"  # of deflate: one that holds nothing, and is the last
_JSON: Final = "application/json"


class Routes:
    """The fleet's routes.

    Args:
        live: what there is.
        guard: lets in who may read the lines of the default tenant.
        backend: holds what the daemons said.
        ordering: takes orders.
    """

    def __init__(
        self,
        live: Live,
        guard: Guard,
        backend: Backend,
        ordering: Ordering,
    ) -> None:
        self._live = live
        self._guard = guard
        self._backend = backend
        self._ordering = ordering

    def routes(self) -> list[web.RouteDef]:
        """The routes, for an aiohttp application."""
        return [
            web.get("/api/fleet", self._guarded("fleet", self._whole)),
            web.get("/api/fleet/live", self._guarded("fleet live", self._follow), allow_head=False),
            web.get("/api/fleet/events", self._guarded("fleet events", self._events)),
            web.post("/api/fleet/orders", self._ordering.post),
        ]

    def _guarded(
        self, name: str, handler: Handler
    ) -> Callable[[web.Request], Awaitable[web.StreamResponse]]:
        async def answered(request: web.Request, tenant: str) -> web.StreamResponse:
            if tenant != DEFAULT_TENANT:
                fix = "ask with a token of the default tenant"
                raise Denied(403, "tenant", "this tells of what all tenants run", fix)
            return await handler(request, tenant)

        return self._guard.read(name, answered)

    async def _whole(self, request: web.Request, _tenant: str) -> web.Response:
        frames = await self._live.whole(may_drain=self._guard.door.may_order(request))
        headers = dict(_NO_STORE)
        body = b"".join(frame.plain for frame in frames)
        if accepts_gzip(request.headers.getall("Accept-Encoding", [])):
            headers["Content-Encoding"] = "gzip"
            body = _member(frames, body)
        return web.Response(body=body, content_type=_JSON, headers=headers)

    async def _follow(self, request: web.Request, _tenant: str) -> web.StreamResponse:
        packs = accepts_gzip(request.headers.getall("Accept-Encoding", []))
        headers = {**_UNBUFFERED, "Content-Type": "text/event-stream; charset=utf-8"}
        if packs:
            headers["Content-Encoding"] = "gzip"
        response = web.StreamResponse(headers=headers)
        await response.prepare(request)
        if packs:
            await response.write(GZIP_HEADER)
        may_drain = self._guard.door.may_order(request)
        async with aclosing(self._live.events(may_drain=may_drain)) as coming:
            async for frames in coming:
                for frame in frames:
                    await guarding.send(request, response, frame.packed if packs else frame.plain)
        return response

    async def _events(self, request: web.Request, _tenant: str) -> web.Response:
        try:
            found = await recent.answer(self._backend, request)
        except BadQuery as error:
            return refusal(Denied(400, "query", str(error), error.fix))
        except Unavailable as error:
            return refusal(Denied(503, "query", str(error), "see /healthz"))
        guarding.gave(request, len(found["events"]))
        body = msgspec.json.encode(found)
        return web.Response(body=body, content_type=_JSON, headers={"Cache-Control": "no-store"})


def _member(frames: list[Frame], plain: bytes) -> bytes:
    """Frames as one whole gzip member (RFC 1952)."""
    check = zlib.crc32(plain).to_bytes(4, "little") + (len(plain) % 2**32).to_bytes(4, "little")
    return b"".join([GZIP_HEADER, *(frame.packed for frame in frames), _LAST_BLOCK, check])
