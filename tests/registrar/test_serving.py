"""Who is told that the edges serve it, and when: not before, once in a run, and at last anyhow."""

import asyncio
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest

from registrar import serving
from registrar.census import Census
from registrar.model import Instance, Ready, Verdict, Waiting
from registrar.registry.registry import Registry
from registrar.serving import PATIENCE_SECONDS, Serving
from wharfinger.container import Container, DockerEvent, Listed
from wharfinger.errors import Rejected, Unavailable, WharfingerError
from wharfinger.etcd import Etcd
from wharfinger.events import Events
from wharfinger.keys import InstanceKey
from wharfinger.operator.parts.process import until

A, B = "a" * 64, "b" * 64
KEY = InstanceKey.parse("/shop_prod/10.0.0.5-20000")
NOTHING = {"tell_serving": None, "take_back_serving": None}
READY = (Ready(cast("Instance", None)),)


def container(container_id: str = A, started: int = 1, **labels: str) -> Container:
    labels = {"wharfinger.app": "shop", "wharfinger.env": "prod", **labels}
    return Container(
        id=container_id,
        name="shop",
        labels=labels,
        running=True,
        network_mode="host",
        started_at_ns=started,
        pid=10,
    )


def asking(container_id: str = A, started: int = 1) -> Container:
    return container(container_id, started, **{"wharfinger.serving": "tell"})


class Host:
    """What the loop sees of a host, and whom it told."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.census = Census({})
        self.verdicts: dict[str, tuple[Verdict, ...]] = {}
        self.keys: dict[str, tuple[InstanceKey, ...]] = {}
        self.now = 0.0
        self.behind: tuple[str, ...] = ()
        self.trouble: WharfingerError | None = None
        self.refusal: WharfingerError | None = None
        self.asked: list[int] = []
        self.told: list[str] = []
        self.taken_back: list[str] = []
        self.removed: dict[InstanceKey, int] = {}
        self.events = Events()
        monkeypatch.setattr(serving, "LOOK_SECONDS", 0.001)
        monkeypatch.setattr(serving, "acknowledged", self._acknowledged)
        monkeypatch.setattr(serving.containers, "tell_serving", self._tell)
        monkeypatch.setattr(serving.containers, "take_back_serving", self._take_back)
        registry = SimpleNamespace(
            revision=lambda _key: 7,
            by_container=self.keys,
            ledger=SimpleNamespace(removed_at=self.removed.get),
        )
        self.loop = Serving(
            cast("Etcd", None),
            self.census,
            cast("Registry", registry),
            verdicts=lambda: self.verdicts,
            events=self.events,
            clock=lambda: self.now,
        )

    def has(self, *containers: Container) -> None:
        self.census.listed(Listed(containers))

    def serves(self, container_id: str = A) -> None:
        self.verdicts[container_id] = READY
        self.keys[container_id] = (KEY,)

    async def until(self, condition: Callable[[], bool], what: str) -> None:
        async def holds() -> bool:
            return condition()

        await until(holds, timeout_seconds=5, what=what)

    async def _acknowledged(self, _etcd: Etcd, revision: int, **_: Any) -> tuple[str, ...]:
        self.asked.append(revision)
        await asyncio.sleep(0)
        if self.trouble is not None:
            raise self.trouble
        return self.behind

    def _tell(self, container_id: str, _pid: int, *, proc: Path) -> None:
        assert proc == Path("/proc")
        if self.refusal is not None:
            raise self.refusal
        self.told.append(container_id)

    def _take_back(self, container_id: str, _pid: int, *, proc: Path) -> None:
        assert proc == Path("/proc")
        self.taken_back.append(container_id)

    def stop(self) -> None:
        """Tells A to stop, as an event says."""
        signal = {"signal": "15"}
        self.census.happened(DockerEvent(A, "kill", 2, attributes=signal))


@pytest.fixture
async def host(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Host]:
    monkeypatch.setattr(serving, "containers", SimpleNamespace(**NOTHING))
    made = Host(monkeypatch)
    task = asyncio.create_task(made.loop.run())
    yield made
    task.cancel()
    await asyncio.wait([task])


async def test_one_that_every_edge_serves_is_told_once(host: Host) -> None:
    host.has(asking(), container(B))
    host.serves(A)
    host.serves(B)
    await host.until(lambda: bool(host.told), "it is told")
    host.has(asking(), container(B))
    await asyncio.sleep(0.05)
    assert host.told == [A]
    assert host.asked == [7]


async def test_the_next_run_is_told_anew(host: Host) -> None:
    host.has(asking())
    host.serves()
    await host.until(lambda: host.told == [A], "it is told")
    host.census.happened(DockerEvent(A, "die", 2))
    host.has(asking(started=3))
    await host.until(lambda: host.told == [A, A], "it is told again")


async def test_nobody_is_told_before_etcd_has_it_and_the_edges_serve_it(host: Host) -> None:
    host.has(asking())
    host.verdicts[A] = (Waiting("nothing listens yet"),)
    host.keys[A] = (KEY,)
    await asyncio.sleep(0.02)
    host.verdicts[A] = READY
    del host.keys[A]
    await asyncio.sleep(0.02)
    assert not host.asked
    host.behind = ("edge1",)
    host.keys[A] = (KEY,)
    await host.until(lambda: len(host.asked) > 2, "the edges are asked again")
    assert not host.told
    host.behind = ()
    await host.until(lambda: host.told == [A], "it is told")


@pytest.mark.parametrize("why", ["behind", "etcd does not answer", "no key"])
async def test_one_that_is_ready_is_told_at_last_whoever_is_away(host: Host, why: str) -> None:
    host.has(asking())
    host.serves()
    if why == "behind":
        host.behind = ("edge1",)
    elif why == "no key":
        host.keys.clear()
    else:
        host.trouble = Unavailable(why)
    await asyncio.sleep(0.02)
    assert not host.told
    host.now = PATIENCE_SECONDS
    await host.until(lambda: host.told == [A], "it is told")


async def test_patience_begins_anew_when_it_was_not_ready_meanwhile(host: Host) -> None:
    host.has(asking())
    host.serves()
    host.behind = ("edge1",)
    await host.until(lambda: bool(host.asked), "the edges are asked")
    host.verdicts[A] = (Waiting("its check fails"),)
    await asyncio.sleep(0.02)
    host.now = PATIENCE_SECONDS
    host.verdicts[A] = READY
    await asyncio.sleep(0.02)
    assert not host.told


async def test_one_that_cannot_be_told_is_given_up_and_said(host: Host) -> None:
    host.refusal = Rejected("its /dev/shm is full")
    host.has(asking())
    host.serves()
    await host.until(lambda: bool(host.asked), "the edges are asked")
    await asyncio.sleep(0.02)
    assert host.asked == [7]
    (said,) = [each for _, each in host.events.since(0) if each["event"] == "serving told"]
    assert "is full" in str(said["why"])


async def test_it_is_taken_back_when_no_edge_sends_there_any_more(host: Host) -> None:
    host.has(asking())
    host.serves()
    await host.until(lambda: host.told == [A], "it is told")
    host.stop()
    await asyncio.sleep(0.02)
    assert not host.taken_back  # its key stands yet
    host.behind = ("edge1",)
    del host.keys[A]
    host.removed[KEY] = 9
    await host.until(lambda: host.asked.count(9) > 1, "the edges are asked again")
    assert not host.taken_back
    host.behind = ()
    await host.until(lambda: host.taken_back == [A], "it is taken back")
    await asyncio.sleep(0.02)
    assert (host.told, host.taken_back) == ([A], [A])


async def test_of_one_that_was_never_in_etcd_it_is_taken_back_at_once(host: Host) -> None:
    host.has(asking())
    host.verdicts[A] = READY
    await asyncio.sleep(0.02)
    host.now = PATIENCE_SECONDS
    await host.until(lambda: host.told == [A], "it is told")
    host.stop()
    await host.until(lambda: host.taken_back == [A], "it is taken back")
