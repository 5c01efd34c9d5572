"""One host with everything that a release on Compose needs, and a deployer that may be killed."""

import asyncio
import json
import sys
from collections.abc import AsyncIterator, Mapping
from contextlib import AbstractAsyncContextManager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from deploy.release.app.model import (
    App,
    Build,
    EngineName,
    Environment,
    Health,
    Port,
    Rollout,
    Serve,
)
from deploy.release.engine import Target
from deploy.release.engines.compose.engine import ComposeEngine
from deploy.release.engines.place import Place
from tests.stack.discovery import DiscoveryStack
from tests.stack.lab.load import LOOPBACK, Load, posting
from tests.stack.registrar import RegistrarStack
from tests.stack.told import Told
from wharfinger.errors import WharfingerError
from wharfinger.etcd import Etcd
from wharfinger.operator.parts.process import Process
from wharfinger.operator.parts.registry import RegistryServer
from wharfinger.sections import EtcdConfig

SITE = "shop.test"
SOURCES = {
    "v1": "LABEL v=1",
    "v2": "LABEL v=2",
    "v3": "LABEL v=3",
    "exits": 'CMD ["sh", "-c", "echo no till in the shop >&2; exit 3"]',
    "silent": 'CMD ["sh", "-c", "echo waits for the database; sleep 600"]',
    "crashes": 'CMD ["sh", "-c", "shop & sleep 2; echo out of stock >&2; kill $!; exit 4"]',
}
RENDERED = """\
version: '2.4'
services:
  shop:
    image: {image}
    network_mode: host
    restart: unless-stopped
    stop_grace_period: 20s
    labels:
      wharfinger.app: shop
      wharfinger.env: prod
      wharfinger.host: {site}
      wharfinger.drain: '{drain}'
      wharfinger.release: {release}
{more}"""


def application(replicas: int = 2, *, fixed: int | None = None, **rollout: Any) -> App:
    """The shop, with short times."""
    environment = Environment(
        name="prod",
        engine=EngineName.COMPOSE,
        replicas=replicas,
        rollout=Rollout(**{"monitor_seconds": 1.0, **rollout}),
    )
    return App(
        name="shop",
        image="shop",
        build=Build(layer="base"),
        port=Port(fixed=fixed),
        health=Health(start_seconds=10.0, every_seconds=0.5, timeout_seconds=0.5),
        serve=Serve(host=SITE),
        drain_seconds=2.0,
        environments={"prod": environment},
    )


def rendered(target: Target) -> Mapping[str, str]:
    """What is rendered for it, as far as these tests need it."""
    fixed = target.app.port.fixed
    more = ""
    if fixed is not None:
        more = f"      wharfinger.port: '{fixed}'\n    environment:\n      PORT: '{fixed}'\n"
    text = RENDERED.format(
        image=target.image,
        release=target.release,
        site=SITE,
        drain=round(target.app.drain_seconds),
        more=more,
    )
    return {"docker-compose.yml": text}


class Echo(Told):
    """Prints the steps as well."""

    def step(self, text: str) -> None:
        super().step(text)
        sys.stdout.write(f"{text}\n")
        sys.stdout.flush()


class Rolling:
    """Everything on one host; POSTs are never tried twice.

    Attributes:
        registrar: with the engine and etcd.
        edge: the discovery, with its Nginx.
        images: by name, with their digests.
        told: what the last deployer in this process has said.
        app: what is rolled.
    """

    def __init__(
        self,
        folder: Path,
        registrar: RegistrarStack,
        edge: DiscoveryStack,
        registry: RegistryServer,
    ) -> None:
        self.folder = folder
        self.registrar = registrar
        self.docker = registrar.docker
        self.edge = edge
        self.registry = registry
        self.images: dict[str, str] = {}
        self.told = Told()
        self.app = application()
        include = edge.nginx.include.parent / "rolling.conf"
        include.write_text("proxy_next_upstream off;\n")

    def load(self) -> AbstractAsyncContextManager[Load]:
        return posting(LOOPBACK, [f"127.0.0.1:{self.edge.nginx.port}"], SITE)

    async def push(self, name: str) -> str:
        """Builds and pushes a version of the shop; gives it by its digest."""
        folder = self.folder / "versions" / name
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "Dockerfile").write_text(f"FROM shop\n{SOURCES[name]}\n")
        tag = f"{self.registry.address}/shop:{name}"
        await self.docker.run("build", "--quiet", "--tag", tag, folder)
        await self.docker.run("push", tag)
        words = ("image", "inspect", "--format={{index .RepoDigests 0}}", tag)
        self.images[name] = (await self.docker.run(*words)).strip()
        return self.images[name]

    @property
    def place(self) -> Place:
        return Place(
            etcd=self.registrar.etcd,
            docker_url=self.docker.url,
            state_dir=self.folder / "deployer",
            by="ann",
        )

    def engine(self, *, state: str = "deployer") -> ComposeEngine:
        return engine_of(self.app, replace(self.place, state_dir=self.folder / state))

    async def target(self, name: str, replicas: int | None = None) -> Target:
        image = self.images.get(name) or await self.push(name)
        return target_of(self.app, image, f"r-{name}", replicas)

    async def up(self, name: str, replicas: int | None = None) -> None:
        self.told = Told()
        await self.engine().up(await self.target(name, replicas), self.told)

    async def scale(self, name: str, replicas: int) -> None:
        self.told = Told()
        await self.engine().scale(await self.target(name, replicas), self.told)

    async def running(self) -> dict[str, int]:
        """How many containers of each version there are, whatever their state."""
        words = ("ps", "--all", '--format={{.Label "wharfinger.release"}}')
        found = (await self.docker.run(*words)).split()
        return {name.removeprefix("r-"): found.count(name) for name in sorted(set(found))}

    async def deployer(self, name: str, replicas: int | None = None) -> Process:
        """Another process that rolls out a version, not started."""
        target = await self.target(name, replicas)
        asked = {
            "etcd": self.registrar.etcd_server.endpoint,
            "docker": self.docker.url,
            "state": str(self.folder / "deployer"),
            "image": target.image,
            "release": target.release,
            "replicas": target.replicas,
            "rollout": {"batch": self.app.environments["prod"].rollout.batch},
        }
        return Process(
            [sys.executable, "-m", "tests.stack.rolling", json.dumps(asked)],
            log=self.folder / "deployer.log",
            folder=Path(__file__).parents[2],
        )


def engine_of(app: App, place: Place) -> ComposeEngine:
    return ComposeEngine(app, app.environments["prod"], place, project="shop-prod", render=rendered)


def target_of(app: App, image: str, release: str, replicas: int | None) -> Target:
    environment = app.environments["prod"]
    return Target(
        app=app,
        environment=environment,
        image=image,
        release=release,
        replicas=environment.replicas if replicas is None else replicas,
    )


@pytest.fixture
async def rolling(
    tmp_path: Path,
    registrar_stack: RegistrarStack,
    edge: DiscoveryStack,
    registry: RegistryServer,
) -> AsyncIterator[Rolling]:
    """A host on which nothing of the shop runs yet."""
    site = Rolling(tmp_path, registrar_stack, edge, registry)
    await edge.nginx.reload()
    yield site
    await site.docker.remove_containers()


async def _main() -> int:
    asked = json.loads(sys.argv[1])
    app = application(asked["replicas"], **asked["rollout"])
    async with Etcd(EtcdConfig(endpoints=(asked["etcd"],))) as etcd:
        place = Place(etcd=etcd, docker_url=asked["docker"], state_dir=Path(asked["state"]))
        target = target_of(app, asked["image"], asked["release"], asked["replicas"])
        try:
            await engine_of(app, place).up(target, Echo())
        except WharfingerError as error:
            sys.stdout.write(f"{error}\n")
            return 69
    return 0


if __name__ == "__main__":
    sys.exit(asyncio.run(_main()))
