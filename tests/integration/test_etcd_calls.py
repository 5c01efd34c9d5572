"""Every call of a session, against a real server: what it gives, and what it refuses."""

import asyncio
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.stack.etcd import config_of, etcdctl
from wharfinger.errors import Conflict, Rejected, Unavailable
from wharfinger.etcd import Etcd
from wharfinger.etcd.faults import LeaseNotFound, RevisionGone
from wharfinger.kv import (
    Count,
    Delete,
    DeletePrefix,
    Get,
    KeyRange,
    Operation,
    Put,
    absent,
    chunks,
    held_by,
    present,
    unchanged,
)
from wharfinger.operator.parts.etcd import EtcdServer

pytestmark = pytest.mark.real


async def test_put_get_delete_and_the_past(etcd: Etcd) -> None:
    first = await etcd.put("/shop_prod/10.0.0.1-20000", b"10.0.0.1:20000")
    second = await etcd.put("/shop_prod/10.0.0.1-20000", b"10.0.0.1:20001")
    assert second == first + 1
    kv = await etcd.get("/shop_prod/10.0.0.1-20000")
    assert kv is not None
    assert (kv.value, kv.create_revision, kv.mod_revision) == (b"10.0.0.1:20001", first, second)
    assert (kv.version, kv.lease) == (2, 0)
    assert await etcd.delete("/shop_prod/10.0.0.1-20000") == second + 1
    assert await etcd.get("/shop_prod/10.0.0.1-20000") is None
    before = await etcd.get("/shop_prod/10.0.0.1-20000", revision=first)
    assert before is not None
    assert before.value == b"10.0.0.1:20000"
    assert await etcd.delete("/never/there") == second + 1


@pytest.mark.parametrize(
    "key", ["/ümlaut/\N{SNOWMAN}", "/nul\0/x", "/bytes/\udcff\udc80", "no-slash", "/" + "k" * 5_000]
)
async def test_any_key_survives(etcd: Etcd, key: str) -> None:
    await etcd.put(key, b"\0\xff")
    assert {k: kv.value for k, kv in (await etcd.list("")).items.items()} == {key: b"\0\xff"}


async def test_prefixes_end_where_they_end(etcd: Etcd) -> None:
    for key in ("/a", "/a/", "/a/1", "/a0", "/b", "a"):
        await etcd.put(key, b"")
    assert set((await etcd.list("/a/")).items) == {"/a/", "/a/1"}
    assert set((await etcd.list("/a")).items) == {"/a", "/a/", "/a/1", "/a0"}
    assert len((await etcd.list("")).items) == 6
    await etcd.delete_prefix("/a/")
    assert set((await etcd.list("")).items) == {"/a", "/a0", "/b", "a"}


async def test_sites_that_share_a_cluster_see_nothing_of_each_other(
    etcd: Etcd, etcd_server: EtcdServer
) -> None:
    one = Etcd(config_of(etcd_server, prefix="/site"))
    two = Etcd(config_of(etcd_server, prefix="/site2"))
    async with one, two:
        lease = await one.grant(60)
        await one.put("/x", b"1", lease=lease.id)
        await two.put("/x", b"2", lease=lease.id)
        await etcd.put("/site", b"of nobody")
        for session, value in ((one, b"1"), (two, b"2")):
            items = (await session.list("")).items
            assert {key: kv.value for key, kv in items.items()} == {"/x": value}
        life = await one.time_to_live(lease.id, with_keys=True)
        assert life is not None
        assert "/x" in life.keys
        await one.delete_prefix("")
        with pytest.raises(Rejected, match="is no key"):
            await one.put("2/x", b"planted")
    assert set((await etcd.list("")).items) == {"/site", "/site2/x"}


async def test_a_hundred_thousand_keys_are_listed_at_one_revision(
    etcd: Etcd, record_property: Callable[[str, object], None]
) -> None:
    puts = [Put(f"/k/{n:06}", b"10.0.0.1:20000") for n in range(100_000)]
    pending = list(chunks(puts))
    while pending:
        await asyncio.gather(*(etcd.transact((), part) for part in pending[:16]))
        del pending[:16]
    started = time.monotonic()
    listing = asyncio.create_task(etcd.list("/k/"))
    # Written while the pages are fetched: none of it may be in the list.
    revision = await etcd.put("/k/later", b"")
    snapshot = await listing
    record_property("list_seconds", round(time.monotonic() - started, 2))
    assert len(snapshot.items) == 100_000 + (snapshot.revision >= revision)
    # One call, 11 MB: more than the 4 MB that gRPC takes by default.
    async with Etcd(etcd.config, page_keys=200_000) as unpaged:
        assert len((await unpaged.list("/k/")).items) == 100_001


async def test_a_list_that_is_compacted_under_way_begins_anew(
    etcd: Etcd, etcd_server: EtcdServer, tmp_path: Path
) -> None:
    await etcd.transact((), [Put(f"/k/{n}", b"") for n in range(50)])
    async with Etcd(etcd.config, page_keys=1) as slow:
        listing = asyncio.create_task(slow.list("/k/"))
        while not listing.done():
            revision = await etcd.put("/k/0", b"")
            await etcdctl(etcd_server, tmp_path, "compaction", str(revision))
            if listing.done() or revision > 3:  # one attempt is left
                break
        assert len((await listing).items) == 50


async def test_revisions_that_are_gone_or_not_yet_there(
    etcd: Etcd, etcd_server: EtcdServer, tmp_path: Path
) -> None:
    first = await etcd.put("/a", b"")
    last = await etcd.put("/a", b"")
    await etcdctl(etcd_server, tmp_path, "compaction", str(last))
    with pytest.raises(RevisionGone, match="compacted"):
        await etcd.get("/a", revision=first)
    with pytest.raises(RevisionGone, match="compacted"):
        await etcd.list("/", revision=first)
    with pytest.raises(RevisionGone, match="never reached"):
        await etcd.transact((), [Get("/a", revision=last + 5)])


async def test_transactions_take_the_branch_that_holds(etcd: Etcd) -> None:
    made = await etcd.transact([absent("/a")], [Put("/a", b"1"), Put("/b", b"2")])
    assert made.succeeded
    assert made.results == (None, None)
    kv = await etcd.get("/a")
    assert kv is not None
    again = await etcd.transact(
        [absent("/a")], [Put("/a", b"3")], [Get("/a"), Get("/c"), Count(KeyRange.of_prefix("/"))]
    )
    assert not again.succeeded
    assert again.results == (kv, None, 2)
    assert (await etcd.transact([unchanged(kv)], [Put("/a", b"4")])).succeeded
    assert not (await etcd.transact([unchanged(kv)], [Put("/a", b"5")])).succeeded
    gone = await etcd.transact([present("/a")], [Delete("/a"), DeletePrefix("/b"), Delete("/c")])
    assert gone.results == (1, 1, 0)


@pytest.mark.parametrize(
    ("operations", "words"),
    [
        ([Put("/a", b""), Put("/a", b"")], "duplicate key"),
        ([Put(f"/{n}", b"") for n in range(200)], "too many operations"),
        ([Put("/a", b"x" * 2_000_000)], "too large"),
        ([Put("", b"")], "is no key"),
    ],
)
async def test_what_can_never_work_is_rejected(
    etcd: Etcd, operations: list[Operation], words: str
) -> None:
    with pytest.raises(Rejected, match=words):
        await etcd.transact((), operations)
    assert (await etcd.list("")).items == {}


async def test_leases_hold_keys_and_end(etcd: Etcd) -> None:
    lease = await etcd.grant(60)
    other = await etcd.grant(60, lease_id=77)
    assert other.id == 77
    with pytest.raises(Conflict, match="exists"):
        await etcd.grant(60, lease_id=77)
    await etcd.put("/a", b"", lease=lease.id)
    assert not (await etcd.transact([held_by("/a", other.id)], [Delete("/a")])).succeeded
    life = await etcd.time_to_live(lease.id, with_keys=True)
    assert life is not None
    assert (life.granted_seconds, life.keys) == (60, ("/a",))
    assert 50 < life.remaining_seconds <= 60
    await etcd.revoke(lease.id)
    await etcd.revoke(lease.id)
    assert await etcd.get("/a") is None
    assert await etcd.time_to_live(lease.id) is None
    with pytest.raises(LeaseNotFound, match="ended"):
        await etcd.put("/a", b"", lease=lease.id)


async def test_a_closed_session_can_be_used_again(etcd: Etcd) -> None:
    await etcd.put("/a", b"1")
    await etcd.close()
    kv = await etcd.get("/a")
    assert kv is not None


async def test_calls_that_wait_for_one_dial_all_hear_of_it(tmp_path: Path) -> None:
    server = EtcdServer(tmp_path)
    async with asyncio.timeout(10):
        etcd = Etcd(config_of(server))
        first = asyncio.create_task(etcd.get("/a"))
        await asyncio.sleep(0)
        first.cancel()
        outcomes = await asyncio.gather(
            first, *(etcd.get("/a") for _ in range(20)), return_exceptions=True
        )
        assert isinstance(outcomes[0], asyncio.CancelledError)
        assert all(isinstance(outcome, Unavailable) for outcome in outcomes[1:])
        assert "nothing listens there" in str(outcomes[1])
        await etcd.close()
