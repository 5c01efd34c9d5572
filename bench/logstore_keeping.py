"""Measures what an operator does with the log store's files, and what a backup costs its senders.

    python bench/logstore_keeping.py [--lines 1000000] [--seconds 20]

CPU seconds and ratios hold on a busy machine too; wall times do not.
"""

import argparse
import asyncio
import json
import random
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import aiohttp

from wharfinger.operator.parts.process import Process, free_port

BODY_LINES = 1_000
SENDERS = 4
WORDS = ("timeout", "GET", "/orders", "payment", "retry", "pool", "connection", "reset", "200")


def body(dice: random.Random, first: int) -> bytes:
    """Lines as the shipper sends them, in the order of their times."""
    rows: list[str] = []
    for number in range(first, first + BODY_LINES):
        seconds, fraction = divmod(number, 500)
        moment = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(START + seconds % 86_000))
        text = f"INFO {' '.join(dice.choices(WORDS, k=8))} trace={dice.getrandbits(64):016x}"
        source = f"{first // BODY_LINES % 180:016x}"
        rows.append(json.dumps({"create": {"_id": f"{source}.1.{number * 150:x}"}}))
        fields = {"@timestamp": f"{moment}.{fraction:03}Z", "message": text, "container": source}
        rows.append(json.dumps({**fields, "app": f"app{number % 20}", "env": "prod"}))
    return ("\n".join(rows) + "\n").encode()


START = int(time.time()) // 86_400 * 86_400


class Senders:
    """Sends until told to stop; how long each acknowledgement took."""

    def __init__(self, url: str) -> None:
        self.url = url
        self.next = 0

    async def send(self, seconds: float, lines: int = 0) -> list[float]:
        """For so long, or until there are so many lines."""
        waits: list[float] = []
        ends_at = time.monotonic() + seconds

        async def one(client: aiohttp.ClientSession) -> None:
            while time.monotonic() < ends_at and (not lines or self.next < lines):
                first, self.next = self.next, self.next + BODY_LINES
                data = body(random.Random(first), first)
                began = time.monotonic()
                async with client.post(f"{self.url}/_bulk", data=data) as answer:
                    assert answer.status == 200, await answer.text()
                    await answer.read()
                waits.append(time.monotonic() - began)

        async with aiohttp.ClientSession() as client:
            await asyncio.gather(*(one(client) for _ in range(SENDERS)))
        return waits


def timed(*command: str) -> tuple[float, float]:
    """CPU and wall seconds of a command."""
    before, began = resource.getrusage(resource.RUSAGE_CHILDREN), time.monotonic()
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    used = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return used, time.monotonic() - began


def told(name: str, waits: list[float], seconds: float) -> None:
    cuts = statistics.quantiles(waits, n=100)
    rate = len(waits) * BODY_LINES / seconds
    print(
        f"{name:34} {rate:9,.0f} lines/s; acknowledged in p50 {cuts[49] * 1000:.0f} ms,"
        f" p99 {cuts[98] * 1000:.0f} ms, longest {max(waits) * 1000:.0f} ms"
    )


def spent(name: str, lines: int, *command: str) -> None:
    cpu, wall = timed(*command)
    each = cpu / lines * 1e6
    print(f"{name:34} {cpu:7.2f} CPU s, {wall:7.2f} s, {each:6.2f} µs of CPU a line")


async def measure(lines: int, seconds: float, folder: Path) -> None:
    listen = f"127.0.0.1:{free_port()}"
    settings = (
        "--set",
        f"logstore.data_dir={folder / 'data'}",
        "--set",
        f"logstore.listen={listen}",
    )
    logstore = (sys.executable, "-m", "logshipper.store", *settings)
    process = Process([*logstore, "run"], log=folder / "log", name="logstore")

    async def ready() -> bool:
        try:
            async with aiohttp.request("GET", f"http://{listen}/readyz") as answer:
                return answer.status == 200
        except aiohttp.ClientError:
            return False

    await process.start(ready)
    senders = Senders(f"http://{listen}")
    await senders.send(3_600, lines)
    size = sum(path.stat().st_size for path in (folder / "data").rglob("*.db*"))
    print(f"{lines:,} lines, {size:,} bytes on disk, {SENDERS} senders of {BODY_LINES} lines")
    for turn in (1, 2):
        told(f"senders alone, turn {turn}", await senders.send(seconds), seconds)
        stop = asyncio.Event()

        async def backups(stop: asyncio.Event = stop) -> list[float]:
            spent = []
            while not stop.is_set():
                spent.append(
                    (
                        await asyncio.to_thread(
                            timed, *logstore, "backup", str(folder / "to"), "--keep", "1"
                        )
                    )[1]
                )
            return spent

        beside = asyncio.create_task(backups())
        waits = await senders.send(seconds)
        stop.set()
        told(f"{len(await beside)} backups beside them, turn {turn}", waits, seconds)
    await process.kill()
    lines = senders.next
    file = str(folder / "lines.ndjson.zst")
    for name, *arguments in (
        ("days", "days"),
        ("check --data --quick", "check", "--data", "--quick"),
        ("check --data", "check", "--data"),
        ("export, zstd", "export", "-o", file),
        ("import, all known", "import", file),
        ("import, all new", "import", file, "--tenant", "other"),
        ("backup, all as before", "backup", str(folder / "to")),
        ("backup --verify", "backup", "--verify", str(folder / "to")),
    ):
        spent(name, lines, *logstore, *arguments)
    (path,) = (folder / "data/default").glob("*.db")
    with path.open("r+b") as damaged:
        damaged.seek(path.stat().st_size // 2)
        damaged.write(bytes(4096))
    spent("repair, a page lost", lines, *logstore, "repair", "default")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--lines", type=int, default=1_000_000)
    parser.add_argument("--seconds", type=float, default=20.0)
    parsed = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="wf-bench-") as folder:
        asyncio.run(measure(parsed.lines, parsed.seconds, Path(folder)))


if __name__ == "__main__":
    main()
