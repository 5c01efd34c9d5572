"""The leader of etcd is killed again and again while containers come and go, under load."""

import asyncio
import itertools
import os
import time
from collections import Counter
from collections.abc import Callable

import aiohttp
import pytest

from tests.stack.lab.box import Box
from tests.stack.lab.platform import Platform
from wharfinger.errors import Unavailable

pytestmark = [pytest.mark.real, pytest.mark.scenario, pytest.mark.timeout(400)]

Record = Callable[[str, object], None]

# Less shows less, and sooner.
SECONDS = float(os.environ.get("WHARFINGER_LEADER_SECONDS", "120"))
KILL_EVERY_SECONDS = 10.0
RESTART_SECONDS = 1.0  # as an init system waits before it starts what was killed


async def test_leaders_die_every_ten_seconds_while_containers_come_and_go(
    platform: Platform, record_property: Record
) -> None:
    counts: Counter[str] = Counter()
    end = time.monotonic() + SECONDS
    async with platform.load() as load:
        await load.more(100)
        async with asyncio.TaskGroup() as group:
            group.create_task(killed(platform, end, counts))
            for box in platform.boxes:
                group.create_task(churned(box, end, counts))
        since = time.monotonic()
        await platform.until_equal(6, 20)
        record_property("seconds from the last to equal", round(time.monotonic() - since, 1))
        await load.more(100)
    for what, count in counts.items():
        record_property(what, count)
    record_property("requests answered", len(load.answered))
    record_property("requests lost", len(load.lost))
    record_property("reasons", load.reasons)
    await platform.until_healthy()
    assert counts["leaders killed"] >= SECONDS / KILL_EVERY_SECONDS - 2
    assert counts["containers that came and went"] > 0
    assert load.lost == []
    stored = await platform.until_stored(load.answered)
    record_property("lines stored", len(load.answered & stored.keys()))
    record_property("lines twice", stored.total() - len(stored))
    assert stored.total() == len(stored)


async def killed(platform: Platform, end: float, counts: Counter[str]) -> None:
    """Kills whoever leads, and starts it anew."""
    while time.monotonic() + KILL_EVERY_SECONDS < end:
        due = time.monotonic() + KILL_EVERY_SECONDS
        for box in platform.boxes:
            if await box.leads():
                await box.etcd.process.kill()
                counts["leaders killed"] += 1
                await asyncio.sleep(RESTART_SECONDS)
                await box.etcd.start(wait=False)
                break
        await asyncio.sleep(max(0.0, due - time.monotonic()))


async def churned(box: Box, end: float, counts: Counter[str]) -> None:
    """Starts a container, and takes it away in good order once it is registered."""
    for number in itertools.count():
        if time.monotonic() > end:
            return
        name = f"churn-{number}"
        before = await box.listening()
        await box.run_shop(name)
        try:
            await registered(box, before)
            await box.operator("drain", name)
        except Unavailable as error:
            pytest.fail(f"{name} on {box.host.name}: {error}")
        await box.host.docker.run("stop", name)
        await box.host.docker.run("rm", name)
        counts["containers that came and went"] += 1


async def registered(box: Box, before: set[str]) -> None:
    deadline = time.monotonic() + 60
    while True:
        fresh = await box.listening() - before
        try:
            if fresh and fresh <= set((await box.keys()).values()):
                return
        except aiohttp.ClientError:
            pass  # its own member is the one that was killed
        if time.monotonic() > deadline:
            raise Unavailable(f"not registered within a minute: {fresh}")
        await asyncio.sleep(0.1)
