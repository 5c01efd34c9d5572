"""A registry that misbehaves to order: for who-are-you, failures, cut answers and lies only."""

import asyncio
import base64
import hashlib
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Self

import pytest
from aiohttp import web

from tests.stack.listening import listening

OCI = "application/vnd.oci.image.manifest.v1+json"
Mood = Callable[[web.Request], Awaitable[web.StreamResponse]]


def digest_of(data: bytes) -> str:
    return f"sha256:{hashlib.sha256(data).hexdigest()}"


class FakeRegistry:
    """Holds manifests, by tag and digest, and blobs.

    Attributes:
        address: `127.0.0.1:PORT`.
        asked: of each request the method, the path, and the Authorization header.
        moods: answers for the next requests, before it behaves again.
        manifests: by `PATH/REFERENCE`.
        blobs: by digest.
        gate: asked before anything else, where it is set; gives an answer that keeps one out.
    """

    def __init__(self, tls: ssl.SSLContext | None = None) -> None:
        self.address = ""
        self.asked: list[tuple[str, str, str]] = []
        self.moods: list[Mood] = []
        self.manifests: dict[str, bytes] = {}
        self.blobs: dict[str, bytes] = {}
        self.gate: Callable[[web.Request], web.Response | None] = lambda _request: None
        self._tls = tls

    async def __aenter__(self) -> Self:
        application = web.Application()
        application.router.add_route("*", "/{path:.*}", self._serve)
        self._runner = web.AppRunner(application, shutdown_timeout=0.1)
        self.address = f"127.0.0.1:{await listening(self._runner, tls=self._tls)}"
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._runner.cleanup()

    @property
    def paths(self) -> list[str]:
        """What was asked for, without the first look whether TLS is spoken."""
        return [f"{method} {path}" for method, path, _ in self.asked]

    def hold(self, path: str, tag: str, body: bytes) -> str:
        """Keeps a manifest; gives its digest."""
        self.manifests[f"{path}/{tag}"] = self.manifests[f"{path}/{digest_of(body)}"] = body
        return digest_of(body)

    async def _serve(self, request: web.Request) -> web.StreamResponse:
        authorization = request.headers.get("Authorization", "")
        self.asked.append((request.method, request.path_qs, authorization))
        if self.moods:
            return await self.moods.pop(0)(request)
        if kept_out := self.gate(request):
            return kept_out
        parts = request.path.removeprefix("/v2/")
        if "/manifests/" in parts:
            return await self._manifest(request, *parts.split("/manifests/"))
        if parts.endswith("/tags/list"):
            path = parts.removesuffix("/tags/list")
            held = [key.removeprefix(f"{path}/") for key in self.manifests]
            return web.json_response({"tags": [key for key in held if ":" not in key]})
        if "/blobs/" in parts:
            return await self._blob(request, parts.split("/blobs/")[1])
        return web.Response()

    async def _manifest(self, request: web.Request, path: str, reference: str) -> web.Response:
        if request.method == "PUT":
            digest = self.hold(path, reference, await request.read())
            return web.Response(status=201, headers={"Docker-Content-Digest": digest})
        body = self.manifests.get(f"{path}/{reference}")
        if body is None:
            return web.json_response({"errors": [{"code": "MANIFEST_UNKNOWN"}]}, status=404)
        headers = {"Docker-Content-Digest": digest_of(body), "Content-Type": OCI}
        return web.Response(body=body, headers=headers)

    async def _blob(self, request: web.Request, rest: str) -> web.Response:
        if request.method == "POST":
            return web.Response(status=202, headers={"Location": f"{request.path}1?_state=a%2Fb"})
        if request.method == "PUT":
            body = await request.read()
            if digest_of(body) != request.query["digest"]:
                return web.json_response({"errors": [{"code": "DIGEST_INVALID"}]}, status=400)
            self.blobs[digest_of(body)] = body
            return web.Response(status=201)
        held = self.blobs.get(rest)
        return web.Response(status=404) if held is None else web.Response(body=held)


def says(status: int, body: str = "", **headers: str) -> Mood:
    """An answer, for `moods`; in names of headers _ stands for -."""
    named = {name.replace("_", "-"): value for name, value in headers.items()}

    async def answer(_request: web.Request) -> web.StreamResponse:
        return web.Response(status=status, text=body, headers=named)

    return answer


async def cut(request: web.Request) -> web.StreamResponse:
    """The connection ends without an answer."""
    assert request.transport is not None
    request.transport.abort()
    await asyncio.sleep(0)
    return web.Response()


async def cut_within(request: web.Request) -> web.StreamResponse:
    """It ends amid the answer's body."""
    response = web.StreamResponse(headers={"Content-Length": "1000", "Content-Type": OCI})
    await response.prepare(request)
    await response.write(b"{")
    assert request.transport is not None
    request.transport.abort()
    return response


def basic(user: str, password: str) -> str:
    return f"Basic {base64.b64encode(f'{user}:{password}'.encode()).decode()}"


@pytest.fixture
async def fake_registry() -> AsyncIterator[FakeRegistry]:
    async with FakeRegistry() as server:
        yield server
