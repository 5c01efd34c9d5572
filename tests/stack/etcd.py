"""Real etcd servers for tests: alone, three of them, with TLS, with users; and what to ask them."""

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator, Callable, Iterable
from pathlib import Path
from typing import Any, Self

import pytest

from tests.stack.tls import Authority, KeyPair
from wharfinger.etcd import Etcd
from wharfinger.events import Events
from wharfinger.health import Check
from wharfinger.kv import Changed, KeyValue, Listed, Update
from wharfinger.operator.parts.etcd import EtcdPorts, EtcdServer
from wharfinger.operator.parts.process import Process, until
from wharfinger.sections import EtcdConfig
from wharfinger.watch import Watch

# Of no meaning but that it does not come; a machine may be slow.
DEADLINE_SECONDS = 60.0
# One that is alone has nobody to wait for: it answers after a tenth of the usual second.
ALONE = ("--heartbeat-interval=10", "--election-timeout=100")
# Half the usual time: three servers share two busy cores.
FAST_ELECTION = ("--heartbeat-interval=50", "--election-timeout=500")


def config_of(*servers: EtcdServer, **more: Any) -> EtcdConfig:
    """The configuration of a daemon that uses these servers."""
    return EtcdConfig(endpoints=tuple(server.endpoint for server in servers), **more)


async def eventually(condition: Callable[[], Any], what: str = "it holds") -> float:
    """Waits until `condition` is true; gives the seconds that took."""

    async def holds() -> bool:
        return bool(condition())

    started = time.monotonic()
    await until(holds, timeout_seconds=DEADLINE_SECONDS, what=what)
    return time.monotonic() - started


class Cluster:
    """Three members."""

    def __init__(self, folder: Path) -> None:
        ports = {f"m{n}": EtcdPorts() for n in range(3)}
        peers = {name: f"http://127.0.0.1:{held.peer}" for name, held in ports.items()}
        self.members = [
            EtcdServer(folder, name=name, ports=held, cluster=peers, arguments=FAST_ELECTION)
            for name, held in ports.items()
        ]

    async def start(self) -> None:
        await asyncio.gather(*(member.start() for member in self.members))

    async def stop(self) -> None:
        for member in self.members:
            await member.process.kill()

    async def leader(self) -> EtcdServer:
        """The member that leads, once there is one."""
        async with Etcd(config_of(*self.members)) as etcd:
            while True:
                for member, status in zip(self.members, await etcd.status(), strict=True):
                    if status.is_leader:
                        return member

    def others(self, *but: EtcdServer) -> list[EtcdServer]:
        return [member for member in self.members if member not in but]


class Watcher:
    """A consumer like a daemon's: keeps what the watch tells, and a health check."""

    def __init__(self, etcd: Etcd, prefixes: Iterable[str] = ("/",), **more: Any) -> None:
        self.updates: list[Update] = []
        self.troubles: list[str] = []
        self.items: dict[str, KeyValue] = {}
        self.check = Check("etcd watch", Events(), stale_after_seconds=15)
        self._watch = Watch(
            etcd, prefixes, on_alive=self.check.beat, on_trouble=self._trouble, **more
        )
        self._task: asyncio.Task[None] | None = None

    @property
    def listed(self) -> int:
        """How many times everything was listed."""
        return sum(isinstance(update, Listed) for update in self.updates)

    @property
    def healthy(self) -> bool:
        return self.check.report().healthy

    @property
    def revisions(self) -> list[int]:
        """Of every event, in the order of arrival."""
        changes = [update for update in self.updates if isinstance(update, Changed)]
        return [event.revision for change in changes for event in change.events]

    def values(self) -> dict[str, bytes]:
        return {key: kv.value for key, kv in self.items.items()}

    async def __aenter__(self) -> Self:
        self._task = asyncio.create_task(self._run())
        await eventually(lambda: self.healthy, "the watch stands")
        return self

    async def __aexit__(self, *_: object) -> None:
        assert self._task is not None
        self._task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await self._task

    async def _run(self) -> None:
        async for update in self._watch:
            match update:
                case Listed(snapshot):
                    self.items = dict(snapshot.items)
                case Changed(_, events):
                    for event in events:
                        self.items.pop(event.key, None)
                        if event.kv is not None:
                            self.items[event.key] = event.kv
            self.updates.append(update)

    def _trouble(self, why: str) -> None:
        self.troubles.append(why)
        self.check.fail(why)


async def etcdctl(server: EtcdServer, folder: Path, *arguments: str) -> str:
    """Runs etcd's own client; gives what it prints."""
    environment = {"ETCDCTL_API": "3", "PATH": "/usr/bin:/bin"}
    command = ["etcdctl", f"--endpoints={server.endpoint}", *arguments]
    log = folder / f"etcdctl.{time.monotonic_ns()}.log"
    process = Process(command, log=log, environment=environment)
    await process.start()
    assert await process.wait() == 0, process.log_tail()
    return log.read_text()


async def add_users(server: EtcdServer, folder: Path) -> None:
    """Turns users on: root, and alice who may read and write below /shop_prod/ only."""
    for command in (
        "user add root:root",
        "role add root",
        "user grant-role root root",
        "user add alice:secret",
        "role add shop",
        "role grant-permission shop --prefix=true readwrite /shop_prod/",
        "user grant-role alice shop",
        "auth enable",
    ):
        await etcdctl(server, folder, *command.split())


@pytest.fixture
async def etcd_server(tmp_path: Path) -> AsyncIterator[EtcdServer]:
    """One server of its own for this test, which may do with it what it likes."""
    server = EtcdServer(tmp_path, arguments=ALONE)
    await server.start()
    yield server
    await server.stop()


@pytest.fixture
async def etcd(etcd_server: EtcdServer) -> AsyncIterator[Etcd]:
    """A session with `etcd_server`."""
    async with Etcd(config_of(etcd_server)) as session:
        yield session


@pytest.fixture
async def etcd_cluster(tmp_path: Path) -> AsyncIterator[Cluster]:
    """Three members, one of them leading."""
    cluster = Cluster(tmp_path)
    await cluster.start()
    yield cluster
    await cluster.stop()


@pytest.fixture
async def etcd_with_users(tmp_path: Path) -> AsyncIterator[EtcdServer]:
    """A server with users (see `add_users`) whose tokens end after 2 idle seconds."""
    server = EtcdServer(tmp_path, arguments=[*ALONE, "--auth-token-ttl=2", "--bcrypt-cost=4"])
    await server.start()
    await add_users(server, tmp_path)
    yield server
    await server.stop()


@pytest.fixture
def authority(tmp_path: Path) -> Authority:
    """The CA that the servers of this test trust and are signed by."""
    return Authority(tmp_path / "ca")


@contextlib.asynccontextmanager
async def tls_server(
    folder: Path, pair: KeyPair, *arguments: str, host: str = "127.0.0.1"
) -> AsyncIterator[EtcdServer]:
    """A server that speaks TLS with that certificate."""
    flags = [f"--cert-file={pair.cert_file}", f"--key-file={pair.key_file}", *arguments]
    name = f"tls-{pair.cert_file.stem}"
    server = EtcdServer(folder, name=name, host=host, scheme="https", arguments=[*ALONE, *flags])
    await server.start()
    try:
        yield server
    finally:
        await server.stop()
