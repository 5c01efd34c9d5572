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
    assert not task.done()  # whatever is answered, it goes on
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
    ("name", "status"),
    [
        ("somebody", None),
        ("logshipper", {"version": 5}),
        ("logshipper", ["?"]),
        ("logshipper", {"version": "1", "since_seconds": 1e300}),
        ("logshipper", {"version": "1", "since_seconds": -1e12}),
    ],
)
async def test_what_is_no_neighbour_is_not_told(name: str, status: Any) -> None:
    port = free_port()
    async with daemon(name, port, status) as health, asking(port) as neighbours:
        health.check("a").ok()
        await asyncio.sleep(0.3)
        assert not neighbours.told


async def test_a_stranger_at_the_port_of_one_that_ended_is_not_taken_for_it() -> None:
    port = free_port()
    async with asking(port) as neighbours:
        async with daemon("logshipper", port) as health:
            health.check("a").ok()
            await until_told(neighbours, "healthy")
        async with daemon("somebody", port) as health:
            health.check("a").ok()

            async def told() -> bool:
                return neighbours.told["logshipper"].troubles == ("somebody else has its port",)

            await until(told, timeout_seconds=10, what="that somebody else is there is told")
            assert neighbours.told["logshipper"].health == "unreachable"


ENDLESS = 64 * 2**20
DEEP = b"[" * 100_000 + b"]" * 100_000


@pytest.mark.parametrize("kind", ["endless", "deep"])
async def test_whoever_answers_there_does_no_harm(kind: str) -> None:
    port, asked, sent = free_port(), 0, 0

    async def answer(request: web.Request) -> web.StreamResponse:
        nonlocal asked, sent
        asked += 1
        response = web.StreamResponse()
        await response.prepare(request)
        if kind == "deep":
            await response.write(b'{"x":' + DEEP + b"}")
            return response
        while sent < ENDLESS:
            await response.write(b" " * 2**20)
            sent += 2**20
        return response

    async def again() -> bool:
        return asked >= 2

    application = web.Application()
    application.add_routes([web.get("/healthz", answer)])
    async with serving(f"127.0.0.1:{port}", application), asking(port) as neighbours:
        await until(again, timeout_seconds=10, what="it is asked again")
        assert not neighbours.told
        assert sent < ENDLESS


async def test_who_never_answered_is_not_missed() -> None:
    async with asking(free_port()) as neighbours:
        await asyncio.sleep(0.2)
        assert not neighbours.told
