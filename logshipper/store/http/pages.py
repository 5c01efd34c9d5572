"""The page: a few static files, sent with a policy that lets nothing else run."""

import gzip
import hashlib
from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from aiohttp import web

_ROOT: Final = Path(__file__).with_name("page")
_TYPES: Final = {
    ".html": "text/html",
    ".js": "text/javascript",
    ".css": "text/css",
    ".svg": "image/svg+xml",
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
_MODULES: Final = ("parts/", "pure/", "work/", "view.js")
_CHANGING: Final = "no-cache"
_FIXED: Final = "public, max-age=31536000, immutable"


@dataclass(frozen=True, slots=True)
class _File:
    """One file: its bytes, the same packed, and what it is."""

    plain: bytes
    packed: bytes
    content_type: str


class Pages:
    """The page at `/`, which Elasticsearch's clients ask for its version instead.

    Its other files are below `/static/REVISION/`, where the revision is a hash of them all: a
    browser keeps them for good, and asks for none of them again until one has changed.

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
        contents = _contents()
        named = b"".join(name.encode() + body for name, body in contents.items())
        self._revision = hashlib.sha256(named).hexdigest()[:16]
        page = _with_modules(contents.pop("index.html"), contents)
        page = page.replace(b"/static/", f"/static/{self._revision}/".encode())
        self._page = _file("index.html", page)
        self._files = {name: _file(name, body) for name, body in contents.items()}

    def routes(self) -> list[web.RouteDef]:
        """The routes, for an aiohttp application."""
        return [
            web.get("/", self._root),
            web.get("/static/{revision}/{name:.+}", self._static),
        ]

    async def _root(self, request: web.Request) -> web.Response:
        # A browser names text/html; a client that takes us for Elasticsearch never does.
        wants_page = "text/html" in request.headers.get("Accept", "") or "q" in request.query
        if not wants_page:
            return await self._version(request)
        return self._denied(request) or _answer(request, self._page, _CHANGING)

    async def _static(self, request: web.Request) -> web.Response:
        # Names are looked up, never opened: nothing beside these files can be reached.
        file = self._files.get(request.match_info["name"])
        if file is None:
            raise web.HTTPNotFound
        current = request.match_info["revision"] == self._revision
        return _answer(request, file, _FIXED if current else _CHANGING)


def _contents() -> dict[str, bytes]:
    return {
        path.relative_to(_ROOT).as_posix(): path.read_bytes()
        for path in sorted(_ROOT.rglob("*"))
        if path.suffix in _TYPES
    }


def _with_modules(page: bytes, names: Iterable[str]) -> bytes:
    """The page with a word on each of its modules, so that all are asked for at once."""
    modules = [name for name in names if name.endswith(".js") and name.startswith(_MODULES)]
    links = "".join(f'<link rel="modulepreload" href="/static/{name}">\n' for name in modules)
    return page.replace(b"</head>", links.encode() + b"</head>")


def _file(name: str, body: bytes) -> _File:
    return _File(body, gzip.compress(body, 9, mtime=0), _TYPES[Path(name).suffix])


def _answer(request: web.Request, file: _File, keeping: str) -> web.Response:
    headers = {**SECURITY, "Cache-Control": keeping, "Vary": "Accept, Accept-Encoding"}
    packs = "gzip" in request.headers.get("Accept-Encoding", "")
    if packs:
        headers["Content-Encoding"] = "gzip"
    return web.Response(
        body=file.packed if packs else file.plain,
        content_type=file.content_type,
        charset="utf-8",
        headers=headers,
    )
