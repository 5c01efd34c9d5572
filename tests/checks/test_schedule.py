"""The schedule: who is probed, that the slow delay nobody, and that flaps are decided."""

import asyncio
import collections
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
from prometheus_client import CollectorRegistry, generate_latest

from registrar.checks import schedule as module
from registrar.checks.lanes import Slots
from registrar.checks.metrics import Meter
from registrar.checks.model import Answer, CheckKind, Target
from registrar.checks.probes import Prober
from registrar.checks.schedule import Schedule
from tests.checks.conftest import serving, target
from tests.stack.etcd import eventually

GOOD, BAD = Answer(good=True, why="well"), Answer(good=False, why="ill")


class Desk:
    """A schedule that runs, and probes that answer when they are told to."""

    def __init__(self) -> None:
        self.answers: dict[int, Answer] = collections.defaultdict(lambda: GOOD)
        self.gates: dict[int, asyncio.Event] = {}
        self.failures: dict[int, Exception] = {}
        self.asked: collections.Counter[int] = collections.Counter()
        self.running: collections.Counter[int] = collections.Counter()
        self.most = 0
        self.changes = 0
        self.schedule = Schedule(self.probe, on_change=self.changed)

    def changed(self) -> None:
        self.changes += 1

    async def probe(self, target: Target) -> Answer:
        port = target.port
        self.asked[port] += 1
        self.running[port] += 1
        assert self.running[port] == 1, "one at a time"
        self.most = max(self.most, self.running.total())
        try:
            if gate := self.gates.get(port):
                await gate.wait()
            if failure := self.failures.get(port):
                raise failure
            return self.answers[port]
        finally:
            self.running[port] -= 1

    def passing(self, target: Target) -> bool | None:
        return self.schedule.outcomes[target].passing


@asynccontextmanager
async def running(schedule: Schedule) -> AsyncIterator[None]:
    task = asyncio.create_task(schedule.run())
    yield
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert schedule.running == 0


@pytest.fixture
async def desk() -> AsyncIterator[Desk]:
    desk = Desk()
    async with running(desk.schedule):
        yield desk
    assert desk.running.total() == 0


def quick(port: int, **check: Any) -> Target:
    return target(port, **{"interval_seconds": 0.01, **check})


async def test_a_target_is_asked_at_once_and_again(desk: Desk) -> None:
    one, other = quick(1), target(2, interval_seconds=3_600)
    desk.schedule.want([one, other])
    assert desk.passing(one) is None
    await eventually(lambda: desk.asked[1] > 5)
    assert desk.passing(one) is desk.passing(other) is True
    assert desk.schedule.outcomes[one].why == "well"
    assert desk.asked[2] == 1


async def test_nobody_waits_an_interval_to_come_up(desk: Desk) -> None:
    one = target(1, interval_seconds=3_600, fall=1, rise=2)
    desk.answers[1] = BAD
    desk.schedule.want([one])
    await eventually(lambda: desk.asked[1] > 3)
    assert desk.passing(one) is False
    desk.answers[1] = GOOD
    await eventually(lambda: desk.passing(one))


async def test_each_decision_is_told_and_nothing_else(desk: Desk) -> None:
    one = quick(1, fall=2)
    desk.schedule.want([one])
    await eventually(lambda: desk.asked[1] > 5)
    assert desk.changes == 1
    desk.answers[1] = BAD
    await eventually(lambda: desk.passing(one) is False)
    assert desk.changes == 2
    desk.answers[1] = GOOD
    await eventually(lambda: desk.passing(one) is True)
    assert desk.changes == 3


async def test_a_new_reason_is_told_later_and_once(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "WORDS_SECONDS", 0.1)
    one = quick(1, fall=100)
    desk.schedule.want([one])
    await eventually(lambda: desk.passing(one))
    desk.answers[1] = Answer(good=True, why="better")
    await eventually(lambda: desk.changes == 2)
    assert desk.schedule.outcomes[one].why == "better"


async def test_what_is_not_wanted_is_forgotten_with_its_probe(desk: Desk) -> None:
    desk.gates[1] = asyncio.Event()
    one, other = quick(1), quick(2)
    desk.schedule.want([one, other])
    await eventually(lambda: desk.running[1])
    desk.schedule.want([other])
    assert set(desk.schedule.outcomes) == {other}
    await eventually(lambda: not desk.running[1])
    # Another run of the container, or another check, is another target.
    again = quick(1, rise=2)
    desk.gates.clear()
    desk.schedule.want([other, again])
    assert desk.passing(again) is None
    await eventually(lambda: desk.passing(again))


async def test_one_wanted_again_at_once_has_one_probe_at_a_time(desk: Desk) -> None:
    desk.gates[1] = asyncio.Event()
    one = quick(1)
    for _ in range(20):
        desk.schedule.want([one])
        await asyncio.sleep(0)
        desk.schedule.want([])
        await asyncio.sleep(0)
        await eventually(lambda: not desk.running[1])
    desk.gates[1].set()
    desk.schedule.want([one])
    await eventually(lambda: desk.passing(one))


async def test_what_was_forgotten_does_not_pile_up(desk: Desk) -> None:
    for number in range(1, 2_000):
        desk.schedule.want([target(number, interval_seconds=3_600)])
        await asyncio.sleep(0)
    assert len(desk.schedule._due) < 100


async def test_what_others_check_is_passed_over(desk: Desk) -> None:
    desk.schedule.want([target(1, kind=CheckKind.DOCKER), target(2, kind=CheckKind.NONE), quick(3)])
    await eventually(lambda: desk.asked[3])
    assert [each.port for each in desk.schedule.outcomes] == [3]
    assert set(desk.asked) == {3}


async def test_one_that_stood_before_passes_until_it_fails(desk: Desk) -> None:
    one = quick(1, fall=2)
    desk.gates[1] = asyncio.Event()
    desk.answers[1] = BAD
    desk.schedule.want([one], standing={one})
    assert desk.passing(one) is True
    await eventually(lambda: desk.running[1])
    assert desk.passing(one) is True
    desk.gates[1].set()
    await eventually(lambda: desk.passing(one) is False)


async def test_a_hung_probe_has_failed_when_its_time_is_over(desk: Desk) -> None:
    desk.gates[1] = asyncio.Event()
    one = quick(1, timeout_seconds=0.05, fall=2)
    desk.schedule.want([one])
    await eventually(lambda: desk.passing(one) is False)
    assert desk.schedule.outcomes[one].why == "no answer within 0.05 s"
    assert desk.asked[1] >= 2


async def test_a_probe_that_breaks_has_failed_and_ends_nothing(desk: Desk) -> None:
    desk.failures[1] = RuntimeError("\x1b[31m" + "x" * 10_000)
    one = quick(1, fall=1)
    desk.schedule.want([one])
    await eventually(lambda: desk.passing(one) is False)
    why = desk.schedule.outcomes[one].why
    assert why.startswith("cannot be understood: RuntimeError")
    assert why.isprintable()
    assert len(why) < 250
    del desk.failures[1]
    await eventually(lambda: desk.passing(one))


async def test_more_that_hang_than_there_are_slots_keep_none_waiting(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Theirs is a minute; the others are done long before.
    hung = [target(port, timeout_seconds=60) for port in range(1, 501)]
    for each in hung:
        desk.gates[each.port] = asyncio.Event()
    desk.schedule.want(hung)
    await eventually(lambda: desk.schedule.running >= module.NETWORK_SLOTS.slow)
    quick_ones = [quick(port) for port in range(1_000, 1_050)]
    desk.schedule.want([*hung, *quick_ones])
    await eventually(lambda: all(desk.asked[each.port] > 3 for each in quick_ones))
    assert all(desk.passing(each) for each in quick_ones)
    # Those that were given up for others have not failed, nor have the rest.
    assert {desk.passing(each) for each in hung} == {None}
    assert desk.most <= module.NETWORK_SLOTS.fast + module.NETWORK_SLOTS.slow
    for gate in desk.gates.values():
        gate.set()
    await eventually(lambda: all(desk.passing(each) for each in hung))


async def test_a_script_that_takes_long_is_never_begun_twice(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(module, "SCRIPT_SLOTS", Slots(fast=2, slow=1))
    monkeypatch.setattr(module, "SLOW_AFTER_SECONDS", 0.01)
    desk = Desk()
    async with running(desk.schedule):
        scripts = [target(n, kind=CheckKind.SCRIPT, script="x") for n in range(1, 5)]
        for each in scripts:
            desk.gates[each.port] = asyncio.Event()
        one = quick(9)
        desk.schedule.want([*scripts, one])
        await eventually(lambda: desk.running.total() >= 3)
        await eventually(lambda: desk.asked[9] > 10)
        assert sorted(desk.asked[each.port] for each in scripts) == [0, 1, 1, 1]
        for gate in desk.gates.values():
            gate.set()
        await eventually(lambda: all(desk.passing(each) for each in scripts))
        assert {desk.asked[each.port] for each in scripts} == {1}


async def test_a_server_that_flaps_is_decided_by_rise_and_fall(prober: Prober) -> None:
    statuses = [200, 503, 200, 200, 503, 503, 200, 503, 503, 503, 200, 200]
    decided: list[bool | None] = []
    left = list(statuses)

    async def flap(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        status = left.pop(0) if left else 200
        writer.write(b"HTTP/1.1 %d Well\r\nContent-Length: 0\r\n\r\n" % status)

    async with serving(flap) as port:
        one = quick(port, kind=CheckKind.HTTP, rise=2, fall=3)
        schedule = Schedule(
            prober,
            on_change=lambda: decided.append(schedule.outcomes[one].passing),
        )
        async with running(schedule):
            schedule.want([one])
            await eventually(lambda: decided == [True, False, True])


async def test_500_real_servers_that_never_answer_delay_none_that_does(prober: Prober) -> None:
    async def hang(reader: asyncio.StreamReader, _writer: asyncio.StreamWriter) -> None:
        await reader.read()

    async def drip(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 200 OK\r\nX-Long: ")
        while True:
            writer.write(b"x")
            await asyncio.sleep(0.2)

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")

    changed = asyncio.Event()
    schedule = Schedule(prober, on_change=changed.set)
    async with (
        serving(hang, backlog=512) as hanging,
        serving(drip, backlog=512) as dripping,
        serving(answer) as answering,
        running(schedule),
    ):
        common = {"kind": CheckKind.HTTP, "timeout_seconds": 60}
        slow = [
            target(port, container=f"{number:064x}", **common)
            for number in range(250)
            for port in (hanging, dripping)
        ]
        schedule.want(slow)
        await eventually(lambda: schedule.running >= module.NETWORK_SLOTS.slow)
        good = [
            target(answering, container=f"{number:064x}", interval_seconds=0.1, **common)
            for number in range(50)
        ]
        schedule.want([*slow, *good])
        await eventually(lambda: all(schedule.outcomes[each].successes > 3 for each in good))
        assert {schedule.outcomes[each].passing for each in slow} == {None}


async def test_metrics_tell_states_and_durations(prober: Prober) -> None:
    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 204 OK\r\n\r\n")

    metrics = CollectorRegistry()
    meter = Meter(metrics)
    schedule = Schedule(prober, on_change=lambda: None, on_probed=meter.probed)
    meter.watch(schedule, prober.scripts)
    async with serving(answer) as port, running(schedule):
        good = target(port, kind=CheckKind.HTTP)
        bad = target(port, container="d" * 64, kind=CheckKind.HTTP, statuses=((200, 200),), fall=1)
        schedule.want([good, bad])
        await eventually(lambda: all(o.passing is not None for o in schedule.outcomes.values()))
        told = generate_latest(metrics).decode()
    assert 'wharfinger_registrar_checks{state="passing"} 1.0' in told
    assert 'wharfinger_registrar_checks{state="failing"} 1.0' in told
    assert 'wharfinger_registrar_checks{state="undecided"} 0.0' in told
    assert 'wharfinger_registrar_check_seconds_count{answer="good",kind="http"} 1.0' in told
    assert "wharfinger_registrar_check_scripts_hanging_total 0.0" in told
