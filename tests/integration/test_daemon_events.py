"""Events of the daemons of a host, in a real store: each once, over deaths, with no echo."""

import asyncio
import contextlib
import itertools
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from aiohttp import web
from prometheus_client import CollectorRegistry

from tests.stack.logstore import Server
from tests.stack.shipper import ShipperProcess
from wharfinger.endpoints import Endpoints, serving
from wharfinger.events import Events
from wharfinger.health import Health
from wharfinger.operator.parts.process import free_port, until

pytestmark = pytest.mark.real


class Talker:
    """A daemon's endpoints, with events as we like them."""

    def __init__(self) -> None:
        self.listen = f"127.0.0.1:{free_port()}"
        self._starts = itertools.count(1_700_000_000)
        self._stack = contextlib.AsyncExitStack()
        self.events = Events()

    async def start(self, *, kept: int = 1_000) -> None:
        self.events = Events(kept=kept)
        application = web.Application()
        endpoints = Endpoints(
            "registrar",
            health=Health(self.events),
            events=self.events,
            metrics=CollectorRegistry(),
            status=dict,
            ready=lambda: True,
            began=float(next(self._starts)),
        )
        application.add_routes(endpoints.routes())
        await self._stack.enter_async_context(serving(self.listen, application))

    async def stop(self) -> None:
        await self._stack.aclose()

    def say(self, *numbers: int, level: str = "info") -> None:
        for number in numbers:
            self.events.emit("number said", level, number=number)


class Stack:
    def __init__(self, folder: Path, client: aiohttp.ClientSession) -> None:
        self.store = Server(folder, client)
        self.talker = Talker()
        self.shipper = ShipperProcess(folder)
        self.shipper.config.write_text(
            f'[host]\nname = "box1"\nstate_dir = "{folder}/state"\nruntime_dir = "{folder}/run"\n'
            f'[docker]\nurl = "unix://{folder}/none.sock"\n'
            f'[registrar]\nlisten = "{self.talker.listen}"\n'
            f'[discovery]\nlisten = "127.0.0.1:{free_port()}"\n'
            f'[logstore]\nlisten = "{self.store.url.removeprefix("http://")}"\n'
            f'[logshipper]\nlisten = "{self.shipper.listen}"\nevents = true\n'
            f'[[logshipper.sinks]]\ntype = "bulk"\nurl = "{self.store.url}"\n'
        )

    async def begin(self) -> None:
        # It waits for Docker, which is not here; daemons are followed all the same.
        await self.shipper.process.start(self.answers)

    async def answers(self) -> bool:
        try:
            return (await self.shipper.ask("status"))[0] == 200
        except aiohttp.ClientError:
            return False

    async def lines(self, **wanted: str) -> list[dict[str, Any]]:
        # Not an export: that is an event of the store, and would be shipped in its turn.
        found = (await self.store.get("/api/search?app=wharfinger&limit=10000"))["hits"]
        return [each for each in found if wanted.items() <= each.items()]

    async def numbers(self) -> list[int]:
        return sorted(each["number"] for each in await self.lines(event="number said"))

    async def until_numbers(self, wanted: list[int]) -> None:
        async def there() -> bool:
            return await self.numbers() == wanted

        try:
            await until(there, timeout_seconds=30, what="the numbers are there")
        finally:
            assert await self.numbers() == wanted, self.shipper.process.log_tail(20)


@pytest.fixture
async def stack(tmp_path: Path) -> AsyncIterator[Stack]:
    async with aiohttp.ClientSession() as client:
        made = Stack(tmp_path, client)
        try:
            await made.store.start()
            await made.talker.start()
            await made.begin()
            yield made
        finally:
            await made.shipper.process.kill()
            await made.talker.stop()
            await made.store.process.kill()


async def test_each_event_is_stored_once_over_a_kill_and_a_daemons_restart(stack: Stack) -> None:
    stack.talker.say(1, 2, 3)
    stack.talker.say(4, level="debug")
    await stack.until_numbers([1, 2, 3])
    (line,) = [each for each in await stack.lines() if each.get("number") == 2]
    assert (line["env"], line["host"], line["level"]) == ("registrar", "box1", "info")
    await stack.shipper.process.kill()
    stack.talker.say(5, 6)
    await stack.begin()
    await stack.until_numbers([1, 2, 3, 5, 6])
    # A later life counts from one again, and may have said more than the one before.
    await stack.talker.stop()
    await stack.talker.start()
    stack.talker.say(*range(10, 20))
    await stack.until_numbers([1, 2, 3, 5, 6, *range(10, 20)])


async def test_what_a_ring_has_lost_is_told(stack: Stack) -> None:
    stack.talker.say(1)
    await stack.until_numbers([1])
    await stack.shipper.process.kill()
    await stack.talker.stop()
    await stack.talker.start(kept=10)
    stack.talker.say(*range(100, 150))
    await stack.begin()
    await stack.until_numbers([1, *range(140, 150)])
    (gap,) = await stack.lines(event="gap")
    assert (gap["missed"], gap["level"]) == (40, "warn")
    assert 'missed_events_total{daemon="registrar"' in (await stack.shipper.ask("metrics"))[1]


async def test_own_events_are_there_and_make_no_others(stack: Stack) -> None:
    stack.talker.say(1)
    await stack.until_numbers([1])

    async def own() -> bool:
        envs = {each["env"] for each in await stack.lines()}
        return {"logshipper", "logstore", "registrar"} <= envs

    await until(own, timeout_seconds=30, what="its own are there")
    counts = [-1]
    for _ in range(10):
        counts.append(len(await stack.lines()))
        if counts[-1] == counts[-2]:
            return
        await asyncio.sleep(2)
    raise AssertionError(counts, await stack.lines())


@pytest.mark.scenario
async def test_a_store_that_is_away_costs_nothing(stack: Stack) -> None:
    stack.talker.say(1)
    await stack.until_numbers([1])
    await stack.store.process.kill()
    stack.talker.say(*range(2, 300))
    await asyncio.sleep(1)
    await stack.store.start()
    await stack.until_numbers([*range(1, 300)])
