"""What is served while it is being judged what was lost, and what survives a restart."""

import asyncio
import threading
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from discovery.guard import REMEMBER_SECONDS, Known
from discovery.memory import Memory
from discovery.model import Route
from discovery.observer import Observer
from discovery.services.tree import Tree
from wharfinger import kv
from wharfinger.errors import Unavailable
from wharfinger.kv import LeaseLife
from wharfinger.lifecycle import Scope
from wharfinger.notify import Notifier
from wharfinger.operator.parts.process import until


def pair(port: int, lease: int = 7) -> dict[str, kv.KeyValue]:
    name = f"shop_prod/127.0.0.1-{port}"
    values = {f"/{name}": f"127.0.0.1:{port}".encode(), f"/wharfinger/instances/{name}": b"{}"}
    return {key: kv.KeyValue(key, value, 1, 1, 1, lease) for key, value in values.items()}


class SlowEtcd:
    """Answers what it is told to, when it is told to."""

    endpoint = "etcd:1"

    def __init__(self, life: LeaseLife | Exception | None) -> None:
        self.life = life
        self.asked, self.answer = asyncio.Event(), asyncio.Event()

    async def time_to_live(self, _lease: int) -> LeaseLife | None:
        self.asked.set()
        await self.answer.wait()
        if isinstance(self.life, Exception):
            raise self.life
        return self.life


def observer(etcd: Any, folder: Path) -> Observer:
    scope = Scope("discovery", Notifier())
    return Observer(etcd, ["/"], scope=scope, state_dir=folder, on_change=lambda: None)


async def addresses(seen: Observer) -> list[str]:
    return [i.address for s in (await seen.served()).services for i in s.instances]


async def test_nothing_is_served_from_a_past_that_etcd_has_yet_to_tell_of(tmp_path: Path) -> None:
    """A watch tells how far it is; see tests/wharfinger/test_watch.py."""
    etcd = SlowEtcd(LeaseLife(9, 15, ()))
    etcd.answer.set()
    seen = observer(etcd, tmp_path)
    await seen.take(kv.Listed(kv.Snapshot(1, pair(9))))

    class Watch:
        told = asyncio.Event()

        async def caught_up(self) -> None:
            await self.told.wait()

    seen._heard = Watch()  # type: ignore[assignment]
    reading = asyncio.create_task(addresses(seen))
    done, _ = await asyncio.wait({reading}, timeout=0.05)
    assert not done
    # What it tells is taken meanwhile.
    await seen.take(kv.Changed(2, tuple(kv.Event(key, 2, None) for key in pair(9))))
    Watch.told.set()
    assert await reading == []


@pytest.mark.parametrize(
    ("life", "served"),
    [
        (None, ["127.0.0.1:9"]),
        (Unavailable("no answer"), ["127.0.0.1:9"]),
        (LeaseLife(9, 15, ()), []),
    ],
    ids=["the lease ended", "nobody to ask", "the lease lives: somebody deleted them"],
)
async def test_nothing_is_served_between_loss_and_judgement(
    tmp_path: Path, life: LeaseLife | Exception | None, served: list[str]
) -> None:
    etcd = SlowEtcd(life)
    seen = observer(etcd, tmp_path)
    entries = pair(9)
    await seen.take(kv.Listed(kv.Snapshot(1, entries)))
    assert await addresses(seen) == ["127.0.0.1:9"]
    deletions = tuple(kv.Event(key, 2, None) for key in entries)
    judging = asyncio.create_task(seen.take(kv.Changed(2, deletions)))
    await etcd.asked.wait()
    reading = asyncio.create_task(addresses(seen))
    done, _ = await asyncio.wait({reading}, timeout=0.05)
    assert not done
    etcd.answer.set()
    await judging
    assert await reading == served


class Leases:
    """Knows which leases live."""

    endpoint = "etcd:1"

    def __init__(self, *living: int) -> None:
        self._living = living

    async def time_to_live(self, lease: int) -> LeaseLife | None:
        return LeaseLife(9, 9, ()) if lease in self._living else None


def gone(revision: int, *ports: int) -> list[kv.Event]:
    return [kv.Event(key, revision, None) for port in ports for key in pair(port)]


def came(revision: int, port: int, lease: int) -> list[kv.Event]:
    entries = pair(port, lease).values()
    return [kv.Event(each.key, revision, replace(each, mod_revision=revision)) for each in entries]


@pytest.mark.parametrize("together", [True, False])
@pytest.mark.parametrize(("living", "served"), [((8,), [10]), ((), [9, 10])])
async def test_what_came_back_and_was_taken_out_is_not_kept_though_it_was_never_seen(
    tmp_path: Path, together: bool, living: tuple[int, ...], served: list[int]
) -> None:
    """A registrar that is back after etcd was drains an instance in the same moment."""
    seen = observer(Leases(*living), tmp_path)
    await seen.take(kv.Listed(kv.Snapshot(4, pair(9) | pair(10))))
    parts = [gone(5, 9, 10), came(6, 9, lease=8), gone(7, 9)]
    updates = [[each for part in parts for each in part]] if together else parts
    for events in updates:
        await seen.take(kv.Changed(events[-1].revision, tuple(events)))
    assert await addresses(seen) == [f"127.0.0.1:{port}" for port in served]


@pytest.mark.parametrize("together", [True, False])
@pytest.mark.parametrize(("living", "served"), [((8,), [10]), ((), [9, 10])])
async def test_what_leaves_though_its_lease_was_lost_is_not_kept(
    tmp_path: Path, together: bool, living: tuple[int, ...], served: list[int]
) -> None:
    """Its registrar has nothing to delete any more, and marks that it goes."""
    seen = observer(Leases(*living), tmp_path)
    await seen.take(kv.Listed(kv.Snapshot(4, pair(9) | pair(10))))
    metadata = "/wharfinger/instances/shop_prod/127.0.0.1-9"
    mark = [each for each in came(6, 9, lease=8) if each.key == metadata]
    parts = [gone(5, 9, 10), mark, [kv.Event(metadata, 7, None)]]
    updates = [[each for part in parts for each in part]] if together else parts
    for events in updates:
        await seen.take(kv.Changed(events[-1].revision, tuple(events)))
    assert await addresses(seen) == [f"127.0.0.1:{port}" for port in served]


async def test_the_next_life_compares_its_first_list(tmp_path: Path) -> None:
    Memory(tmp_path).keep(kv.Snapshot(100, pair(9)))
    seen = observer(SlowEtcd(None), tmp_path)
    await seen.take(kv.Listed(kv.Snapshot(3, {})))
    assert await addresses(seen) == ["127.0.0.1:9"]


async def test_what_is_kept_is_kept_in_the_next_life_too(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("discovery.observer.MEMORY_INTERVAL_SECONDS", 0.01)
    seen = observer(SlowEtcd(None), tmp_path)
    await seen.take(kv.Listed(kv.Snapshot(100, pair(9, lease=0) | pair(10, lease=0))))
    await seen.take(kv.Listed(kv.Snapshot(3, {})))
    writing = asyncio.create_task(seen.run_memory())

    async def kept() -> bool:
        return len(Memory(tmp_path).kept()) == 2

    await until(kept, timeout_seconds=5, what="both are written down as kept")
    writing.cancel()
    # The store that was wiped goes on: nothing about it says any more that something is lost.
    again = observer(SlowEtcd(None), tmp_path)
    await again.take(kv.Listed(kv.Snapshot(4, {})))
    assert await addresses(again) == ["127.0.0.1:9", "127.0.0.1:10"]
    assert len(again.status()["kept"]) == 2
    await again.take(kv.Listed(kv.Snapshot(5, pair(9, lease=0))))
    assert [one["key"] for one in again.status()["kept"]] != []
    await again.served()
    assert [one["key"] for one in again.status()["kept"]] == ["/shop_prod/127.0.0.1-10"]


async def test_a_host_that_is_back_is_believed_without_further_news(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("discovery.observer.PROBE_INTERVAL_SECONDS", 0.01)
    monkeypatch.setattr("discovery.guard.RETURN_SECONDS", 0.05)
    server = await asyncio.start_server(lambda _reader, writer: writer.close(), "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    seen = observer(SlowEtcd(None), tmp_path)
    both = pair(9) | pair(port)
    for at in (9, port):
        key = f"/wharfinger/instances/shop_prod/127.0.0.1-{at}"
        both[key] = kv.KeyValue(key, b'{"host": "h1"}', 1, 1, 1, 7)
    await seen.take(kv.Listed(kv.Snapshot(100, both)))
    await seen.take(kv.Listed(kv.Snapshot(3, {})))
    back = {key: entry for key, entry in both.items() if key.endswith("-9")}
    await seen.take(kv.Listed(kv.Snapshot(4, back)))
    await seen.served()
    assert len(seen.status()["kept"]) == 1
    probing = asyncio.create_task(seen.run_guard())

    async def let_go() -> bool:
        return not seen.status()["kept"]

    await until(let_go, timeout_seconds=5, what="it is let go although it answers")
    probing.cancel()
    server.close()
    await server.wait_closed()


async def test_what_a_next_life_remembers_is_not_older_than_it_says(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    now = [1_000_000.0]
    monkeypatch.setattr("discovery.observer.time.time", lambda: now[0])
    seen = observer(SlowEtcd(None), tmp_path)
    writing = asyncio.create_task(seen.run_memory())
    await seen.take(kv.Listed(kv.Snapshot(1, pair(9))))
    for later in (0.0, REMEMBER_SECONDS + 1):
        now[0] += later
        await seen.served()
        await until(
            lambda: _known_since(tmp_path, now[0]), timeout_seconds=20, what="it is written"
        )
    now[0] -= 1
    writing.cancel()
    again = observer(SlowEtcd(LeaseLife(9, 15, ())), tmp_path)
    names = [service.name for service in (await again.served()).services]
    assert names == ["shop_prod"], "it had an instance a moment ago"


async def _known_since(folder: Path, at: float) -> bool:
    return any(one.seen_at == at for one in Memory(folder).known().values())


async def test_what_could_not_be_written_is_told_once_and_written_later(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("discovery.observer.MEMORY_INTERVAL_SECONDS", 0.01)
    folder = tmp_path / "gone"
    seen = observer(SlowEtcd(None), folder)
    writing = asyncio.create_task(seen.run_memory())
    await seen.take(kv.Listed(kv.Snapshot(1, pair(9))))

    def told() -> int:
        return sum("memory not written" in str(each) for each in seen._scope.events.since(0))

    async def refused() -> bool:
        await seen.served()
        return bool(told())

    await until(refused, timeout_seconds=20, what="it could not be written")
    folder.mkdir()

    async def written() -> bool:
        await seen.served()
        return bool(Memory(folder).instances().items and Memory(folder).known())

    await until(written, timeout_seconds=20, what="it is written")
    writing.cancel()
    assert told() == 1


async def test_memory_is_written_beside_the_loop(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    threads = []
    write = Memory.keep_known

    def noted(self: Memory, known: Any) -> None:
        threads.append(threading.current_thread())
        write(self, known)

    monkeypatch.setattr(Memory, "keep_known", noted)
    seen = observer(SlowEtcd(None), tmp_path)
    await seen.take(kv.Listed(kv.Snapshot(1, pair(9))))
    for _ in range(3):
        await seen.served()
    assert not threads, "what is served waits for no disk"
    writing = asyncio.create_task(seen.run_memory())

    async def written() -> bool:
        await seen.served()
        return bool(Memory(tmp_path).known())

    await until(written, timeout_seconds=20, what="it is written")
    writing.cancel()
    assert len(threads) == 1
    assert threads[0] is not threading.main_thread()


async def test_what_comes_while_memory_is_written_is_written_next(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("discovery.observer.MEMORY_INTERVAL_SECONDS", 0.01)
    keep, begun, go = Memory.keep, threading.Event(), threading.Event()

    def slow(memory: Memory, *what: Any) -> None:
        begun.set()
        go.wait(5)
        keep(memory, *what)

    monkeypatch.setattr(Memory, "keep", slow)
    seen = observer(SlowEtcd(None), tmp_path)
    await seen.take(kv.Listed(kv.Snapshot(1, pair(9))))
    writing = asyncio.create_task(seen.run_memory())
    assert await asyncio.to_thread(begun.wait, 5)
    await seen.take(kv.Listed(kv.Snapshot(2, pair(9) | pair(10))))
    go.set()

    async def written() -> bool:
        return pair(10).keys() <= Memory(tmp_path).instances().items.keys()

    await until(written, timeout_seconds=5, what="the later one is written, too")
    writing.cancel()


async def test_a_pass_without_a_daemon_remembers_its_services_too(tmp_path: Path) -> None:
    seen = observer(SlowEtcd(None), tmp_path)
    await seen.take(kv.Listed(kv.Snapshot(1, pair(9))))
    await seen.served()
    await seen.save()
    assert list(Memory(tmp_path).known()) == ["shop_prod"]


def test_what_is_written_comes_back(tmp_path: Path) -> None:
    memory = Memory(tmp_path)
    known = {"shop_prod": Known(1.5, (Route("shop.test", "/"),))}
    memory.keep_known(known)
    tree = Tree()
    others = {"/own/key": kv.KeyValue("/own/key", b"\xff", 1, 1, 1, 0)}
    tree.hear(kv.Listed(kv.Snapshot(42, {**pair(9), **others})))
    memory.keep(tree.instances())
    assert memory.known() == known
    assert memory.instances() == kv.Snapshot(42, pair(9))


@pytest.mark.parametrize(
    "garbage", [b"", b"{", b"\xff", b"[]", b'{"a;b_c": {"seen_at": 1}}', b'{"revision": "x"}']
)
def test_garbage_is_an_empty_memory(tmp_path: Path, garbage: bytes) -> None:
    for name in ("services.json", "instances.json"):
        (tmp_path / name).write_bytes(garbage)
    assert Memory(tmp_path).known() == {}
    assert Memory(tmp_path).instances() == kv.Snapshot(0, {})


async def test_each_list_is_a_reason_to_render(tmp_path: Path) -> None:
    # As with confd's -interval: a template may have asked DNS, or have failed for its time.
    told = []
    seen = Observer(
        SlowEtcd(None),  # type: ignore[arg-type]
        ["/"],
        scope=Scope("discovery", Notifier()),
        state_dir=tmp_path,
        on_change=lambda: told.append(1),
    )
    for times in (1, 2):
        await seen.take(kv.Listed(kv.Snapshot(1, pair(9))))
        assert len(told) == times
    await seen.take(kv.Changed(2, ()))
    assert len(told) == 2


async def test_a_list_beside_the_watch_finds_what_the_watch_has_missed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    lists = [pair(1), {**pair(1), **pair(2)}]
    listed: list[int] = []

    class DeafWatch:
        """Lists when it begins, and hears nothing after that."""

        def __init__(self, *_: object, **__: object) -> None:
            pass

        async def __aiter__(self) -> AsyncIterator[kv.Update]:
            listed.append(len(listed))
            yield kv.Listed(kv.Snapshot(len(listed), lists[min(len(listed), 2) - 1]))
            await asyncio.Event().wait()

        async def caught_up(self) -> None:
            pass

    monkeypatch.setattr("discovery.observer.Watch", DeafWatch)
    seen = observer(SlowEtcd(None), tmp_path)
    running = asyncio.create_task(seen.run())
    await seen.listed.wait()
    assert await addresses(seen) == ["127.0.0.1:1"]
    seen.relist()

    async def found() -> bool:
        return await addresses(seen) == ["127.0.0.1:1", "127.0.0.1:2"]

    await until(found, timeout_seconds=10, what="the second list is taken in")
    running.cancel()
