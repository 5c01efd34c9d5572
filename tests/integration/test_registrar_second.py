"""Two registrars of one host by mistake: the one that was there first goes on undisturbed."""

import asyncio
import os
import shutil
from pathlib import Path
from typing import Self

import aiohttp
import pytest

from registrar.host.claim import Claim, Doubtful, Held
from registrar.model import Instance
from registrar.registry.registry import Registry
from tests.stack.etcd import Watcher, eventually
from tests.stack.registrar import IP, RegistrarStack
from wharfinger.errors import Conflict, Exit
from wharfinger.etcd import Etcd
from wharfinger.events import Events
from wharfinger.keys import Endpoint, InstanceKey, Service, host_key
from wharfinger.kv import Changed
from wharfinger.lease import HostLease, load
from wharfinger.metadata import Metadata
from wharfinger.operator.parts.etcd import EtcdServer
from wharfinger.operator.parts.process import Process, free_port, until

pytestmark = pytest.mark.real

RECORD = host_key("box", "registrar")


class Second:
    """As on another machine of the same name: nothing but etcd shows them each other."""

    def __init__(self, stack: RegistrarStack) -> None:
        self.folder = stack.folder / "elsewhere"
        engine = Path(stack.docker.url.removeprefix("unix://"))
        self._socket = engine.with_name("second.sock")
        self._socket.unlink(missing_ok=True)
        os.link(engine, self._socket)
        port = stack.etcd_server.endpoint.rpartition(":")[2]
        self.port = free_port()
        settings = (
            f"host.state_dir={self.folder}",
            f"host.runtime_dir={self._socket.with_name('second')}",
            f"docker.url=unix://{self._socket}",
            f"etcd.endpoints=localhost:{port}",
            f"registrar.listen={IP}:{self.port}",
        )
        self.process: Process = stack.another(
            "second", *(word for each in settings for word in ("--set", each))
        )

    async def tells_who_holds_the_host(self) -> bool:
        async with (
            aiohttp.ClientSession() as session,
            session.get(f"http://{IP}:{self.port}/healthz") as response,
        ):
            why = (await response.json())["why"]
        return "host box is held by another registrar" in why and "stop one of the two" in why

    async def __aenter__(self) -> Self:
        await self.process.start()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.process.terminate()
        self._socket.unlink(missing_ok=True)


async def test_another_state_folder_is_no_way_around(registrar_stack: RegistrarStack) -> None:
    stack = registrar_stack
    more = ("--set", f"host.state_dir={stack.folder}/other", "--set", f"registrar.listen={IP}:1")
    second = stack.another("second", *more)
    await second.start()
    assert await second.wait() == Exit.UNAVAILABLE
    told = second.log_tail()
    assert f"held by a registrar (pid {stack.process.pid}, " in told
    assert str(stack.config) in told
    assert not (stack.folder / "other").exists()


async def test_a_machine_of_the_same_name_is_refused_and_changes_nothing(
    registrar_stack: RegistrarStack,
) -> None:
    stack = registrar_stack
    await stack.run_shop()
    before = await stack.until_keys(1)
    async with Watcher(stack.etcd) as watcher, Second(stack) as second:
        assert await second.process.wait() == Exit.UNAVAILABLE
        assert not [each for each in watcher.updates if isinstance(each, Changed)]
    told = second.process.log_tail()
    assert f"host box is held by another registrar, address {IP}, machine " in told
    assert "stop one of the two, or give one another host.name" in told
    assert not (second.folder / "registrar" / "ports").exists()
    assert await stack.keys() == before


@pytest.mark.scenario
async def test_one_that_got_in_with_etcd_away_is_red_and_writes_nothing(
    registrar_stack: RegistrarStack,
) -> None:
    stack = registrar_stack
    container = await stack.run_shop()
    before = await stack.until_keys(1)
    await stack.etcd_server.process.kill()
    async with Second(stack) as second:
        ports = second.folder / "registrar" / "ports"

        async def assigned() -> bool:
            return ports.exists() and container in ports.read_text()

        await until(assigned, timeout_seconds=30, what="it gives ports with etcd away")
        await stack.etcd_server.start()
        async with Watcher(stack.etcd) as watcher:
            await until(second.tells_who_holds_the_host, timeout_seconds=30, what="it is told")
            await until(stack.is_healthy, timeout_seconds=30, what="the first is healthy")
            await stack.run_shop()
            await stack.until_keys(2)
            changes = [each for each in watcher.updates if isinstance(each, Changed)]
    leases = {event.kv.lease for change in changes for event in change.events if event.kv}
    assert leases == {kv.lease for kv in before.values()}
    assert before.items() <= (await stack.keys()).items()


@pytest.mark.scenario
async def test_with_its_state_folder_lost_it_waits_for_its_old_lease_and_starts(
    registrar_stack: RegistrarStack,
) -> None:
    stack = registrar_stack
    await stack.run_shop()
    before = await stack.until_keys(1)
    await stack.process.kill()
    shutil.rmtree(stack.folder / "state")
    await stack.process.start()
    told = "waiting whether it lives"
    await eventually(lambda: told in stack.process.log.read_text(), "it says what it waits for")
    await until(stack.is_ready, timeout_seconds=30, what="it starts")
    after = await stack.until_keys(1)
    assert after.keys() == before.keys()
    ((old, new),) = zip(before.values(), after.values(), strict=True)
    assert old.lease != new.lease


class Registrar:
    """What of a registrar knows of etcd, on a machine of its own."""

    def __init__(self, etcd: Etcd, folder: Path, machine: str) -> None:
        saved = load(folder / "lease.json")
        self.claim = Claim(etcd, host="box", key=RECORD, saved=saved, machine=machine)
        self.registry = Registry(etcd, "box", Events(), self.claim)
        self.lease = HostLease(etcd, ttl_seconds=6, path=folder / "lease.json", owner="box")
        self.machine = machine

    async def declare(self) -> None:
        record = f'{{"version":"1","since":"x","health":"healthy","machine":"{self.machine}"}}'
        await self.registry.audit((), self.lease.id, RECORD)
        await self.registry.declare(RECORD, record.encode(), self.lease.id)

    async def register(self, port: int) -> None:
        key = InstanceKey(Service("shop", "prod"), Endpoint("10.0.0.7", port))
        await self.registry.converge({key: Instance(key, Metadata(host="box"))}, self.lease.id)


@pytest.mark.scenario
async def test_a_copied_disk_does_not_make_two_machines_share_a_lease(
    etcd: Etcd, tmp_path: Path
) -> None:
    original = Registrar(etcd, tmp_path / "one", "aaaa.bbbb")
    await original.claim.settle(lambda _why: None)
    await original.lease.ensure()
    await original.declare()
    shutil.copytree(tmp_path / "one", tmp_path / "two")
    copy = Registrar(etcd, tmp_path / "two", "aaaa.cccc")
    with pytest.raises(Doubtful, match=r"machine aaaa\.bbbb"):
        await copy.claim.look()
    keeping = asyncio.create_task(original.lease.keep())
    with pytest.raises(Held, match=r"machine aaaa\.bbbb"):
        await copy.claim.settle(lambda _why: None)
    keeping.cancel()
    await asyncio.gather(keeping, return_exceptions=True)
    # The same machine, booted again while the lease lives: nobody renews it any more.
    rebooted = Registrar(etcd, tmp_path / "two", "aaaa.cccc")
    await rebooted.claim.settle(lambda _why: None)
    # As after a restart of the process alone: at once.
    await Registrar(etcd, tmp_path / "one", "aaaa.bbbb").claim.look()


async def test_of_two_that_got_in_the_records_owner_writes_alone(
    etcd: Etcd, tmp_path: Path
) -> None:
    one, two = (Registrar(etcd, tmp_path / name, name) for name in ("one", "two"))
    for each in (one, two):
        await each.claim.look()
        await each.lease.ensure()
    await one.declare()
    await one.register(20_000)
    with pytest.raises(Held, match="machine one"):
        await two.declare()
    with pytest.raises(Conflict):
        await two.register(20_001)
    assert set((await etcd.list("/shop_prod/")).items) == {"/shop_prod/10.0.0.7-20000"}
    await one.lease.revoke()
    await two.declare()
    await two.register(20_001)
    assert set((await etcd.list("/shop_prod/")).items) == {"/shop_prod/10.0.0.7-20001"}
    with pytest.raises(Conflict):
        await one.register(20_002)


async def test_an_etcd_that_is_away_keeps_no_registrar_from_its_work(
    etcd_server: EtcdServer, etcd: Etcd, tmp_path: Path
) -> None:
    await etcd_server.stop()
    told: list[str] = []
    await Registrar(etcd, tmp_path, "one").claim.settle(told.append)
    assert "nothing listens there" in told[-1]
