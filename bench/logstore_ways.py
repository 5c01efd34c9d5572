"""Measures the ways into the log store beside each other: lines per CPU second of its process.

    python bench/logstore_ways.py [--lines 200000] [--body-lines 2000] [--rounds 2]

Bodies are those of the shipper's own sinks, packed with gzip; each way has a store of its own, and
all take turns. CPU seconds and ratios hold on a busy machine too; wall times do not.
"""

import argparse
import asyncio
import random
import sys
import tempfile
from pathlib import Path

import aiohttp
import cramjam
import psutil
from isal import igzip
from logstore.corpus import START, message

from logshipper.decode import Record
from logshipper.encoding import Encoding
from logshipper.sinks.encoding import loki, otlp
from logshipper.sinks.encoding.bulk import BulkEncoding
from logshipper.sinks.encoding.jsonline import JsonlineEncoding
from wharfinger import wire
from wharfinger.operator.parts.process import Process, free_port

LABELS = ("app", "env", "host", "stream")
ENCODINGS: dict[str, Encoding] = {
    "bulk": BulkEncoding(""),
    "jsonline": JsonlineEncoding(),
    "loki": loki.LokiEncoding(LABELS, metadata=True),
    "loki without ids": loki.LokiEncoding(LABELS, metadata=False),
    "otlp": otlp.OtlpEncoding(),
}
WAYS = {
    "bulk": ("/_bulk", "application/x-ndjson"),
    "jsonline": ("/insert/jsonline", "application/stream+json"),
    "loki": ("/loki/api/v1/push", "application/json"),
    "loki without ids": ("/loki/api/v1/push", "application/json"),
    "loki protobuf": ("/loki/api/v1/push", "application/x-protobuf"),
    "otlp": ("/v1/logs", "application/x-protobuf"),
}


def bodies(way: str, lines: int, body_lines: int) -> list[bytes]:
    """Unpacked; of protobuf for Loki, made by hand, since no sink speaks it."""
    dice, made = random.Random(6), []
    for start in range(0, lines, body_lines):
        source = dice.randrange(180)
        fields = {
            "app": f"app{source % 20}",
            "env": "prod",
            "host": f"host{source % 40}",
            "container": f"{source:064x}",
        }
        numbers = range(start, min(start + body_lines, lines))
        texts = [message(dice, number) for number in numbers]
        times = [START * 10**9 + number * 2_000_000 for number in numbers]
        if way == "loki protobuf":
            made.append(protobuf(fields, times, texts))
            continue
        records = [
            Record(f"{text}\n", "stdout", f"2026-11-23T{moment(at_ns)}Z")
            for text, at_ns in zip(texts, times, strict=True)
        ]
        encoder = ENCODINGS[way].compile(fields)
        prefix = f"{source:016x}.abcdef012345."
        documents = encoder.lines(prefix, start * 150, records, [149] * len(records), "")
        match way:
            case "otlp":
                made.append(otlp.body(documents))
            case "bulk" | "jsonline":
                made.append(b"".join(documents))
            case _:
                made.append(loki.body(documents))
    return made


def moment(at_ns: int) -> str:
    seconds, fraction = divmod(at_ns - START * 10**9, 10**9)
    return f"{seconds // 3600:02}:{seconds // 60 % 60:02}:{seconds % 60:02}.{fraction:09}"


def protobuf(fields: dict[str, str], times: list[int], texts: list[str]) -> bytes:
    labels = "{" + ", ".join(f'{name}="{value}"' for name, value in fields.items()) + "}"
    entries = []
    for at_ns, text in zip(times, texts, strict=True):
        seconds, nanos = divmod(at_ns, 10**9)
        when = wire.block(1, wire.number(1, seconds) + wire.number(2, nanos))
        entries.append(wire.block(2, when + wire.block(2, text.encode())))
    return wire.block(1, wire.block(1, labels.encode()) + b"".join(entries))


async def measure(way: str, lines: int, body_lines: int, folder: Path) -> float:
    """CPU seconds of the store for all lines of one way."""
    packer = cramjam.snappy.compress_raw if way == "loki protobuf" else igzip.compress
    queue = [bytes(packer(body)) for body in bodies(way, lines, body_lines)]
    path, content_type = WAYS[way]
    headers = {"Content-Type": content_type}
    if way != "loki protobuf":
        headers["Content-Encoding"] = "gzip"
    url = f"http://127.0.0.1:{free_port()}"
    settings = {"listen": url.removeprefix("http://"), "data_dir": folder, "retention_days": 3650}
    flags = [part for k, v in settings.items() for part in ("--set", f"logstore.{k}={v}")]
    command = [sys.executable, "-m", "logshipper.store", "run", *flags]
    server = Process(command, log=folder.with_suffix(".log"), name="logstore")
    async with aiohttp.ClientSession() as client:

        async def ready() -> bool:
            try:
                async with client.get(f"{url}/readyz") as answer:
                    return answer.status == 200
            except aiohttp.ClientError:
                return False

        async def send() -> None:
            while queue:
                body = queue.pop(0)
                while True:
                    async with client.post(url + path, data=body, headers=headers) as answer:
                        if answer.status in {200, 204}:
                            break
                        assert answer.status == 429, await answer.text()
                    await asyncio.sleep(0.1)

        await server.start(ready)
        try:
            process = psutil.Process(server.pid)
            before = sum(process.cpu_times()[:2])
            await asyncio.gather(*(send() for _ in range(8)))
            spent: float = sum(process.cpu_times()[:2]) - before
            async with client.get(f"{url}/metrics") as answer:
                metrics = await answer.text()
            assert f"accepted_lines_total {float(lines)}" in metrics, metrics
        finally:
            await server.kill()
    return spent


async def main(arguments: argparse.Namespace) -> None:
    best: dict[str, float] = {}
    for number in range(arguments.rounds):
        for way in WAYS:
            with tempfile.TemporaryDirectory() as folder:
                spent = await measure(
                    way, arguments.lines, arguments.body_lines, Path(folder) / f"data{number}"
                )
            best[way] = min(spent, best.get(way, spent))
    for way, spent in best.items():
        rate = arguments.lines / spent
        print(f"{way:18}{rate:10,.0f} lines per CPU second  {spent / best['bulk']:5.2f} of bulk's")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--lines", type=int, default=200_000)
    parser.add_argument("--body-lines", type=int, default=2_000)
    parser.add_argument("--rounds", type=int, default=2)
    asyncio.run(main(parser.parse_args()))
