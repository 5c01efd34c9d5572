"""A registrar that was frozen for longer than its lease: what it knew of Docker may be over."""

import asyncio
import time
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.stack.etcd import Watcher
from tests.stack.registrar import SHOP_LABELS, RegistrarStack, running
from wharfinger.kv import Changed, KeyValue
from wharfinger.operator.parts.dockerd import DockerDaemon
from wharfinger.operator.parts.etcd import EtcdServer
from wharfinger.operator.parts.process import free_port, until

pytestmark = [pytest.mark.real, pytest.mark.timeout(120)]

SERVE = 'exec nc -ll -p "$PORT" -e true'
DOUBTED = 'event="containers doubted"'


class Frozen:
    """A registrar to be frozen, and containers for it."""

    def __init__(self, stack: RegistrarStack) -> None:
        self.stack = stack

    async def serve(self, *arguments: str) -> str:
        """One that listens on the host's network, where the kernel tells of it; gives its id."""
        words = ("run", "--detach", "--network=host", *SHOP_LABELS, *arguments)
        command = ("busybox", "with-port", "sh", "-c", SERVE)
        return (await self.stack.docker.run(*words, *command)).strip()

    async def hide(self) -> str:
        """One of which only Docker can tell whether it runs; gives its id."""
        port = (f"--label=wharfinger.port={free_port()}", "--label=wharfinger.check=none")
        words = ("run", "--detach", "--network=none", *SHOP_LABELS, *port, "busybox")
        return (await self.stack.docker.run(*words, "sleep", "1000")).strip()

    async def both(self, count: int) -> tuple[list[str], dict[str, KeyValue]]:
        """One of each, and all that etcd holds then."""
        ids = [await self.serve(), await self.hide()]
        return ids, await self.stack.until_keys(count)

    async def freeze(self) -> None:
        """Freezes it, and ends its lease, as time would."""
        self.stack.process.freeze()
        (lease,) = {kv.lease for kv in (await self.stack.keys()).values()}
        await self.stack.etcd.revoke(lease)
        await self.stack.until_keys(0)

    async def miss(self) -> tuple[set[str], set[str]]:
        """Freezes it, and ends two of four; gives the ids of those that live, and their keys.

        What its dockerd's stream of events holds is read after a thaw; another's is not in it.
        """
        dead, before = await self.both(2)
        living, after = await self.both(4)
        await self.freeze()
        await self.stack.docker.kill()
        await self.stack.docker.start()
        await self.stack.docker.run("kill", *dead)
        return set(living), after.keys() - before.keys()

    async def until_healthy(self) -> None:
        await until(self.stack.is_healthy, timeout_seconds=30, what="health is green again")


@pytest.fixture
async def frozen(registrar_stack: RegistrarStack) -> Frozen:
    return Frozen(registrar_stack)


@pytest.fixture
async def restorable(
    tmp_path: Path, live_restore_docker_daemon: DockerDaemon, etcd_server: EtcdServer
) -> AsyncIterator[Frozen]:
    """The same with a dockerd that may be killed, and containers that outlive it."""
    async for stack in running(tmp_path, live_restore_docker_daemon, etcd_server):
        yield Frozen(stack)


def put(watcher: Watcher) -> set[str]:
    """All keys that were put since the watcher began."""
    changes = [each for each in watcher.updates if isinstance(each, Changed)]
    return {event.key for change in changes for event in change.events if event.kv is not None}


@pytest.mark.scenario
async def test_who_was_killed_meanwhile_never_comes_back(frozen: Frozen) -> None:
    """As it is: nothing ends the lease but time."""
    stack = frozen.stack
    dead, before = await frozen.both(2)
    living, after = await frozen.both(4)
    stack.process.freeze()
    await stack.docker.run("kill", *dead)
    await stack.until_keys(0)
    async with Watcher(stack.etcd, ["/shop_prod/"]) as watcher:
        stack.process.thaw()
        await stack.until_metadata(set(living))
        await frozen.until_healthy()
        assert put(watcher) == after.keys() - before.keys()
    assert DOUBTED in stack.process.log_tail(200)


async def test_nobody_is_put_before_docker_has_told_who_runs(restorable: Frozen) -> None:
    stack = restorable.stack
    living, keys = await restorable.miss()
    async with Watcher(stack.etcd, ["/shop_prod/"]) as watcher:
        stack.docker.process.freeze()
        stack.process.thaw()

        async def waiting() -> bool:
            return "Docker has yet to say" in (await stack.ask("/healthz"))["why"]

        await until(waiting, timeout_seconds=20, what="all wait for Docker")
        stack.docker.process.thaw()
        await stack.until_metadata(living)
        await restorable.until_healthy()
        assert put(watcher) == keys


@pytest.mark.scenario
async def test_with_docker_dead_the_processes_tell_who_runs(restorable: Frozen) -> None:
    stack = restorable.stack
    living, keys = await restorable.miss()
    await stack.docker.kill()
    async with Watcher(stack.etcd, ["/shop_prod/"]) as watcher:
        stack.process.thaw()
        await stack.until_metadata(living)
        assert await stack.is_unhealthy()
        await stack.docker.start()
        await restorable.until_healthy()
        assert put(watcher) == keys
    assert 'event="containers believed"' in stack.process.log_tail(200)


@pytest.mark.scenario
async def test_frozen_for_less_than_its_lease_nothing_changes(frozen: Frozen) -> None:
    stack = frozen.stack
    dead, _ = await frozen.both(2)
    living, after = await frozen.both(4)
    async with Watcher(stack.etcd, ["/shop_prod/"]) as watcher:
        stack.process.freeze()
        await stack.docker.run("kill", *dead)
        until_half = time.monotonic() + 5
        while time.monotonic() < until_half:
            assert (await stack.keys()) == after
            await asyncio.sleep(0.1)
        stack.process.thaw()
        await stack.until_metadata(set(living))
        assert not put(watcher)
    assert DOUBTED not in stack.process.log_tail(200)


async def test_who_is_being_stopped_meanwhile_does_not_come_back(frozen: Frozen) -> None:
    stack = frozen.stack
    stopped = await frozen.serve("--label=wharfinger.drain=20")
    before = await stack.until_keys(1)
    living, after = await frozen.both(3)
    await frozen.freeze()
    stopping = asyncio.create_task(stack.docker.run("stop", "--time=30", stopped))
    told = ("events", "--since=1m", "--until=0s", "--format={{.Action}} {{.ID}}")

    async def asked() -> bool:
        return f"kill {stopped}" in await stack.docker.run(*told, "--filter=event=kill")

    await until(asked, timeout_seconds=20, what="the stop has begun")
    async with Watcher(stack.etcd, ["/shop_prod/"]) as watcher:
        stack.process.thaw()
        await stack.until_metadata(set(living))
        assert await stack.until_state(stopped, "out") == "was told to stop"
        await frozen.until_healthy()
        assert put(watcher) == after.keys() - before.keys()
    assert not stopping.done()
    await stack.docker.run("kill", stopped)
    await stopping


async def test_an_ordinary_loss_is_made_good_by_a_fresh_list(frozen: Frozen) -> None:
    stack = frozen.stack
    _, before = await frozen.both(2)
    (lease,) = {kv.lease for kv in before.values()}
    await stack.etcd.revoke(lease)
    await stack.until_keys(0)
    after = await stack.until_keys(2)
    assert after.keys() == before.keys()
    assert lease not in {kv.lease for kv in after.values()}
    await frozen.until_healthy()
    assert f"{DOUBTED} containers=2" in stack.process.log_tail(200)
