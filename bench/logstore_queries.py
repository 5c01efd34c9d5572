"""Measures finding lines in the log store, and what taking them costs; VictoriaLogs beside it.

    python bench/logstore_queries.py [--lines 300000] [--victoria-logs PATH] [--rounds 20]

The engines get the same packed `_bulk` bodies and are asked the same, one engine after the other,
over HTTP. Each is stopped and started again between the lines and the questions, so that all of it
is on disk when that is measured; questions are asked once before they count. The last rows are
asked while more lines come in as fast as they are taken. CPU is that of the engine's process,
whose clock ticks 100 times a second. 3,000,000 lines (two days) are what the README shows.
"""

import argparse
import asyncio
import json
import os
import tempfile
import time
import uuid
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import psutil
from logstore import corpus, engines
from logstore.corpus import Corpus
from logstore.engines import Engine, Logstore, Question, VictoriaLogs

SENDERS, BODY_LINES = 8, 2_000
SEARCHABLE_TRIALS, SEARCHABLE_SECONDS = 20, 10.0
BESIDE = (
    "unique trace id",
    "common word, last 100",
    "phrase, last 100",
    "minutes of a word, a day",
)

Table = dict[str, str]


class Timing(NamedTuple):
    """What a question took.

    Attributes:
        walls: seconds of each time.
        cpu: seconds of the engine for each time.
        lines: found, or counted.
        errors: of those beside a writer.
    """

    walls: Sequence[float]
    cpu: float = 0.0
    lines: int = 0
    errors: int = 0

    def text(self) -> str:
        """As a cell of the table."""
        wall = f"{quantile(self.walls, 0.5):.1f} / {quantile(self.walls, 0.99):.1f} ms"
        return f"{wall}, CPU {self.cpu * 1000:.1f}, {self.lines} lines"


def quantile(values: Sequence[float], share: float) -> float:
    """In milliseconds, of seconds."""
    return sorted(values)[int(share * (len(values) - 1))] * 1000


def questions(given: Corpus) -> dict[str, Question]:
    hour = given.lines * corpus.NANOSECONDS_A_LINE // (3600 * 10**9)
    hours = (max(0, hour // 2), max(0, hour // 2) + 3)
    return {
        "unique trace id": Question(given.trace),
        "rare word, last 100": Question(corpus.RARE),
        "common word, last 100": Question("GET"),
        "phrase, last 100": Question('"connection reset by peer"'),
        "app, word, 3 hours, last 100": Question("timeout", app="app3", hours=hours),
        "minutes of all, a day": Question(hours=(0, 24), minutes=1),
        "minutes of a word, a day": Question("timeout", hours=(0, 24), minutes=1),
    }


async def asked(
    engine: Engine, process: psutil.Process, question: Question, rounds: int
) -> Timing | str:
    async with engines.session() as client:
        try:
            lines = await engine.ask(client, question)
        except LookupError as error:
            return f"refused: {error}"[:60]
        walls, before = [], engines.cpu_seconds(process)
        for less in range(1, rounds + 1):
            began = time.monotonic()
            await engine.ask(client, question._replace(less=less))
            walls.append(time.monotonic() - began)
        return Timing(walls, (engines.cpu_seconds(process) - before) / rounds, lines)


async def searchable(engine: Engine) -> str:
    """From the beginning of a request with a line until a search finds it."""
    took = []
    async with engines.session() as client:
        for _ in range(SEARCHABLE_TRIALS):
            await asyncio.sleep(0.1)  # a line that comes alone
            word = uuid.uuid4().hex
            at = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
            line = {"message": f"here I am {word}", "@timestamp": at, "app": "probe"}
            body = f'{{"create":{{"_id":"{word}"}}}}\n{json.dumps(line)}\n'
            began = time.monotonic()
            kind = {"Content-Type": "application/x-ndjson"}
            async with client.post(engine.bulk, data=body, headers=kind) as answer:
                assert answer.status == 200, await answer.text()
            while not await engine.ask(client, Question(word)):
                assert time.monotonic() - began < SEARCHABLE_SECONDS
                await asyncio.sleep(0.005)
            took.append(time.monotonic() - began)
    return f"{quantile(took, 0.5):.0f} / {quantile(took, 1):.0f} ms"


async def beside(engine: Engine, more: Corpus, given: dict[str, Question]) -> dict[str, Timing]:
    """Asks again and again while lines come in."""
    found: dict[str, list[float]] = {name: [] for name in BESIDE}
    errors = dict.fromkeys(BESIDE, 0)

    async def read(done: asyncio.Event) -> None:
        async with engines.session() as client:
            while not done.is_set():
                for name in BESIDE:
                    began = time.monotonic()
                    try:
                        await engine.ask(client, given[name])
                    except (LookupError, AssertionError, OSError):
                        errors[name] += 1
                    else:
                        found[name].append(time.monotonic() - began)

    done = asyncio.Event()
    async with asyncio.TaskGroup() as group:
        group.create_task(read(done))
        await engines.fed(engine, more.folder, SENDERS)
        done.set()
    return {name: Timing(found[name], errors=errors[name]) for name in BESIDE}


async def measure(engine: Engine, given: Corpus, more: Corpus, rounds: int, log: Path) -> Table:
    table: Table = {}
    async with engines.running(engine, log) as process:
        before, began = engines.cpu_seconds(process), time.monotonic()
        waits = await engines.fed(engine, given.folder, SENDERS)
        wall, cpu = time.monotonic() - began, engines.cpu_seconds(process) - before
        table["lines per CPU second"] = f"{given.lines / cpu:,.0f}"
        table["lines per second, wall"] = f"{given.lines / wall:,.0f}"
        answered = f"{quantile(waits, 0.5):.0f} / {quantile(waits, 0.99):.0f} ms"
        table["answer to a body, p50 / p99"] = answered
        table["memory"] = f"{process.memory_info().rss / 2**20:.0f} MB"
    disk = engines.disk_bytes(engine.data)
    a_line, a_byte = disk / given.lines, disk / given.message_bytes
    table["disk, bytes a line; a message byte"] = f"{a_line:.1f}; {a_byte:.2f}"
    async with engines.running(engine, log) as process:
        asking = questions(given)
        for name, question in asking.items():
            timing = await asked(engine, process, question, rounds)
            table[name] = timing if isinstance(timing, str) else timing.text()
        table["from POST to found, p50 / max"] = await searchable(engine)
        for name, timing in (await beside(engine, more, asking)).items():
            cell = f"{timing.errors} errors"
            if timing.walls:
                p50, p99 = quantile(timing.walls, 0.5), quantile(timing.walls, 0.99)
                cell = f"{p50:.0f} / {p99:.0f} ms, {len(timing.walls)} times, {cell}"
            table[f"beside a writer: {name}"] = cell
    return table


def main() -> None:
    parser = argparse.ArgumentParser(description="Measures finding lines in the log store.")
    parser.add_argument("--lines", type=int, default=300_000)
    parser.add_argument("--rounds", type=int, default=20)
    parser.add_argument("--victoria-logs", type=Path)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="logstore-bench-") as name:
        folder, lines = Path(name), arguments.lines
        print(f"preparing {lines} lines, load {os.getloadavg()[0]:.1f}", flush=True)
        given = corpus.written(folder / "bodies", lines, BODY_LINES)
        more = corpus.written(folder / "more", lines // 4, BODY_LINES, first=lines)
        contestants: list[Engine] = [Logstore(folder)]
        if arguments.victoria_logs:
            contestants.append(VictoriaLogs(folder, arguments.victoria_logs))
        tables: dict[str, Table] = {}
        for engine in contestants:
            measured = measure(engine, given, more, arguments.rounds, folder / f"{engine.name}.log")
            tables[engine.name] = asyncio.run(measured)
            print(f"{engine.name} measured, load {os.getloadavg()[0]:.1f}", flush=True)
        print(f"{given.message_bytes / lines:.1f} bytes of message a line")
        print("\n".join(engines.rendered(tables)))


if __name__ == "__main__":
    main()
