"""`deploy` as people call it, on a real etcd and a real registry, with engines that are files."""

import asyncio
import contextlib
import hashlib
import io
import json
import os
import sys
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from deploy.release import cli
from deploy.release.commands import opening
from deploy.release.records.record import Record
from deploy.release.records.releases import Releases
from tests.stack.deploycommand import Ended
from tests.stack.etcd import DEADLINE_SECONDS
from tests.stack.virtualengine import FOLDER, VirtualEngine, engine_of
from wharfinger.cli import finish
from wharfinger.errors import Exit, WharfingerError
from wharfinger.etcd import Etcd
from wharfinger.keys import Service
from wharfinger.operator.parts.etcd import EtcdServer
from wharfinger.operator.parts.process import until
from wharfinger.operator.parts.registry import RegistryServer

APPLICATION = """\
app: shop
image: {image}
build: {{layer: nginx, context: .}}
port: {{env: PORT}}
drain: 1s
checks: [unit]
environments:
  integration: {{engine: compose, replicas: 2}}
  production:  {{engine: compose, replicas: 3, needs: [checks], approve: true}}
"""
JUNIT = (
    '<testsuites><testsuite name="unit"><testcase name="a">{}</testcase></testsuite></testsuites>'
)
STEP_SECONDS = 0.4
CONFIG_TYPE = "application/vnd.docker.container.image.v1+json"
MANIFEST_TYPE = "application/vnd.docker.distribution.manifest.v2+json"
LAYER_TYPE = "application/vnd.docker.image.rootfs.diff.tar.gzip"


class CommandSite:
    """A working copy of the application `shop`, and all that its command reaches.

    Args:
        folder: for its files.
        etcd_server: holds locks and records.
        registry: holds images and evidence.
        etcd: a session with that server.
    """

    def __init__(
        self, folder: Path, etcd_server: EtcdServer, registry: RegistryServer, etcd: Etcd
    ) -> None:
        self.folder = folder
        self.etcd_server = etcd_server
        self.registry = registry
        self.etcd = etcd
        self.image = f"{registry.address}/shop"
        (folder / "wharf.yaml").write_text(APPLICATION.format(image=self.image))
        config = f'[host]\nname = "build1"\n[etcd]\nendpoints = ["{etcd_server.endpoint}"]\n'
        (folder / "wharfinger.toml").write_text(config)

    def engine(self, environment: str) -> VirtualEngine:
        """What an environment runs on."""
        return VirtualEngine(self.folder / f"shop_{environment}.json")

    async def running(self, environment: str) -> list[str]:
        """The digest of each instance that runs there."""
        replicas = await self.engine(environment).running()
        return [each.image.rpartition("@")[2] for each in replicas]

    async def records(self, environment: str) -> list[Record]:
        """What etcd knows of it, oldest first."""
        releases = Releases(self.etcd, Service("shop", environment))
        return [each.record for each in await releases.history()]

    async def states(self, environment: str) -> list[tuple[str, str, str]]:
        """The same in short: verb, release, state."""
        return [(each.verb, each.release, each.state) for each in await self.records(environment)]

    async def tag(self, name: str) -> str:
        """The digest that a tag of the registry points to; empty for none."""
        url = f"{self.registry.url}/v2/shop/manifests/{name}"
        async with (
            aiohttp.ClientSession(headers={"Accept": MANIFEST_TYPE}) as session,
            session.get(url) as answer,
        ):
            return answer.headers.get("Docker-Content-Digest", "") if answer.ok else ""

    async def pushed(self, number: int) -> str:
        """Puts an image as `deploy push` would, as release rN; gives its digest."""
        config = json.dumps({"architecture": "amd64", "os": "linux", "n": number}).encode()
        async with aiohttp.ClientSession() as session:
            layer = await self._blob(session, b"layer")
            described = {"mediaType": CONFIG_TYPE, **await self._blob(session, config)}
            manifest = {
                "schemaVersion": 2,
                "mediaType": MANIFEST_TYPE,
                "config": described,
                "layers": [{"mediaType": LAYER_TYPE, **layer}],
            }
            url = f"{self.registry.url}/v2/shop/manifests/r{number}"
            headers = {"Content-Type": MANIFEST_TYPE}
            async with session.put(url, data=json.dumps(manifest), headers=headers) as answer:
                digest = answer.headers["Docker-Content-Digest"]
        told = {"release": f"r{number}", "image": self.image, "digest": digest}
        await self.etcd.put(f"/wharfinger/deploy/shop/pushes/{number}", json.dumps(told).encode())
        return digest

    async def start(
        self,
        *arguments: str,
        module: str = "tests.stack.virtualengine",
        terminal: int | None = None,
    ) -> asyncio.subprocess.Process:
        """Starts the command, as one of the modules that are it; at a terminal, if there is one."""
        return await asyncio.create_subprocess_exec(
            sys.executable, "-m", module, *arguments,
            "--file", self.folder, "--config", self.folder / "wharfinger.toml",
            env=os.environ,
            stdin=terminal or asyncio.subprocess.DEVNULL, stdout=asyncio.subprocess.PIPE,
            stderr=terminal or asyncio.subprocess.PIPE,
        )  # fmt: skip

    async def deploy(self, *arguments: str) -> Ended:
        """Runs it to its end, in this process, which costs a third of starting one."""
        out, err = io.StringIO(), io.StringIO()
        with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
            try:
                work = partial(Exit, await self._told(arguments))
            except (WharfingerError, SystemExit) as error:
                work = partial(_raise, error)
            with pytest.raises(SystemExit) as left:
                finish("deploy", work)
        return Ended(int(left.value.code or 0), out.getvalue(), err.getvalue())

    async def _told(self, arguments: Sequence[str]) -> Exit:
        place = ("--file", str(self.folder), "--config", str(self.folder / "wharfinger.toml"))
        return await cli.told(cli.command_line().parse_args([*arguments, *place]))

    async def half_way(self) -> asyncio.subprocess.Process:
        """Starts a rollout of r2 over r1 in `integration`; gives it when both run there.

        Nothing is stopped there before the engine gets another order.
        """
        await self.pushed(1)
        second = await self.pushed(2)
        assert (await self.deploy("up", "integration", "r1")).code == 0
        self.engine("integration").order(hold="stop")
        process = await self.start("up", "integration", "r2")
        await self.until(lambda kinds: second in kinds)
        assert len(set(await self.running("integration"))) == 2
        return process

    async def until(
        self, condition: Callable[[set[str]], bool], environment: str = "integration"
    ) -> None:
        """Waits until what runs is as it should be, by its digests."""

        async def holds() -> bool:
            return condition(set(await self.running(environment)))

        await until(holds, timeout_seconds=DEADLINE_SECONDS, what=f"{environment} is so")

    async def reported(self, digest: str, inside: str = "") -> Ended:
        """Reports the check `unit`: passed, unless something else stands inside of its test."""
        file = self.folder / "unit.xml"
        file.write_text(JUNIT.format(inside))
        return await self.deploy("report", "unit", str(file), "--digest", digest)

    async def _blob(self, session: aiohttp.ClientSession, data: bytes) -> dict[str, Any]:
        digest = f"sha256:{hashlib.sha256(data).hexdigest()}"
        async with session.post(f"{self.registry.url}/v2/shop/blobs/uploads/") as begun:
            place = begun.headers["Location"]
        joined = "&" if "?" in place else "?"
        async with session.put(f"{place}{joined}digest={digest}", data=data) as answer:
            answer.raise_for_status()
        return {"digest": digest, "size": len(data)}


def _raise(error: BaseException) -> Exit:
    raise error


@pytest.fixture
def site(
    tmp_path: Path,
    etcd_server: EtcdServer,
    registry: RegistryServer,
    etcd: Etcd,
    monkeypatch: pytest.MonkeyPatch,
) -> CommandSite:
    """A site of this test's own."""
    folder = tmp_path / "shop"
    folder.mkdir()
    monkeypatch.setattr(opening, "engine_of", engine_of)
    monkeypatch.setenv(FOLDER, str(folder))
    monkeypatch.setenv("GITLAB_USER_LOGIN", "ann")
    return CommandSite(folder, etcd_server, registry, etcd)
