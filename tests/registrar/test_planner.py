"""The loop of a host: when it plans, what it publishes, and what it says only once."""

import asyncio
import threading
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import pytest

from registrar import planner
from registrar.census import Census
from registrar.checks.model import Answer, Target
from registrar.checks.schedule import Schedule
from registrar.model import Listener, Observed, Plan, Refused
from registrar.planner import Planner
from registrar.ports import berths, inside, owners
from registrar.ports.berths import Berths
from registrar.ports.containers import Told
from registrar.porttable import Assignments, PortRange, Table
from registrar.registry.publisher import Desired
from registrar.state import State
from tests.stack.etcd import eventually
from wharfinger.container import Container, DockerEvent, Listed
from wharfinger.errors import Unavailable
from wharfinger.events import Events
from wharfinger.health import Check

A, B = "a" * 64, "b" * 64
LABELS = {"wharfinger.app": "shop", "wharfinger.env": "prod"}
PORT = 20_000


def container(container_id: str = A, **fields: Any) -> Container:
    described = {"running": True, "network_mode": "host", "labels": LABELS, "started_at_ns": 1}
    return Container(id=container_id, pid=10, **(described | fields))


class Harbour:
    """A planner whose kernel and containers do as they are told."""

    def __init__(self, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.listeners: dict[int, tuple[Listener, ...]] = {}
        self.own: set[int] = set()
        self.good = True
        self.asked = 0
        self.published: list[Desired] = []
        self.events = Events()
        self.state = State(folder)
        self.census = Census({})
        self.check = Check("ports", self.events)
        self.berths = Berths(
            self.state,
            self.census,
            self.events,
            lambda: PortRange(20_000, 20_009),
            changed=self.replan,
        )
        self.checks = Schedule(self.answer, on_change=self.replan)
        self.planner = Planner(
            host="box",
            census=self.census,
            berths=self.berths,
            state=self.state,
            events=self.events,
            check=self.check,
            publish=self.published.append,
            checks=self.checks,
        )
        monkeypatch.setattr(planner.sockets, "listeners", lambda: dict(self.listeners))
        monkeypatch.setattr(berths.sockets, "is_free", lambda _port: True)
        monkeypatch.setattr(berths.sockets, "is_free_again", lambda _port: True)
        monkeypatch.setattr(berths.containers, "tell", lambda *_, **_proc: None)
        monkeypatch.setattr(
            berths.sockets, "owned", lambda _who, _pid, inodes, **_proc: set(inodes) <= self.own
        )

    def replan(self) -> None:
        self.planner.doubt()

    async def answer(self, _target: Target) -> Answer:
        self.asked += 1
        return Answer(good=self.good, why="200" if self.good else "503")

    def listen(self, *inodes: int) -> None:
        self.listeners[PORT] = tuple(Listener("0.0.0.0", PORT, each, 0) for each in inodes)
        self.own.update(inodes)
        self.planner.wake()

    def happened(self, action: str, **attributes: str) -> None:
        self.census.happened(DockerEvent(A, action, 5, attributes=attributes))
        self.planner.wake()

    def registered(self) -> bool:
        return bool(self.published) and bool(self.published[-1].instances)

    def told(self, kind: str) -> int:
        return sum(line["event"] == kind for _, line in self.events.since(0))


@pytest.fixture
async def harbour(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Harbour]:
    harbour = Harbour(tmp_path, monkeypatch)
    several = (harbour.planner.run(), harbour.checks.run())
    running = [asyncio.create_task(each) for each in several]
    yield harbour
    for each in running:
        each.cancel()
    await asyncio.gather(*running, return_exceptions=True)


async def test_before_the_first_list_no_port_is_taken_from_anyone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    await State(tmp_path).update_table(
        lambda _: Table(PortRange(20_000, 20_009), frozenset(), Assignments({A: PORT}))
    )
    harbour = Harbour(tmp_path, monkeypatch)
    running = asyncio.create_task(harbour.planner.run())
    harbour.census.looked(B, container(B))
    harbour.planner.settle("10.0.0.7")
    for _ in range(50):
        harbour.planner.wake()
        await asyncio.sleep(0.001)
    assert harbour.published == []
    harbour.census.listed(Listed((container(B),)))
    harbour.planner.wake()
    await eventually(lambda: harbour.berths.assignments.ports.keys() == {B})
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)


async def test_with_lost_state_nothing_is_published_before_ports_are_found_again(
    harbour: Harbour, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(berths.containers, "read_told", lambda *_, **_proc: Told(PORT, 1))
    harbour.state.load_ports()
    harbour.listen(7)
    harbour.census.listed(Listed((container(),)))
    harbour.planner.settle("10.0.0.7")
    await eventually(lambda: harbour.published)
    assert harbour.published[0].instances


async def test_a_doubt_is_told_until_a_plan_was_made_from_what_was_looked_at_since(
    harbour: Harbour,
) -> None:
    harbour.census.listed(Listed((container(),)))
    harbour.planner.settle("10.0.0.7")
    harbour.listen(7)
    await eventually(harbour.registered)
    assert not harbour.published[-1].doubt.of
    harbour.census.doubted(5.0)
    harbour.planner.wake()
    await eventually(lambda: harbour.published[-1].doubt == harbour.census.doubt)
    assert harbour.published[-1].withheld(harbour.census.doubt) == {A}
    assert harbour.registered()
    harbour.census.listed(Listed((container(),), began=6.0))
    # What is desired is the same, and made of what is known now.
    harbour.planner.wake()
    await eventually(lambda: not harbour.published[-1].doubt.of)
    assert not harbour.published[-1].withheld(harbour.census.doubt)


async def test_one_more_socket_of_its_own_takes_nobody_out(harbour: Harbour) -> None:
    harbour.census.listed(Listed((container(),)))
    harbour.planner.settle("10.0.0.7")
    await eventually(lambda: harbour.census.containers[A].told == PORT)
    harbour.listen(7)
    await eventually(harbour.registered)
    before = len(harbour.published)
    harbour.listen(7, 8)
    await eventually(lambda: (A, 8) in harbour.berths.owners)
    harbour.listen(8, 9)
    await eventually(lambda: (A, 9) in harbour.berths.owners)
    assert all(each.instances for each in harbour.published[before:])


async def test_one_more_socket_of_its_own_does_not_begin_its_check_anew(harbour: Harbour) -> None:
    check = {"wharfinger.check": "http:/health", "wharfinger.check.interval": "1h"}
    harbour.census.listed(Listed((container(labels=LABELS | check),)))
    harbour.planner.settle("10.0.0.7")
    harbour.listen(7)
    await eventually(harbour.registered)
    harbour.listen(7, 8)
    await eventually(lambda: (A, 8) in harbour.berths.owners)
    assert [each.successes for each in harbour.checks.outcomes.values()] == [1]
    assert harbour.asked == 1


@pytest.fixture
def answers(harbour: Harbour, monkeypatch: pytest.MonkeyPatch) -> Iterator[threading.Event]:
    """Both are there, and whose the socket of B is nobody can tell until this is set."""
    answers = threading.Event()

    def owned(_who: str, _pid: int, inodes: tuple[int, ...], **_proc: object) -> bool:
        return answers.wait(60) if 9 in inodes else True

    monkeypatch.setattr(berths.sockets, "owned", owned)
    fixed = container(B, labels=LABELS | {"wharfinger.port": "8080"})
    harbour.census.listed(Listed((container(), fixed)))
    harbour.listeners[8_080] = (Listener("0.0.0.0", 8_080, 9, 0),)
    yield answers
    answers.set()


async def test_one_that_cannot_be_identified_keeps_no_other_from_its_plan(
    harbour: Harbour, answers: threading.Event, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(owners, "PATIENCE_SECONDS", 0.1)
    harbour.listen(7)
    harbour.planner.settle("10.0.0.7")
    await eventually(harbour.registered)
    assert [each.metadata.id for each in harbour.published[-1].instances.values()] == [A]
    answers.set()
    await eventually(lambda: len(harbour.published[-1].instances) == 2)


async def test_a_stop_is_published_with_its_reason_and_kept(harbour: Harbour) -> None:
    harbour.census.listed(Listed((container(),)))
    harbour.planner.settle("10.0.0.7")
    harbour.listen(7)
    await eventually(harbour.registered)
    harbour.happened("kill", signal="15")
    await eventually(lambda: not harbour.registered())
    assert harbour.published[-1].why(A) == "was told to stop"
    assert harbour.published[-1].why(B) == "its container is gone"
    await eventually(lambda: harbour.state.load_stops() == {A: 5})


async def test_a_refusal_is_told_once_however_often_it_is_tried_again(
    harbour: Harbour, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(planner, "FORGIVE_SECONDS", 0.02)
    tries = 0

    def refuse(*_: object, **_proc: object) -> None:
        nonlocal tries
        tries += 1
        raise Unavailable("not now")

    monkeypatch.setattr(berths.containers, "tell", refuse)
    harbour.census.listed(Listed((container(),)))
    harbour.planner.settle("10.0.0.7")

    def often() -> bool:
        harbour.planner.wake()
        return tries > 3

    await eventually(often)
    monkeypatch.setattr(planner, "FORGIVE_SECONDS", 60)
    await eventually(lambda: isinstance(harbour.planner.verdicts[A][0], Refused))
    assert harbour.told("container refused") == 1


async def test_a_full_disk_is_red_and_over_when_it_is_over(
    harbour: Harbour, monkeypatch: pytest.MonkeyPatch
) -> None:
    update = harbour.state.update_table

    async def full(_decide: object) -> None:
        raise Unavailable("ports cannot be written: No space left on device")

    monkeypatch.setattr(harbour.state, "update_table", full)
    harbour.census.listed(Listed((container(),)))
    harbour.planner.settle("10.0.0.7")
    await eventually(lambda: "No space" in harbour.check.report().why)
    assert harbour.berths.assignments.ports == {}
    monkeypatch.setattr(harbour.state, "update_table", update)
    await eventually(lambda: harbour.check.report().healthy)
    await eventually(lambda: harbour.berths.assignments.ports == {A: PORT})


async def test_a_slow_disk_keeps_nobody_from_etcd_who_has_a_port(
    harbour: Harbour, monkeypatch: pytest.MonkeyPatch
) -> None:
    harbour.census.listed(Listed((container(),)))
    harbour.planner.settle("10.0.0.7")
    await eventually(lambda: harbour.census.containers[A].told == PORT)
    update, asked, done = harbour.state.update_table, asyncio.Event(), asyncio.Event()

    async def slow(decide: Any) -> Table:
        asked.set()
        await done.wait()
        return await update(decide)

    monkeypatch.setattr(harbour.state, "update_table", slow)
    harbour.census.looked(B, container(B))
    harbour.planner.wake()
    await asked.wait()
    harbour.listen(7)
    await eventually(harbour.registered)
    assert harbour.berths.assignments.ports == {A: PORT}
    done.set()
    await eventually(lambda: harbour.berths.assignments.ports == {A: PORT, B: PORT + 1})


async def test_a_check_decides_and_takes_out_what_fails(harbour: Harbour) -> None:
    check = {"wharfinger.check": "http:/health", "wharfinger.check.interval": "100ms"}
    labels = {**LABELS, **check, "wharfinger.check.fall": "2"}
    harbour.good = False
    harbour.census.listed(Listed((container(labels=labels),)))
    harbour.planner.settle("10.0.0.7")
    harbour.listen(7)
    await eventually(lambda: harbour.asked >= 2)
    assert not harbour.registered()
    harbour.good = True
    await eventually(harbour.registered)
    harbour.good = False
    await eventually(lambda: not harbour.registered())
    assert "its check fails: 503" in harbour.published[-1].why(A)
    harbour.happened("die")
    await eventually(lambda: not harbour.checks.outcomes)


async def test_other_peoples_listeners_have_nothing_planned(
    harbour: Harbour, monkeypatch: pytest.MonkeyPatch
) -> None:
    harbour.census.listed(Listed((container(),)))
    harbour.planner.settle("10.0.0.7")
    await eventually(lambda: harbour.census.containers[A].told == PORT)
    harbour.listen(7)
    await eventually(harbour.registered)
    made = []
    real = planner.plan.Plans.make

    def make(plans: planner.plan.Plans, observed: Observed) -> Plan:
        made.append(observed)
        return real(plans, observed)

    monkeypatch.setattr(planner.plan.Plans, "make", make)
    looks = 0

    def listeners() -> dict[int, tuple[Listener, ...]]:
        nonlocal looks
        looks += 1
        stranger = Listener("0.0.0.0", 80, 1_000 + looks, 0)
        return {**harbour.listeners, 80: (stranger,)}

    monkeypatch.setattr(planner.sockets, "listeners", listeners)
    for _ in range(5):
        seen = looks
        harbour.planner.wake()
        await eventually(lambda seen=seen: looks > seen)
    assert made == []
    harbour.listen()
    await eventually(lambda: not harbour.registered())
    assert made


@pytest.mark.usefixtures("answers")
async def test_one_that_hangs_beyond_its_time_keeps_no_other_from_its_plan(
    harbour: Harbour, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(inside, "TIMEOUT_SECONDS", 0.05)
    harbour.planner.settle("10.0.0.7")
    # It has been given up by now, and its thread hangs still.
    await eventually(lambda: B in harbour.planner.verdicts)
    harbour.listen(7)
    await eventually(harbour.registered)
    harbour.happened("kill", signal="15")
    await eventually(lambda: not harbour.registered())


async def test_who_goes_while_another_is_identified_is_in_no_plan(
    harbour: Harbour, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked, answers = threading.Event(), threading.Event()

    def owned(*_: object, **_proc: object) -> bool:
        asked.set()
        return answers.wait(60)

    monkeypatch.setattr(berths.sockets, "owned", owned)
    monkeypatch.setattr(owners, "PATIENCE_SECONDS", 0.1)
    fixed = container(labels=LABELS | {"wharfinger.port": "8080"})
    refused = container(B, labels=LABELS | {"wharfinger.env": "no/env"})
    harbour.census.listed(Listed((fixed, refused)))
    harbour.listeners[8_080] = (Listener("0.0.0.0", 8_080, 9, 0),)
    harbour.planner.settle("10.0.0.7")
    try:
        await eventually(asked.is_set)
        harbour.census.looked(B, None)
        await eventually(lambda: A in harbour.planner.verdicts)
        assert B not in harbour.planner.verdicts
    finally:
        answers.set()
