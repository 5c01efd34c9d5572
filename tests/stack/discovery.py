"""A real discovery between a real etcd and a real Nginx, and backends that say who they are."""

import asyncio
import contextlib
import json
import shutil
import sys
import tempfile
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from wharfinger.errors import Unavailable
from wharfinger.etcd import Etcd
from wharfinger.operator.parts.etcd import EtcdServer
from wharfinger.operator.parts.nginx import NginxServer
from wharfinger.operator.parts.process import Process, free_port, until
from wharfinger.sections import EtcdConfig

# What failed is tried again by itself, at last every half minute.
WAIT_SECONDS = 60.0


@dataclass(slots=True)
class Answer:
    status: int
    text: str


@dataclass(slots=True)
class Backends:
    """Small servers on loopback; each answers with its own address."""

    servers: dict[int, asyncio.Server] = field(default_factory=dict)

    async def start(self, address: str = "") -> str:
        """Starts one, where one has been before or elsewhere; gives its address."""
        port = int(address.rpartition(":")[2]) if address else free_port()

        async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            with contextlib.suppress(OSError, asyncio.IncompleteReadError):
                await reader.readuntil(b"\r\n\r\n")
                body = f"127.0.0.1:{port}".encode()
                head = (
                    f"HTTP/1.1 200 OK\r\nContent-Length: {len(body)}\r\nConnection: close\r\n\r\n"
                )
                writer.write(head.encode() + body)
                await writer.drain()
            writer.close()

        self.servers[port] = await asyncio.start_server(answer, "127.0.0.1", port)
        return f"127.0.0.1:{port}"

    async def stop(self, address: str) -> None:
        server = self.servers.pop(int(address.rpartition(":")[2]))
        server.close()
        await server.wait_closed()


class DiscoveryStack:
    """Everything that discovery has around it."""

    def __init__(self, folder: Path, etcd_server: EtcdServer, nginx: NginxServer) -> None:
        self.folder = folder
        # A socket's path has 107 bytes at most; pytest's folders may be longer.
        self.runtime_dir = Path(tempfile.mkdtemp(prefix="wf-", dir="/tmp"))
        self.etcd_server = etcd_server
        self.nginx = nginx
        self.backends = Backends()
        self.etcd = Etcd(EtcdConfig(endpoints=(etcd_server.endpoint,)))
        self.port = free_port()
        self.config = folder / "wharfinger.toml"
        self.confdir = folder / "confdir"
        self.process = Process(
            [sys.executable, "-m", "discovery", "run", "--config", self.config],
            log=folder / "discovery.log",
            name="discovery",
        )
        for name in ("conf.d", "templates"):
            (self.confdir / name).mkdir(parents=True, exist_ok=True)
        self.write_config()

    def write_config(
        self, *, nginx: dict[str, Any] | None = None, etcd: str = "", **discovery: Any
    ) -> None:
        """Writes the file; `nginx` changes fields of the built-in resource, `etcd` the endpoint."""
        table = {
            "dest": str(self.nginx.include),
            "listen": self.nginx.port,
            "check_cmd": f"{self.nginx.command} -t",
            "reload_cmd": f"{self.nginx.command} -s reload",
            **(nginx or {}),
        }
        own = {"listen": f"127.0.0.1:{self.port}", "confdir": str(self.confdir), **discovery}
        lines = [
            "[host]",
            'name = "edge-1"',
            f"state_dir = {json.dumps(str(self.folder / 'state'))}",
            f"runtime_dir = {json.dumps(str(self.runtime_dir))}",
            "[etcd]",
            f"endpoints = [{json.dumps(etcd or self.etcd_server.endpoint)}]",
            "[discovery]",
            *(f"{key} = {json.dumps(value)}" for key, value in own.items()),
            "[discovery.nginx]",
            *(f"{key} = {json.dumps(value)}" for key, value in table.items()),
        ]
        self.config.write_text("\n".join(lines) + "\n")

    def write_resource(
        self, name: str, template: str, *, engine: str = "j2", **fields: Any
    ) -> Path:
        """Adds a resource of the user's own; gives its destination."""
        dest = self.folder / f"{name}.out"
        table = {"src": f"{name}.{engine}", "dest": str(dest), **fields}
        lines = [f"{key} = {json.dumps(value)}" for key, value in table.items()]
        (self.confdir / "templates" / f"{name}.{engine}").write_text(template)
        (self.confdir / "conf.d" / f"{name}.toml").write_text("[template]\n" + "\n".join(lines))
        return dest

    def write_script(self, name: str, body: str) -> str:
        """Adds a program for the shell; gives its path."""
        path = self.folder / name
        path.write_text(f"#!/bin/sh\n{body}\n")
        path.chmod(0o755)
        return str(path)

    async def start(self) -> None:
        await self.process.start(self.is_ready, timeout_seconds=WAIT_SECONDS)

    async def is_ready(self) -> bool:
        """Start-up is complete, whatever its health."""
        with contextlib.suppress(aiohttp.ClientError, OSError):
            told = (await self.ask_json("/readyz"))["why"]
            return "start-up" not in told
        return False

    async def put(self, service: str, address: str, **metadata: Any) -> int:
        """Registers an instance without a lease; gives the revision."""
        key = f"{service}/{address.replace(':', '-')}"
        if metadata:
            value = json.dumps(metadata).encode()
            await self.etcd.put(f"/wharfinger/instances/{key}", value)
        return await self.etcd.put(f"/{key}", address.encode())

    async def remove(self, service: str, address: str) -> int:
        return await self.etcd.delete(f"/{service}/{address.replace(':', '-')}")

    async def get(self, host: str = "shop.test", path: str = "/") -> Answer:
        """Asks Nginx, over a new connection."""
        connector = aiohttp.TCPConnector(force_close=True)
        async with (
            aiohttp.ClientSession(connector=connector) as session,
            session.get(
                f"http://127.0.0.1:{self.nginx.port}{path}",
                headers={"Host": host},
                timeout=aiohttp.ClientTimeout(total=10),
            ) as response,
        ):
            return Answer(response.status, await response.text())

    async def ask_json(self, path: str) -> Any:
        async with (
            aiohttp.ClientSession() as session,
            session.get(f"http://127.0.0.1:{self.port}{path}") as response,
        ):
            return await response.json()

    async def until(
        self, holds: Callable[[], Any], what: str, timeout_seconds: float = WAIT_SECONDS
    ) -> None:
        async def tried() -> bool:
            try:
                return bool(await holds())
            except (aiohttp.ClientError, OSError, TimeoutError):
                return False

        try:
            await until(tried, timeout_seconds=timeout_seconds, what=what)
        except Unavailable as error:
            tail = self.process.log_tail(30)
            raise AssertionError(f"{error}\n{tail}\n{self.nginx.errors()}") from error

    async def until_served(self, *addresses: str, host: str = "shop.test") -> None:
        """Waits until Nginx answers from each of these and from nobody else."""
        what = f"{host} is served by {sorted(addresses)}"
        await self.until(lambda: self.serves(*addresses, host=host), what)

    async def serves(self, *addresses: str, host: str = "shop.test") -> bool:
        """Whether Nginx answers every request, from each of these and from nobody else."""
        answers = [await self.get(host) for _ in range(4 * len(addresses))]
        # A worker from before the last reload may still answer 404, or 503.
        return {a.text if a.status == 200 else str(a.status) for a in answers} == set(addresses)

    async def until_applied(self, revision: int) -> None:
        await self.until(lambda: self.applied(revision), f"revision {revision} is applied")

    async def applied(self, revision: int) -> bool:
        """Whether it says that this revision is served."""
        return int((await self.ask_json("/status"))["applied_revision"]) >= revision

    async def until_acknowledged(self, revision: int) -> None:
        """Waits until etcd holds its word that this revision is served."""

        async def told() -> bool:
            held = await self.etcd.get("/wharfinger/hosts/edge-1/discovery")
            return bool(held and json.loads(held.value)["applied_revision"] >= revision)

        await self.until(told, f"revision {revision} is acknowledged")

    async def keeps(self, count: int) -> bool:
        """Whether it keeps so many instances that etcd has lost."""
        return len((await self.ask_json("/status"))["kept"]) == count

    async def healthy(self) -> bool:
        return bool((await self.ask_json("/healthz"))["healthy"])

    async def why_unhealthy(self) -> str:
        checks = (await self.ask_json("/healthz"))["checks"]
        return "; ".join(f"{c['name']}: {c['why']}" for c in checks if not c["healthy"])

    async def events(self, kind: str) -> list[dict[str, Any]]:
        """The events of one kind so far."""
        log = self.process.log.read_text(errors="replace").splitlines()
        return [{"line": line} for line in log if kind in line]

    async def stop(self) -> None:
        await self.process.terminate()
        await self.etcd.close()
        for address in list(self.backends.servers):
            await self.backends.stop(f"127.0.0.1:{address}")
        shutil.rmtree(self.runtime_dir)


@pytest.fixture
async def discovery_stack(
    tmp_path: Path, etcd_server: EtcdServer, nginx_server: NginxServer
) -> AsyncIterator[DiscoveryStack]:
    """Everything but discovery runs; start it with `start()`."""
    stack = DiscoveryStack(tmp_path, etcd_server, nginx_server)
    yield stack
    await stack.stop()


@pytest.fixture
async def push_stack(
    tmp_path: Path, etcd_server: EtcdServer, nginx_lua_server: NginxServer
) -> AsyncIterator[DiscoveryStack]:
    """The same with a Nginx that can be pushed to."""
    stack = DiscoveryStack(tmp_path, etcd_server, nginx_lua_server)
    yield stack
    await stack.stop()


@pytest.fixture
async def edge(
    tmp_path: Path, etcd_server: EtcdServer, nginx_server: NginxServer
) -> AsyncIterator[DiscoveryStack]:
    """A discovery that runs beside a registrar of the same test, and has told of itself in etcd."""
    folder = tmp_path / "edge"
    folder.mkdir()
    stack = DiscoveryStack(folder, etcd_server, nginx_server)
    await stack.start()

    async def told() -> bool:
        return await stack.etcd.get("/wharfinger/hosts/edge-1/discovery") is not None

    await stack.until(told, "the discovery tells of itself")
    yield stack
    await stack.stop()
