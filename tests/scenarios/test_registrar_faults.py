"""The registrar's word against the world: each fault, and how long until etcd is true again."""

import asyncio
import os
import signal
import time
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import aiohttp
import pytest

from tests.stack.clock import FakeClock
from tests.stack.etcd import Watcher
from tests.stack.registrar import SHOP_LABELS, RegistrarStack, running
from wharfinger.kv import Changed
from wharfinger.operator.parts.dockerd import DockerDaemon
from wharfinger.operator.parts.etcd import EtcdServer
from wharfinger.operator.parts.process import until

pytestmark = [pytest.mark.real, pytest.mark.scenario, pytest.mark.timeout(300)]

Record = Callable[[str, object], None]
SERVE = 'exec nc -ll -p "$PORT" -e true'
# What no fault may touch, whoever is wrong: another host's, and the user's own.
STRANGERS = {
    "/shop_prod/10.1.1.1-80": b"10.1.1.1:80",
    "/wharfinger/instances/shop_prod/10.1.1.1-80": b'{"id":"f","host":"other"}',
    "/myapp/database/url": b"db://",
}
EAT = "until [ -e /tmp/eat ]; do sleep 0.05; done; exec dd if=/dev/zero of=/dev/null bs=512M"


class Measured:
    """A registrar with strangers' keys beside its own, and a stop-watch."""

    def __init__(self, stack: RegistrarStack, record: Record) -> None:
        self.stack = stack
        self.note = record

    async def until_keys(self, count: int, figure: str) -> None:
        """Waits until so many of our own are in etcd; notes how long that took."""
        since = time.monotonic()
        await self.stack.until_keys(count + 1)
        self.note(figure, round(time.monotonic() - since, 3))

    async def until_healthy(self, figure: str) -> None:
        since = time.monotonic()
        await until(self.stack.is_healthy, timeout_seconds=30, what="health is green again")
        self.note(figure, round(time.monotonic() - since, 3))

    async def serve(self, *arguments: str, command: str = SERVE) -> str:
        """A container that listens; gives its id."""
        words = ("run", "--detach", "--network=host", *SHOP_LABELS, *arguments, "busybox")
        return (await self.stack.docker.run(*words, "with-port", "sh", "-c", command)).strip()


@pytest.fixture
async def measured(
    registrar_stack: RegistrarStack, record_property: Record
) -> AsyncIterator[Measured]:
    async for each in _among_strangers(registrar_stack, record_property):
        yield each


@pytest.fixture
async def live_restored(
    tmp_path: Path,
    live_restore_docker_daemon: DockerDaemon,
    etcd_server: EtcdServer,
    record_property: Record,
) -> AsyncIterator[Measured]:
    async for stack in running(tmp_path, live_restore_docker_daemon, etcd_server):
        async for each in _among_strangers(stack, record_property):
            yield each


async def _among_strangers(stack: RegistrarStack, record: Record) -> AsyncIterator[Measured]:
    for key, value in STRANGERS.items():
        await stack.etcd.put(key, value)
    yield Measured(stack, record)
    held = (await stack.etcd.list("/")).items
    assert {key: held[key].value for key in STRANGERS} == STRANGERS


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM])
async def test_a_process_that_is_ended_from_outside(
    measured: Measured, number: signal.Signals
) -> None:
    container = await measured.serve()
    await measured.stack.until_keys(2)
    os.kill(await measured.stack.pid(container), number)
    await measured.until_keys(0, "key_gone_seconds")


async def test_a_container_that_is_killed(measured: Measured) -> None:
    container = await measured.serve()
    await measured.stack.until_keys(2)
    killing = asyncio.create_task(measured.stack.docker.run("kill", container))
    await measured.until_keys(0, "key_gone_seconds")
    await killing


async def test_one_that_runs_out_of_memory(measured: Measured) -> None:
    # The listener is a child here: what eats the memory is the container's own process.
    script = f'nc -ll -p "$PORT" -e true & {EAT}'
    container = await measured.serve("--memory=32m", command=script)
    await measured.stack.until_keys(2)
    await measured.stack.docker.run("exec", container, "touch", "/tmp/eat")
    await measured.until_keys(0, "key_gone_seconds")
    told = await measured.stack.docker.run("inspect", "--format={{.State.OOMKilled}}", container)
    assert told.strip() == "true"


async def test_the_registrar_away_for_longer_than_its_lease(measured: Measured) -> None:
    await asyncio.gather(*(measured.serve() for _ in range(3)))
    before = (await measured.stack.until_keys(4)).keys()
    await measured.stack.process.kill()
    await measured.until_keys(0, "keys_gone_seconds")
    await measured.stack.start()
    await measured.until_keys(3, "true_after_ready_seconds")
    assert (await measured.stack.keys()).keys() == before


async def test_etcd_away_for_longer_than_the_lease(measured: Measured) -> None:
    await asyncio.gather(*(measured.serve() for _ in range(3)))
    before = (await measured.stack.until_keys(4)).keys()
    status = await measured.stack.ask("/status")
    lease = int(status["lease"], 16)
    # Frozen, not killed: a server that starts anew gives every lease its whole time again.
    measured.stack.etcd_server.process.freeze()
    await until(measured.stack.is_unhealthy, timeout_seconds=30, what="health is red")

    async def ended() -> bool:
        return bool((await measured.stack.ask("/status"))["lease_remaining_seconds"] == 0)

    await until(ended, timeout_seconds=30, what="the lease may have ended")
    measured.stack.etcd_server.process.thaw()

    async def another() -> bool:
        held = (await measured.stack.keys()).values()
        ours = {kv.lease for kv in held if kv.lease}
        life = await measured.stack.etcd.time_to_live(lease)
        return len(held) == 4 and len(ours) == 1 and (life is None) == (lease not in ours)

    since = time.monotonic()
    await until(another, timeout_seconds=30, what="all is true again")
    measured.note("true_seconds", round(time.monotonic() - since, 3))
    assert (await measured.stack.keys()).keys() == before
    await measured.until_healthy("healthy_seconds")


async def test_one_that_died_while_dockerd_was_down(live_restored: Measured) -> None:
    stack = live_restored.stack
    dies, stays = [await live_restored.serve() for _ in range(2)]
    await stack.until_keys(3)
    pid = await stack.pid(dies)
    await stack.docker.kill()
    await until(stack.is_unhealthy, timeout_seconds=30, what="health is red")
    os.kill(pid, signal.SIGKILL)
    # dockerd is not there to tell of it; that nobody listens any more is seen all the same.
    await live_restored.until_keys(1, "key_gone_seconds")
    await stack.docker.start()
    await live_restored.until_healthy("healthy_after_dockerd_seconds")
    assert (await stack.metadata()).keys() - {"f"} == {stays}


async def test_a_dead_dockerd_under_containers_that_serve(live_restored: Measured) -> None:
    stack = live_restored.stack
    for _ in range(3):
        await live_restored.serve()
    before = await stack.until_keys(4)
    async with Watcher(stack.etcd, ["/shop_prod/"]) as watcher:
        await stack.docker.kill()
        await until(stack.is_unhealthy, timeout_seconds=30, what="health is red")
        assert await stack.keys() == before
        await stack.docker.start()
        await live_restored.until_healthy("healthy_after_dockerd_seconds")
        assert not [each for each in watcher.updates if isinstance(each, Changed)]


async def test_an_engine_that_has_lost_all_containers(live_restored: Measured) -> None:
    stack, docker = live_restored.stack, live_restored.stack.docker
    for _ in range(3):
        await live_restored.serve()
    before = await stack.until_keys(4)
    silent = await live_restored.serve()
    await stack.until_keys(5)
    pid = await stack.pid(silent)
    await docker.kill()
    other = DockerDaemon(docker.folder, live_restore=True)
    other.containerd, other.data_root = docker.containerd, docker.folder / "other"
    other.process = other._dockerd()
    await other.start()
    try:
        # Docker knows none of the four; those that answer stay, and it is told.
        await stack.until_status(lambda status: len(status["kept"]) == 4, "all are doubted")
        os.kill(pid, signal.SIGKILL)
        await live_restored.until_keys(3, "silent_one_gone_seconds")
        assert await stack.keys() == before
        assert "still answer" in (await stack.ask("/healthz"))["why"]
    finally:
        await other.process.kill()
    await docker.start()
    await live_restored.until_healthy("healthy_after_the_right_engine_seconds")
    assert await stack.keys() == before


async def test_five_thousand_events_in_a_burst(measured: Measured) -> None:
    stack = measured.stack
    stays, dies = [await measured.serve() for _ in range(2)]
    await stack.until_keys(3)
    noisy = [
        (await stack.docker.run("create", *SHOP_LABELS, "--network=host", "busybox")).strip()
        for _ in range(8)
    ]
    connector = aiohttp.UnixConnector(path=str(stack.docker.socket), limit=len(noisy))
    async with aiohttp.ClientSession(connector=connector) as session:

        async def renamed(container: str) -> None:
            for number in range(625):
                url = f"http://docker/containers/{container}/rename?name={container[:8]}-{number}"
                async with session.post(url) as answer:
                    assert answer.status == 204

        since = time.monotonic()
        burst = asyncio.gather(*map(renamed, noisy))
        await stack.docker.run("kill", dies)
        await measured.until_keys(1, "key_gone_in_the_burst_seconds")
        new = await measured.serve()
        await stack.until_state(new, "registered")
        await burst
        measured.note("burst_seconds", round(time.monotonic() - since, 3))
    await stack.until_metadata({stays, new, "f"})
    await measured.until_healthy("healthy_seconds")


async def test_a_clock_that_jumps(
    tmp_path: Path, docker_daemon: DockerDaemon, etcd_server: EtcdServer, record_property: Record
) -> None:
    clock = FakeClock(tmp_path / "clock")
    environment = clock.environment
    async for stack in running(tmp_path, docker_daemon, etcd_server, environment=environment):
        async for measured in _among_strangers(stack, record_property):
            for jump in ("-2h", "+1d", "+0"):
                container = await measured.serve()
                await stack.until_keys(2)
                async with Watcher(stack.etcd, ["/shop_prod/"]) as watcher:
                    clock.jump(jump)
                    latest = await measured.serve()
                    await stack.until_state(latest, "registered")
                    await stack.until_keys(3)
                    assert len([e for e in watcher.updates if isinstance(e, Changed)]) == 1
                await stack.docker.run("kill", container, latest)
                await measured.until_keys(0, f"keys_gone_at_{jump}_seconds")
            assert await stack.is_healthy()
