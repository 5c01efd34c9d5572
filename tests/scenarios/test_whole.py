"""The whole host at once, through faults: what is down is named, and all is true again after."""

import asyncio
import json
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import aiohttp
import pytest

from tests.stack.answers import confirmed, until_answered
from wharfinger.etcd import Etcd
from wharfinger.operator.demo.console import Show
from wharfinger.operator.demo.stage import DAEMONS, HOST_NAME, Stage, raised, require_programs
from wharfinger.operator.demo.traffic import posting
from wharfinger.operator.parts.images import build_shop
from wharfinger.operator.parts.process import until
from wharfinger.sections import EtcdConfig

pytestmark = [pytest.mark.real, pytest.mark.scenario, pytest.mark.timeout(300)]

PATIENCE_SECONDS = 60.0


class Host:
    """A stage, and questions to it."""

    def __init__(self, stage: Stage, session: aiohttp.ClientSession) -> None:
        self.stage = stage
        self.etcd = EtcdConfig(endpoints=(stage.etcd.endpoint,))
        self._session = session

    async def ask(self, url: str, **params: str) -> tuple[int, Any]:
        async with self._session.get(url, params=params) as response:
            return response.status, json.loads(await response.read())

    async def run_shop(self, name: str, *more: str) -> None:
        labels = {"app": "shop", "env": "prod", "host": HOST_NAME}
        flags = [f"--label=wharfinger.{key}={value}" for key, value in labels.items()]
        flags += ["--network=host", f"--name={name}", *more]
        await self.stage.docker.run("run", "--detach", *flags, "shop")

    async def keys(self) -> set[str]:
        async with Etcd(self.etcd) as etcd:
            return set((await etcd.list("/shop_prod/")).items)

    async def until_keys(self, count: int) -> None:
        async def reached() -> bool:
            return len(await self.keys()) == count

        await self.until(reached, f"{count} keys are in etcd")

    async def until_served(self, count: int) -> None:
        """Waits for so many instances that answer, and until no older worker of Nginx's does."""
        url = self.stage.url("nginx") + "/"
        await until_answered(url, HOST_NAME, count, timeout_seconds=PATIENCE_SECONDS)

        async def reached() -> bool:
            return confirmed((await self.ask(f"{self.stage.url('discovery')}/status"))[1])

        await self.until(reached, "no older worker of Nginx's answers")

    async def until_health(self, daemon: str, check: str, *, healthy: bool) -> str:
        """Waits until a check of a daemon is as wanted; gives its reason."""
        why = ""

        async def reached() -> bool:
            nonlocal why
            try:
                _, told = await self.ask(f"{self.stage.url(daemon)}/healthz")
            except aiohttp.ClientError:
                return False
            found = {each["name"]: each for each in told["checks"]}.get(check)
            why = found["why"] if found else ""
            return found is not None and found["healthy"] is healthy

        await self.until(reached, f"{daemon}'s check {check} is {healthy}")
        return why

    async def until_found(self, word: str, count: int) -> None:
        async def reached() -> bool:
            url = f"{self.stage.url('logstore')}/api/search"
            _, told = await self.ask(url, q=word, limit="1000")
            return len(told["hits"]) == count

        await self.until(reached, f"{count} lines with {word} are found")

    async def until(self, condition: Callable[[], Awaitable[bool]], what: str) -> None:
        await until(condition, timeout_seconds=PATIENCE_SECONDS, what=what)


@pytest.fixture
async def host() -> AsyncIterator[Host]:
    require_programs()
    async with raised(Show()) as stage, aiohttp.ClientSession() as session:
        yield Host(stage, session)


async def test_daemons_that_start_before_all_else_wait_and_say_what_for(host: Host) -> None:
    stage = host.stage
    for part in (stage.etcd, stage.docker, stage.nginx):
        await part.stop()
    for name in ("registrar", "discovery", "logshipper"):
        await stage.daemons[name].start()
    for name, check in (
        ("registrar", "docker"),
        ("registrar", "etcd lease"),
        ("discovery", "etcd watch"),
        ("logshipper", "docker"),
    ):
        why = await host.until_health(name, check, healthy=False)
        assert why, f"{name}'s check {check} gives no reason"
        status, _ = await host.ask(f"{stage.url(name)}/readyz")
        assert status == 503
    await stage.etcd.start()
    await stage.docker.start()
    await stage.nginx.start()
    await stage.start_daemon("logstore")
    for name in DAEMONS:
        await host.until(lambda name=name: stage.ready(name), f"{name} is ready")  # type: ignore[misc]
    await build_shop(stage.docker, stage.folder / "image")
    await host.run_shop("one")
    await host.until_served(1)


async def test_a_stop_while_it_waits_is_prompt(host: Host) -> None:
    stage = host.stage
    await stage.etcd.stop()
    await stage.docker.stop()
    for name in ("registrar", "discovery", "logshipper"):
        await stage.daemons[name].start()
    await host.until_health("registrar", "etcd lease", healthy=False)
    await host.until_health("discovery", "etcd watch", healthy=False)
    await host.until_health("logshipper", "docker", healthy=False)
    begun = time.monotonic()
    codes = await asyncio.gather(
        *(stage.daemons[n].terminate(30.0) for n in ("registrar", "discovery", "logshipper"))
    )
    assert codes == [0, 0, 0]
    assert time.monotonic() - begun < 15


async def test_no_request_and_no_line_is_lost_while_parts_fail(host: Host) -> None:
    """etcd, dockerd's socket, logstore and the daemons fail in turn, under a stream of POSTs."""
    stage = host.stage
    await asyncio.gather(*(stage.start_daemon(name) for name in DAEMONS))
    await build_shop(stage.docker, stage.folder / "image")
    await asyncio.gather(*(host.run_shop(f"shop-{n}") for n in range(3)))
    await host.until_served(3)
    before = await host.keys()
    async with posting(f"{stage.url('nginx')}/order?item=kestrel", HOST_NAME) as traffic:
        await traffic.more(50)
        await stage.daemons["logstore"].kill()
        await stage.etcd.process.kill()
        for name, check in (("registrar", "etcd lease"), ("discovery", "etcd watch")):
            await host.until_health(name, check, healthy=False)
        await host.until_health("logshipper", "sink main", healthy=False)
        await traffic.more(50)
        await stage.etcd.start()
        await stage.start_daemon("logstore")
        stage.docker.process.freeze()
        await host.until_health("registrar", "docker", healthy=False)
        await traffic.more(50)
        stage.docker.process.thaw()
        for name in ("registrar", "discovery", "logshipper"):
            await stage.daemons[name].kill()
            await stage.start_daemon(name)
            await traffic.more(50)
        for name in DAEMONS:
            await host.until(lambda name=name: stage.ready(name), f"{name} is ready")  # type: ignore[misc]
    assert traffic.failures == {}
    assert await host.keys() == before
    await host.until_found("kestrel", min(traffic.answered, 1000))


async def test_a_host_that_dies_whole_comes_back_whole(host: Host) -> None:
    stage = host.stage
    await asyncio.gather(*(stage.start_daemon(name) for name in DAEMONS))
    await build_shop(stage.docker, stage.folder / "image")
    await asyncio.gather(*(host.run_shop(f"shop-{n}", "--restart=always") for n in range(3)))
    await host.until_served(3)
    before = await host.keys()
    # Power-off: everything at once, and nobody says goodbye.
    for process in (*stage.daemons.values(), stage.nginx.process):
        await process.kill()
    await stage.docker.cut_power()
    await stage.nginx.stop()
    await host.until_keys(0)  # nobody renews the host's lease
    await stage.docker.start()
    await stage.nginx.start()
    await asyncio.gather(*(stage.start_daemon(name) for name in DAEMONS))
    await host.until_keys(3)
    await host.until_served(3)
    assert await host.keys() == before
