"""The pages: a few static files, sent with a policy that lets nothing else run."""

import gzip
import hashlib
import posixpath
import re
from collections.abc import Awaitable, Callable, Mapping
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
_LOGS: Final = ("index.html", "main.js")
_FLEET: Final = ("fleet.html", "fleet/main.js")
_IMPORTED: Final = re.compile(rb"""from "(\.[^"]+)";""")
_CHANGING: Final = "no-cache"
_FIXED: Final = "public, max-age=31536000, immutable"


@dataclass(frozen=True, slots=True)
class _File:
    """One file: its bytes, the same packed, and what it is."""

    plain: bytes
    packed: bytes
    content_type: str


class Pages:
    """The log page at `/`, which Elasticsearch's clients ask for its version instead.

    Their other files are below `/static/REVISION/`, where the revision is a hash of them all: a
    browser keeps them for good, and asks for none of them again until one has changed.

    Args:
        version: answers those clients.
        denied: refuses who may not read; None for who may.
        fleet: whether there is the fleet page, at `/fleet`, as well.
    """

    def __init__(
        self,
        version: Callable[[web.Request], Awaitable[web.Response]],
        denied: Callable[[web.Request], web.Response | None],
        *,
        fleet: bool = False,
    ) -> None:
        self._version = version
        self._denied = denied
        self._has_fleet = fleet
        contents = _contents()
        named = b"".join(name.encode() + body for name, body in contents.items())
        self._revision = hashlib.sha256(named).hexdigest()[:16]
        self._page, self._fleet_page = (
            self._made(contents.pop(name), entry, contents) for name, entry in (_LOGS, _FLEET)
        )
        self._files = {name: _file(name, body) for name, body in contents.items()}

    def routes(self) -> list[web.RouteDef]:
        """The routes, for an aiohttp application."""
        fleet = [web.get("/fleet", self._fleet)] if self._has_fleet else []
        return [
            web.get("/", self._root),
            *fleet,
            web.get("/static/{revision}/{name:.+}", self._static),
        ]

    def _made(self, page: bytes, entry: str, contents: Mapping[str, bytes]) -> "_File":
        page = _with_modules(page, entry, contents)
        return _file("page.html", page.replace(b"/static/", f"/static/{self._revision}/".encode()))

    async def _root(self, request: web.Request) -> web.Response:
        # A browser names text/html; a client that takes us for Elasticsearch never does.
        wants_page = "text/html" in request.headers.get("Accept", "") or "q" in request.query
        if not wants_page:
            return await self._version(request)
        return self._denied(request) or _answer(request, self._page, _CHANGING)

    async def _fleet(self, request: web.Request) -> web.Response:
        return self._denied(request) or _answer(request, self._fleet_page, _CHANGING)

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


def _with_modules(page: bytes, entry: str, contents: Mapping[str, bytes]) -> bytes:
    """The page with a word on each of its modules, so that all are asked for at once."""
    modules = sorted(_imported(entry, contents) - {entry})
    links = "".join(f'<link rel="modulepreload" href="/static/{name}">\n' for name in modules)
    return page.replace(b"</head>", links.encode() + b"</head>")


def _imported(entry: str, contents: Mapping[str, bytes]) -> set[str]:
    """The modules that one needs, itself and those that these need among them."""
    found: set[str] = set()
    waiting = [entry]
    while waiting:
        name = waiting.pop()
        if name not in found:
            found.add(name)
            folder = posixpath.dirname(name)
            paths = (path.decode() for path in _IMPORTED.findall(contents[name]))
            waiting += (posixpath.normpath(posixpath.join(folder, path)) for path in paths)
    return found


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
