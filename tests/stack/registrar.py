"""A real registrar between a real dockerd and a real etcd, and a look at what it did."""

import contextlib
import json
import random
import shutil
import sys
import tempfile
from collections.abc import AsyncIterator, Callable, Mapping
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from registrar.ports.reservation import PROC, RESERVED
from wharfinger.errors import Unavailable
from wharfinger.etcd import Etcd
from wharfinger.keys import INSTANCES
from wharfinger.kv import KeyValue
from wharfinger.operator.parts.dockerd import DockerDaemon
from wharfinger.operator.parts.etcd import EtcdServer
from wharfinger.operator.parts.process import Process, free_port, until
from wharfinger.sections import EtcdConfig

IP = "127.0.0.1"
WAIT_SECONDS = 60.0
# One that is killed and started again on a busy machine is back before this is over.
LEASE_SECONDS = 20
SHOP_LABELS = ("--label=wharfinger.app=shop", "--label=wharfinger.env=prod")


class RegistrarStack:
    """Everything that a registrar has around it."""

    def __init__(
        self,
        folder: Path,
        docker: DockerDaemon,
        etcd_server: EtcdServer,
        environment: Mapping[str, str] | None = None,
    ) -> None:
        self.folder = folder
        self._environment = environment
        self.docker = docker
        self.etcd_server = etcd_server
        self.etcd = Etcd(EtcdConfig(endpoints=(etcd_server.endpoint,)))
        self.port = free_port()
        self.port_range = _nobodys_range()
        self.reserved = _written(self.port_range)
        self.config = folder / "wharfinger.toml"
        # pytest's own folders are too deep for the path of a socket.
        self.runtime_dir = Path(tempfile.mkdtemp(prefix="wf-", dir="/tmp"))
        self.process = self.another("registrar")
        self.write_config()

    def another(self, name: str, *more: str) -> Process:
        """One more registrar on the same host."""
        return Process(
            [sys.executable, "-m", "registrar", "run", "--config", self.config, *more],
            log=self.folder / f"{name}.log",
            name=name,
            environment=self._environment,
        )

    def write_config(self, **registrar: Any) -> None:
        own = {
            "listen": f"{IP}:{self.port}",
            "lease_ttl_seconds": LEASE_SECONDS,
            "port_range": _written(self.port_range),
            **registrar,
        }
        tables: dict[str, dict[str, Any]] = {
            "host": {
                "name": "box",
                "ip": IP,
                "state_dir": str(self.folder / "state"),
                "runtime_dir": str(self.runtime_dir),
            },
            "etcd": {"endpoints": [self.etcd_server.endpoint]},
            "docker": {"url": self.docker.url},
            "registrar": own,
        }
        lines = []
        for name, table in tables.items():
            lines.append(f"[{name}]")
            lines.extend(f"{key} = {json.dumps(value)}" for key, value in table.items())
        self.config.write_text("\n".join(lines) + "\n")

    async def start(self) -> None:
        await self.process.start(self.is_ready, timeout_seconds=WAIT_SECONDS)

    async def is_ready(self) -> bool:
        """Start-up is complete, whatever its health."""
        with contextlib.suppress(aiohttp.ClientError, OSError):
            return "start-up" not in (await self.ask("/readyz"))["why"]
        return False

    async def ask(self, path: str) -> Any:
        async with (
            aiohttp.ClientSession() as session,
            session.get(f"http://{IP}:{self.port}{path}") as response,
        ):
            return await response.json()

    async def ask_text(self, path: str) -> str:
        async with (
            aiohttp.ClientSession() as session,
            session.get(f"http://{IP}:{self.port}{path}") as response,
        ):
            return await response.text()

    async def run_shop(self, *arguments: str, name: str = "", command: str = "") -> str:
        """Starts a container of shop/prod the way a user would; gives its id."""
        named = ("--name", name) if name else ()
        words = ("run", "--detach", "--network=host", *SHOP_LABELS, *named, *arguments, "shop")
        return (await self.docker.run(*words, *command.split())).strip()

    async def keys(self) -> dict[str, KeyValue]:
        """What etcd holds of shop/prod, by key."""
        return dict((await self.etcd.list("/shop_prod/")).items)

    async def metadata(self) -> dict[str, dict[str, Any]]:
        """The metadata of each instance, by container id."""
        items = (await self.etcd.list(INSTANCES)).items.values()
        several = [json.loads(kv.value) for kv in items]
        return {each["id"]: each for each in several}

    async def ports(self) -> set[int]:
        """The ports that etcd holds of shop/prod."""
        return {int(key.rpartition("-")[2]) for key in await self.keys()}

    async def until_keys(self, count: int) -> dict[str, KeyValue]:
        """Waits until so many instances of shop/prod are in etcd."""

        async def there() -> bool:
            return len(await self.keys()) == count

        with self.explained():
            await until(there, timeout_seconds=WAIT_SECONDS, what=f"etcd holds {count} keys")
        return await self.keys()

    async def until_metadata(self, ids: set[str]) -> None:
        """Waits until exactly these containers have instances."""

        async def there() -> bool:
            return (await self.metadata()).keys() == ids

        with self.explained():
            await until(there, timeout_seconds=WAIT_SECONDS, what=f"{len(ids)} are registered")

    async def is_healthy(self) -> bool:
        return bool((await self.ask("/healthz"))["healthy"])

    async def is_unhealthy(self) -> bool:
        return not await self.is_healthy()

    async def until_status(self, condition: Callable[[dict[str, Any]], bool], what: str) -> Any:
        """Waits until /status fulfils a condition; gives it."""
        status: dict[str, Any] = {}

        async def fulfilled() -> bool:
            nonlocal status
            with contextlib.suppress(aiohttp.ClientError, OSError):
                status = await self.ask("/status")
                return condition(status)
            return False

        with self.explained():
            await until(fulfilled, timeout_seconds=WAIT_SECONDS, what=what)
        return status

    async def container(self, container_id: str) -> dict[str, Any]:
        """What /status says of one container, once it says anything."""

        def listed(status: dict[str, Any]) -> bool:
            return any(each["id"] == container_id for each in status["containers"])

        status = await self.until_status(listed, f"{container_id[:12]} is listed")
        found: dict[str, Any] = next(
            each for each in status["containers"] if each["id"] == container_id
        )
        return found

    async def until_state(self, container_id: str, state: str) -> str:
        """Waits until a container is `registered`, `refused`, ...; gives why."""
        why = ""

        def reached(status: dict[str, Any]) -> bool:
            nonlocal why
            for each in status["containers"]:
                if each["id"] == container_id and each["state"] == state:
                    why = each["why"]
                    return True
            return False

        await self.until_status(reached, f"{container_id[:12]} is {state}")
        return why

    async def until_refused(self, container_id: str) -> str:
        """Waits until a container is refused; gives why."""
        return await self.until_state(container_id, "refused")

    async def pid(self, container_id: str) -> int:
        """The container's first process."""
        return int(await self.docker.run("inspect", "--format={{.State.Pid}}", container_id))

    @contextlib.contextmanager
    def explained(self) -> Any:
        """Adds the registrar's own words to a failure."""
        try:
            yield
        except Unavailable as error:
            raise AssertionError(f"{error}\n{self.process.log_tail(60)}") from error

    async def stop(self) -> None:
        await self.process.terminate()
        await self.etcd.close()
        shutil.rmtree(self.runtime_dir)


@pytest.fixture
async def registrar_stack(
    tmp_path: Path, docker_daemon: DockerDaemon, etcd_server: EtcdServer
) -> AsyncIterator[RegistrarStack]:
    """A registrar that is ready, with an empty dockerd and an empty etcd."""
    async for stack in running(tmp_path, docker_daemon, etcd_server):
        yield stack


@pytest.fixture
async def breakable_registrar_stack(
    tmp_path: Path, breakable_docker_daemon: DockerDaemon, etcd_server: EtcdServer
) -> AsyncIterator[RegistrarStack]:
    """The same with a dockerd that may be killed."""
    async for stack in running(tmp_path, breakable_docker_daemon, etcd_server):
        yield stack


def _nobodys_range() -> range:
    """Fifty ports that no other registrar of this machine, such as one of another test, gives."""
    held = (PROC / RESERVED).read_text().strip().split(",")
    while True:
        first = random.randrange(20_000, 29_900, 100)
        found = range(first, first + 50)
        if _written(found) not in held:
            return found


def _written(ports: range) -> str:
    return f"{ports[0]}-{ports[-1]}"


def _give_back(ours: str) -> None:
    """Takes one range out of the kernel's reservation, and leaves what others put there."""
    others = [each for each in (PROC / RESERVED).read_text().strip().split(",") if each != ours]
    (PROC / RESERVED).write_text(",".join(others) + "\n")


async def running(
    folder: Path,
    docker: DockerDaemon,
    etcd_server: EtcdServer,
    environment: Mapping[str, str] | None = None,
) -> AsyncIterator[RegistrarStack]:
    """A registrar that is ready, and its end."""
    stack = RegistrarStack(folder, docker, etcd_server, environment)
    try:
        await stack.start()
        yield stack
    finally:
        await stack.stop()
        _give_back(stack.reserved)
