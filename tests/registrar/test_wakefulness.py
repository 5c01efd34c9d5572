"""A process that stood still: whom it doubts, whom it has asked, and whom it believes."""

import asyncio
from collections.abc import AsyncIterator

import pytest

from registrar import wakefulness
from registrar.census import Census
from registrar.doubt import PATIENCE_SECONDS
from registrar.wakefulness import Wakefulness
from tests.stack.etcd import eventually
from wharfinger.container import Container, Listed
from wharfinger.events import Events

A, B = "a" * 64, "b" * 64
BOTH = Listed((Container(A, pid=1, running=True), Container(B, pid=2, running=True)))


class Sleeper:
    """A process whose clock is moved by hand, and containers whose processes end by hand."""

    def __init__(self) -> None:
        self.now = 100.0
        self.asked = 0
        self.changed = 0
        self.running = {A, B}
        self.events = Events()
        self.census = Census({})
        self.census.listed(BOTH)
        self.wakefulness = Wakefulness(
            self.census,
            self.events,
            lease_ttl_seconds=15,
            ask=self.ask,
            changed=self.change,
            clock=lambda: self.now,
        )

    def ask(self) -> None:
        self.asked += 1

    def change(self) -> None:
        self.changed += 1

    def told(self, kind: str) -> list[str]:
        return [line["why"] for _, line in self.events.since(0) if line["event"] == kind]


@pytest.fixture
async def sleeper(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Sleeper]:
    sleeper = Sleeper()
    monkeypatch.setattr(wakefulness, "TICK_SECONDS", 0.001)
    monkeypatch.setattr(wakefulness, "runs", lambda who, _pid, **_: who in sleeper.running)
    running = asyncio.create_task(sleeper.wakefulness.run())
    await asyncio.sleep(0.01)
    yield sleeper
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)


@pytest.mark.parametrize("seconds", [1, 15, -7_200])
async def test_a_pause_that_no_lease_is_lost_by_changes_nothing(
    sleeper: Sleeper, seconds: float
) -> None:
    sleeper.now += seconds
    await asyncio.sleep(0.02)
    assert sleeper.asked == 0
    assert not sleeper.census.doubt.of


async def test_a_longer_one_has_docker_asked_once(sleeper: Sleeper) -> None:
    version = sleeper.census.version
    sleeper.now += 34
    await eventually(lambda: sleeper.asked)
    assert sleeper.census.doubt.of == {A, B}
    assert sleeper.census.version > version
    assert sleeper.told("containers doubted") == ["this process stood still for 34 s"]
    sleeper.census.listed(Listed((), began=sleeper.now))
    await asyncio.sleep(0.02)
    assert sleeper.asked == 1
    assert not sleeper.told("containers believed")


async def test_with_docker_silent_those_are_believed_whose_process_lives(sleeper: Sleeper) -> None:
    sleeper.wakefulness.doubt("the lease was lost")
    sleeper.running = {A}
    sleeper.now += PATIENCE_SECONDS - 1
    await asyncio.sleep(0.02)
    assert sleeper.census.doubt.of == {A, B}
    sleeper.now += 1
    await eventually(lambda: sleeper.changed)
    assert sleeper.census.doubt.of == {B}
    await asyncio.sleep(0.02)
    assert sleeper.changed == 1  # the other one is asked again, and says nothing new
    # Docker is back; who had ended is known to have, and is no longer doubted.
    sleeper.census.listed(Listed((Container(A, running=True),), began=sleeper.now))
    assert not sleeper.census.doubt.of
