"""`/usage`: asked by many at once, it must not hold up what Nginx is told."""

import asyncio
import time

import aiohttp
from aiohttp import web

from discovery.usage import Usage
from tests.stack.listening import listening


async def test_of_many_who_ask_at_once_one_at_a_time_is_in_the_way() -> None:
    within = most = 0

    async def requests(_service: str) -> int:
        nonlocal within, most
        within += 1
        most = max(most, within)
        await asyncio.sleep(0)
        within -= 1
        return 7

    application = web.Application()
    application.add_routes(Usage(requests).routes())
    runner = web.AppRunner(application)
    try:
        url = f"http://127.0.0.1:{await listening(runner)}/usage?service=shop_prod"

        async def ask(session: aiohttp.ClientSession) -> int:
            async with session.get(url) as answer:
                return int((await answer.json())["requests"])

        async with aiohttp.ClientSession() as session:
            assert set(await asyncio.gather(*(ask(session) for _ in range(40)))) == {7}
    finally:
        await runner.cleanup()
    assert most == 1


async def test_its_moment_is_of_a_clock_that_nobody_sets() -> None:
    async def requests(_service: str) -> int:
        return 7

    application = web.Application()
    application.add_routes(Usage(requests).routes())
    runner = web.AppRunner(application)
    before = time.monotonic()
    try:
        url = f"http://127.0.0.1:{await listening(runner)}/usage?service=shop_prod"
        async with aiohttp.ClientSession() as session, session.get(url) as answer:
            assert before <= (await answer.json())["at"] <= time.monotonic()
    finally:
        await runner.cleanup()
