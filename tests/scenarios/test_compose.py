"""The agents on one host by docker-compose: installed, used, replaced under load, taken away."""

import os
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import pytest

from tests.stack.agentimages import EDGE, TREE, archive
from tests.stack.answers import answers, until_answered
from tests.stack.lab.lab import Lab, raised
from tests.stack.lab.load import posting
from wharfinger.errors import Unavailable
from wharfinger.operator.parts.command import output
from wharfinger.operator.parts.images import build_shop
from wharfinger.operator.parts.process import until

pytestmark = [pytest.mark.real, pytest.mark.scenario, pytest.mark.timeout(600)]

FILE = TREE / "deploy" / "compose" / "docker-compose.yml"
SITE = "shop.test"
LABELS = {"app": "shop", "env": "prod", "host": SITE, "drain": "1"}
AGENTS = ("registrar", "logshipper", "discovery", "logstore")


@pytest.fixture
async def alone() -> AsyncIterator[Lab]:
    async with raised(1) as lab:
        yield lab


class Composed:
    """One host, its engine with the images, etcd beside it."""

    def __init__(self, lab: Lab, folder: Path) -> None:
        (self.host,) = lab.hosts
        self.client = lab.client
        self.url = f"http://{self.host.ip}/"
        self.folder = folder

    async def raise_all(self) -> None:
        images = await archive(self.folder / "build")
        await self.host.power_on()
        await self.host.docker.start()
        await self.host.start("etcd", "--data-dir", self.host.folder / "etcd")
        await self.host.docker.run("load", "--input", images, timeout_seconds=300)
        await build_shop(self.host.docker, self.host.folder / "shop")
        (self.folder / "etc").mkdir()

    async def compose(self, *words: str) -> str:
        """`docker-compose` of Debian 12, 1.29."""
        environment = {
            "PATH": os.environ["PATH"],
            "DOCKER_HOST": self.host.docker.url,
            "DOCKER_SOCKET": str(self.host.docker.socket),
            "DOCKER_DATA_ROOT": str(self.host.docker.data_root),
            "WHARFINGER_ETC": str(self.folder / "etc"),
            "WHARFINGER_IMAGE": EDGE,
            "WHARFINGER_EDGE_IMAGE": EDGE,
        }
        return await output(
            *("docker-compose", "--project-name", "wharfinger", "--file", FILE, *words),
            environment=environment,
        )

    async def wharfinger(self, *words: str) -> str:
        """The operator's command, in the container that has all it asks for."""
        return await self.host.docker.run("exec", "wharfinger_registrar_1", "wharfinger", *words)

    async def run_shop(self, name: str) -> None:
        labels = (f"--label=wharfinger.{key}={value}" for key, value in LABELS.items())
        words = ("run", "--detach", "--network=host", "--name", name)
        await self.host.docker.run(*words, *labels, "shop")

    async def until_answering(self, count: int) -> None:
        """Waits for so many instances that the edge answers from."""
        client = self.client.session
        try:
            await until_answered(self.url, SITE, count, timeout_seconds=60, sessions=client)
        except Unavailable as error:
            error.add_note(await self.compose("ps"))
            error.add_note(await self.compose("logs", "--no-color", "--tail", "25"))
            raise


async def test_one_host_is_installed_upgraded_and_left(
    alone: Lab, tmp_path: Path, record_property: Callable[[str, object], None]
) -> None:
    site = Composed(alone, alone.folder)
    await site.raise_all()
    await site.compose("up", "-d")
    for name in ("one", "two"):
        await site.run_shop(name)
    await site.until_answering(2)

    async def healthy() -> bool:
        try:
            await site.wharfinger("status")
        except Unavailable:
            return False
        return True

    await until(healthy, timeout_seconds=60, what="every daemon of the host is healthy")

    async with posting(site.client, [site.host.ip], SITE) as load:
        await load.more(50)
        # As an upgrade does: the container is another one, its volumes are the same.
        await site.compose("up", "-d", "--force-recreate", "--no-deps", *AGENTS)
        await load.more(100)
        await until(healthy, timeout_seconds=60, what="every daemon is healthy again")
        await site.wharfinger("drain", "one")
        await load.more(50)
        assert len(await answers(site.url, SITE, 8, site.client.session)) == 1
        await site.wharfinger("undrain", "one")
        await site.host.docker.run("stop", "two")
        await load.more(50)
    record_property("lost", len(load.lost))
    record_property("answered", len(load.answered))
    assert not load.lost, load.reasons

    async def shipped() -> bool:
        told = await site.wharfinger("logs", "--app", "shop", "--limit", "5000", "POST")
        return told.count("/order?n=") >= len(load.answered)

    await until(shipped, timeout_seconds=30, what="every answered request is in the log store")
    await site.compose("down", "--volumes")
    assert not await site.host.docker.run("volume", "ls", "--quiet", "--filter", "name=wharfinger")
