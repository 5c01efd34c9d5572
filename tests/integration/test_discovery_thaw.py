"""A discovery that was frozen: what began and ended meanwhile is never served."""

import asyncio
import contextlib
import time
from collections import Counter

import aiohttp
import pytest

from tests.stack.discovery import DiscoveryStack
from tests.stack.faults import SHOP
from wharfinger.following import STOOD_STILL_SECONDS
from wharfinger.operator.parts.process import until

pytestmark = [pytest.mark.real, pytest.mark.timeout(120)]

ENDED = 20


@pytest.fixture(params=["push", "reload"])
def stack(request: pytest.FixtureRequest) -> DiscoveryStack:
    fixture = "push_stack" if request.param == "push" else "discovery_stack"
    found: DiscoveryStack = request.getfixturevalue(fixture)
    return found


async def test_what_came_and_went_while_it_was_frozen_is_never_served(
    stack: DiscoveryStack,
) -> None:
    await stack.start()
    stays, new, *ended = [await stack.backends.start() for _ in range(2 + ENDED)]
    await stack.until_applied(await stack.put("shop_prod", stays, **SHOP))
    await stack.until_served(stays)
    stack.process.freeze()
    since = time.monotonic()
    # Any state in between has some of them.
    for address in ended:
        await stack.put("shop_prod", address, **SHOP)
    for address in ended:
        await stack.remove("shop_prod", address)
    revision = await stack.put("shop_prod", new, **SHOP)
    answers: Counter[str] = Counter()

    async def ask() -> None:
        while True:
            with contextlib.suppress(aiohttp.ClientError, OSError, TimeoutError):
                answers[(await stack.get()).text] += 1

    asking = [asyncio.create_task(ask()) for _ in range(2)]
    try:
        await until(lambda: _passed(since), timeout_seconds=20, what="it stood still for long")
        stack.process.thaw()
        await stack.until_applied(revision)
    finally:
        for task in asking:
            task.cancel()
        await asyncio.gather(*asking, return_exceptions=True)
    await stack.until_served(stays, new)
    assert answers.keys() <= {stays, new}, answers


async def test_what_waited_for_quiet_when_it_was_frozen_and_is_over_is_never_published(
    discovery_stack: DiscoveryStack,
) -> None:
    stack = discovery_stack
    template = (
        "{% for s in services %}{% for i in s.instances %}{{ i.address }} {% endfor %}{% endfor %}"
    )
    slow = stack.write_resource("slow", template, keys=["/"], debounce="2s")
    await stack.start()
    stays, ended, new = (f"10.0.0.1:{port}" for port in (1, 2, 3))
    await stack.until_applied(await stack.put("shop_prod", stays, **SHOP))
    await stack.put("shop_prod", ended, **SHOP)

    async def heard() -> bool:
        return ended in stack.nginx.include.read_text()

    await until(heard, timeout_seconds=20, what="another resource has it")
    since = time.monotonic()
    stack.process.freeze()
    assert ended not in slow.read_text()
    await stack.remove("shop_prod", ended)
    revision = await stack.put("shop_prod", new, **SHOP)
    await until(lambda: _passed(since), timeout_seconds=20, what="it stood still for long")
    stack.process.thaw()
    published: set[str] = set()

    async def applied() -> bool:
        published.add(slow.read_text())
        return new in slow.read_text()

    await until(applied, timeout_seconds=20, what="the new one is published")
    await stack.until_applied(revision)
    assert not any(ended in each for each in published), published


async def _passed(since: float) -> bool:
    return time.monotonic() - since > STOOD_STILL_SECONDS + 1
