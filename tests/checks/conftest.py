"""Targets on loopback, and servers that answer badly."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import pytest

from registrar.checks.model import Check, Target
from registrar.checks.probes import Prober
from wharfinger.dockerd import Docker
from wharfinger.sections import DockerConfig

IP = "127.0.0.1"
Serve = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


def target(port: int, *, container: str = "c" * 64, ip: str = IP, **check: Any) -> Target:
    return Target(container, 1, ip, port, Check(**check))


@contextlib.asynccontextmanager
async def serving(serve: Serve, **options: Any) -> AsyncIterator[int]:
    """A raw server on a free port, with one task per connection; all end with it."""
    tasks: set[asyncio.Task[None]] = set()

    async def accept(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        tasks.add(task)
        # Cancelled, it would have asyncio log so (CPython 3.11, asyncio/streams.py).
        with contextlib.suppress(ConnectionError, asyncio.CancelledError):
            await serve(reader, writer)
            writer.close()
            await writer.wait_closed()
        writer.transport.abort()
        tasks.discard(task)

    server = await asyncio.start_server(accept, IP, 0, **options)
    try:
        yield server.sockets[0].getsockname()[1]
    finally:
        server.close()
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


@pytest.fixture
async def prober() -> AsyncIterator[Prober]:
    """Without an engine."""
    docker = Docker(DockerConfig(url="unix:///nowhere/docker.sock"))
    async with docker, Prober(docker) as prober:
        yield prober
