"""The page: a few static files, sent with a policy that lets nothing else run."""

from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Final

from aiohttp import web

_ROOT: Final = Path(__file__).with_name("page")
_TYPES: Final = {
    "index.html": "text/html",
    "page.js": "text/javascript",
    "page.css": "text/css",
    "icon.svg": "image/svg+xml",
}
# Log text is hostile: should some of it ever become markup, nothing in it may run or load.
SECURITY: Final = {
    "Content-Security-Policy": (
        "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self';"
        " img-src 'self'; base-uri 'none'; form-action 'self'; frame-ancestors 'none'"
    ),
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Resource-Policy": "same-origin",
}


class Pages:
    """The page at `/`, which Elasticsearch's clients ask for its version instead.

    Args:
        version: answers those clients.
        denied: refuses who may not read; None for who may.
    """

    def __init__(
        self,
        version: Callable[[web.Request], Awaitable[web.Response]],
        denied: Callable[[web.Request], web.Response | None],
    ) -> None:
        self._version = version
        self._denied = denied
        self._files = {name: (_ROOT / name).read_bytes() for name in _TYPES}

    def routes(self) -> list[web.RouteDef]:
        """The routes, for an aiohttp application."""
        static = [web.get(f"/static/{name}", self._static) for name in _TYPES]
        return [web.get("/", self._root), *static]

    async def _root(self, request: web.Request) -> web.Response:
        # A browser names text/html; a client that takes us for Elasticsearch never does.
        wants_page = "text/html" in request.headers.get("Accept", "") or "q" in request.query
        if not wants_page:
            return await self._version(request)
        return self._denied(request) or self._file("index.html")

    async def _static(self, request: web.Request) -> web.Response:
        return self._file(request.path.rpartition("/")[2])

    def _file(self, name: str) -> web.Response:
        return web.Response(
            body=self._files[name],
            content_type=_TYPES[name],
            charset="utf-8",
            headers={**SECURITY, "Cache-Control": "no-cache", "Vary": "Accept"},
        )
