"""A stop of the registrar's that comes for others, too: how long it waits, and for whom."""

import asyncio

import pytest

from registrar import lingering
from registrar.census import Census
from registrar.lingering import linger
from wharfinger.container import Container, DockerEvent, Listed

OURS, THEIRS = "a" * 64, "b" * 64
LABELS = {"wharfinger.app": "shop", "wharfinger.env": "prod"}


@pytest.fixture
def census() -> Census:
    census = Census({})
    described = {"running": True, "state": "running", "network_mode": "host"}
    ours = Container(OURS, started_at_ns=100, labels=LABELS, **described)
    census.listed(Listed((ours, Container(THEIRS, started_at_ns=100, **described))))
    return census


def tell(census: Census, action: str, whom: str = OURS) -> None:
    census.happened(DockerEvent(whom, action, 200, attributes={"signal": "15"}))


async def test_whoever_is_told_beside_it_is_seen_off(census: Census) -> None:
    waits = asyncio.create_task(linger(census, 0.05))
    await asyncio.sleep(0)
    tell(census, "kill")
    await asyncio.wait([waits], timeout=0.3)
    assert not waits.done()
    tell(census, "die")
    await asyncio.wait_for(waits, 10)


async def test_who_ends_for_ever_is_given_up(
    census: Census, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(lingering, "LONGEST_SECONDS", 0.1)
    tell(census, "kill")
    await asyncio.wait_for(linger(census, 0.05), 10)


async def test_nobody_is_waited_for_who_has_no_instance(census: Census) -> None:
    tell(census, "kill", THEIRS)
    await asyncio.wait_for(linger(census, 0.05), 10)


async def test_a_registrar_that_is_none_of_the_containers_goes_at_once(census: Census) -> None:
    tell(census, "kill")
    await asyncio.wait_for(linger(census, 0.0), 10)
