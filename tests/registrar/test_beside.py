"""How the daemons beside a registrar are, asked at their own endpoints."""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from typing import Any

import pytest
from aiohttp import web
from prometheus_client import CollectorRegistry

from registrar import beside
from registrar.beside import Neighbours
from wharfinger.endpoints import Endpoints, serving
from wharfinger.events import Events
from wharfinger.health import Health
from wharfinger.hostrecord import Beside
from wharfinger.operator.parts.process import free_port, until


@contextlib.asynccontextmanager
async def daemon(name: str, port: int, status: Any = None) -> AsyncIterator[Health]:
    events = Events()
    health = Health(events)
    endpoints = Endpoints(
        name,
        health=health,
        events=events,
        metrics=CollectorRegistry(),
        status=lambda: status or {"version": "1.2", "since_seconds": 100.0},
        ready=lambda: True,
    )
    application = web.Application()
    application.add_routes(endpoints.routes())
    async with serving(f"127.0.0.1:{port}", application):
        yield health


@contextlib.asynccontextmanager
async def asking(port: int) -> AsyncIterator[Neighbours]:
    neighbours = Neighbours({"logshipper": f"http://127.0.0.1:{port}"})
    task = asyncio.create_task(neighbours.run())
    yield neighbours
    task.cancel()
    await asyncio.wait([task])


async def until_told(neighbours: Neighbours, health: str) -> Beside:
    async def told() -> bool:
        each = neighbours.told.get("logshipper")
        return each is not None and each.health == health

    await until(told, timeout_seconds=10, what=f"it is {health}")
    return neighbours.told["logshipper"]


@pytest.fixture(autouse=True)
def often(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(beside, "ASK_SECONDS", 0.05)


async def test_what_it_says_is_told_and_that_it_is_gone() -> None:
    port = free_port()
    async with asking(port) as neighbours:
        async with daemon("logshipper", port) as health:
            check = health.check("sink store")
            check.ok()
            first = await until_told(neighbours, "healthy")
            assert (first.version, first.troubles) == ("1.2", ())
            check.fail("does not answer \x1b[2J" + "x" * 5_000)
            red = await until_told(neighbours, "unhealthy")
            assert red.troubles[0].startswith("sink store: does not answer \\u001b[2J")
            assert len(red.troubles[0]) < 500
            assert red.since == first.since
        gone = await until_told(neighbours, "unreachable")
        assert gone.version == "1.2"
        assert "does not answer" in gone.troubles[0]
        async with daemon("logshipper", port) as health:
            health.check("sink store").ok()
            await until_told(neighbours, "healthy")


@pytest.mark.parametrize(
    ("name", "status"), [("somebody", None), ("logshipper", {"version": 5}), ("logshipper", ["?"])]
)
async def test_what_is_no_neighbour_is_not_told(name: str, status: Any) -> None:
    port = free_port()
    async with daemon(name, port, status) as health, asking(port) as neighbours:
        health.check("a").ok()
        await asyncio.sleep(0.3)
        assert not neighbours.told


async def test_who_never_answered_is_not_missed() -> None:
    async with asking(free_port()) as neighbours:
        await asyncio.sleep(0.2)
        assert not neighbours.told
