"""Departures: what leaves, whose connections are waited for, and when a removal counts as heard."""

import asyncio
import itertools
from collections.abc import Collection
from types import SimpleNamespace
from typing import Any

import pytest

from registrar.census import Census
from registrar.drains import departures
from registrar.drains.departures import Departures, Leaving, Step, upper_bound_seconds
from registrar.host.claim import Claim
from registrar.registry.registry import Registry
from tests.stack.etcd import config_of, eventually
from wharfinger.container import Container, Listed
from wharfinger.errors import Unavailable
from wharfinger.etcd import Etcd
from wharfinger.events import Events
from wharfinger.keys import InstanceKey, host_key
from wharfinger.kv import Put
from wharfinger.operator.parts.etcd import EtcdServer
from wharfinger.sections import EtcdConfig

A = "a" * 64
RECORD = host_key("box", "registrar")
KEY = InstanceKey.parse("/shop_prod/10.0.0.5-20000")


def made(etcd: Etcd | None = None, *containers: Container) -> Departures:
    etcd = etcd or Etcd(EtcdConfig())
    census = Census({})
    census.listed(Listed(containers))
    registry = Registry(etcd, "box", Events(), Claim(etcd, host="box", key=RECORD, saved=None))
    return Departures(etcd, registry, census, lease=lambda: 0, ports=lambda: {A: 20_000})


def container(**more: Any) -> Container:
    labels = {"wharfinger.app": "shop", "wharfinger.env": "prod", "wharfinger.drain": "7"}
    labels |= more.pop("labels", {})
    described = {"running": True, "network_mode": "host", "started_at_ns": 1} | more
    return Container(id=A, name="shop", labels=labels, **described)


class Kernel:
    """Says how many connections there are, as it is told."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.counts: dict[int, int] = {}
        self.trouble = False
        self.asked = 0
        monkeypatch.setattr(departures.sockets, "connections", self._connections)
        monkeypatch.setattr(departures, "CONNECTIONS_LOOK_SECONDS", 0.001)
        monkeypatch.setattr(departures, "QUIET_SECONDS", 0.01)

    def _connections(self, ports: Collection[int]) -> dict[int, int]:
        self.asked += 1
        if self.trouble:
            raise Unavailable("no netlink")
        return {port: self.counts.get(port, 0) for port in ports}


@pytest.fixture
def kernel(monkeypatch: pytest.MonkeyPatch) -> Kernel:
    return Kernel(monkeypatch)


def leaving(ports: tuple[int, ...] | None = (20_000,), drain_seconds: int = 60) -> Leaving:
    return Leaving(A, (KEY,), ports, drain_seconds)


@pytest.mark.parametrize(
    ("described", "ports", "drain_seconds"),
    [
        (container(), (20_000,), 7),
        (container(labels={"wharfinger.port": "8080"}), (8_080,), 7),
        (container(network_mode="bridge", labels={"wharfinger.port": "8080"}), None, 7),
        (container(running=False), (20_000,), 0),
        (container(labels={"wharfinger.drain": "0"}), (20_000,), 0),
    ],
)
def test_what_leaves_with_a_container(
    described: Container, ports: tuple[int, ...] | None, drain_seconds: int
) -> None:
    found = made(None, described).leaving(A, [KEY])
    assert found == Leaving(A, (KEY,), ports, drain_seconds)


def test_nothing_is_known_of_one_that_is_none_of_ours() -> None:
    assert made().leaving("b" * 64, []) == Leaving("b" * 64, (), None, 0)


async def test_a_connection_is_waited_for_and_quiet_ends_it(kernel: Kernel) -> None:
    steps: list[Step] = []
    kernel.counts = {20_000: 2}
    flying = asyncio.create_task(made().in_flight([leaving()], steps.append))
    await eventually(lambda: steps)
    assert steps == [{"step": "in flight", "connections": 2}]
    kernel.counts = {}
    await flying
    assert steps[1:] == [{"step": "in flight", "connections": 0}]


@pytest.mark.parametrize("why", ["netlink", "namespace", "nobody is connected"])
async def test_what_cannot_be_seen_is_served_for_the_whole_drain_time(
    kernel: Kernel, monkeypatch: pytest.MonkeyPatch, why: str
) -> None:
    ticks = itertools.count()
    clock = SimpleNamespace(monotonic=lambda: next(ticks) / 1_000)
    monkeypatch.setattr(departures, "time", clock)
    kernel.trouble = why == "netlink"
    ports = None if why == "namespace" else (20_000,)
    await made().in_flight([leaving(ports, drain_seconds=1)], lambda _step: None)
    assert (next(ticks) >= 1_000) == (why != "nobody is connected")


async def test_without_a_drain_time_nobody_is_waited_for(kernel: Kernel) -> None:
    kernel.counts = {20_000: 2}
    await made().in_flight([leaving(drain_seconds=0)], lambda _step: None)
    assert kernel.asked == 0


@pytest.mark.real
async def test_a_removal_of_an_earlier_life_is_marked_and_leaves_nothing(
    etcd_server: EtcdServer,
) -> None:
    async with Etcd(config_of(etcd_server)) as etcd:
        steps: list[Step] = []
        before = await etcd.put("/other", b"")
        await etcd.put("/wharfinger/hosts/edge/discovery", b'{"applied_revision":%d}' % before)
        departing = asyncio.create_task(
            made(etcd).depart([leaving(drain_seconds=0)], steps.append, timeout_seconds=20)
        )
        await eventually(lambda: {"step": "acknowledged", "waiting_for": ["edge"]} in steps)
        assert not (await etcd.list("/wharfinger/instances/")).items
        await etcd.put(
            "/wharfinger/hosts/edge/discovery", b'{"applied_revision":%d}' % (before + 9)
        )
        await departing
        # What another host has put there meanwhile is seen by discovery, and stays.
        theirs = await etcd.put(KEY.metadata, b'{"host":"pier"}')
        await etcd.put("/wharfinger/hosts/edge/discovery", b'{"applied_revision":%d}' % theirs)
        await made(etcd).depart([leaving(drain_seconds=0)], steps.append, timeout_seconds=20)
        assert (await etcd.list("/wharfinger/instances/")).items[KEY.metadata].lease == 0


@pytest.mark.real
async def test_what_hangs_on_a_lost_lease_is_not_taken_for_gone(etcd_server: EtcdServer) -> None:
    edge = "/wharfinger/hosts/edge/discovery"
    async with Etcd(config_of(etcd_server)) as etcd:
        steps: list[Step] = []
        lost = await etcd.grant(60)
        put = Put(KEY.metadata, b'{"host":"box"}', lost.id)
        there = (await etcd.transact([], [put])).revision
        await etcd.put(edge, b'{"applied_revision":%d}' % there)
        departing = asyncio.create_task(
            made(etcd).depart([leaving(drain_seconds=0)], steps.append, timeout_seconds=20)
        )
        await eventually(lambda: steps)
        done, _ = await asyncio.wait({departing}, timeout=0.5)
        assert not done
        await etcd.revoke(lost.id)
        waiting = {"step": "acknowledged", "waiting_for": ["edge"]}
        await eventually(lambda: waiting in steps)
        await etcd.put(edge, b'{"applied_revision":%d}' % (there + 9))
        await departing
        assert not (await etcd.list("/wharfinger/instances/")).items


def test_a_hold_is_bounded() -> None:
    assert upper_bound_seconds(leaving(drain_seconds=5), 10.0) == 16
