"""The lock of an environment and its records, against a real etcd that fails."""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from pathlib import Path
from unittest.mock import AsyncMock

import pytest

from deploy.release.records import lock as locks
from deploy.release.records.holder import Holder, read
from deploy.release.records.lock import Held, Lock, LockHeld, LockLost
from deploy.release.records.record import Record, encode, lock_key
from deploy.release.records.releases import Releases
from tests.stack.etcd import ALONE, config_of, etcdctl, eventually
from tests.stack.told import Told
from wharfinger.errors import Conflict, Rejected, Unavailable
from wharfinger.etcd import Etcd
from wharfinger.keys import Service
from wharfinger.operator.parts.etcd import EtcdServer

pytestmark = pytest.mark.real

SHOP = Service("shop", "prod")
TTL_SECONDS = 2


def lock_of(etcd: Etcd, by: str = "ann", wait_seconds: float = 0, told: Told | None = None) -> Lock:
    return Lock(
        etcd,
        SHOP,
        Holder(by=by, host="build1", pid=7, verb="up", at="2026-01-01T00:00:00Z"),
        progress=told or Told(),
        wait_seconds=wait_seconds,
        ttl_seconds=TTL_SECONDS,
    )


@pytest.fixture
async def other(etcd_server: EtcdServer) -> AsyncIterator[Etcd]:
    """A session of somebody else."""
    async with Etcd(config_of(etcd_server)) as session:
        yield session


async def test_one_has_it_and_the_next_is_told_who(etcd: Etcd, other: Etcd) -> None:
    async def work(_held: Held) -> str:
        with pytest.raises(LockHeld, match=r"ann \(up, on build1, pid 7, since 2026-01-01T00"):
            await lock_of(other, "bob").hold(work)
        return "done"

    assert await lock_of(etcd).hold(work) == "done"
    assert await etcd.get(lock_key(SHOP)) is None, "it is free at once"


async def test_who_waits_gets_it_next(etcd: Etcd, other: Etcd) -> None:
    order: list[str] = []
    told = Told()

    taken = asyncio.Event()

    async def first(_held: Held) -> None:
        taken.set()
        await eventually(lambda: told.steps, "the second waits")
        order.append("first")

    async def second(_held: Held) -> None:
        order.append("second")

    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(lock_of(etcd).hold(first))
        await taken.wait()
        tasks.create_task(lock_of(other, "bob", wait_seconds=10, told=told).hold(second))
    assert order == ["first", "second"]
    assert told.steps[0].startswith("waiting for ann (up, on build1")


async def test_is_kept_beyond_its_time(etcd: Etcd) -> None:
    async def work(held: Held) -> int:
        await asyncio.sleep(2.5 * TTL_SECONDS)
        kv = await etcd.get(held.key)
        return kv.mod_revision if kv else 0

    assert await lock_of(etcd).hold(work) > 0


async def test_ends_by_itself_with_whoever_has_it(etcd: Etcd, other: Etcd) -> None:
    lease = await other.grant(TTL_SECONDS)
    await other.put(lock_key(SHOP), b"\xff", lease=lease.id)
    told = Told()

    async def work(_held: Held) -> bool:
        return True

    assert await lock_of(etcd, wait_seconds=10, told=told).hold(work)
    assert told.steps[0].startswith("waiting for somebody who does not say")


async def test_taken_away_the_work_is_stopped(etcd: Etcd, other: Etcd) -> None:
    stopped: list[object] = []
    working = asyncio.Event()

    async def work(_held: Held) -> None:
        working.set()
        try:
            await asyncio.sleep(60)
        except asyncio.CancelledError as stop:
            # Who puts things back takes a moment; nobody else may begin before that.
            await asyncio.sleep(1)
            stopped.extend(stop.args)
            raise

    holding = asyncio.create_task(Lock(
        etcd, SHOP, Holder(by="ann"), progress=Told(), ttl_seconds=10
    ).hold(work))  # fmt: skip
    await working.wait()
    had = await locks.seize(other, SHOP, Holder(by="bob", verb="unlock"))
    assert had is not None
    assert had.by == "ann"
    assert "the lock was lost: taken by bob" in str(stopped[0])
    with pytest.raises(LockLost, match="taken by bob"):
        await holding
    assert await etcd.get(lock_key(SHOP)) is None
    assert await locks.seize(etcd, SHOP, Holder()) is None, "nobody has it"


async def test_taken_away_from_one_whom_etcd_does_not_reach_it_is_free_when_that_one_stops(
    etcd: Etcd, other: Etcd, monkeypatch: pytest.MonkeyPatch
) -> None:
    working, stopped = asyncio.Event(), asyncio.Event()

    async def work(_held: Held) -> None:
        working.set()
        try:
            await asyncio.sleep(60)
        finally:
            stopped.set()

    async def away(_held: Held) -> int | str:
        raise Unavailable("no route")

    lock = Lock(etcd, SHOP, Holder(by="ann"), progress=Told(), ttl_seconds=4)
    monkeypatch.setattr(lock, "_refresh", away)
    monkeypatch.setattr(lock, "_release", AsyncMock())
    holding = asyncio.create_task(lock.hold(work))
    await working.wait()
    assert await locks.seize(other, SHOP, Holder(by="bob")) is not None
    assert stopped.is_set()
    with pytest.raises(LockLost, match="no route"):
        await holding


async def test_a_lock_that_has_ended_writes_nothing(etcd: Etcd) -> None:
    releases = Releases(etcd, SHOP)

    async def work(held: Held) -> None:
        begun = await releases.begin(held, Record(release="r1", state="running"))
        await etcd.delete(held.key)
        await etcd.put(held.key, b"{}")
        with pytest.raises(LockLost):
            await releases.end(held, begun, begun.record.over("succeeded", "now"))
        with pytest.raises(LockLost):
            await releases.begin(held, Record(release="r2", state="running"))

    await lock_of(etcd).hold(work)
    states = [(each.number, each.record.state) for each in await releases.history()]
    assert states == [(1, "running")]


async def test_etcd_away_for_less_than_its_time_keeps_it(
    etcd: Etcd, etcd_server: EtcdServer
) -> None:
    told = Told()
    lock = Lock(etcd, SHOP, Holder(by="ann"), progress=told, ttl_seconds=6)
    releases = Releases(etcd, SHOP)

    async def work(held: Held) -> None:
        begun = await releases.begin(held, Record(release="r1", state="running"))
        etcd_server.process.freeze()
        await asyncio.sleep(2.5)
        etcd_server.process.thaw()
        await releases.end(held, begun, begun.record.over("succeeded", "now"))

    await lock.hold(work)
    assert [each.record.state for each in await releases.history()] == ["succeeded"]


async def test_etcd_killed_and_back_keeps_it_as_well(etcd: Etcd, etcd_server: EtcdServer) -> None:
    lock = Lock(etcd, SHOP, Holder(by="ann"), progress=Told(), ttl_seconds=8)
    releases = Releases(etcd, SHOP)

    async def work(held: Held) -> None:
        begun = await releases.begin(held, Record(release="r1", state="running"))
        await etcd_server.process.kill()
        ending = asyncio.create_task(
            releases.end(held, begun, begun.record.over("succeeded", "now"))
        )
        await asyncio.sleep(1)
        await etcd_server.start()
        await ending

    await lock.hold(work)
    assert [each.record.state for each in await releases.history()] == ["succeeded"]


async def test_etcd_away_for_longer_stops_the_work_in_time(
    etcd: Etcd, etcd_server: EtcdServer
) -> None:
    done: list[bool] = []

    async def work(_held: Held) -> None:
        etcd_server.process.freeze()
        await asyncio.sleep(60)
        done.append(True)

    lock = Lock(etcd, SHOP, Holder(), progress=Told(), ttl_seconds=4)
    with pytest.raises(LockLost, match=r"stopped where it was[^`]+`deploy status prod` tells"):
        await lock.hold(work)
    etcd_server.process.thaw()
    assert not done


async def test_records_are_counted_and_an_end_is_written_once(etcd: Etcd) -> None:
    remarks: list[str] = []
    releases = Releases(etcd, SHOP, on_remark=remarks.append)
    await etcd.put("/wharfinger/deploy/shop_prod/releases/x", b"{}")
    await etcd.put("/wharfinger/deploy/shop_prod/releases/9", b"no record")

    async def work(held: Held) -> None:
        begun = await releases.begin(held, Record(release="r1", state="running"))
        assert begun.number == 10
        ended = begun.record.over("failed", "now", "it exits")
        await releases.end(held, begun, ended)
        await releases.end(held, begun, ended)
        with pytest.raises(LockLost):
            await releases.end(held, begun, begun.record.over("succeeded", "now"))

    await lock_of(etcd).hold(work)
    assert [each.record.state for each in await releases.history()] == ["failed"]
    assert len(remarks) == 2


@pytest.mark.parametrize("name", ["old/5", "05", "5/", "4294967296000"])
async def test_a_record_that_stands_elsewhere_than_it_says_stops_nobody(
    etcd: Etcd, name: str
) -> None:
    """It would be ended where none stands, which looks like a lock that was lost."""
    remarks: list[str] = []
    releases = Releases(etcd, SHOP, on_remark=remarks.append)
    running = encode(Record(release="r1", state="running"))
    await etcd.put(f"/wharfinger/deploy/shop_prod/releases/{name}", running)
    assert await releases.history() == ()
    assert len(remarks) == 1

    async def work(held: Held) -> int:
        return (await releases.begin(held, Record(release="r1", state="running"))).number

    assert await lock_of(etcd).hold(work) == 1


async def test_numbers_end_with_a_reason(etcd: Etcd) -> None:
    releases = Releases(etcd, SHOP)
    await etcd.put("/wharfinger/deploy/shop_prod/releases/999999999999", b"{}")

    async def work(held: Held) -> None:
        await releases.begin(held, Record(release="r1", state="running"))

    with pytest.raises(Rejected, match=r"releases/999999999999.*delete it"):
        await lock_of(etcd).hold(work)


async def test_an_interrupt_reaches_the_work_while_it_is_held(etcd: Etcd) -> None:
    seen: list[bool] = []
    working = asyncio.Event()

    async def work(held: Held) -> None:
        working.set()
        try:
            await asyncio.sleep(60)
        except asyncio.CancelledError:
            seen.append(await etcd.get(held.key) is not None)
            raise

    task = asyncio.create_task(lock_of(etcd).hold(work))
    await working.wait()
    task.cancel("cut off by SIGTERM")
    with pytest.raises(asyncio.CancelledError):
        await task
    assert seen == [True]
    assert await etcd.get(lock_key(SHOP)) is None


async def test_a_second_interrupt_frees_it_no_earlier_than_the_work_has_ended(
    etcd: Etcd,
) -> None:
    working, stopping = asyncio.Event(), asyncio.Event()
    seen: list[bool] = []

    async def work(held: Held) -> None:
        working.set()
        try:
            await asyncio.sleep(60)
        finally:
            stopping.set()
            try:
                await asyncio.sleep(60)  # as an engine that puts things back
            finally:
                await asyncio.sleep(0.5)
                seen.append(await etcd.get(held.key) is not None)

    task = asyncio.create_task(lock_of(etcd).hold(work))
    await working.wait()
    task.cancel("cut off by SIGINT")
    await stopping.wait()
    task.cancel("cut off by SIGINT")
    with pytest.raises(asyncio.CancelledError):
        await task
    assert seen == [True]
    assert await etcd.get(lock_key(SHOP)) is None


async def test_a_fault_of_ours_in_keeping_it_ends_the_work_before_it_is_freed(
    etcd: Etcd, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[bool] = []

    async def work(held: Held) -> None:
        try:
            await asyncio.sleep(60)
        finally:
            seen.append(await etcd.get(held.key) is not None)

    lock = lock_of(etcd)
    monkeypatch.setattr(lock, "_refresh", AsyncMock(side_effect=ValueError("a bug")))
    with pytest.raises(ValueError, match="a bug"):
        await lock.hold(work)
    assert seen == [True]


async def test_an_etcd_that_reads_and_does_not_write_is_given_up(
    etcd: Etcd, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def work(_held: Held) -> None:
        raise AssertionError

    monkeypatch.setattr(etcd, "transact", AsyncMock(side_effect=Unavailable("too many requests")))
    async with asyncio.timeout(20):
        with pytest.raises(Unavailable, match="too many requests"):
            await lock_of(etcd).hold(work)


async def test_an_etcd_whose_disk_is_full_is_waited_for_and_told(tmp_path: Path) -> None:
    server = EtcdServer(tmp_path, arguments=[*ALONE, "--quota-backend-bytes=400000"])
    await server.start()
    told = Told()

    async def work(held: Held) -> None:
        releases = Releases(session, SHOP, on_remark=told.step)
        begun = await releases.begin(held, Record(release="r1", state="running"))
        with contextlib.suppress(Unavailable):
            for number in range(100):
                await session.put(f"/filler/{number}", b"x" * 50_000)
        ended = begun.record.over("succeeded", "now")
        ending = asyncio.create_task(releases.end(held, begun, ended))
        await eventually(lambda: told.steps, "it is told")
        with pytest.raises(Unavailable, match="its database is full"):
            await Lock(session, Service("shop", "pre"), Holder(), progress=Told()).hold(work)
        revision = await session.delete_prefix("/filler/")
        for command in (f"compact --physical {revision}", "defrag", "alarm disarm"):
            await etcdctl(server, tmp_path, *command.split())
        await ending

    async with Etcd(config_of(server)) as session:
        await Lock(session, SHOP, Holder(by="ann"), progress=told).hold(work)
        history = await Releases(session, SHOP).history()
    assert [each.record.state for each in history] == ["succeeded"]
    assert "its database is full" in told.steps[0]
    assert len(told.steps) == 1
    await server.stop()


async def test_a_lock_of_another_history_is_another_s(etcd: Etcd, etcd_server: EtcdServer) -> None:
    """An etcd that was set up anew counts from 1 again."""

    async def work(held: Held) -> None:
        await etcd_server.stop()
        etcd_server.wipe()
        await etcd_server.start()
        lease = await etcd.grant(30)
        await etcd.put(held.key, b'{"by": "bob"}', lease=lease.id)
        with pytest.raises(LockLost):
            await Releases(etcd, SHOP).begin(held, Record(release="r1", state="running"))

    await Lock(etcd, SHOP, Holder(by="ann"), progress=Told()).hold(work)
    assert (await etcd.get(lock_key(SHOP))) is not None, "it is not ours to free"


async def test_a_seizure_that_meets_another_holder_does_nothing(
    etcd: Etcd, monkeypatch: pytest.MonkeyPatch
) -> None:
    await etcd.put(lock_key(SHOP), b"{}")
    grant = etcd.grant

    async def slowly(ttl_seconds: int, lease_id: int = 0) -> object:
        await etcd.put(lock_key(SHOP), b'{"by": "cy"}')
        return await grant(ttl_seconds, lease_id)

    monkeypatch.setattr(etcd, "grant", slowly)
    with pytest.raises(Conflict, match="changed hands"):
        await locks.seize(etcd, SHOP, Holder())
    kv = await etcd.get(lock_key(SHOP))
    assert kv is not None
    assert read(kv).by == "cy"


async def test_of_many_at_once_one_has_it_at_a_time(etcd: Etcd, other: Etcd) -> None:
    inside: list[int] = []
    most: list[int] = []

    async def work(held: Held) -> None:
        inside.append(held.lease)
        most.append(len(inside))
        await asyncio.sleep(0.1)
        inside.remove(held.lease)

    async with asyncio.TaskGroup() as tasks:
        for number in range(6):
            session = (etcd, other)[number % 2]
            lock = lock_of(session, f"number {number}", wait_seconds=30)
            tasks.create_task(lock.hold(work))
    assert most == [1] * 6


async def test_who_waits_outlives_an_etcd_that_goes_and_comes(
    etcd: Etcd, etcd_server: EtcdServer
) -> None:
    lease = await etcd.grant(30)
    await etcd.put(lock_key(SHOP), b"{}", lease=lease.id)
    told = Told()

    async def work(_held: Held) -> bool:
        return True

    waiting = asyncio.create_task(lock_of(etcd, wait_seconds=30, told=told).hold(work))
    await eventually(lambda: told.steps, "it waits")
    await etcd_server.process.kill()
    await asyncio.sleep(1.5)
    await etcd_server.start()
    await etcd.revoke(lease.id)
    assert await waiting


async def test_who_waits_outlives_an_etcd_that_goes_when_it_is_its_turn(
    etcd: Etcd, monkeypatch: pytest.MonkeyPatch
) -> None:
    lease = await etcd.grant(TTL_SECONDS)
    grants = AsyncMock(side_effect=[Unavailable("elects a leader"), lease])
    monkeypatch.setattr(etcd, "grant", grants)

    async def work(_held: Held) -> bool:
        return True

    assert await lock_of(etcd, wait_seconds=30).hold(work)
    assert grants.await_count == 2
