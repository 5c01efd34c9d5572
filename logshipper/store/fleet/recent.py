"""What all daemons have said of late, out of the store's own lines."""

from typing import Any, Final

from aiohttp import web

from logshipper.store.http import parameters
from logshipper.store.http.hits import render
from logshipper.store.model import DEFAULT_TENANT, Filters, Found
from logshipper.store.query import language
from logshipper.store.query.backend import Backend, Paging
from logshipper.store.query.language import Query

APP: Final = "wharfinger"
# Any container may be labelled as that app; Docker alone says what its streams are called.
STREAM: Final = "events"
MAX_LIMIT: Final = 1_000
_DEFAULT_LIMIT: Final = 100
_LEVELS: Final = {"warn": "warning"}  # as the daemons call it
# How the log shipper names a field that would hide one of the document's own.
_PREFIX: Final = "parsed_"
_OWN: Final = frozenset({"id", "time", "message", "app", "env", "host", "container", "stream"})
_TOLD: Final = frozenset({"level", "event"})


async def answer(backend: Backend, request: web.Request) -> dict[str, Any]:
    """The events that a request asks for, newest first.

    Raises:
        BadQuery: it cannot be understood.
        Unavailable: the engine cannot be read.
    """
    limit = parameters.number(request, "limit", _DEFAULT_LIMIT, MAX_LIMIT)
    paging = Paging(limit, beyond=request.query.get("before", ""))
    page = await backend.search(DEFAULT_TENANT, _query(request), paging)
    return {"events": [_event(found) for found in page.lines], "more": page.more}


def _query(request: web.Request) -> Query:
    streams: dict[str, tuple[str, ...]] = {"app": (APP,), "stream": (STREAM,)}
    for name, field in (("host", "host"), ("daemon", "env")):
        if values := tuple(value for value in request.query.getall(name, []) if value):
            streams[field] = values
    named = [level for level in request.query.getall("level", []) if level]
    levels = frozenset(map(language.level_filter, named))
    return language.parse("", Filters(streams=streams, levels=levels))


def _event(found: Found) -> dict[str, Any]:
    line = render(found)
    return {
        "id": line["id"],
        "time": line["time"],
        "host": line.get("host", ""),
        "daemon": line.get("env", ""),
        "level": _LEVELS.get(line.get("level", ""), line.get("level", "")),
        "event": line.get("event", line["message"]),
        "fields": {
            name.removeprefix(_PREFIX): value
            for name, value in line.items()
            if name not in _OWN | _TOLD
        },
    }
