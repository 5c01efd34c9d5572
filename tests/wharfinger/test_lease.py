"""The keeping of a lease, in virtual time."""

import asyncio
import contextlib
from collections import deque
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from wharfinger import lease as lease_module
from wharfinger.backoff import Backoff
from wharfinger.errors import Unavailable
from wharfinger.etcd.faults import Disconnected
from wharfinger.kv import Lease
from wharfinger.lease import HostLease, SavedLease, Term, load, save

pytestmark = pytest.mark.looptime


def now() -> float:
    return asyncio.get_running_loop().time()


class Server:
    """Stands for the session. `refreshes` holds the next answers; then all goes well."""

    def __init__(self, ttl_seconds: int = 15) -> None:
        self.ttl_seconds = ttl_seconds
        self.refreshes: deque[int | float | Exception] = deque()
        self.grants: deque[Exception] = deque()
        self.granted: list[int] = []
        self.revoked: list[int] = []
        self.asked: list[tuple[float, int]] = []
        self.streams = 0
        self.reads = 0

    async def lease_stream(self) -> "Server":
        self.streams += 1
        return self

    async def refresh(self, lease_id: int, timeout_seconds: float) -> int:
        self.asked.append((now(), lease_id))
        answer = self.refreshes.popleft() if self.refreshes else self.ttl_seconds
        if isinstance(answer, float):  # that many seconds late
            await asyncio.sleep(min(answer, timeout_seconds))
            if answer > timeout_seconds:
                raise Disconnected("it did not answer in time")
            return self.ttl_seconds
        if isinstance(answer, Exception):
            raise answer
        return answer

    async def close(self) -> None:
        pass

    async def get(self, key: str) -> None:
        self.reads += 1

    async def grant(self, ttl_seconds: int, lease_id: int) -> Lease:
        if self.grants:
            raise self.grants.popleft()
        self.granted.append(lease_id)
        return Lease(lease_id, ttl_seconds)

    async def revoke(self, lease_id: int) -> None:
        self.revoked.append(lease_id)


class Host:
    def __init__(self, server: Server, folder: Path, **more: Any) -> None:
        self.changes: list[int] = []
        self.lost: list[int] = []
        self.alive: list[float] = []
        self.troubles: list[str] = []
        self.lease = HostLease(
            server,  # type: ignore[arg-type]  # a scripted stand-in
            ttl_seconds=server.ttl_seconds,
            path=folder / "lease.json",
            owner="h",
            on_lost=lambda: self.lost.append(self.lease.id),
            on_change=self.changes.append,
            on_alive=lambda: self.alive.append(now()),
            on_trouble=self.troubles.append,
            clock=now,
            backoff=Backoff(0.1, 1.0, uniform=lambda _low, high: high),
            **more,
        )

    async def keep(self, seconds: float) -> None:
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self.lease.keep()


@pytest.fixture(autouse=True)
def _threads_take_no_time(monkeypatch: pytest.MonkeyPatch) -> None:
    async def at_once(function: Callable[..., object], *arguments: object) -> object:
        return function(*arguments)

    monkeypatch.setattr(asyncio, "to_thread", at_once)


@pytest.mark.parametrize(("ttl_seconds", "pause_seconds"), [(6, 2), (15, 5), (60, 5)])
async def test_refreshes_three_times_in_its_life_and_often_enough(
    tmp_path: Path, ttl_seconds: int, pause_seconds: float
) -> None:
    server = Server(ttl_seconds)
    host = Host(server, tmp_path)
    await host.lease.ensure()
    await host.keep(60.5)
    times = [at for at, _ in server.asked]
    gaps = {round(after - before, 3) for before, after in pairwise(times)}
    assert gaps == {pause_seconds}
    assert server.streams == 1
    assert host.troubles == []


async def test_time_is_counted_from_the_question_not_from_the_answer(tmp_path: Path) -> None:
    server = Server(15)
    host = Host(server, tmp_path)
    await host.lease.ensure()
    server.refreshes.append(1.5)
    await host.keep(2.0)
    assert host.lease.remaining_seconds() == pytest.approx(13.0)


def test_a_term_ends_and_stays_at_its_end() -> None:
    term = Term(7).renewed(100.0, 15)
    assert term.remaining_seconds(110.0) == 5
    assert term.remaining_seconds(115.0) == term.remaining_seconds(999.0) == 0
    assert Term().remaining_seconds(0.0) == 0


async def test_an_outage_longer_than_its_life_is_noticed_by_our_own_clock(tmp_path: Path) -> None:
    server = Server(6)
    host = Host(server, tmp_path)
    before = await host.lease.ensure()
    server.refreshes.extend([Disconnected("away")] * 20)
    await host.keep(30)
    assert "ends in 6 s: away" in host.troubles[0]
    assert any("may have ended: away" in why for why in host.troubles)
    # etcd gives a lease its whole time anew when it starts again: it lives, nothing was lost.
    assert host.changes == []
    assert host.lease.id == before
    assert host.alive[-1] > 20


async def test_an_answer_that_comes_too_late_means_another_stream(tmp_path: Path) -> None:
    server = Server(15)
    host = Host(server, tmp_path)
    await host.lease.ensure()
    server.refreshes.append(30.0)
    await host.keep(5)
    assert server.streams == 2
    assert server.asked[1][0] == pytest.approx(2.1)
    assert host.changes == []


async def test_a_lease_that_is_denied_once_is_not_lost(tmp_path: Path) -> None:
    server = Server()
    host = Host(server, tmp_path)
    before = await host.lease.ensure()
    server.refreshes.append(0)
    await host.keep(1)
    assert (host.lease.id, host.changes, host.lost, server.reads) == (before, [], [], 1)
    assert host.troubles == []


async def test_a_lost_lease_is_replaced_and_everybody_told(tmp_path: Path) -> None:
    server = Server()
    host = Host(server, tmp_path)
    before = await host.lease.ensure()
    server.refreshes.extend([0, 0])
    await host.keep(6)
    assert host.changes == [host.lease.id]
    assert host.lost == [before]  # told while there was no other that anything could be put on
    assert host.lease.id != before
    assert host.lease.remaining_seconds() > 10
    assert server.asked[-1] == (pytest.approx(5.0), host.lease.id)
    saved = load(tmp_path / "lease.json")
    assert saved is not None
    assert int(saved.lease, 16) == host.lease.id


async def test_a_new_lease_that_is_not_to_be_had_at_once_is_told_of_once(tmp_path: Path) -> None:
    server = Server()
    host = Host(server, tmp_path)
    before = await host.lease.ensure()
    server.refreshes.extend([0, 0] * 3)
    server.grants.extend([Unavailable("away")] * 2)
    await host.keep(5)
    assert host.changes == [host.lease.id]
    assert host.lost == [before]
    assert host.alive


async def test_doubt_looks_at_once(tmp_path: Path) -> None:
    server = Server(60)
    host = Host(server, tmp_path)
    await host.lease.ensure()
    keeping = asyncio.create_task(host.keep(3))
    await asyncio.sleep(1)
    host.lease.doubt()
    await keeping
    assert [at for at, _ in server.asked] == [pytest.approx(0.0), pytest.approx(1.0)]


async def test_a_full_disk_takes_nobody_out_but_is_red_until_it_is_mended(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    server = Server()
    host = Host(server, tmp_path)

    def full(path: Path, saved: SavedLease) -> None:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(lease_module, "save", full)
        assert await host.lease.ensure()
        await host.keep(6)
    assert host.alive == []
    assert "No space left on device" in host.troubles[0]
    await host.keep(1)
    assert host.alive
    assert load(tmp_path / "lease.json") is not None


async def test_an_etcd_that_is_away_at_the_start_leaves_the_saved_lease_alone(
    tmp_path: Path,
) -> None:
    server = Server()
    before = await Host(server, tmp_path).lease.ensure()
    server.refreshes.append(Disconnected("away"))
    again = Host(server, tmp_path)
    with pytest.raises(Unavailable):
        await again.lease.ensure()
    assert await again.lease.ensure() == before
    assert server.granted == [before]


async def test_revoking_forgets_it(tmp_path: Path) -> None:
    server = Server()
    host = Host(server, tmp_path)
    await host.lease.revoke()
    assert server.revoked == []
    before = await host.lease.ensure()
    await host.lease.revoke()
    assert server.revoked == [before]
    assert host.lease.id == 0
    assert load(tmp_path / "lease.json") is None


SAVED = b'{"lease":"1f","ttl_seconds":15,"owner":"h"}'


@pytest.mark.parametrize(
    ("content", "lease"),
    [
        (SAVED, "1f"),
        (b"", None),
        (SAVED[:-5], None),
        (b"\xff\xfe", None),
        (b"[]", None),
        (SAVED.replace(b"1f", b"xyz"), None),
        (SAVED.replace(b"1f", b"0"), None),
        (SAVED.replace(b"1f", b"-1"), None),
        (SAVED.replace(b"1f", b"f" * 17), None),
        (SAVED.replace(b'"h"', b"null"), None),
    ],
)
def test_only_what_makes_sense_is_taken_up(
    tmp_path: Path, content: bytes, lease: str | None
) -> None:
    path = tmp_path / "lease.json"
    path.write_bytes(content)
    saved = load(path)
    assert (saved.lease if saved else None) == lease


def test_saved_and_loaded(tmp_path: Path) -> None:
    path = tmp_path / "not" / "there" / "lease.json"
    assert load(path) is None
    save(path, SavedLease("1f", 15, "h"))
    assert load(path) == SavedLease("1f", 15, "h")
