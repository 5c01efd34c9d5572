"""A log store in this process, and a client of it."""

import json
from collections.abc import Awaitable, Callable
from typing import Any

from aiohttp import ClientResponse
from aiohttp.test_utils import TestClient, TestServer

from logshipper.store.daemon import Logstore
from wharfinger.lifecycle import Scope

ACTION = '{"create":{}}'


async def started(daemon: Logstore, scope: Scope) -> "TestClient[Any, Any]":
    """A client of a log store that is started here."""
    server = TestServer(scope.application)
    await server.start_server(auto_decompress=False)
    await daemon.start()
    return TestClient(server)


async def ended(daemon: Logstore, scope: Scope, client: "TestClient[Any, Any]") -> None:
    """Ends it as the lifecycle does."""
    scope.stopping.set()
    await daemon.drain()
    await client.close()
    await scope.close()


class Store:
    """A log store and a client of it."""

    def __init__(self, daemon: Logstore, scope: Scope, client: "TestClient[Any, Any]") -> None:
        self.daemon = daemon
        self.scope = scope
        self.client = client

    async def bulk(self, *lines: str, path: str = "/_bulk", **options: Any) -> ClientResponse:
        body = "".join(f"{line}\n" for line in lines)
        return await self.client.post(path, data=body, **options)

    async def add(self, *messages: str, **fields: Any) -> list[int]:
        lines = [t for m in messages for t in (ACTION, json.dumps({"message": m, **fields}))]
        answer = await (await self.bulk(*lines)).json()
        return [item["create"]["status"] for item in answer["items"]]

    async def get(self, path: str, status: int = 200, **options: Any) -> Any:
        answer = await self.client.get(path, **options)
        assert answer.status == status, await answer.text()
        return await answer.json()

    async def found(self, **params: Any) -> list[str]:
        return [hit["message"] for hit in (await self.get("/api/search", params=params))["hits"]]


Make = Callable[..., Awaitable[Store]]
