"""A log store in this process, asked as the command line asks it."""

import contextlib
import io
import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import aiohttp
from aiohttp import web
from aiohttp.test_utils import TestServer

from logshipper.store.config import Config
from logshipper.store.daemon import Logstore
from wharfinger import notify
from wharfinger.config import load
from wharfinger.errors import Exit
from wharfinger.lifecycle import Scope
from wharfinger.operator.cli import command_line

TOKEN = "a-token-that-may-read"


async def logs(*arguments: str) -> Exit:
    """`wharfinger logs ...`."""
    parsed = command_line().parse_args(["logs", *arguments])
    code: Exit = await parsed.run(parsed)
    return code


class Store:
    """Where it is."""

    def __init__(self, url: str) -> None:
        self.url = url

    async def add(self, *messages: str, **fields: Any) -> None:
        await self.add_all([{"message": message, **fields} for message in messages])

    async def add_all(self, documents: list[dict[str, Any]]) -> None:
        body = "".join(f'{{"create":{{}}}}\n{json.dumps(each)}\n' for each in documents)
        async with (
            aiohttp.ClientSession() as session,
            session.post(f"{self.url}/_bulk", data=io.BytesIO(body.encode())) as response,
        ):
            assert response.status == 200, await response.text()
            assert not (await response.json())["errors"]

    async def logs(self, *arguments: str) -> Exit:
        return await logs("--url", self.url, *arguments)


@contextlib.asynccontextmanager
async def running(
    folder: Path, *, port: int = 0, tls: Any = None, **settings: str
) -> AsyncIterator[Store]:
    """A store; `tls` is how it serves."""
    flags = {"logstore.min_free_bytes": "0", "host.state_dir": str(folder)}
    flags |= {f"logstore.{name}": text for name, text in settings.items()}
    scope = Scope("logstore", notify.Notifier())
    daemon = Logstore(load(Config, environment={}, flags=flags).value, scope)
    server = TestServer(scope.application, scheme="https" if tls else "http", port=port or None)
    # A tail that is open does not end by itself.
    await server.start_server(auto_decompress=False, ssl=tls, shutdown_timeout=0.1)
    await daemon.start()
    try:
        yield Store(f"{server.scheme}://127.0.0.1:{server.port}")
    finally:
        scope.stopping.set()
        await daemon.drain()
        await server.close()
        await scope.close()


@contextlib.asynccontextmanager
async def served(handler: Any) -> AsyncIterator[str]:
    """Something that answers as the store's API would."""
    application = web.Application()
    application.router.add_get("/api/{what}", handler)
    server = TestServer(application)
    await server.start_server()
    yield f"http://127.0.0.1:{server.port}"
    await server.close()
