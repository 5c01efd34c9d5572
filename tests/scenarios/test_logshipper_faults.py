"""The log shipper's word, where the process or the sink fails: every line counted, by its id."""

import asyncio
import itertools
import json
import random
import re
import signal
import time
from collections import Counter
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from aiohttp import web

from tests.logshipper.strict_sink import (
    StrictSink,
    hang,
    reset_after_storing,
    status,
)
from tests.stack.shipper import REQUESTS, CountingSink, Faults, Record, eventually
from wharfinger.operator.parts.dockerd import DockerDaemon

pytestmark = [pytest.mark.real, pytest.mark.scenario, pytest.mark.timeout(300)]

KILLS = 50
OUTAGE_SECONDS = 60.0
RSS_LIMIT_BYTES = 150 * 2**20
QUIET_LIMIT_SECONDS = 2.0


@pytest.fixture
async def hung(
    docker_daemon: DockerDaemon, tmp_path: Path, record_property: Record
) -> AsyncIterator[Faults]:
    """A second shipper of the same host, into a sink of its own."""
    folder = tmp_path / "hung"
    folder.mkdir()
    async with CountingSink() as sink:
        record = lambda name, figure: record_property(f"hung_{name}", figure)  # noqa: E731
        made = Faults(docker_daemon, sink, folder, record)
        yield made
        await made.close()


async def test_row_01_killed_at_fifty_random_points(faults: Faults) -> None:
    await faults.write("line", 20_000, pause="usleep 200000")
    rng = random.Random(7)
    counts = []
    for number in range(KILLS):
        await faults.process.start()
        if number % 2:  # at any point of its life, the beginning included
            await asyncio.sleep(rng.uniform(0.05, 1.3))
        else:  # in the middle of its work, however slow the machine is
            goal = len(faults.sink.documents) + rng.randrange(1, 400)
            await faults.until_documents(goal)
        await faults.kill()
        counts.append(len(faults.sink.documents))
    faults.note("lives_that_shipped", len(set(counts)))
    assert len(set(counts)) > 3
    await faults.start()
    await faults.until_whole()
    # What is on its way, and what was answered while the last checkpoint was being written.
    on_its_way = 2 * (REQUESTS + 1) * faults.sink.largest
    assert faults.sink.duplicates <= KILLS * on_its_way
    assert await faults.lost_bytes() == 0


async def test_row_02_stopped_in_good_order_sends_nothing_twice(faults: Faults) -> None:
    await faults.write("line", 8000, pause="usleep 50000")
    for _ in range(3):
        await faults.start()
        await faults.until_documents(len(faults.sink.documents) + 100)
        # One that is killed, since its sink was too slow for it, did not stop in good order.
        assert await faults.process.terminate(timeout_seconds=60) == 0
    await faults.start()
    await faults.until_whole()
    assert faults.sink.duplicates == 0


async def test_row_03_a_sink_that_is_down_and_one_that_hangs_for_a_minute(
    faults: Faults, hung: Faults
) -> None:
    """Both at once, each with a shipper of its own: a minute is long."""
    both = (faults, hung)
    for each in both:
        each.configure(request_timeout_seconds=2)
        await each.start()
    hung.sink.mood = hang
    await faults.sink.stop()
    began = time.monotonic()
    await faults.write("line", 60_000, pause="usleep 70000")
    hung.expected |= faults.expected
    for each in both:
        await each.until_health("sink main")
    await asyncio.sleep(OUTAGE_SECONDS - (time.monotonic() - began))
    for each in both:
        rss = each.rss_bytes()
        each.note("rss_mib", rss // 2**20)
        assert rss < RSS_LIMIT_BYTES
        assert not each.sink.documents
    hung.sink.mood = None
    await faults.sink.start()
    back = time.monotonic()
    for each in both:
        await each.until_whole()
        each.note("drained_seconds", round(time.monotonic() - back, 2))
        await each.until_health("")
        assert await each.lost_bytes() == 0


@pytest.mark.parametrize("code", [429, 503])
async def test_row_04_a_sink_that_says_when(faults: Faults, code: int) -> None:
    await faults.start()
    faults.sink.moods += [status(code, Retry_After="3"), *[status(code)] * 4]
    await faults.write("line", 100)
    await faults.until_whole()
    times = faults.sink.times
    gaps = [round(later - earlier, 2) for earlier, later in itertools.pairwise(times)]
    faults.note("gaps_seconds", gaps)
    # Only what was under way together with the first may come before that.
    waited = next(each - times[0] for each in times if each - times[0] > 1)
    assert waited >= 3
    assert len(set(gaps)) > 2


async def test_row_05_a_body_of_which_each_item_fares_differently(faults: Faults) -> None:
    codes = {0: 201, 1: 503, 2: 429, 3: 400}
    attempts: Counter[int] = Counter()

    async def mixed(sink: StrictSink, _: web.Request, body: bytes) -> web.StreamResponse:
        lines = body.split(b"\n")[:-1]
        items = []
        for action, source in zip(lines[::2], lines[1::2], strict=True):
            number = int(json.loads(source)["message"].split()[-1])
            attempts[number] += 1
            # In the end each is taken or refused: lines that wait hold back those of later bodies.
            code = codes[number % 4] if number % 4 == 3 or attempts[number] <= 2 else 201
            if code == 503:  # it was stored all the same: the next attempt is a 409
                sink._item(action, source)
            item = {"create": {"status": code, "error": {"type": "t", "reason": "r"}}}
            items.append(sink._item(action, source) if code == 201 else item)
        return web.json_response({"errors": True, "items": items})

    await faults.start()
    faults.sink.mood = mixed
    await faults.write("line", 400)
    await faults.until_metric("rejected_documents_total", lambda count: count >= 100)
    await faults.until_metric("delivered_documents_total", lambda count: count >= 100)
    faults.sink.mood = None
    await faults.until_settled()
    refused = {f"line {n}" for n in range(3, 401, 4)}
    letters = (faults.state / "logshipper/main/dead-letters.ndjson").read_text().splitlines()
    buried = [
        json.loads(json.loads(each)["document"].split("\n")[1])["message"] for each in letters
    ]
    assert sorted(buried) == sorted(refused)
    faults.expected -= refused
    await faults.until_whole()
    again = {faults.sink.documents[i]["message"] for i, n in faults.sink.received.items() if n > 1}
    assert {int(message.split()[1]) % 4 for message in again} == {1}
    assert await faults.metric("rejected_documents_total") == 100
    assert await faults.metric("delivered_documents_total") == 300
    faults.note("dead_letters", len(buried))


async def test_row_06_an_answer_that_is_lost_after_the_write(faults: Faults) -> None:
    await faults.start()
    faults.sink.moods += [reset_after_storing] * 5
    await faults.write("line", 5000)
    await faults.until_whole()
    assert faults.sink.duplicates > 0


async def test_row_07_a_body_that_is_too_large(faults: Faults) -> None:
    await faults.start()
    faults.sink.limit_bytes = 6000
    await faults.write("line", 1000)
    script = "head -c 9000 /dev/zero | tr '\\0' x; echo; echo after"
    await faults.docker.run("run", "--detach", "--network=none", "busybox", "sh", "-c", script)
    faults.expected.add("after")
    await faults.until_whole()
    await faults.until_settled()
    assert await faults.metric("rejected_documents_total") == 1
    [letter] = (faults.state / "logshipper/main/dead-letters.ndjson").read_text().splitlines()
    assert json.loads(letter)["status"] == 413
    assert "x" * 9000 in letter


async def test_row_21_a_damaged_checkpoint(faults: Faults) -> None:
    await faults.start()
    await faults.write("line", 3000)
    await faults.until_whole()
    await faults.until_settled()
    await faults.process.terminate()
    latest = faults.state / "logshipper/main/checkpoint"
    previous = faults.state / "logshipper/main/checkpoint.previous"
    whole = latest.read_bytes()
    torn, zeroed = whole[: len(whole) // 2], bytes(len(whole))
    old = whole.replace(b"wharfinger-checkpoint 1", b"wharfinger-checkpoint 0", 1)
    for name, data in (("torn", torn), ("zeroed", zeroed), ("old version", old)):
        latest.write_bytes(data)
        await faults.start()
        await faults.write(f"after {name}", 100)
        await faults.until_whole()
        await faults.until_settled()
        assert faults.sink.duplicates == 0
        await faults.process.terminate()
    for each in (latest, previous):
        each.write_bytes(bytes(100))
    await faults.start()
    await faults.write("after both", 100)
    await faults.until_whole()
    await faults.until_settled()
    assert faults.sink.duplicates > 0  # all were read again, under the ids that they had
    assert faults.process.log.read_text().count("checkpoint refused") >= 4


async def test_row_22_a_loud_container_beside_a_hundred_quiet_ones(faults: Faults) -> None:
    lags: list[float] = []
    loud = 0

    async def cheap(_: StrictSink, __: web.Request, body: bytes) -> web.StreamResponse:
        """Answers at the price of a search: a strict one would be what is slow here."""
        nonlocal loud
        now = time.monotonic()
        lags.extend(now - float(at) for at in re.findall(rb"quiet at (\d+\.\d+)", body))
        count = body.count(b'"create"')
        loud += count
        items = b",".join([b'{"create":{"status":201}}'] * count)
        return web.Response(
            body=b'{"errors":false,"items":[' + items + b"]}", content_type="application/json"
        )

    faults.sink.mood = cheap
    await faults.start()
    noisy = faults.log("b")
    quiet = [faults.log(f"{number:x}".rjust(4, "0")) for number in range(100)]
    for log in quiet:
        log.write(f"quiet at {time.monotonic():.3f}")
    await eventually(lambda: len(lags) >= len(quiet), "all are followed")
    lags.clear()
    block = b"".join(
        b'{"log":"%s\\n","stream":"stdout","time":"2026-07-01T10:00:00.%09dZ"}\n' % (b"x" * 150, n)
        for n in range(5000)
    )
    ended = asyncio.Event()

    def fill() -> int:
        written = 0
        with noisy.path.open("ab") as file:
            while not ended.is_set() and written < 2**30:
                written += file.write(block)
                file.flush()
                time.sleep(len(block) / 100e6)
        return written

    filling = asyncio.create_task(asyncio.to_thread(fill))
    for _ in range(8):
        for log in quiet:
            log.write(f"quiet at {time.monotonic():.3f}")
        await asyncio.sleep(0.5)
    await eventually(lambda: len(lags) >= 800, "all quiet lines have come")
    ended.set()
    written = await filling
    lags.sort()
    faults.note("loud_mb_written", written // 10**6)
    faults.note("loud_lines_shipped", loud)
    faults.note("quiet_p50_seconds", round(lags[len(lags) // 2], 3))
    faults.note("quiet_worst_seconds", round(lags[-1], 3))
    assert loud > 10_000
    assert lags[-1] < QUIET_LIMIT_SECONDS


async def test_row_24_a_reload_under_load(faults: Faults) -> None:
    await faults.start()
    await faults.write("line", 8000, pause="usleep 20000")
    good = faults.config.read_text()
    changed = good + '[logshipper.lines]\nlabels = ["wharfinger.env"]\nredact = ["card"]\n'
    wrong = good + "nonsense = 1\n"
    for number, config in enumerate((wrong, changed, wrong, good)):
        await faults.sink.until(lambda n=number: len(faults.sink.documents) > 500 * (n + 1))  # type: ignore[misc]
        faults.config.write_text(config)
        faults.process.signal(signal.SIGHUP)
        await faults.until_health("" if number % 2 else "nonsense")
    await faults.until_whole()
    assert faults.sink.duplicates == 0
    labelled = sum("label_wharfinger_env" in each for each in faults.sink.documents.values())
    faults.note("lines_by_the_changed_configuration", labelled)
    assert 0 < labelled < 8000
