"""Measures what taking lines costs the log store, and VictoriaLogs beside it, in turns.

    python bench/logstore_ingest.py [--lines 500000] [--rounds 2] [--victoria-logs PATH]

Each turn has a new store and sends it the same packed `_bulk` bodies. CPU seconds and ratios hold
on a busy machine too, those of the best turn most of all; wall times do not. The last two rows are
the disk that is taken when the engine was stopped.
"""

import argparse
import asyncio
import os
import shutil
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from logstore import corpus, engines
from logstore.corpus import Corpus
from logstore.engines import Engine, Logstore, VictoriaLogs


class Turn(NamedTuple):
    """What one store took for all lines."""

    cpu: float
    wall: float
    waits: Sequence[float]
    memory: int
    disk: int


def quantile(values: Sequence[float], share: float) -> float:
    """In milliseconds, of seconds."""
    return sorted(values)[int(share * (len(values) - 1))] * 1000


async def turn(engine: Engine, given: Corpus, senders: int, log: Path) -> Turn:
    async with engines.running(engine, log) as process:
        before, began = engines.cpu_seconds(process), time.monotonic()
        waits = await engines.fed(engine, given.folder, senders)
        wall, cpu = time.monotonic() - began, engines.cpu_seconds(process) - before
        memory = process.memory_info().rss
    disk = engines.disk_bytes(engine.data)
    shutil.rmtree(engine.data)
    return Turn(cpu, wall, waits, memory, disk)


def rows(given: Corpus, turns: Sequence[Turn]) -> dict[str, str]:
    best = min(turns, key=lambda turn: turn.cpu)
    waits = [wait for turn in turns for wait in turn.waits]
    p50, p99 = quantile(waits, 0.5), quantile(waits, 0.99)
    return {
        "lines per CPU second, the best turn": f"{given.lines / best.cpu:,.0f}",
        "of each turn": " / ".join(f"{given.lines / turn.cpu:,.0f}" for turn in turns),
        "lines per second, wall, the best turn": f"{max(given.lines / t.wall for t in turns):,.0f}",
        "answer to a body, p50 / p99": f"{p50:.0f} / {p99:.0f} ms",
        "memory": f"{max(turn.memory for turn in turns) / 2**20:.0f} MB",
        "disk bytes a line": f"{best.disk / given.lines:.1f}",
        "disk bytes per byte of message": f"{best.disk / given.message_bytes:.2f}",
    }


def main() -> None:
    parser = argparse.ArgumentParser(description="Measures what taking lines costs.")
    parser.add_argument("--lines", type=int, default=500_000)
    parser.add_argument("--rounds", type=int, default=2)
    parser.add_argument("--senders", type=int, default=8)
    parser.add_argument("--body-lines", type=int, default=2_000)
    parser.add_argument("--victoria-logs", type=Path)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="logstore-bench-") as name:
        folder = Path(name)
        print(f"preparing {arguments.lines} lines, load {os.getloadavg()[0]:.1f}", flush=True)
        given = corpus.written(folder / "bodies", arguments.lines, arguments.body_lines)
        turns: dict[str, list[Turn]] = {}
        for _ in range(arguments.rounds):
            contestants: list[Engine] = [Logstore(folder)]
            if arguments.victoria_logs:
                contestants.append(VictoriaLogs(folder, arguments.victoria_logs))
            for engine in contestants:
                made = asyncio.run(turn(engine, given, arguments.senders, folder / "log"))
                turns.setdefault(engine.name, []).append(made)
        print(f"{given.message_bytes / given.lines:.1f} bytes of message a line")
        print(f"load at the end {os.getloadavg()[0]:.1f}")
        tables = {name: rows(given, of_name) for name, of_name in turns.items()}
        print("\n".join(engines.rendered(tables)))


if __name__ == "__main__":
    main()
