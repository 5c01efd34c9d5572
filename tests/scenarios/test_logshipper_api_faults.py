"""The shipper's word for logs that come through Docker's API: every line counted, by its id."""

import asyncio
import random
import re
import statistics
import time

import pytest
from aiohttp import web

from tests.logshipper.strict_sink import StrictSink, hang
from tests.stack.shipper import REQUESTS, RUN, Faults, eventually, expected, numbered

pytestmark = [pytest.mark.real, pytest.mark.scenario, pytest.mark.timeout(300)]

LOCAL = "--log-driver=local"
# Docker has room for all of it, and rotates again and again.
ROTATING = (LOCAL, "--log-opt=max-size=100k", "--log-opt=max-file=100")
KILLS = 25
SHORT = 60
QUIET = 10
OUTAGE_SECONDS = 8.0
RSS_LIMIT_BYTES = 150 * 2**20
QUIET_LIMIT_SECONDS = 2.0


async def test_killed_at_random_points_while_files_rotate(faults: Faults) -> None:
    await faults.write("line", 20_000, *ROTATING, pause="usleep 100000")
    rng = random.Random(11)
    counts = set()
    for number in range(KILLS):
        await faults.process.start()
        if number % 2:  # at any point of its life, the beginning included
            await asyncio.sleep(rng.uniform(0.05, 1.3))
        else:  # in the middle of its work, however slow the machine is
            await faults.until_documents(len(faults.sink.documents) + rng.randrange(1, 400))
        await faults.kill()
        counts.add(len(faults.sink.documents))
    faults.note("lives_that_shipped", len(counts))
    assert len(counts) > 3
    await faults.start()
    await faults.until_whole()
    assert faults.sink.duplicates <= KILLS * 2 * (REQUESTS + 1) * faults.sink.largest
    assert await faults.metric("losses_total") == 0


@pytest.mark.parametrize("down", ["refused", "hung"])
async def test_a_sink_that_is_down_costs_no_line_that_docker_keeps(
    faults: Faults, down: str
) -> None:
    faults.configure(request_timeout_seconds=2)
    await faults.start()
    if down == "hung":
        faults.sink.mood = hang
    else:
        await faults.sink.stop()
    await faults.write("line", 60_000, LOCAL)
    await asyncio.sleep(OUTAGE_SECONDS)
    rss = faults.rss_bytes()
    faults.note("rss_mib", rss // 2**20)
    assert rss < RSS_LIMIT_BYTES
    faults.sink.mood = None
    if down != "hung":
        await faults.sink.start()
    await faults.until_whole()
    assert await faults.metric("losses_total") == 0


async def test_containers_of_a_moment_are_removed_with_their_logs(faults: Faults) -> None:
    await faults.start()
    for number in range(SHORT):
        name = f"short-{number}"
        faults.expected |= expected(name, 100)
        command = (*RUN[:1], "--rm", *RUN[1:], LOCAL, *numbered(name, 100))
        await faults.docker.run(*command)
    await faults.until_whole()
    assert await faults.metric("losses_total") == 0


async def test_a_loud_one_leaves_room_for_the_quiet(faults: Faults) -> None:
    lags: list[float] = []
    loud = 0

    async def cheap(_: StrictSink, __: web.Request, body: bytes) -> web.StreamResponse:
        """Answers at the price of a search: a strict one would be what is slow here."""
        nonlocal loud
        now = time.clock_gettime(time.CLOCK_BOOTTIME)
        lags.extend(now - float(at) for at in re.findall(rb"quiet at (\d+\.\d+)", body))
        count = body.count(b'"create"')
        loud += count
        items = b",".join([b'{"create":{"status":201}}'] * count)
        return web.Response(
            body=b'{"errors":false,"items":[' + items + b"]}", content_type="application/json"
        )

    faults.sink.mood = cheap
    await faults.start()
    quiet = "while :; do read -r up rest < /proc/uptime; echo quiet at $up; sleep 0.5; done"
    for _ in range(QUIET):
        await faults.docker.run(*RUN, LOCAL, "busybox", "sh", "-c", quiet)
    await eventually(lambda: len(lags) >= 2 * QUIET, "all are followed")
    lags.clear()
    noise = "while :; do echo loud loud loud loud loud loud loud loud loud loud loud loud; done"
    await faults.docker.run(*RUN, LOCAL, "busybox", "sh", "-c", noise)
    await eventually(lambda: len(lags) >= 16 * QUIET, "quiet lines have come")
    faults.note("loud_lines", loud)
    faults.note("quiet_late_p50_seconds", round(statistics.median(lags), 2))
    faults.note("quiet_late_worst_seconds", round(max(lags), 2))
    assert loud > 10_000
    assert max(lags) < QUIET_LIMIT_SECONDS
