"""One host with all that a release needs, a working copy, and the real command in it."""

import asyncio
import os
import shlex
import signal
import sys
from collections.abc import AsyncIterator, Mapping
from contextlib import AbstractAsyncContextManager
from pathlib import Path
from typing import Any

import pytest

from tests.stack.deploycommand import Ended, ended
from tests.stack.discovery import DiscoveryStack
from tests.stack.lab.load import LOOPBACK, Load, posting
from tests.stack.registrar import RegistrarStack
from wharfinger.operator.parts.registry import RegistryServer

SITE = "shop.test"
ROOT = Path(__file__).parents[2]
WHARF = """\
app: shop
image: {registry}/shop
build: {{layer: "shop:latest", context: .}}
health: {{every: 500ms, timeout: 500ms, healthy: 1, start: 10s}}
drain: 2s
serve: {{host: {site}}}
environments:
  integration: {{engine: compose, replicas: 1, rollout: {{monitor: 1s}}}}
  pre: {{engine: compose, replicas: 1, rollout: {{monitor: 1s}}}}
  production: {{engine: compose, replicas: 3, rollout: {{monitor: 1s}}}}
"""
DOCKERFILE = """\
ARG LAYER
FROM ${LAYER}
COPY version /etc/version
"""
COMMAND = """\
#!/bin/sh
PYTHONPATH={root} exec {python} -m deploy.release "$@"
"""


class ReleaseSite:
    """Everything on one host; POSTs that Nginx passes on are never tried twice.

    Attributes:
        folder: of the working copy: wharf.yaml, Dockerfile, version.
        registrar: with the engine and etcd.
        docker: the engine.
        edge: the discovery, with its Nginx.
        registry: that images are pushed to.
        image: the repository in it.
        settings: etcd, engine and state, as variables.
        environment: of the command: these, its PATH, and who asks.
    """

    def __init__(
        self,
        folder: Path,
        registrar: RegistrarStack,
        edge: DiscoveryStack,
        registry: RegistryServer,
    ) -> None:
        self.folder = folder / "shop"
        self.registrar = registrar
        self.docker = registrar.docker
        self.edge = edge
        self.registry = registry
        self.image = f"{registry.address}/shop"
        (folder / "bin").mkdir()
        command = folder / "bin" / "deploy"
        command.write_text(COMMAND.format(root=shlex.quote(str(ROOT)), python=sys.executable))
        command.chmod(0o755)
        (edge.nginx.include.parent / "site.conf").write_text("proxy_next_upstream off;\n")
        self.settings: Mapping[str, str] = {
            "WHARFINGER_ETCD__ENDPOINTS": registrar.etcd_server.endpoint,
            "WHARFINGER_DOCKER__URL": registrar.docker.url,
            "WHARFINGER_HOST__STATE_DIR": str(folder / "state-of-deploy"),
        }
        self.environment: Mapping[str, str] = {
            **{key: value for key, value in os.environ.items() if key != "DOCKER_HOST"},
            "PATH": f"{folder / 'bin'}:{os.environ['PATH']}",
            **self.settings,
            "WHARFINGER_DEPLOY__BY": "ann",
        }

    def write(
        self, wharf: str = WHARF, *, version: str = "1", dockerfile: str = DOCKERFILE
    ) -> None:
        """Writes the working copy anew."""
        self.folder.mkdir(exist_ok=True)
        text = wharf.format(registry=self.registry.address, site=SITE)
        (self.folder / "wharf.yaml").write_text(text)
        (self.folder / "Dockerfile").write_text(dockerfile)
        (self.folder / "version").write_text(version)

    async def start_deploy(self, *words: str) -> asyncio.subprocess.Process:
        """Starts `deploy WORDS...` in the working copy."""
        return await asyncio.create_subprocess_exec(
            "deploy",
            *words,
            cwd=self.folder,
            env=self.environment,
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
        )

    async def deploy(self, *words: str, code: int | None = 0) -> Ended:
        """`deploy WORDS...`, to its end; with `code`, it must exit so."""
        process = await self.start_deploy(*words)
        ran = await ended(process)
        assert code in (None, ran.code), f"{words}: {ran.code}\n{ran.out}\n{ran.err}"
        return ran

    async def release(self, version: str, **more: Any) -> str:
        """Builds and pushes another version; gives its digest."""
        self.write(version=version, **more)
        locked = (self.folder / "layers.lock").exists()
        await self.deploy("build", *(() if locked else ("--update-lock",)))
        pushed = await self.deploy("push", "--json")
        return str(pushed.result["digest"])

    async def running(self, environment: str) -> list[str]:
        """The digests of an environment's containers that run, sorted."""
        # In one look: a container that is listed may be gone before it is asked about.
        label = f"--filter=label=wharfinger.env={environment}"
        found = await self.docker.run("ps", "--no-trunc", "--format={{.Image}}", label)
        return sorted(each.partition("@")[2] for each in found.split())

    def load(self) -> AbstractAsyncContextManager[Load]:
        """Orders through the edge."""
        return posting(LOOPBACK, [f"127.0.0.1:{self.edge.nginx.port}"], SITE)


async def killed(process: asyncio.subprocess.Process, *, when: str) -> str:
    """Kills the command as soon as it says something; gives what it had said."""
    assert process.stderr is not None
    said = ""
    async for line in process.stderr:
        said += line.decode()
        if when in said:
            process.send_signal(signal.SIGKILL)
            break
    await process.communicate()
    return said


@pytest.fixture
async def release_site(
    tmp_path: Path,
    registrar_stack: RegistrarStack,
    edge: DiscoveryStack,
    registry: RegistryServer,
) -> AsyncIterator[ReleaseSite]:
    """A host on which nothing of the shop runs yet, and a working copy of it."""
    site = ReleaseSite(tmp_path, registrar_stack, edge, registry)
    site.write()
    await edge.nginx.reload()
    yield site
    await site.docker.remove_containers()
