"""A `_bulk` endpoint that counts what it is sent, and misbehaves on order."""

import asyncio
import json
import time
from collections import Counter
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any, Self

from aiohttp import web

from tests.stack.listening import listening

Answer = Callable[["StrictSink", web.Request, bytes], Awaitable[web.StreamResponse]]


@dataclass
class StrictSink:
    """Takes documents by id, as Elasticsearch does with `create`; refuses what is malformed.

    Attributes:
        documents: by id, as first received.
        received: how often each id came.
        moods: answers for the next requests; then it behaves.
        mood: the answer for every request without one of its own.
        limit_bytes: a body above it is answered 413.
        poison: texts that no document may hold.
    """

    documents: dict[str, dict[str, Any]] = field(default_factory=dict)
    received: Counter[str] = field(default_factory=Counter)
    moods: list[Answer] = field(default_factory=list)
    mood: Answer | None = None
    limit_bytes: int = 64 * 2**20
    poison: str = "\0never"
    requests: int = 0
    times: list[float] = field(default_factory=list)
    headers: list[dict[str, str]] = field(default_factory=list)
    port: int = 0

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def messages(self) -> list[str]:
        return [document["message"] for document in self.documents.values()]

    @property
    def duplicates(self) -> int:
        return sum(self.received.values()) - len(self.received)

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.stop()

    async def start(self) -> None:
        application = web.Application(client_max_size=2**30)
        application.router.add_route("*", "/{path:.*}", self._serve)
        self._runner = web.AppRunner(application, shutdown_timeout=0.1)
        self.port = await listening(self._runner, self.port)

    async def stop(self) -> None:
        await self._runner.cleanup()

    async def until(self, condition: Callable[[], bool], *, seconds: float = 30.0) -> None:
        async with asyncio.timeout(seconds):
            while not condition():  # noqa: ASYNC110 - of files and sockets, not of a task
                await asyncio.sleep(0.01)

    async def _serve(self, request: web.Request) -> web.StreamResponse:
        self.requests += 1
        self.times.append(time.monotonic())
        self.headers.append(dict(request.headers))
        body = await request.read()  # aiohttp has unpacked it
        assert (request.method, request.path) == ("POST", "/_bulk")
        assert request.headers["Content-Type"] == "application/x-ndjson"
        if self.moods:
            return await self.moods.pop(0)(self, request, body)
        if self.mood is not None:
            return await self.mood(self, request, body)
        if len(body) > self.limit_bytes:
            return web.Response(status=413)
        return web.json_response(self.take(body))

    def take(self, body: bytes) -> dict[str, Any]:
        """Stores what is good, and answers for each."""
        assert body.endswith(b"\n")
        lines = body.split(b"\n")[:-1]
        items = [self._item(*pair) for pair in zip(lines[::2], lines[1::2], strict=True)]
        errors = any(item["create"]["status"] >= 400 for item in items)
        return {"took": 1, "errors": errors, "items": items}

    def _item(self, action: bytes, source: bytes) -> dict[str, Any]:
        identity = json.loads(action)["create"]["_id"]
        document = json.loads(source)
        self.received[identity] += 1
        if self.poison in document["message"]:
            error = {"type": "mapper_parsing_exception", "reason": "poison"}
            return {"create": {"_id": identity, "status": 400, "error": error}}
        if identity in self.documents:
            assert self.documents[identity] == document
            return {"create": {"_id": identity, "status": 409, "error": {"type": "version"}}}
        self.documents[identity] = document
        return {"create": {"_id": identity, "status": 201}}


def status(code: int, **headers: str) -> Answer:
    """Answers so, and stores nothing."""

    async def answer(_: StrictSink, __: web.Request, ___: bytes) -> web.StreamResponse:
        return web.Response(
            status=code, text="no", headers={k.replace("_", "-"): v for k, v in headers.items()}
        )

    return answer


async def reset_after_storing(
    sink: StrictSink, request: web.Request, body: bytes
) -> web.StreamResponse:
    """Stores everything, and the answer never arrives."""
    sink.take(body)
    assert request.transport is not None
    request.transport.abort()
    return web.Response()


async def hang(_: StrictSink, __: web.Request, ___: bytes) -> web.StreamResponse:
    """Accepts and never answers."""
    await asyncio.Event().wait()
    return web.Response()


async def empty_200(_: StrictSink, __: web.Request, ___: bytes) -> web.StreamResponse:
    """What VictoriaLogs answers when it drops lines."""
    return web.Response(status=200)


async def deep_reply(_: StrictSink, __: web.Request, ___: bytes) -> web.StreamResponse:
    """What nobody reads to its end."""
    deep = b"[" * 100_000 + b"]" * 100_000
    body = b'{"items":[{"create":{"status":400,"error":' + deep + b"}}]}"
    return web.Response(body=body, content_type="application/json")


async def portal(_: StrictSink, __: web.Request, ___: bytes) -> web.StreamResponse:
    """What something else on the sink's address answers."""
    return web.Response(status=200, text="<html>welcome</html>", content_type="text/html")


def busy_items(every: int, code: int = 429) -> Answer:
    """Stores, but every n-th document is answered 429."""

    async def answer(sink: StrictSink, _: web.Request, body: bytes) -> web.StreamResponse:
        lines = body.split(b"\n")[:-1]
        items = []
        for number, pair in enumerate(zip(lines[::2], lines[1::2], strict=True)):
            if number % every == 0:
                items.append({"create": {"status": code, "error": {"type": "busy"}}})
            else:
                items.append(sink._item(*pair))
        return web.json_response({"errors": True, "items": items})

    return answer


def short_reply(missing: int) -> Answer:
    """Stores everything and tells of fewer."""

    async def answer(sink: StrictSink, _: web.Request, body: bytes) -> web.StreamResponse:
        reply = sink.take(body)
        reply["items"] = reply["items"][: len(reply["items"]) - missing]
        return web.json_response(reply)

    return answer
