"""Drains and held stops: what is kept out, for how long, and what is told of it."""

import asyncio
import signal
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from registrar.census import Census
from registrar.drained import Drain, Drains
from registrar.drains import absences, departures
from registrar.drains.absences import Absences
from registrar.drains.departures import Behind, Departures, Leaving
from registrar.host.claim import Claim
from registrar.ports import berths
from registrar.ports.berths import Berths
from registrar.ports.containers import Told
from registrar.porttable import PortRange
from registrar.registry.registry import Registry
from registrar.state import State
from tests.stack.etcd import eventually
from wharfinger.container import Container, DockerEvent, Listed
from wharfinger.errors import Unavailable
from wharfinger.etcd import Etcd
from wharfinger.events import Events
from wharfinger.keys import InstanceKey, host_key
from wharfinger.sections import EtcdConfig

A, B = "a" * 64, "b" * 64
RECORD = host_key("box", "registrar")
LABELS = {"wharfinger.app": "shop", "wharfinger.env": "prod", "wharfinger.drain": "7"}
KEY = InstanceKey.parse("/shop_prod/10.0.0.5-20000")
TERM, KILL = int(signal.SIGTERM), int(signal.SIGKILL)


def container(container_id: str = A, **fields: Any) -> Container:
    described = {"running": True, "network_mode": "host", "labels": LABELS, "started_at_ns": 1}
    return Container(id=container_id, name=f"shop-{container_id[0]}", **(described | fields))


class Port:
    """Absences whose registry and departures do as they are told."""

    def __init__(self, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.held: dict[str, tuple[InstanceKey, ...]] = {A: (KEY,)}
        self.gone = asyncio.Event()
        self.departed: list[Leaving] = []
        self.trouble: Exception | None = None
        self.told: list[tuple[str, Told]] = []
        self.replans = 0
        self.events = Events()
        self.state = State(folder)
        self.census = Census({})
        etcd = Etcd(EtcdConfig())
        registry = Registry(
            etcd, "box", self.events, Claim(etcd, host="box", key=RECORD, saved=None)
        )
        self.berths = Berths(
            self.state, self.census, self.events, lambda: PortRange(20_000, 20_009)
        )
        self.berths.assignments = self.berths.assignments.adopt(A, 20_000)
        own = Departures(
            etcd,
            registry,
            self.census,
            lease=lambda: 1,
            ports=lambda: self.berths.assignments.ports,
        )
        monkeypatch.setattr(Registry, "by_container", property(lambda _self: self.held))
        monkeypatch.setattr(Registry, "holder", lambda *_: None)
        monkeypatch.setattr(Departures, "depart", self._depart)
        monkeypatch.setattr(departures, "CONNECTIONS_LOOK_SECONDS", 0.001)
        monkeypatch.setattr(
            berths.containers,
            "tell",
            lambda who, _pid, told, **_proc: self.told.append((who, told)),
        )
        self.absences = Absences(
            state=self.state,
            census=self.census,
            registry=registry,
            berths=self.berths,
            departures=own,
            events=self.events,
            replan=self._replan,
        )
        self.census.listed(Listed((container(), container(B, network_mode="bridge"))))

    def _replan(self) -> None:
        self.replans += 1

    async def _depart(self, leaving: list[Leaving], *_: Any, **__: Any) -> None:
        self.departed += leaving
        await self.gone.wait()
        if self.trouble is not None:
            raise self.trouble

    def kinds(self) -> list[object]:
        return [line["event"] for _, line in self.events.since(0)]


@pytest.fixture
async def port(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Port]:
    made = Port(tmp_path, monkeypatch)
    yield made
    await made.absences.close()


async def test_a_stop_is_held_once_for_all_who_ask_and_the_script_is_told(port: Port) -> None:
    hold = await port.absences.hold(A, TERM)
    assert hold is not None
    assert hold.seconds == absences.HOLD_SECONDS + 7 + 1
    assert port.absences.out() == {A: "was told to stop"}
    assert port.told == [(A, Told(20_000, 0))]
    assert port.replans == 1
    assert await port.absences.hold(A, TERM) is hold
    port.gone.set()
    await hold.departure
    (leaving,) = port.departed
    assert (leaving.keys, leaving.ports, leaving.drain_seconds) == ((KEY,), (20_000,), 7)
    assert await port.absences.hold(A, TERM) is None
    assert port.absences.out() == {A: "was told to stop"}


async def test_what_is_no_stop_is_not_held(port: Port) -> None:
    assert await port.absences.hold("c" * 64, TERM) is None  # nobody knows it
    assert await port.absences.hold(A, KILL) is None
    assert await port.absences.hold(A, int(signal.SIGHUP)) is None
    assert await port.absences.hold(B, TERM) is None  # nothing of it is registered
    port.census.looked(A, container(stop_signal=int(signal.SIGQUIT)))
    assert await port.absences.hold(A, TERM) is None
    port.census.looked(A, container(running=False))
    assert await port.absences.hold(A, int(signal.SIGQUIT)) is None
    assert port.absences.out() == {}
    assert not port.departed


async def test_a_later_run_is_registered_as_ever_and_may_be_held_again(port: Port) -> None:
    first = await port.absences.hold(A, TERM)
    assert first is not None
    port.census.looked(A, container(started_at_ns=2))
    assert port.absences.out() == {}
    second = await port.absences.hold(A, TERM)
    assert second is not None
    assert second is not first
    first.departure.cancel()


async def test_one_whose_signal_never_comes_is_let_back_in(
    port: Port, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(absences, "SIGNAL_SECONDS", 0.01)
    hold = await port.absences.hold(A, TERM)
    assert hold is not None
    port.gone.set()
    await hold.departure
    await eventually(lambda: port.absences.out() == {})
    assert port.replans == 2
    assert await port.absences.hold(A, TERM) is not None


async def test_a_discovery_that_hangs_ends_a_hold_after_the_drain_time(
    port: Port, monkeypatch: pytest.MonkeyPatch
) -> None:
    flown: list[Leaving] = []

    async def fly(_own: object, leaving: list[Leaving], _tell: object) -> None:
        flown.extend(leaving)

    monkeypatch.setattr(Departures, "in_flight", fly)
    port.trouble = Behind(["edge-1"], 10.0)
    port.gone.set()
    hold = await port.absences.hold(A, TERM)
    assert hold is not None
    await hold.departure
    assert [each.container_id for each in flown] == [A]
    assert port.kinds()[-2:] == ["stop not acknowledged", "stop let go"]


async def test_a_drain_keeps_its_first_name_and_its_keys(port: Port) -> None:
    await port.absences.drain(A, "ann")
    port.held.clear()  # it is out now
    leaving = await port.absences.drain(A, "bob")
    assert leaving.keys == (KEY,)
    assert port.absences.drains.containers[A].by == "ann"
    (candidate, other) = port.absences.candidates()
    assert candidate.endpoints == {"10.0.0.5:20000"}
    assert other.keys == ()
    assert await port.absences.undrain(A)
    assert not await port.absences.undrain(A)
    assert port.absences.drains == Drains()


async def test_a_host_is_drained_apart_from_its_containers(port: Port) -> None:
    await port.absences.drain(A, "ann")
    assert [each.container_id for each in await port.absences.drain_host("bob")] == [A]
    assert port.absences.out().keys() == {A, B}
    assert await port.absences.undrain_host()
    assert not await port.absences.undrain_host()
    assert port.absences.out().keys() == {A}


@pytest.mark.parametrize("what", ["drain", "drain_host", "undrain", "undrain_host"])
async def test_what_cannot_be_kept_is_not_done(port: Port, tmp_path: Path, what: str) -> None:
    await port.absences.drain(A, "ann")
    if what.startswith("undrain"):
        await port.absences.drain_host("ann")
    before, replans = port.absences.drains, port.replans
    path = tmp_path / "drains.json"
    path.rename(tmp_path / "moved")
    path.mkdir()
    work = {
        "drain": lambda: port.absences.drain(B, "bob"),
        "drain_host": lambda: port.absences.drain_host("bob"),
        "undrain": lambda: port.absences.undrain(A),
        "undrain_host": port.absences.undrain_host,
    }
    with pytest.raises(Unavailable, match="cannot be written"):
        await work[what]()
    assert port.absences.drains is before
    assert port.replans == replans


async def test_who_is_gone_is_forgotten_and_who_cannot_be_seen_is_not(
    port: Port, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(absences, "LOOK_SECONDS", 0.001)
    await port.absences.drain(A, "ann")
    await port.absences.drain(B, "ann")
    running = asyncio.create_task(port.absences.run())
    port.census.happened(DockerEvent(A, "destroy", 2))
    port.census.listed(Listed((), frozenset({B})))
    await eventually(lambda: port.absences.drains.containers.keys() == {B})
    assert port.state.load_drains()[0].containers.keys() == {B}
    running.cancel()


async def test_an_engine_that_knows_nobody_ends_no_drain_for_a_day(
    port: Port, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(absences, "LOOK_SECONDS", 0.001)
    await port.absences.drain(A, "ann")
    await port.absences.drain(B, "ann")
    running = asyncio.create_task(port.absences.run())
    port.census.happened(DockerEvent(B, "destroy", 2))
    port.census.listed(Listed(()))
    await eventually(lambda: B not in port.absences.drains.containers)
    assert port.absences.drains.containers.keys() == {A}
    port.census.listed(Listed((container(),)))
    assert port.absences.out().keys() == {A}
    monkeypatch.setattr(absences, "MISSING_SECONDS", 0.0)
    port.census.listed(Listed(()))
    await eventually(lambda: port.absences.drains == Drains())
    running.cancel()


async def test_before_docker_has_told_nobody_is_unknown(port: Port) -> None:
    port.census.complete = False
    with pytest.raises(Unavailable, match="Docker has not told yet"):
        port.absences.candidates()


async def test_damaged_drains_are_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "drains.json").write_bytes(b"\x00")
    port = Port(tmp_path, monkeypatch)
    assert port.absences.drains == Drains()
    assert port.kinds() == ["drains lost"]
    (tmp_path / "drains.damaged").unlink()
    await State(tmp_path).save_drains(Drains().of_container(A, Drain("ann", "now")))
    assert Port(tmp_path, monkeypatch).absences.out() == {A: "drained by ann since now"}
