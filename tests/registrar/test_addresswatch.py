"""The address of a host as it changes, goes, and comes back."""

import asyncio
from collections.abc import Iterator

import pytest

from registrar.host import addresswatch
from tests.stack.etcd import eventually
from wharfinger.errors import Unavailable
from wharfinger.events import Events
from wharfinger.health import Health
from wharfinger.sections import HostConfig


async def test_an_address_is_told_when_it_changes_and_stands_while_it_is_gone(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(addresswatch, "LOOK_SECONDS", 0.001)
    monkeypatch.setattr(addresswatch, "RETRY_SECONDS", 0.001)
    reds: list[str] = []
    settled: list[str] = []
    events = Events()
    check = Health(events).check("address")

    def found() -> Iterator[str]:
        yield from ("10.0.0.7", "10.0.0.7", "")
        reds.append(check.report().why)
        yield "10.0.0.7"
        while True:
            yield "10.0.0.8"

    several = found()

    def find(_config: HostConfig) -> str:
        ip = next(several)
        if not ip:
            raise Unavailable("no default route")
        return ip

    monkeypatch.setattr(addresswatch.address, "find", find)
    following = asyncio.create_task(
        addresswatch.follow(HostConfig(), check, events, settled.append)
    )
    await eventually(lambda: len(settled) == 2)
    following.cancel()
    assert settled == ["10.0.0.7", "10.0.0.8"]
    assert reds == ["no default route"]
    assert check.report().healthy
