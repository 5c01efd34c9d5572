"""A real Swarm of the lab's hosts, with the agents' stack on it."""

import asyncio
import contextlib
import json
import os
import re
import shutil
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from tests.stack.agentimages import EDGE, TREE, archive
from tests.stack.answers import answers
from tests.stack.lab.host import Host
from tests.stack.lab.lab import Lab
from tests.stack.lab.network import PREFIX
from wharfinger.operator.parts.command import output
from wharfinger.operator.parts.images import build_shop
from wharfinger.operator.parts.process import until

STACK = "wharfinger"
SITE = "shop.test"
NEXT = EDGE.replace(":", "-next:")
PATIENCE_SECONDS = 120.0
ENDPOINT = re.compile(rf"{re.escape(PREFIX)}\.\d+:2\d{{4}}")


class Swarm:
    """Managers all three; box1 and box2 are edges, box3 has the store.

    Args:
        lab: its hosts, off.
        folder: for the files of the stack.
    """

    def __init__(self, lab: Lab, folder: Path) -> None:
        self.lab = lab
        self.folder = folder
        self.first = lab.hosts[0]
        self._etcd = lab.client.process(
            [
                *("etcd", "--data-dir", lab.folder / "etcd", "--log-level", "error"),
                *("--listen-client-urls", "http://0.0.0.0:2379"),
                *("--advertise-client-urls", f"http://{lab.network.ip}:2379"),
            ],
            log=lab.folder / "etcd.log",
        )

    @property
    def edges(self) -> list[str]:
        """Addresses of both edges."""
        return [host.ip for host in self.lab.hosts[:2]]

    async def raise_all(self) -> None:
        """Engines with the images, the Swarm of them, and the labels of its nodes."""
        await self._etcd.start()
        images = await archive(self.lab.folder / "build")
        await asyncio.gather(*(self._engine(host, images) for host in self.lab.hosts))
        await self.docker("swarm", "init", "--advertise-addr", self.first.ip)
        token = await self.docker("swarm", "join-token", "--quiet", "manager")
        for host in self.lab.hosts[1:]:
            await host.docker.run("swarm", "join", "--token", token, f"{self.first.ip}:2377")
        for number, host in enumerate(self.lab.hosts):
            role = "store" if number == 2 else "edge"
            labels = ("--label-add=wharfinger.host=true", f"--label-add=wharfinger.{role}=true")
            await self.docker("node", "update", *labels, host.name)

    async def _engine(self, host: Host, images: Path) -> None:
        await host.power_on()
        await host.docker.start()
        # Where everybody looks for it, and the stack mounts it from.
        await host.run("ln", "-s", host.docker.socket, "/run/docker.sock")
        await host.docker.run("load", "--input", images, timeout_seconds=300)
        await host.docker.run("tag", EDGE, NEXT)
        await build_shop(host.docker, host.folder / "shop")

    async def docker(self, *words: str | os.PathLike[str]) -> str:
        """The `docker` command on the first manager."""
        return await self.first.docker.run(*words, timeout_seconds=PATIENCE_SECONDS)

    async def deploy(self) -> None:
        """`docker stack deploy`, as the README has it, and waits until all of it runs."""
        source = TREE / "deploy" / "swarm" / "stack.yml"
        shutil.copy(source, self.folder / "stack.yml")
        (self.folder / "wharfinger.toml").write_text("# Swarm takes no empty one.\n")
        for name in ("ingest", "read"):
            (self.folder / f"{name}.token").write_text(f"{name}-token\n")
        store = self.lab.hosts[2].ip
        environment = {
            **{key: value for key, value in os.environ.items() if not key.startswith("DOCKER_")},
            "WHARFINGER_IMAGE": EDGE,
            "WHARFINGER_EDGE_IMAGE": EDGE,
            "WHARFINGER_ETCD": f"{self.lab.network.ip}:2379",
            "WHARFINGER_STORE": f"http://{store}:7280",
            # Each engine's own is somewhere below it.
            "DOCKER_DATA_ROOT": str(self.lab.folder),
        }
        await output(
            *("/usr/bin/docker", "-H", self.first.docker.url, "stack", "deploy"),
            *("--resolve-image", "never", "--compose-file", self.folder / "stack.yml", STACK),
            environment=environment,
        )
        await self.until_running(
            {"registrar": 3, "logshipper": 3, "nginx": 2, "discovery": 2, "logstore": 1}
        )

    async def deploy_shop(self) -> None:
        """The application: one on each node, its port from the registrar."""
        labels = {"app": "shop", "env": "prod", "host": SITE, "drain": "2"}
        await self.docker(
            *("service", "create", "--detach", "--name", "shop", "--mode", "global"),
            *("--network", "host", "--no-resolve-image", "--stop-grace-period", "30s"),
            *(f"--container-label=wharfinger.{key}={value}" for key, value in labels.items()),
            *("--restart-delay", "1s", "shop"),
        )

    async def until_running(self, wanted: dict[str, int]) -> None:
        """Waits until services of the stack have so many running tasks."""

        async def running() -> bool:
            return all([await self.running(f"{STACK}_{name}") == n for name, n in wanted.items()])

        try:
            await until(running, timeout_seconds=PATIENCE_SECONDS, what=f"{wanted} run")
        except Exception as error:
            error.add_note(await self.explained())
            raise

    async def running(self, service: str) -> int:
        """How many of a service's tasks run, in Swarm's own word."""
        words = ("--filter", "desired-state=running", "--format", "{{.CurrentState}}")
        told = await self.docker("service", "ps", *words, service)
        return sum(line.startswith("Running") for line in told.splitlines())

    async def explained(self) -> str:
        """What every task came to, and the ends of the logs of those that failed."""
        told = [await self.docker("stack", "ps", "--no-trunc", STACK)]
        for host in self.lab.hosts:
            words = ("ps", "--all", "--format", "{{.ID}} {{.Names}}")
            with contextlib.suppress(Exception):
                for line in (await host.docker.run(*words)).splitlines():
                    container, _, name = line.partition(" ")
                    log = await output(
                        *("sh", "-c", 'docker -H "$1" logs --tail 15 "$2" 2>&1', "logs"),
                        *(host.docker.url, container),
                    )
                    told.append(f"{host.name} {name}:\n{log}")
        return "\n".join(told)

    async def keys(self) -> set[str]:
        """What etcd holds of the shop."""
        return set(await self._etcdctl("get", "--prefix", "/shop_prod/", "--keys-only"))

    async def _etcdctl(self, *words: str) -> list[str]:
        told = await self.lab.client.run("env", "ETCDCTL_API=3", "etcdctl", *words)
        return [line for line in told.splitlines() if line]

    async def until_keys(self, hosts: Iterable[Host]) -> set[str]:
        """Waits until exactly these hosts have an instance of the shop in etcd."""
        wanted = {host.ip for host in hosts}

        async def there() -> bool:
            ips = [key.removeprefix("/shop_prod/").rpartition("-")[0] for key in await self.keys()]
            return len(ips) == len(wanted) and set(ips) == wanted

        try:
            await until(there, timeout_seconds=PATIENCE_SECONDS, what=f"keys of {sorted(wanted)}")
        except Exception as error:
            error.add_note(await self.explained())
            raise
        return await self.keys()

    async def served(self, edge: str) -> bool:
        """Whether an edge answers every request. From whom is not told: ports are a host's own."""
        found = await answers(f"http://{edge}/", SITE, 12, self.lab.client.session)
        return not any(each.startswith("failed: ") for each in found)

    async def until_served(self, edges: Iterable[str], count: int) -> None:
        """Waits until each edge has so many instances, and answers every request."""
        for edge in edges:

            async def complete(edge: str = edge) -> bool:
                return await self.applied(edge) == count and await self.served(edge)

            await until(complete, timeout_seconds=PATIENCE_SECONDS, what=f"{edge} serves {count}")

    async def applied(self, edge: str) -> int:
        """How many instances of the shop an edge's file has."""
        host = next(each for each in self.lab.hosts if each.ip == edge)
        words = ("volume", "inspect", "--format", "{{.Mountpoint}}", f"{STACK}_nginx")
        place = Path(await host.docker.run(*words)) / "wharfinger.conf"
        text = place.read_text() if place.exists() else ""
        return len(set(ENDPOINT.findall(text)))

    async def update(self, *services: str) -> None:
        """Gives services of the stack the next image, as a `stack deploy` does: all at once."""
        words = ("service", "update", "--no-resolve-image", "--quiet", "--image", NEXT)
        await asyncio.gather(*(self.docker(*words, f"{STACK}_{name}") for name in services))

    async def state(self, service: str) -> str:
        """How the last update of a service ended."""
        words = ("service", "inspect", "--format", "{{json .UpdateStatus}}", f"{STACK}_{service}")
        told: dict[str, Any] = json.loads(await self.docker(*words))
        return str(told.get("State"))

    async def until_node(self, host: Host, status: str) -> None:
        """Waits until the managers see a node so."""

        async def seen() -> bool:
            words = ("--filter", f"name={host.name}", "--format", "{{.Status}}")
            return await self.docker("node", "ls", *words) == status

        await until(seen, timeout_seconds=PATIENCE_SECONDS, what=f"{host.name} is {status}")

    async def logged(self) -> int:
        """How many answered requests of the shop the log store holds."""
        url = f"http://{self.lab.hosts[2].ip}:7280/api/export"
        wanted = {"q": "POST 200", "app": "shop"}
        headers = {"Authorization": "Bearer read-token"}
        async with (
            self.lab.client.session() as session,
            session.get(url, params=wanted, headers=headers) as answer,
        ):
            answer.raise_for_status()
            lines = (await answer.text()).splitlines()
        return len({json.loads(line)["message"] for line in lines if "/order?n=" in line})


@asynccontextmanager
async def swarm(lab: Lab, folder: Path) -> AsyncIterator[Swarm]:
    """A Swarm that is up, without the stack; the lab ends what is left of it."""
    made = Swarm(lab, folder)
    await made.raise_all()
    yield made
