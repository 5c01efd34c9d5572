"""A Swarm of three hosts with the daemons on each, a registry, and releases of the shop."""

import asyncio
import json
import os
import re
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import msgspec

from tests.stack.agentimages import TREE
from tests.stack.answers import answers, confirmed
from tests.stack.lab.box import SITE, Box
from tests.stack.lab.host import Host
from tests.stack.lab.lab import Lab
from tests.stack.lab.namespaces import InsideProcess
from tests.stack.lab.platform import Platform
from tests.stack.swarmdeployer import REPOSITORY, Wish
from wharfinger.operator.parts.images import build_shop
from wharfinger.operator.parts.process import until

PORT = 5000
# By the name of the release: what is laid upon the first.
RELEASES = {
    "r1": "",
    "r2": "ENV RELEASE=2\n",
    # Takes its time between its start and the first request that it can answer.
    "slow": 'CMD ["sh", "-c", "sleep 4; exec shop"]\n',
    "exits": 'CMD ["sh", "-c", "echo no price list is configured >&2; exit 3"]\n',
    "deaf": 'CMD ["sh", "-c", "echo waits for a database >&2; sleep 1000"]\n',
}
DIGEST = re.compile(r"sha256:[0-9a-f]{64}")


class SwarmSite:
    """Managers all three; each with a registry on its loopback, which all have one store.

    Args:
        lab: its hosts, off.

    Attributes:
        images: of the releases, by their names.
        registries: one on each host.
    """

    def __init__(self, lab: Lab) -> None:
        self.lab = lab
        self.platform = Platform(lab)
        self.images: dict[str, str] = {}
        self.registries: list[InsideProcess] = []
        self._first = lab.hosts[0]
        self._count = 0

    async def raise_all(self) -> None:
        """Everything but the shop."""
        await self.lab.power_on()
        await asyncio.gather(*(self._start_registry(host) for host in self.lab.hosts))
        await self.docker("swarm", "init", "--advertise-addr", self._first.ip)
        token = await self.docker("swarm", "join-token", "--quiet", "manager")
        for host in self.lab.hosts[1:]:
            await host.docker.run("swarm", "join", "--token", token, f"{self._first.ip}:2377")
        await self._publish()
        await asyncio.gather(*(box.until_ready() for box in self.platform.boxes))

    async def docker(self, *words: str) -> str:
        """The `docker` command on the first manager."""
        return await self._first.docker.run(*words)

    def wish(self, release: str, **more: Any) -> Wish:
        """That a release shall run."""
        return Wish(
            docker=more.pop("docker", self.lab.hosts[1].docker.url),
            etcd=[f"{host.ip}:2379" for host in self.lab.hosts],
            image=self.images[release],
            release=release,
            site=more.pop("site", SITE),
            **more,
        )

    async def begun(self, verb: str, wish: Wish) -> InsideProcess:
        """A deployer at work, from beside the hosts."""
        self._count += 1
        text = json.dumps(msgspec.to_builtins(wish))
        process = self.lab.client.process(
            [sys.executable, "-m", "tests.stack.swarmdeployer", verb, text],
            log=self.lab.folder / f"deployer-{self._count}.log",
            environment={**os.environ, "PYTHONPATH": str(TREE)},
        )
        await process.start()
        return process

    async def run(self, verb: str, wish: Wish, *, code: int = 0) -> str:
        """The same to its end, which must be with this exit code; gives what it said."""
        process = await self.begun(verb, wish)
        ended = await process.wait(timeout_seconds=240)
        said = process.log_tail(200)
        assert ended == code, f"{verb} {wish}: exit code {ended}\n{said}"
        return said

    async def deploy(self, folder: Path, *words: str, code: int = 0) -> str:
        """The command itself, on the first manager and about a working copy; gives what it said.

        Args:
            folder: has wharf.yaml.
            words: the verb and its arguments.
            code: with which it must end.
        """
        process = await self.deploying(folder, *words)
        ended = await process.wait(timeout_seconds=240)
        said = process.log_tail(200)
        assert ended == code, f"deploy {words}: exit code {ended}\n{said}"
        return said

    async def deploying(self, folder: Path, *words: str) -> InsideProcess:
        """The same, at work."""
        self._count += 1
        verb, *rest = words
        process = self._first.process(
            [sys.executable, "-m", "deploy.release", verb, "--file", folder / "wharf.yaml", *rest],
            log=self.lab.folder / f"deployer-{self._count}.log",
            environment={
                **os.environ,
                "PYTHONPATH": str(TREE),
                "WHARFINGER_ETCD__ENDPOINTS": f"{self._first.ip}:2379",
                "WHARFINGER_DOCKER__URL": self._first.docker.url,
                "WHARFINGER_HOST__STATE_DIR": str(folder / "state"),
                "WHARFINGER_DEPLOY__BY": "ann",
            },
        )
        await process.start()
        return process

    async def until_served(self, environment: str = "prod", site: str = SITE) -> None:
        """Waits until both edges answer for the environment, and none of their older workers."""
        for edge in self.platform.edges:

            async def served(edge: Box = edge) -> bool:
                url = f"http://{edge.host.ip}/"
                found = await answers(url, site, 8, self.lab.client.session)
                if any(each.startswith("failed: ") for each in found):
                    return False
                return confirmed((await edge.ask("discovery", "/status"))[1])

            await until(served, timeout_seconds=60, what=f"{environment} is served")

    async def drained(self, number: int) -> None:
        """Has Swarm take all tasks from a host."""
        name = self.lab.hosts[number].name
        await self.docker("node", "update", "--availability", "drain", name)

        async def empty() -> bool:
            words = ("node", "ps", "--filter", "desired-state=shutdown", "--format")
            told = await self.docker(*words, "{{.CurrentState}}", name)
            return not any(line.startswith("Running") for line in told.splitlines())

        await until(empty, timeout_seconds=60, what=f"{name} is empty")

    async def update_state(self, environment: str = "prod") -> str:
        """How far the update of an environment's service is, in Swarm's word."""
        words = ("service", "inspect", "--format", "{{with .UpdateStatus}}{{.State}}{{end}}")
        return await self.docker(*words, f"shop-{environment}_shop")

    async def images_running(self, environment: str = "prod") -> dict[str, list[str]]:
        """By host, the images of the environment's running containers."""
        words = ("ps", "--no-trunc", "--format", "{{.Image}}")
        chosen = ("--filter", f"label=wharfinger.env={environment}")
        found = {}
        for host in self.lab.hosts:
            found[host.name] = (await host.docker.run(*words, *chosen)).split()
        return found

    async def until_keys(self, count: int, environment: str = "prod") -> None:
        """Waits until etcd holds so many instances of the environment."""

        async def there() -> bool:
            words = ("--endpoints", f"{self._first.ip}:2379", "get", "--prefix", "--keys-only")
            words += (f"/shop_{environment}/",)
            told = await self._first.run("env", "ETCDCTL_API=3", "etcdctl", *words)
            return len(told.split()) == count

        await until(there, timeout_seconds=60, what=f"etcd holds {count} of {environment}")

    async def _start_registry(self, host: Host) -> None:
        config = {
            "version": "0.1",
            "log": {"level": "error", "accesslog": {"disabled": True}},
            "storage": {"filesystem": {"rootdirectory": str(self.lab.folder / "registry")}},
            "http": {"addr": f"127.0.0.1:{PORT}", "secret": "of the tests"},
        }
        file = host.folder / "registry.yml"
        file.write_text(json.dumps(config))
        process = await host.start("docker-registry", "serve", file)
        self.registries.append(process)

        async def answers() -> bool:
            assert process.running, process.log_tail(20)
            async with host.session() as session:
                try:
                    async with session.get(f"http://127.0.0.1:{PORT}/v2/") as answer:
                        return answer.status == 200
                except OSError:
                    return False

        await until(answers, timeout_seconds=20, what="the registry answers")

    async def _publish(self) -> None:
        docker, folder = self._first.docker, self._first.folder
        for name, lines in RELEASES.items():
            tag = f"{REPOSITORY}:{name}"
            if name == "r1":
                await build_shop(docker, folder / "shop", tag=tag)
            else:
                context = folder / name
                context.mkdir()
                (context / "Dockerfile").write_text(f"FROM {REPOSITORY}:r1\n{lines}")
                await docker.run("build", "--quiet", "--tag", tag, context)
            digest = DIGEST.search(await docker.run("push", tag))
            assert digest is not None
            self.images[name] = f"{REPOSITORY}@{digest[0]}"


@asynccontextmanager
async def swarm_site(lab: Lab) -> AsyncIterator[SwarmSite]:
    """A site that is up; the lab ends what is left of it."""
    made = SwarmSite(lab)
    await made.raise_all()
    yield made


def shares(images: dict[str, list[str]], image: str) -> list[int]:
    """How many containers of an image each host has, all others being a failure of the test."""
    assert {each for several in images.values() for each in several} <= {image}, images
    return [len(several) for several in images.values()]
