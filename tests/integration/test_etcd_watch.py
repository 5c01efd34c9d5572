"""A watch over real failures: nothing missed, nothing twice, red while it is deaf."""

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import pytest

from tests.stack.etcd import Watcher, config_of, etcdctl, eventually
from wharfinger.etcd import Etcd
from wharfinger.kv import Changed, Delete, Put
from wharfinger.lease import HostLease
from wharfinger.operator.parts.etcd import EtcdPorts, EtcdServer

pytestmark = pytest.mark.real

Record = Callable[[str, object], None]


@contextlib.asynccontextmanager
async def out_of_reach(server: EtcdServer, folder: Path) -> AsyncIterator[Etcd]:
    """Kills the server and serves its data on another port, where its watchers do not look."""
    await server.process.kill()
    elsewhere = EtcdServer(folder, ports=EtcdPorts())
    await elsewhere.start()
    async with Etcd(config_of(elsewhere)) as etcd:
        yield etcd
        await etcdctl(elsewhere, folder, "get", "/")
    await elsewhere.process.kill()


async def back(server: EtcdServer, watcher: Watcher, record: Record) -> None:
    """Starts the server; waits until the watcher is healthy and records how long that took."""
    await server.start()
    seconds = await eventually(lambda: watcher.healthy, "the watch recovers")
    record("recovery_seconds", round(seconds, 2))
    assert seconds < 10


async def test_lists_and_then_tells_each_change_once(etcd: Etcd) -> None:
    await etcd.put("/a", b"1")
    async with Watcher(etcd) as watcher:
        assert watcher.values() == {"/a": b"1"}
        await etcd.transact((), [Put("/b", b"2"), Delete("/a")])
        last = await etcd.put("/b", b"3")
        await eventually(lambda: watcher.values() == {"/b": b"3"})
        assert watcher.revisions == [last - 1, last - 1, last]
        assert watcher.listed == 1
        assert watcher.troubles == []


async def test_leaves_out_what_it_is_told_to(etcd: Etcd) -> None:
    without = ("/wharfinger/hosts/", "/wharfinger/deploy/")
    async with Watcher(etcd, without=without) as watcher:
        for key in ("/a_b/1", "/wharfinger/hosts/h", "/wharfinger/instances/a_b/1", "/x"):
            await etcd.put(key, b"")
        await eventually(lambda: "/x" in watcher.items)
        assert set(watcher.items) == {"/a_b/1", "/wharfinger/instances/a_b/1", "/x"}


async def test_a_transaction_over_several_prefixes_is_one_change(etcd: Etcd) -> None:
    prefixes = ("/shop_prod/", "/wharfinger/instances/")
    async with Watcher(etcd, prefixes) as watcher:
        for number in range(200):
            keys = [f"{prefix}{number}" for prefix in prefixes]
            await etcd.transact((), [Put(key, b"") for key in keys])
        await eventually(lambda: len(watcher.items) == 400)
        assert watcher.revisions == sorted(watcher.revisions)
        for update in watcher.updates[1:]:
            assert isinstance(update, Changed)
            revisions = [event.revision for event in update.events]
            assert all(revisions.count(revision) == 2 for revision in revisions)


async def test_a_hundred_keys_deleted_at_once_are_one_change(etcd: Etcd) -> None:
    await etcd.transact((), [Put(f"/k/{n}", b"x" * 20_000) for n in range(70)])
    async with Watcher(etcd) as watcher:
        # 1.4 MB of values and then their end: larger than what etcd would put in one fragment.
        await etcd.transact((), [Put(f"/k/{n}", b"y" * 20_000) for n in range(70)])
        await etcd.delete_prefix("/k/")
        await eventually(lambda: not watcher.items)
        sizes = [
            len(update.events) for update in watcher.updates[1:] if isinstance(update, Changed)
        ]
        assert sizes in ([70, 70], [140])


@pytest.mark.scenario
async def test_killed_for_ten_seconds(
    etcd: Etcd, etcd_server: EtcdServer, tmp_path: Path, record_property: Record
) -> None:
    troubles: list[str] = []
    lease = HostLease(
        etcd, ttl_seconds=5, path=tmp_path / "l", owner="h", on_trouble=troubles.append
    )
    await etcd.put("/a", b"1", lease=await lease.ensure())
    keeping = asyncio.create_task(lease.keep())
    async with Watcher(etcd) as watcher:
        await etcd_server.process.kill()
        killed_at = time.monotonic()
        noticed = await eventually(lambda: not watcher.healthy, "the kill is noticed")
        await eventually(lambda: lease.remaining_seconds() == 0, "the lease's time is over")
        await eventually(lambda: "may have ended" in troubles[-1], "and that is said")
        await asyncio.sleep(max(0.0, killed_at + 10 - time.monotonic()))
        assert not watcher.healthy
        await back(etcd_server, watcher, record_property)
        await eventually(lambda: lease.remaining_seconds() > 0, "the lease is kept again")
        last = await etcd.put("/b", b"2")
        await eventually(lambda: watcher.values() == {"/a": b"1", "/b": b"2"})
        record_property("noticed_seconds", round(noticed, 2))
        # etcd gives every lease its whole time again when it starts: nothing was lost.
        assert watcher.listed == 1
        assert watcher.revisions == [last]
    keeping.cancel()


async def test_frozen_is_noticed_and_thawed_goes_on(
    etcd: Etcd, etcd_server: EtcdServer, record_property: Record
) -> None:
    async with Watcher(etcd) as watcher:
        await etcd.put("/a", b"1")
        etcd_server.process.freeze()
        noticed = await eventually(lambda: not watcher.healthy, "the silence is noticed")
        record_property("noticed_seconds", round(noticed, 2))
        assert noticed < 10
        etcd_server.process.thaw()
        recovered = await eventually(lambda: watcher.healthy, "the watch recovers")
        record_property("recovery_seconds", round(recovered, 2))
        last = await etcd.put("/b", b"2")
        await eventually(lambda: watcher.values() == {"/a": b"1", "/b": b"2"})
        assert watcher.listed == 1
        assert watcher.revisions == [last - 1, last]


async def test_what_happened_out_of_reach_is_told_once_and_in_order(
    etcd: Etcd, etcd_server: EtcdServer, tmp_path: Path, record_property: Record
) -> None:
    await etcd.put("/a/0", b"")
    one, two = Watcher(etcd, ("/a/",)), Watcher(etcd, ("/a/", "/b/", "/c/"))
    async with one, two:
        async with out_of_reach(etcd_server, tmp_path) as elsewhere:
            for number in range(1, 50):
                keys = (f"/a/{number}", f"/b/{number}")[: 1 + number % 2]
                await elsewhere.transact((), [Put(key, b"") for key in keys])
            last = await elsewhere.delete("/a/0")
        await back(etcd_server, one, record_property)
        last = await etcd.put("/a/last", b"")
        await eventually(lambda: {"/a/last"} <= one.items.keys() & two.items.keys())
        for watcher, expected in ((one, 49), (two, 74)):
            assert watcher.listed == 1
            assert len(watcher.items) == expected + 1
            assert watcher.revisions == sorted(watcher.revisions)
            assert watcher.revisions[-1] == last
        assert len(two.revisions) == 49 + 25 + 1 + 1
        ends = [update.revision for update in two.updates if isinstance(update, Changed)]
        assert ends == sorted(set(ends))


async def test_compacted_out_of_reach_lists_anew(
    etcd: Etcd, etcd_server: EtcdServer, tmp_path: Path, record_property: Record
) -> None:
    await etcd.put("/a", b"1")
    async with Watcher(etcd) as watcher:
        async with out_of_reach(etcd_server, tmp_path) as elsewhere:
            await elsewhere.delete("/a")
            last = await elsewhere.put("/b", b"2")
            endpoint = f"--endpoints={elsewhere.endpoint}"
            await etcdctl(etcd_server, tmp_path, endpoint, "compaction", str(last))
        await back(etcd_server, watcher, record_property)
        assert watcher.values() == {"/b": b"2"}
        assert watcher.listed == 2
        assert any("compacted" in why for why in watcher.troubles)


async def test_wiped_and_not_yet_at_our_revision_lists_anew(
    etcd: Etcd, etcd_server: EtcdServer, record_property: Record
) -> None:
    for _ in range(10):
        await etcd.put("/a", b"1")
    async with Watcher(etcd) as watcher:
        await etcd_server.process.kill()
        etcd_server.wipe()
        await back(etcd_server, watcher, record_property)
        assert watcher.values() == {}
        assert watcher.listed == 2
        await etcd.put("/b", b"2")
        await eventually(lambda: watcher.values() == {"/b": b"2"})


@pytest.mark.parametrize("again", ["/a", "/b"], ids=["same key", "other key"])
async def test_wiped_and_past_our_revision_lists_anew(
    etcd: Etcd, etcd_server: EtcdServer, tmp_path: Path, record_property: Record, again: str
) -> None:
    await etcd.put("/a", b"old")
    async with Watcher(etcd) as watcher:
        await etcd_server.process.kill()
        etcd_server.wipe()
        async with out_of_reach(etcd_server, tmp_path) as elsewhere:
            await elsewhere.put(again, b"new")
            await elsewhere.put("/c", b"newer")
        await back(etcd_server, watcher, record_property)
        assert watcher.values() == {again: b"new", "/c": b"newer"}
        assert watcher.listed == 2
        assert any("wiped or restored" in why for why in watcher.troubles)


async def test_two_watches_of_one_session_do_not_end_each_other(etcd: Etcd) -> None:
    async with Watcher(etcd, ("/a",)) as one:
        async with Watcher(etcd, ("/b",)):
            pass
        await etcd.put("/a", b"1")
        await eventually(lambda: one.values() == {"/a": b"1"})
        assert one.troubles == []


async def test_a_closed_iterator_ends_its_stream(etcd: Etcd, etcd_server: EtcdServer) -> None:
    async with Watcher(etcd):
        pass
    await etcd.put("/a", b"1")
    assert etcd_server.process.running
