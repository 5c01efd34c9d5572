"""The lease of a host against a real server: taken up again, kept, and replaced when lost."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import pytest

from tests.stack.etcd import Watcher, eventually
from wharfinger import lease
from wharfinger.etcd import Etcd
from wharfinger.lease import HostLease
from wharfinger.operator.parts.etcd import EtcdServer

pytestmark = pytest.mark.real


class Host:
    """An owner like the registrar: puts its key on the lease, and again when that changes."""

    def __init__(self, etcd: Etcd, folder: Path, ttl_seconds: int = 4, owner: str = "h") -> None:
        self.changes: list[int] = []
        self.troubles: list[str] = []
        self.alive = 0
        self.lease = HostLease(
            etcd,
            ttl_seconds=ttl_seconds,
            path=folder / "state" / "lease.json",
            owner=owner,
            on_change=self.changes.append,
            on_alive=self._alive,
            on_trouble=self.troubles.append,
        )

    def _alive(self) -> None:
        self.alive += 1

    @contextlib.asynccontextmanager
    async def keeping(self) -> AsyncIterator[int]:
        lease_id = await self.lease.ensure()
        task = asyncio.create_task(self.lease.keep())
        yield lease_id
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task


async def test_is_kept_beyond_its_time(etcd: Etcd, tmp_path: Path) -> None:
    host = Host(etcd, tmp_path)
    async with host.keeping() as lease_id:
        await etcd.put("/a", b"", lease=lease_id)
        # Refreshed every third of four seconds: five of them are more than a life.
        await eventually(lambda: host.alive >= 5)
        assert await etcd.get("/a") is not None
        assert 1 < host.lease.remaining_seconds() <= 4
        assert host.lease.id == lease_id
    assert host.changes == []


async def test_is_taken_up_after_a_restart_and_no_watcher_sees_anything(
    etcd: Etcd, tmp_path: Path
) -> None:
    async with Host(etcd, tmp_path).keeping() as before:
        await etcd.put("/a", b"", lease=before)
    async with Watcher(etcd) as watcher:
        host = Host(etcd, tmp_path)
        async with host.keeping() as after:
            assert after == before
            await eventually(lambda: host.alive >= 4)
            assert await etcd.get("/a") is not None
        assert host.changes == []
        assert len(watcher.updates) == 1


@pytest.mark.parametrize(
    "other", [{"ttl_seconds": 3}, {"owner": "a copy of the disk"}], ids=["time", "owner"]
)
async def test_of_another_time_or_owner_is_left_alone(
    etcd: Etcd, tmp_path: Path, other: dict[str, Any]
) -> None:
    before = await Host(etcd, tmp_path, ttl_seconds=60).lease.ensure()
    host = Host(etcd, tmp_path, **{"ttl_seconds": 60, **other})
    assert await host.lease.ensure() != before
    # Keys that were put on it stay until their owner has put them on the new one.
    assert await etcd.time_to_live(before) is not None


async def test_that_ended_while_we_were_away_is_replaced(etcd: Etcd, tmp_path: Path) -> None:
    before = await Host(etcd, tmp_path).lease.ensure()
    await etcd.revoke(before)
    assert await Host(etcd, tmp_path).lease.ensure() != before


async def test_that_is_revoked_behind_our_back_is_replaced_at_once_when_doubted(
    etcd: Etcd, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(lease, "LONGEST_PAUSE_SECONDS", 60.0)
    host = Host(etcd, tmp_path, ttl_seconds=60)
    async with host.keeping() as before:
        await eventually(lambda: host.alive >= 1)
        await etcd.revoke(before)
        host.lease.doubt()
        # Without a doubt it would be refreshed, and found out, after a third of its time.
        assert await eventually(lambda: host.changes) < 15
        assert host.changes == [host.lease.id]
        assert host.lease.id != before
        assert "was lost" in host.troubles[0]
        # And the new one is what the next life takes up.
        assert await Host(etcd, tmp_path, ttl_seconds=60).lease.ensure() == host.lease.id


async def test_in_a_wiped_cluster_is_replaced(
    etcd: Etcd,
    etcd_server: EtcdServer,
    tmp_path: Path,
    record_property: Callable[[str, object], None],
) -> None:
    host = Host(etcd, tmp_path)
    async with host.keeping():
        await etcd_server.process.kill()
        etcd_server.wipe()
        await etcd_server.start()
        seconds = await eventually(lambda: host.changes, "a new lease is made")
        record_property("recovery_seconds", round(seconds, 2))
        await etcd.put("/a", b"", lease=host.lease.id)


async def test_revoked_at_the_end_takes_its_keys_and_its_file(etcd: Etcd, tmp_path: Path) -> None:
    host = Host(etcd, tmp_path, ttl_seconds=60)
    async with host.keeping() as lease_id:
        await etcd.put("/a", b"", lease=lease_id)
    await host.lease.revoke()
    assert await etcd.get("/a") is None
    assert list((tmp_path / "state").iterdir()) == []
    assert host.lease.remaining_seconds() == 0
