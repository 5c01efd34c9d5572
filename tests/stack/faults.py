"""A stop-watch for faults, traffic beside them, and a network that can fail silently."""

import asyncio
import contextlib
import json
import time
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any, Self

import aiohttp

from tests.stack.discovery import DiscoveryStack

SHOP = {"http_host": "shop.test", "http_path": "/"}
LIMIT_SECONDS = 60.0

Record = Callable[[str, object], None]


@dataclass(slots=True)
class Host:
    """What a registrar of another host keeps in etcd: instances of the shop, under one lease."""

    name: str
    addresses: list[str] = field(default_factory=list)
    lease: int = 0


@dataclass(slots=True)
class Traffic:
    """How often each status was answered; 0 where nothing was."""

    answers: Counter[int] = field(default_factory=Counter)


class Measured:
    """Everything around a discovery, and a stop-watch."""

    def __init__(self, stack: DiscoveryStack, record: Record) -> None:
        self.stack = stack
        self.note = record

    async def until(self, holds: Callable[[], Awaitable[bool]], figure: str) -> float:
        """Waits until it holds; notes and gives how long that took."""
        since = time.monotonic()
        await self.stack.until(holds, figure, LIMIT_SECONDS)
        seconds = time.monotonic() - since
        self.note(figure, round(seconds, 3))
        return seconds

    async def until_red(self, word: str, figure: str) -> float:
        """Waits until health is red and says that word."""

        async def says() -> bool:
            return word in await self.stack.why_unhealthy()

        return await self.until(says, figure)

    async def host(self, name: str, count: int) -> Host:
        """Another host with so many instances, registered and applied."""
        host = Host(name, [await self.stack.backends.start() for _ in range(count)])
        await self.stack.until_applied(await self.register(host))
        return host

    async def register(self, host: Host) -> int:
        """Puts what a registrar puts, under a new lease; gives the revision."""
        host.lease = (await self.stack.etcd.grant(60)).id
        revision = 0
        for address in host.addresses:
            key = f"shop_prod/{address.replace(':', '-')}"
            told = json.dumps({**SHOP, "host": host.name}).encode()
            await self.stack.etcd.put(f"/wharfinger/instances/{key}", told, lease=host.lease)
            revision = await self.stack.etcd.put(f"/{key}", address.encode(), lease=host.lease)
        return revision

    @contextlib.asynccontextmanager
    async def traffic(self) -> AsyncIterator[Traffic]:
        """Requests to the shop, one after another, while the block lasts."""
        traffic = Traffic()

        async def asked() -> None:
            while True:
                status = 0
                with contextlib.suppress(aiohttp.ClientError, OSError, TimeoutError):
                    status = (await self.stack.get()).status
                traffic.answers[status] += 1
                await asyncio.sleep(0.005)

        task = asyncio.create_task(asked())
        try:
            yield traffic
        finally:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)
        assert traffic.answers


class Relay:
    """Stands between a client and a server, and can swallow everything without a word."""

    def __init__(self, endpoint: str) -> None:
        self._host, _, port = endpoint.rpartition(":")
        self._port = int(port)
        self._open = asyncio.Event()
        self._server: asyncio.Server | None = None
        self._tasks: set[asyncio.Task[Any]] = set()
        self.endpoint = ""

    def swallow(self) -> None:
        """Nothing passes from now on; no connection is cut."""
        self._open.clear()

    def pass_on(self) -> None:
        """What has waited passes, and all that comes."""
        self._open.set()

    async def __aenter__(self) -> Self:
        self._open.set()
        self._server = await asyncio.start_server(self._connected, "127.0.0.1", 0)
        self.endpoint = f"127.0.0.1:{self._server.sockets[0].getsockname()[1]}"
        return self

    async def __aexit__(self, *_: object) -> None:
        assert self._server is not None
        self._server.close()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await self._server.wait_closed()

    async def _connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        there, back = await asyncio.open_connection(self._host, self._port)
        for one, other in ((reader, back), (there, writer)):
            task = asyncio.create_task(self._passed(one, other))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)

    async def _passed(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            with contextlib.suppress(OSError):
                while data := await reader.read(65_536):
                    await self._open.wait()
                    writer.write(data)
                    await writer.drain()
        finally:
            writer.close()
