"""The control socket of a daemon, asked as the operator's command and the runtime ask it."""

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import aiohttp


@asynccontextmanager
async def posted(
    path: Path, target: str, body: object = None, *, raw: bytes | None = None
) -> AsyncIterator[aiohttp.ClientResponse]:
    """Asks with a JSON body, or with these bytes."""
    data = raw if raw is not None else b"" if body is None else json.dumps(body).encode()
    connector = aiohttp.UnixConnector(path=str(path), force_close=True)
    timeout = aiohttp.ClientTimeout(total=60)
    async with (
        aiohttp.ClientSession(connector=connector, timeout=timeout) as session,
        session.post(f"http://registrar{target}", data=data) as response,
    ):
        yield response


async def steps(path: Path, target: str, body: object) -> list[dict[str, Any]]:
    """All lines of the answer."""
    async with posted(path, target, body) as response:
        return [json.loads(line) for line in (await response.text()).splitlines()]
