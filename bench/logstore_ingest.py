"""Measures what taking lines costs the log store: lines per CPU second of its process, disk.

    python bench/logstore_ingest.py [--lines 500000] [--senders 8] [--body-lines 2000]

CPU seconds and ratios hold on a busy machine too; wall times do not.
"""

import argparse
import asyncio
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

from logstore import corpus, engines
from logstore.corpus import Corpus
from logstore.engines import Engine


def quantile(values: Sequence[float], share: float) -> float:
    """In milliseconds, of seconds."""
    return sorted(values)[int(share * (len(values) - 1))] * 1000


async def measure(engine: Engine, given: Corpus, senders: int, log: Path) -> None:
    async with engines.running(engine, log) as process:
        before, began = engines.cpu_seconds(process), time.monotonic()
        waits = await engines.fed(engine, given.folder, senders)
        wall, cpu = time.monotonic() - began, engines.cpu_seconds(process) - before
        disk = engines.disk_bytes(engine.data)
        print(f"lines per CPU second   {given.lines / cpu:10,.0f}")
        print(f"lines per second, wall {given.lines / wall:10,.0f}")
        print(f"ack p50 / p99, ms      {quantile(waits, 0.5):6.0f} / {quantile(waits, 0.99):.0f}")
        print(f"message bytes a line   {given.message_bytes / given.lines:10.1f}")
        print(f"disk bytes a line      {disk / given.lines:10.1f}")
        print(f"disk per message byte  {disk / given.message_bytes:10.2f}")
        print(f"memory, MB             {process.memory_info().rss / 2**20:10.0f}")


def main() -> None:
    parser = argparse.ArgumentParser(description="Measures what taking lines costs.")
    parser.add_argument("--lines", type=int, default=500_000)
    parser.add_argument("--senders", type=int, default=8)
    parser.add_argument("--body-lines", type=int, default=2_000)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="logstore-bench-") as name:
        folder = Path(name)
        print(f"preparing {arguments.lines} lines", flush=True)
        given = corpus.written(folder / "bodies", arguments.lines, arguments.body_lines)
        engine = engines.Logstore(folder)
        asyncio.run(measure(engine, given, arguments.senders, folder / "log"))


if __name__ == "__main__":
    main()
