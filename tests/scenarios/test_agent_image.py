"""All daemons from the agents' images, as containers beside those that they serve."""

import os
import shutil
import signal
import socket
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from tests.stack.agents import DAEMONS, NAMES, Agents, build, lines
from tests.stack.answers import confirmed, until_answered
from wharfinger.etcd import Etcd
from wharfinger.operator.demo import reserved
from wharfinger.operator.demo.traffic import posting
from wharfinger.operator.parts.dockerd import DockerDaemon
from wharfinger.operator.parts.etcd import EtcdServer
from wharfinger.operator.parts.process import free_port, freeze, until
from wharfinger.sections import EtcdConfig

pytestmark = [pytest.mark.real, pytest.mark.scenario, pytest.mark.timeout(900)]

HOST_NAME = "shop.example"
CONFIG = """\
[host]
name = "agents"
ip = "127.0.0.1"

[etcd]
endpoints = ["{etcd}"]

[registrar]
listen = "127.0.0.1:{registrar}"
port_range = "{pool}"
# On a machine that other tests keep busy an interpreter may take longer to start than the default.
lease_ttl_seconds = 120

[discovery]
listen = "127.0.0.1:{discovery}"

[discovery.nginx]
listen = {nginx}
listen_tls = {tls}

[logshipper]
listen = "127.0.0.1:{logshipper}"

[[logshipper.sinks]]
type = "bulk"
url = "http://127.0.0.1:{logstore}"

[logstore]
listen = "127.0.0.1:{logstore}"
"""


def free_low_port() -> int:
    """One that takes a right to be bound."""
    for port in range(600, 1024):
        with socket.socket() as tried, suppress(OSError):
            tried.bind(("127.0.0.1", port))
            return port
    raise AssertionError("no port below 1024 is free")


class Host:
    """Agents, etcd, and questions to them."""

    def __init__(self, agents: Agents, etcd: EtcdServer, ports: dict[str, int]) -> None:
        self.agents = agents
        self.docker = agents.docker
        self.etcd = etcd
        self.ports = ports

    async def start(self, *names: str) -> None:
        for name in names or NAMES:
            await self.agents.start(name)
        for name in names or NAMES:
            if name in DAEMONS:
                await self.agents.until_health(name, "healthy")

    async def run_shop(self, name: str) -> None:
        labels = {"app": "shop", "env": "prod", "host": HOST_NAME}
        flags = [f"--label=wharfinger.{key}={value}" for key, value in labels.items()]
        await self.docker.run("run", "--detach", "--network=host", f"--name={name}", *flags, "shop")

    async def keys(self) -> dict[str, int]:
        """Each key, and the revision at which it was made: a lost one has another."""
        async with Etcd(EtcdConfig(endpoints=(self.etcd.endpoint,))) as etcd:
            items = (await etcd.list("/shop_prod/")).items
        return {key: item.create_revision for key, item in items.items()}

    async def until_keys(self, count: int) -> None:
        async def reached() -> bool:
            return len(await self.keys()) == count

        await self.until(reached, f"{count} keys are in etcd")

    async def until_served(self, count: int) -> None:
        """Waits for instances that answer, and until no worker of Nginx's from before does."""
        url = f"http://127.0.0.1:{self.ports['nginx']}/"
        await until_answered(url, HOST_NAME, count, timeout_seconds=180)

        async def reached() -> bool:
            return confirmed(await self.ask("discovery", "/status"))

        await self.until(reached, "no older worker of Nginx's answers")

    async def ask(self, daemon: str, path: str, **params: str) -> Any:
        url = f"http://127.0.0.1:{self.ports[daemon]}{path}"
        async with (
            aiohttp.ClientSession() as session,
            session.get(url, params=params) as response,
        ):
            return await response.json()

    async def until_found(self, word: str, count: int) -> None:
        async def reached() -> bool:
            told = await self.ask("logstore", "/api/search", q=word, limit="1000")
            return len(told["hits"]) == count

        await self.until(reached, f"{count} lines with {word} are found")

    async def kill_inside(self, name: str) -> None:
        """Kills what the container runs; Docker starts it again, and it is healthy again."""
        before = await self.agents.state(name)
        os.kill(before["Pid"], signal.SIGKILL)

        async def again() -> bool:
            state = await self.agents.state(name)
            return bool(state["Running"] and state["StartedAt"] != before["StartedAt"])

        await self.until(again, f"{name} runs again")
        await self.agents.until_health(name, "healthy")

    async def until(self, condition: Callable[[], Awaitable[bool]], what: str) -> None:
        try:
            await until(condition, timeout_seconds=180, what=what)
        except Exception as error:
            for name in NAMES:
                with suppress(Exception):
                    error.add_note(f"== {name}\n{await self.agents.logs(name)}")
            raise


@pytest.fixture
async def host(
    docker_daemon: DockerDaemon, package: Path, etcd_server: EtcdServer, folder: Path
) -> AsyncIterator[Host]:
    await build(docker_daemon, package)
    pool = reserved.free_pool()
    ports = {name: free_port() for name in (*DAEMONS, "tls")} | {"nginx": free_low_port()}
    agents = Agents(docker_daemon, folder)
    for place in ("etc/wharfinger", "var/lib/wharfinger/nginx", "run/wharfinger"):
        (folder / place).mkdir(parents=True)
    (folder / "etc/wharfinger/wharfinger.toml").write_text(
        CONFIG.format(etcd=etcd_server.endpoint, pool=f"{pool.start}-{pool[-1]}", **ports)
    )
    # Nginx would hide a lost request by asking another upstream; here each one shall count.
    (folder / "var/lib/wharfinger/nginx/test.conf").write_text("proxy_next_upstream off;\n")
    try:
        yield Host(agents, etcd_server, ports)
    finally:
        await docker_daemon.remove_containers()
        await docker_daemon.run("volume", "rm", "--force", "wharfinger-logs")
        for top in ("etc", "var", "run"):
            shutil.rmtree(folder / top)


def test_the_readme_starts_each_one_with_no_more_than_it_needs() -> None:
    found = lines()
    assert set(found) == set(NAMES)
    for name, words in found.items():
        assert "--cap-drop ALL" in " ".join(words), name
        assert "no-new-privileges" in words
        assert "--privileged" not in words


async def test_agents_in_containers_serve_and_are_replaced_without_loss(
    host: Host, record_property: Callable[[str, object], None]
) -> None:
    """Port, key, Nginx, log, drain; each killed inside, then replaced, under load."""
    await host.start()
    for name in ("shop-1", "shop-2"):
        await host.run_shop(name)
    await host.until_keys(2)
    await host.until_served(2)
    before = await host.keys()
    url = f"http://127.0.0.1:{host.ports['nginx']}/order?item=kestrel"
    async with posting(url, HOST_NAME) as traffic:
        await traffic.more(50)
        for name in DAEMONS:
            await host.kill_inside(name)
            await traffic.more(50)
        host.agents.images |= await next_version(host)
        for name in DAEMONS:
            await host.agents.replace(name)
            await host.agents.until_health(name, "healthy")
            await traffic.more(50)
        assert await host.keys() == before
        # A container is taken out before it hears of its end.
        await host.docker.run("stop", "--time=60", "shop-2")
        assert len(await host.keys()) == 1
        await traffic.more(50)
    assert traffic.failures == {}
    record_property("requests_while_agents_died_and_were_replaced", traffic.answered)
    await host.until_found("kestrel", min(traffic.answered, 1000))
    ran = await host.docker.run("inspect", "--format={{.Config.Image}}", "wharfinger-registrar")
    assert ran.strip() == "wharfinger:next"


async def next_version(host: Host) -> dict[str, str]:
    """Both images under another name and id, as an upgrade brings them."""
    found = {}
    for name in ("wharfinger", "wharfinger-edge"):
        tags = await host.docker.run("images", "--format={{.Tag}}", name)
        [tag] = [line for line in tags.split() if line != "next"]
        folder = host.agents.folder / "next"
        folder.mkdir(exist_ok=True)
        (folder / "Dockerfile").write_text(f'FROM {name}:{tag}\nLABEL next="{name}"\n')
        await host.docker.run("build", "--quiet", "--tag", f"{name}:next", folder)
        found[f"{name}:{tag}"] = f"{name}:next"
    shutil.rmtree(host.agents.folder / "next")
    return found


async def test_docker_says_that_an_agent_is_ill_and_why(host: Host) -> None:
    await host.start("registrar", "logstore")
    await host.etcd.process.kill()
    said = await host.agents.until_health("registrar", "unhealthy")
    assert "registrar: not healthy: " in said
    assert "etcd lease" in said
    # Who would start it anew for that asks whether it lives.
    alive = ("exec", "wharfinger-registrar", "healthcheck", "--alive")
    assert "not healthy" in await host.docker.run(*alive)
    await host.etcd.start()
    await host.agents.until_health("registrar", "healthy")
    state = await host.agents.state("registrar")
    assert state["Running"]
    # A process that hangs is noticed as well.
    pid = (await host.agents.state("logstore"))["Pid"]
    freeze(pid)
    try:
        said = await host.agents.until_health("logstore", "unhealthy")
        assert "does not answer within 5 s" in said
    finally:
        os.kill(pid, signal.SIGCONT)
    await host.agents.until_health("logstore", "healthy")
