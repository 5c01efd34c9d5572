"""Rows of the table: each does its worst while lines are written."""

import asyncio
import os
import random
import time
from collections.abc import Awaitable, Callable
from typing import Final

from aiohttp import web
from losses.contestant import Contestant
from losses.race import Race

from tests.logshipper.strict_sink import StrictSink, busy_items, reset_after_storing, status

KILLS, SHORT_CONTAINERS, WORD_BYTES = 15, 60, 16
OUTAGE_SECONDS: Final = 10.0
LONG_SECONDS: Final = 45.0
ROTATION_SECONDS: Final = 15.0
SLOWLY: Final = "usleep 20000"

Fault = Callable[[Race], Awaitable[None]]


async def killed(race: Race) -> None:
    async def worn(contestant: Contestant) -> None:
        dice = random.Random(7)
        for _ in range(KILLS):
            await contestant.begin()
            await asyncio.sleep(dice.uniform(0.5, 1.8))
            await contestant.kill()

    await race.write("line", 60_000, pause="usleep 25000")
    await race.all(worn)
    await race.start()


async def away(race: Race, *options: str, seconds: float = OUTAGE_SECONDS) -> None:
    """The sinks refuse connections meanwhile."""
    await race.start()
    until = time.monotonic() + seconds
    await race.all(lambda contestant: contestant.sink.stop())
    container = await race.write("line", 50_000, *options, pause="usleep 10000")
    await race.docker.run("wait", container)
    await asyncio.sleep(max(2.0, until - time.monotonic()))
    await race.all(lambda contestant: contestant.sink.start())


async def away_within(race: Race) -> None:
    await away(race, "--log-opt=max-size=1m", "--log-opt=max-file=30")


async def away_beyond(race: Race) -> None:
    await away(race, "--log-opt=max-size=1m", "--log-opt=max-file=3", seconds=LONG_SECONDS)


async def removed(race: Race) -> None:
    await race.start()
    race.behave(status(503))
    containers = [await race.write(f"gone{'abcd'[n]}", 10_000) for n in range(4)]
    await race.docker.run("wait", *containers)
    await asyncio.sleep(2.0)
    await race.docker.run("rm", "--force", *containers)
    await asyncio.sleep(2.0)
    race.behave(None)


async def down(race: Race, *options: str) -> None:
    """Stopped in good order, three times, while the log rotates."""
    options = ("--log-opt=max-size=200k", "--log-opt=max-file=40", *options)
    container = await race.write("line", 50_000, *options, pause="usleep 30000")
    for _ in range(3):
        await race.start()
        await asyncio.sleep(1.0)
        await race.all(_stop)
        goal, deadline = race.rotated(container) + 3, time.monotonic() + ROTATION_SECONDS
        while race.rotated(container) < goal and time.monotonic() < deadline:  # noqa: ASYNC110
            await asyncio.sleep(0.1)
    await race.start()


async def _stop(contestant: Contestant) -> None:
    await contestant.process.terminate()


async def down_compressed(race: Race) -> None:
    await down(race, "--log-opt=compress=true")


async def momentary(race: Race) -> None:
    await race.start()
    turn = asyncio.Semaphore(4)

    async def short(number: int) -> None:
        name = f"short{chr(97 + number // 26)}{chr(97 + number % 26)}"
        async with turn:
            await race.write(name, 100, remove=True)

    await asyncio.gather(*map(short, range(SHORT_CONTAINERS)))


async def truncated(race: Race) -> None:
    """Each time it is read to its end before, and shorter afterwards."""
    await race.start()
    log = await race.log()
    for turn in range(3):
        log.write(*race.names("abc"[turn], 3000 - 500 * turn))
        await asyncio.sleep(3.0)
        os.truncate(log.path, 0)
        await asyncio.sleep(0.5)


async def truncated_refilled(race: Race) -> None:
    """Each time it is longer at once than it was before."""
    await race.start()
    log = await race.log()
    for turn in range(3):
        log.write(*race.names("abc"[turn], 1000 + 1000 * turn))
        await asyncio.sleep(3.0)
        if turn < 2:
            os.truncate(log.path, 0)


async def long(race: Race) -> None:
    """Of 640 parts; its words are what is counted, with a line before and one behind."""
    await race.start()
    log = await race.log()
    words = [word.ljust(WORD_BYTES) for word in race.names("w", 10 * 2**20 // WORD_BYTES)]
    log.write(*race.names("before", 1), "".join(words), *race.names("behind", 1000))


async def invalid(race: Race) -> None:
    """Bytes that are not UTF-8, torn lines with a whole one behind, blocks of NUL."""
    await race.start()
    log = await race.log()
    for number, name in enumerate(race.names("line", 3000)):
        match number % 30:
            case 0:
                text = b'{"log":"%b \xff\xfe\xc3(\\n","stream":"stdout","time":"%b"}\n'
                log.append(text % (name.encode(), b"2026-07-01T10:00:00.5Z"))
            case 1:
                log.append(b'{"log":"torn, its end was never wri')
                log.write(name)
            case 2:
                log.append(bytes(4096))
                log.write(name)
            case _:
                log.write(name)


async def hung(race: Race) -> None:
    """It takes requests and does not answer, and then lets go of all of them."""
    over = asyncio.Event()

    async def hang(_: StrictSink, request: web.Request, __: bytes) -> web.StreamResponse:
        await over.wait()
        if request.transport is not None:
            request.transport.abort()
        return web.Response()

    await _during(race, lambda: race.behave(hang))
    over.set()


async def busy(race: Race) -> None:
    await _during(race, lambda: race.behave(status(429, Retry_After="1")))


async def mixed(race: Race) -> None:
    await _during(race, lambda: race.behave(busy_items(3)))


async def _during(race: Race, misbehave: Callable[[], None]) -> None:
    await race.start()
    misbehave()
    await race.write("line", 20_000, pause=SLOWLY)
    await asyncio.sleep(OUTAGE_SECONDS)
    race.behave(None)


async def unanswered(race: Race) -> None:
    await race.start()
    for each in race.contestants:
        each.sink.moods += [reset_after_storing] * 5
    await race.write("line", 20_000, pause=SLOWLY)


async def too_large(race: Race) -> None:
    await race.start()
    for each in race.contestants:
        each.sink.limit_bytes = 10**6
    (await race.log()).write(*(f"{name} {'x' * 200}" for name in race.names("line", 20_000)))


FAULTS: Final[dict[str, tuple[str, Fault]]] = {
    "killed": (f"shipper killed {KILLS} times while lines are written", killed),
    "away": ("sink away for 10 s, the log rotates, Docker keeps all of it", away_within),
    "beyond": ("for 45 s, and beyond what Docker keeps", away_beyond),
    "removed": ("sink answers 503, 4 containers removed with unread lines", removed),
    "down": ("shipper stopped 3 times, 3 rotations each time", down),
    "compressed": ("the same with `compress=true`", down_compressed),
    "momentary": (f"{SHORT_CONTAINERS} containers of a moment, `--rm`", momentary),
    "truncated": ("truncated 3 times, shorter afterwards", truncated),
    "refilled": ("truncated twice, longer at once", truncated_refilled),
    "long": ("one line of 10 MB: its words", long),
    "invalid": ("bytes that are not UTF-8, torn lines, blocks of NUL", invalid),
    "hung": ("sink hangs for 10 s", hung),
    "busy": ("sink answers 429 for 10 s", busy),
    "mixed": ("`_bulk` refuses every third document with 429 for 10 s", mixed),
    "unanswered": ("5 answers lost after the write", unanswered),
    "large": ("5 MB at once, and 413 for bodies above 1 MB", too_large),
}
