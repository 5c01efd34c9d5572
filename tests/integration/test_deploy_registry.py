"""The registry that the tests of releases stand on."""

from pathlib import Path

import aiohttp
import pytest

from tests.stack.registry import PASSWORD, USER, with_users
from wharfinger.operator.parts.dockerd import DockerDaemon
from wharfinger.operator.parts.registry import RegistryServer

pytestmark = pytest.mark.real


async def test_what_an_engine_pushes_is_there_by_digest(
    registry: RegistryServer, docker_daemon: DockerDaemon
) -> None:
    name = f"{registry.address}/team/shop:r1"
    await docker_daemon.run("tag", "shop", name)
    pushed = await docker_daemon.run("push", name)
    accept = {"Accept": "application/vnd.docker.distribution.manifest.v2+json"}
    async with (
        aiohttp.ClientSession(headers=accept) as session,
        session.head(f"{registry.url}/v2/team/shop/manifests/r1") as answer,
    ):
        assert answer.headers["Docker-Content-Digest"] in pushed
    await docker_daemon.run("rmi", name)


async def test_one_with_a_user_refuses_strangers(tmp_path: Path) -> None:
    server = with_users(tmp_path / "registry")
    await server.start()
    alice = {"Authorization": aiohttp.encode_basic_auth(USER, PASSWORD)}
    async with aiohttp.ClientSession() as session:
        for headers, status in (({}, 401), (alice, 200)):
            async with session.get(f"{server.url}/v2/", headers=headers) as answer:
                assert answer.status == status
    await server.stop()
