"""Measures the log store: lines per CPU second of its process, bytes on disk, query times.

    python bench/logstore_ingest.py [--lines 500000] [--senders 8] [--body-lines 2000]

CPU seconds and ratios hold on a busy machine too; wall times do not.
"""

import argparse
import asyncio
import gzip
import json
import random
import statistics
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import aiohttp
import psutil

from wharfinger.operator.parts.process import Process, free_port

START = 1_795_392_000  # 2026-11-23T00:00:00Z
ERRORS = ("connection reset by peer", "deadline exceeded", "no such order", "pool exhausted")
QUERIES = {
    "unique trace id": "{trace}",
    "rare word": "quetzalcoatl",
    "common word, last 100": "GET",
    "phrase, last 100": '"connection reset by peer"',
    "app + word": "app:app3 timeout",
    "word with regex": "GET /orders.[0-9]+7 HTTP/",
    "nothing asked, last 100": "",
}


def message(dice: random.Random, number: int) -> str:
    """One line: access logs, levels, errors, SQL, now and then a stack frame."""
    trace = f"trace={dice.getrandbits(64):016x}"
    kind = dice.random()
    order, some = dice.randrange(10**6), dice.randrange(900)
    address = f"10.{dice.randrange(4)}.{dice.randrange(256)}.{dice.randrange(256)}"
    if kind < 0.4:
        agent = "Mozilla/5.0 (X11; Linux x86_64)"
        return f'{address} "GET /orders/{order} HTTP/1.1" 200 {some} "{agent}" {trace}'
    if kind < 0.75:
        return f"INFO [worker-{number % 8}] shop.OrderService: order {order} in {some} ms {trace}"
    if kind < 0.85:
        statement = f"SELECT id, state FROM items WHERE order_id = {order}"
        return f"WARN [worker-{number % 8}] slow query, timeout near: {statement} ({some} ms)"
    if kind < 0.95:
        return f"ERROR {dice.choice(ERRORS)} while calling http://{address}:8080/pay {trace}"
    rare = " quetzalcoatl" if dice.random() < 0.001 else ""
    return f"\tat com.example.shop.Order{some % 50}.load(Order.java:{some}){rare}"


def bodies(lines: int, body_lines: int) -> tuple[list[bytes], int]:
    """Packed bodies as the shipper sends them, and the bytes of all messages."""
    dice = random.Random(6)
    packed: list[bytes] = []
    raw = 0
    for start in range(0, lines, body_lines):
        rows: list[str] = []
        source = dice.randrange(180)
        for number in range(start, min(start + body_lines, lines)):
            text = message(dice, number)
            raw += len(text.encode())
            seconds, fraction = divmod(number, 500)
            moment = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(START + seconds))
            rows.append(json.dumps({"create": {"_id": f"{source:016x}.1.{number * 150:x}"}}))
            rows.append(
                json.dumps(
                    {
                        "@timestamp": f"{moment}.{fraction * 2_000_000:09d}Z",
                        "message": text,
                        "app": f"app{source % 20}",
                        "env": "prod",
                        "host": f"host{source % 40}",
                        "container": f"{source:016x}",
                        "stream": "stdout",
                    }
                )
            )
        packed.append(gzip.compress(("\n".join(rows) + "\n").encode(), 1))
    packed.reverse()  # senders take from the end; lines come in the order of their times
    return packed, raw


async def send(
    client: aiohttp.ClientSession, url: str, queue: list[bytes], waits: list[float]
) -> None:
    headers = {"Content-Encoding": "gzip", "Content-Type": "application/x-ndjson"}
    while queue:
        body = queue.pop()
        while True:
            began = time.monotonic()
            async with client.post(f"{url}/_bulk", data=body, headers=headers) as answer:
                if answer.status == 200:
                    assert b'"errors":false' in await answer.read()
                    waits.append(time.monotonic() - began)
                    break
                assert answer.status == 429, await answer.text()
            await asyncio.sleep(0.1)


async def ask(client: aiohttp.ClientSession, url: str, text: str) -> tuple[float, int]:
    times: list[float] = []
    hits = 0
    for _ in range(7):
        began = time.monotonic()
        async with client.get(f"{url}/api/search", params={"q": text}) as answer:
            found: dict[str, Any] = await answer.json()
        times.append(time.monotonic() - began)
        hits = len(found["hits"])
    return statistics.median(times) * 1000, hits


def quantile(values: Sequence[float], share: float) -> float:
    return sorted(values)[int(share * (len(values) - 1))] * 1000


async def measure(arguments: argparse.Namespace, folder: Path) -> None:
    print(f"preparing {arguments.lines} lines", flush=True)
    packed, raw = bodies(arguments.lines, arguments.body_lines)
    trace = "none"
    url = f"http://127.0.0.1:{free_port()}"
    settings = {
        "listen": url.removeprefix("http://"),
        "data_dir": folder / "data",
        "retention_days": 3650,
    }
    flags = [part for k, v in settings.items() for part in ("--set", f"logstore.{k}={v}")]
    server = Process(
        [sys.executable, "-m", "logshipper.store", "run", *flags],
        log=folder / "log",
        name="logstore",
    )
    async with aiohttp.ClientSession() as client:

        async def ready() -> bool:
            try:
                async with client.get(f"{url}/readyz") as answer:
                    return answer.status == 200
            except aiohttp.ClientError:
                return False

        await server.start(ready)
        try:
            process = psutil.Process(server.pid)
            before, began, waits = process.cpu_times(), time.monotonic(), []
            await asyncio.gather(
                *(send(client, url, packed, waits) for _ in range(arguments.senders))
            )
            wall, after = time.monotonic() - began, process.cpu_times()
            cpu = after.user + after.system - before.user - before.system
            disk = sum(p.stat().st_size for p in (folder / "data").rglob("*.db*"))
            print(f"lines per CPU second   {arguments.lines / cpu:10,.0f}")
            print(f"lines per second, wall {arguments.lines / wall:10,.0f}")
            print(
                f"ack p50 / p99, ms      {quantile(waits, 0.5):6.0f} / {quantile(waits, 0.99):.0f}"
            )
            print(f"message bytes a line   {raw / arguments.lines:10.1f}")
            print(f"disk bytes a line      {disk / arguments.lines:10.1f}")
            print(f"disk per message byte  {disk / raw:10.2f}")
            print(f"memory, MB             {process.memory_info().rss / 2**20:10.0f}")
            async with client.get(f"{url}/api/search", params={"q": "trace*"}) as answer:
                trace = (await answer.json())["hits"][-1]["message"].rpartition("=")[2]
            for name, text in QUERIES.items():
                milliseconds, hits = await ask(client, url, text.replace("{trace}", trace))
                print(f"query {name:<26} {milliseconds:8.1f} ms wall, {hits} hits")
        finally:
            await server.terminate()


def main() -> None:
    parser = argparse.ArgumentParser(description="Measures the log store.")
    parser.add_argument("--lines", type=int, default=500_000)
    parser.add_argument("--senders", type=int, default=8)
    parser.add_argument("--body-lines", type=int, default=2_000)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="logstore-bench-") as folder:
        asyncio.run(measure(arguments, Path(folder)))


if __name__ == "__main__":
    main()
