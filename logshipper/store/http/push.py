"""The ways in beside `_bulk`: Loki's push, OTLP's logs, JSON lines."""

from collections.abc import Callable
from typing import Final, TypeVar

import msgspec
from aiohttp import web

from logshipper.store.engine.writer import Tell
from logshipper.store.http import packed
from logshipper.store.http.ingest import Ingest, Refusal, Way
from logshipper.store.http.protocols import exported, jsonline, loki, otlp, otlpjson, otlpwire
from logshipper.store.http.protocols.understood import Lines, weigh_json, weigh_lines

T = TypeVar("T")

# Below the prefixes of VictoriaLogs and Loki, too: a sender that moves changes its host alone.
_LOKI: Final = ("/loki/api/v1/push", "/insert/loki/api/v1/push")
_OTLP: Final = ("/v1/logs", "/insert/opentelemetry/v1/logs", "/otlp/v1/logs")
_JSONLINE: Final = ("/insert/jsonline",)
_EXPORTED: Final = ("/insert/exported",)
WAYS: Final = (*_LOKI, *_OTLP, *_JSONLINE, *_EXPORTED)
_PROTOBUF: Final = "application/x-protobuf"
_JSON: Final = "application/json"


class Push:
    """Routes for those protocols.

    Args:
        ingest: takes the lines.
        tell: is told of refused lines of which their sender hears nothing.
    """

    def __init__(self, ingest: Ingest, tell: Tell) -> None:
        self._ingest = ingest
        self._tell = tell

    def routes(self) -> list[web.RouteDef]:
        """The routes, for an aiohttp application."""
        return [
            *(web.post(path, self._loki) for path in _LOKI),
            *(web.post(path, self._otlp) for path in _OTLP),
            *(web.post(path, self._jsonline) for path in _JSONLINE),
            *(web.post(path, self._exported) for path in _EXPORTED),
            # What Vector asks of Loki before it sends.
            web.get("/ready", self._ready),
        ]

    async def _ready(self, _request: web.Request) -> web.Response:
        if self._ingest.refusing:
            return web.Response(status=503, text="not ready\n")
        return web.Response(text="ready\n")

    async def _loki(self, request: web.Request) -> web.Response:
        """204; 400 only when nothing was stored: nobody sends what is answered so again."""
        match _form(request):
            case "json":
                way = Way(loki.parse_json, weigh_json)
            case "protobuf":
                way = Way(loki.parse_protobuf, loki.weigh_protobuf, packed.unsnapped)
            case _:
                way = Way(
                    _either(loki.parse_json, loki.parse_protobuf),
                    _either(weigh_json, loki.weigh_protobuf),
                    _either(bytes, packed.unsnapped),
                )
        try:
            found = (await self._ingest.take(request, way)).body
        except Refusal as refusal:
            text = f"{refusal}\n"
            return web.Response(status=refusal.status, text=text, headers=refusal.headers)
        if found.useless:
            return web.Response(status=400, text=f"{found.why}\n")
        if found.bad:
            self._tell("entries refused", "error", protocol="loki", lines=found.bad, why=found.why)
        return web.Response(status=204)

    async def _otlp(self, request: web.Request) -> web.Response:
        """200, with a partial success for what was refused; 400 when nothing was stored."""
        form = _form(request)
        if form == "json":
            way = Way(otlpjson.parse, weigh_json)
        elif form == "protobuf":
            way = Way(otlpwire.parse, otlpwire.weigh)
        else:
            way = Way(_either(otlpjson.parse, otlpwire.parse), _either(weigh_json, otlpwire.weigh))
        as_json = form == "json"
        try:
            found = (await self._ingest.take(request, way)).body
        except Refusal as refusal:
            body = otlp.failure(refusal.status, str(refusal), as_json=as_json)
            return _otlp_answer(body, refusal.status, refusal.headers, as_json=as_json)
        if found.useless:
            body = otlp.failure(400, found.why, as_json=as_json)
            return _otlp_answer(body, 400, {}, as_json=as_json)
        return _otlp_answer(otlp.answer(found, as_json=as_json), 200, {}, as_json=as_json)

    async def _jsonline(self, request: web.Request) -> web.Response:
        """200 and counts; 400 when nothing was stored."""
        called = jsonline.names(request.query, request.headers)
        way = Way(lambda body, arrival: jsonline.parse(body, arrival, called), weigh_lines)
        return await self._counted(request, way)

    async def _exported(self, request: web.Request) -> web.Response:
        """The same, for lines that came out of this store or another of its kind."""
        return await self._counted(request, Way(exported.parse, weigh_lines))

    async def _counted(self, request: web.Request, way: Way[Lines]) -> web.Response:
        try:
            taken = await self._ingest.take(request, way)
        except Refusal as refusal:
            body = msgspec.json.encode({"error": str(refusal)})
            return web.Response(
                body=body,
                status=refusal.status,
                content_type=_JSON,
                headers=refusal.headers,
            )
        return web.Response(
            body=jsonline.answer(taken.body, taken.stored),
            status=400 if taken.body.useless else 200,
            content_type=_JSON,
        )


def _form(request: web.Request) -> str:
    """In which form a body says it is; empty if it says neither: then its first byte tells."""
    said = request.headers.get("Content-Type", "").partition(";")[0].strip().lower()
    if said.endswith(("/json", "+json")):
        return "json"
    return "protobuf" if said.endswith("protobuf") else ""


def _either(as_json: Callable[..., T], as_protobuf: Callable[..., T]) -> Callable[..., T]:
    # No message of either protocol begins with what would be the end of field 15.
    def chosen(body: bytes, *more: int) -> T:
        return (as_json if body.startswith(b"{") else as_protobuf)(body, *more)

    return chosen


def _otlp_answer(
    body: bytes, status: int, headers: dict[str, str], *, as_json: bool
) -> web.Response:
    kind = _JSON if as_json else _PROTOBUF
    return web.Response(body=body, status=status, content_type=kind, headers=headers)
