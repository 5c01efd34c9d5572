"""What senders are told where another engine holds the lines: to send them there."""

from typing import Final

import msgspec
from aiohttp import web

from logshipper.store.http import elastic, push

_WAYS: Final = (*elastic.WAYS, *push.WAYS)


class Closed:
    """Routes of the ways in, each of which answers 503.

    Not 400 or 404, which many senders take for the end of their lines: these wait for whoever
    mends the address.

    Args:
        kind: of the engine.
        url: where it is.
    """

    def __init__(self, kind: str, url: str) -> None:
        reason = f"this log store takes no lines: its back end is {kind}"
        self._said = {"error": reason, "fix": f"send them to {url}"}

    def routes(self) -> list[web.RouteDef]:
        """The routes, for an aiohttp application."""
        return [
            route for path in _WAYS for route in (web.post(path, self._no), web.put(path, self._no))
        ]

    async def version(self, _request: web.Request) -> web.Response:
        """What `GET /` tells those who are no browser."""
        return self._answer()

    async def _no(self, _request: web.Request) -> web.Response:
        return self._answer()

    def _answer(self) -> web.Response:
        return web.Response(
            body=msgspec.json.encode(self._said),
            status=503,
            content_type="application/json",
            headers={"Retry-After": "60"},
        )
