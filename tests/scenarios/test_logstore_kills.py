"""Fifty kills of a log store that is at everything at once: no line is lost, none is twice."""

import asyncio
import random
import shutil
import statistics
from collections.abc import AsyncIterator, Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import aiohttp
import pytest

from tests.stack.logstore import Sender, Server
from tests.stack.storecheck import check_file, found_by_word
from wharfinger.operator.parts.process import until

pytestmark = [pytest.mark.scenario, pytest.mark.timeout(400)]

KILLS = 50
SENDERS = 6
BODY_LINES = 60
TENANTS = ("one", "two")

Record = Callable[[str, object], None]


@pytest.fixture
async def server(tmp_path: Path) -> AsyncIterator[Server]:
    tokens = tmp_path / "tokens"
    tokens.write_text("".join(f"token-{tenant} {tenant}\n" for tenant in TENANTS))
    timeout = aiohttp.ClientTimeout(total=60)
    async with aiohttp.ClientSession(timeout=timeout) as client:
        made = Server(
            tmp_path,
            client,
            ingest_token_file=tokens,
            read_token_file=tokens,
            retention_days=3,
        )
        await made.start()
        yield made
        await made.process.kill()


class Senders:
    """Senders of both tenants, to three days each."""

    def __init__(self, server: Server) -> None:
        self._server = server
        now = datetime.now(UTC)
        days = tuple((now - timedelta(days=n)).isoformat() for n in range(3))
        self._all = [
            Sender(server, n, BODY_LINES, token=f"token-{TENANTS[n % 2]}", times=days)
            for n in range(SENDERS)
        ]
        self._stop = asyncio.Event()
        self._running = [asyncio.create_task(sender.run(self._stop)) for sender in self._all]

    def acknowledged(self, tenant: str) -> set[str]:
        own = [sender for sender in self._all if sender.token == f"token-{tenant}"]
        return set[str]().union(*(sender.acknowledged for sender in own))

    async def until_more(self, count: int) -> None:
        wanted = self._count() + count

        async def there() -> bool:
            assert not any(task.done() for task in self._running)
            return self._count() >= wanted

        await until(there, timeout_seconds=60, what="lines are acknowledged")

    def pause(self) -> None:
        for sender in self._all:
            sender.going.clear()

    def resume(self) -> None:
        for sender in self._all:
            sender.going.set()

    async def end(self) -> None:
        self._stop.set()
        await asyncio.gather(*self._running)

    def _count(self) -> int:
        return sum(len(sender.acknowledged) for sender in self._all)


async def test_fifty_kills(server: Server, record_property: Record) -> None:
    dice = random.Random(20261126)
    senders = Senders(server)
    starts: list[float] = []
    for number in range(KILLS):
        await senders.until_more(dice.randrange(200, 1500))
        await asyncio.sleep(dice.random() / 10)  # anywhere inside a commit, not at its end
        senders.pause()
        await server.process.kill()
        promised = {tenant: senders.acknowledged(tenant) for tenant in TENANTS}
        expire(server.data_dir, number)
        if number % 5 == 0:
            await server.process.start()
            await asyncio.sleep(dice.uniform(0.3, 1.0))  # in the middle of a start
            await server.process.kill()
        starts.append(await server.start())
        for tenant in TENANTS:
            found = await server.messages(f"token-{tenant}")
            assert len(found) == len(set(found))
            assert not promised[tenant] - set(found)
        assert not list(server.data_dir.glob("*/2001-*")), "retention was not applied"
        senders.resume()
    await senders.end()
    lines = {tenant: senders.acknowledged(tenant) for tenant in TENANTS}
    for tenant in TENANTS:
        assert sorted(await server.messages(f"token-{tenant}")) == sorted(lines[tenant])
    await server.process.kill()
    check(server.data_dir, lines, dice)
    record_property("lines", sum(map(len, lines.values())))
    record_property("restart seconds, median", round(statistics.median(starts), 2))
    record_property("restart seconds, worst", round(max(starts), 2))


def expire(data_dir: Path, number: int) -> None:
    """Plants a day that retention must remove, in the state that a kill has left it in."""
    newest = max((data_dir / TENANTS[number % 2]).glob("*.db"))
    old = newest.with_name(f"2001-01-{number % 28 + 1:02}.db")
    shutil.copyfile(newest, old)
    log = newest.with_name(f"{newest.name}-wal")
    if log.exists():
        shutil.copyfile(log, old.with_name(f"{old.name}-wal"))
    if number % 3 == 0:
        old.rename(old.with_name(f"{old.name}.gone"))  # half removed already


def check(data_dir: Path, lines: dict[str, set[str]], dice: random.Random) -> None:
    """The files are sound, and the index finds what the blocks hold."""
    assert len(list(data_dir.glob("*/*.db"))) == len(TENANTS) * 3
    for path in data_dir.glob("*/*.db"):
        check_file(path)
    for tenant in TENANTS:
        some = dice.sample(sorted(lines[tenant]), 300)
        questions = [f'"{line}"' for line in some]
        assert sorted(found_by_word(data_dir, tenant, questions)) == sorted(some)
