"""What shipping costs, from Docker's files to a `_bulk` endpoint: joined and packed by gzip.

    python bench/logshipper_speed.py [--fluent-bit PATH] [--megabytes 300] [--rounds 2]

Each turn is a new process with default settings on the same file. CPU seconds are those of the
whole process, its start included. Containers are folders, and an engine of the bench's own answers
for dockerd; the sink is a process of its own that counts documents and does nothing else. With
`--fluent-bit` one of yours does the same work in turns: tail with the docker multiline parser, six
fields more, `es` with gzip. The second file is one that Docker writes with `--log-opt tag`: its
lines are decoded and encoded anew, as they are wherever a rule applies; the first's are spliced.
"""

import argparse
import asyncio
import contextlib
import json
import os
import random
import statistics
import sys
import tempfile
import time
from collections.abc import AsyncIterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import aiohttp
import psutil
from speed.engine import Engine
from speed.input import write

from wharfinger.operator.parts.process import Process, free_port, until

SINK = Path(__file__).parent / "speed" / "sink.py"
PATIENCE_SECONDS = 900.0
IDLE_SECONDS = 20.0
QUIET_LINES, QUIET_A_SECOND = 600, 30.0
FLUENT_BIT = """
[SERVICE]
    Flush 0.2
    Grace 1
    Log_Level warn
[INPUT]
    Name tail
    Tag d
    Path {root}/containers/*/*-json.log
    Read_from_Head On
    Mem_Buf_Limit 128M
    Buffer_Chunk_Size 1M
    Buffer_Max_Size 1M
    multiline.parser docker
[FILTER]
    Name record_modifier
    Match *
    Record app shop
    Record env prod
    Record host h1
    Record container {container}
    Record container_name shop-0
    Record image shop:1
[OUTPUT]
    Name es
    Match *
    Host 127.0.0.1
    Port {port}
    Index logs
    Suppress_Type_Name On
    Compress gzip
    Workers 1
"""


@dataclass
class Run:
    """One shipper beside a sink.

    Attributes:
        engine: whose containers it ships.
        process: the shipper.
        port: of the sink.
    """

    engine: Engine
    process: Process
    port: int

    async def sink(self) -> dict[str, Any]:
        url = f"http://127.0.0.1:{self.port}/"
        async with aiohttp.ClientSession() as session, session.get(url) as answer:
            told: dict[str, Any] = await answer.json()
            return told

    async def has(self, documents: int) -> None:
        async def enough() -> bool:
            if not self.process.running:
                raise SystemExit(f"{self.process.name} ended:\n{self.process.log_tail()}")
            return int((await self.sink())["documents"]) >= documents

        await until(
            enough, timeout_seconds=PATIENCE_SECONDS, what=f"{documents} documents are there"
        )

    @property
    def cpu_seconds(self) -> float:
        spent = psutil.Process(self.process.pid).cpu_times()
        return float(spent.user + spent.system)

    @property
    def peak_mb(self) -> float:
        lines = Path(f"/proc/{self.process.pid}/status").read_text().splitlines()
        return next(int(line.split()[1]) / 1000 for line in lines if line.startswith("VmHWM"))


@contextlib.asynccontextmanager
async def running(folder: Path, engine: Engine, fluent_bit: str = "") -> AsyncIterator[Run]:
    """A shipper at work, our own without `fluent_bit`; the engine must be serving."""
    port = free_port()
    sink = Process([sys.executable, SINK, str(port)], log=folder / "sink.log")
    if fluent_bit:
        told = FLUENT_BIT.format(root=engine.root, container=engine.ids[0], port=port)
        config, command = folder / "fluent-bit.conf", [fluent_bit, "-c"]
    else:
        told = (
            f'[host]\nname = "h1"\nstate_dir = "{folder}/state"\nruntime_dir = "{folder}/run"\n'
            f'[docker]\nurl = "unix://{engine.socket}"\n'
            f'[logshipper]\nlisten = "127.0.0.1:{free_port()}"\n'
            f'[[logshipper.sinks]]\ntype = "bulk"\nurl = "http://127.0.0.1:{port}"\n'
        )
        config = folder / "wharfinger.toml"
        command = [sys.executable, "-m", "logshipper", "run", "--config"]
    config.write_text(told)
    shipper = Process([*command, config], log=folder / "shipper.log", environment=dict(os.environ))
    run = Run(engine, shipper, port)

    async def listening() -> bool:
        with contextlib.suppress(aiohttp.ClientError):
            return bool(await run.sink())
        return False

    try:
        await sink.start(listening)
        await shipper.start()
        yield run
    finally:
        await shipper.terminate()
        await sink.terminate()


def made(folder: Path) -> Path:
    """The folder, with one for the shipper inside."""
    (folder / "run").mkdir(parents=True)
    return folder


async def start(folder: Path, fluent_bit: str) -> float:
    """CPU seconds until the first line has come through."""
    engine = Engine(folder / "docker", 1)
    with engine.log(engine.ids[0]).open("ab") as file:
        file.write(record("ready"))
    async with engine.serving(), running(folder / "run", engine, fluent_bit) as run:
        await run.has(1)
        return run.cpu_seconds


async def throughput(
    folder: Path, source: Path, messages: int, fluent_bit: str
) -> tuple[float, ...]:
    """CPU seconds per GB, megabytes a second, and the peak of RSS, for one file."""
    engine = Engine(folder / "docker", 1)
    log = engine.log(engine.ids[0])
    size = os.stat(source).st_size  # noqa: PTH116 - see ASYNC240
    os.replace(source, log)  # noqa: PTH105 - a hard link would not be read
    async with engine.serving():
        begun = time.monotonic()
        async with running(folder / "run", engine, fluent_bit) as run:
            await run.has(messages)
            wall = time.monotonic() - begun
            os.replace(log, source)  # noqa: PTH105
            return run.cpu_seconds / size * 1e9, size / wall / 1e6, run.peak_mb


async def many(folder: Path, count: int, fluent_bit: str) -> float:
    """The peak of RSS with so many files at once, half a megabyte each."""
    engine = Engine(folder / "docker", count)
    messages = sum(write(engine.log(each), 500_000)[1] for each in engine.ids)
    async with engine.serving(), running(folder / "run", engine, fluent_bit) as run:
        await run.has(messages)
        return run.peak_mb


async def idle(folder: Path, count: int, fluent_bit: str) -> float:
    """Per cent of a core for so many containers that say nothing."""
    engine = Engine(folder / "docker", count)
    messages = sum(write(engine.log(each), 10_000)[1] for each in engine.ids)
    async with engine.serving(), running(folder / "run", engine, fluent_bit) as run:
        await run.has(messages)
        await asyncio.sleep(5.0)
        before = run.cpu_seconds
        await asyncio.sleep(IDLE_SECONDS)
        return (run.cpu_seconds - before) / IDLE_SECONDS * 100


async def latency(folder: Path, fluent_bit: str) -> tuple[float, float]:
    """Milliseconds from a line in Docker's file to its body at the sink, p50 and p99."""
    dice, engine = random.Random(7), Engine(folder / "docker", 20)
    async with engine.serving(), running(folder / "run", engine, fluent_bit) as run:
        with engine.log(engine.ids[0]).open("ab") as file:
            file.write(record("ready"))
        await run.has(1)
        for _ in range(QUIET_LINES):
            await asyncio.sleep(dice.expovariate(QUIET_A_SECOND))
            with engine.log(dice.choice(engine.ids)).open("ab") as file:
                file.write(record(f"order paid sent={time.time_ns()}"))
        await run.has(QUIET_LINES + 1)
        late = sorted((await run.sink())["late_ms"])
        return statistics.median(late), late[int(len(late) * 0.99)]


def record(text: str) -> bytes:
    at = datetime.now(UTC).isoformat().replace("+00:00", "Z")
    told = {"log": text + "\n", "stream": "stdout", "time": at}
    return json.dumps(told, separators=(",", ":")).encode() + b"\n"


async def compare(
    options: argparse.Namespace, folder: Path, kind: str, names: dict[str, str]
) -> None:
    """One file through each shipper, in turns."""
    source = folder / "source.log"
    records, messages = write(source, options.megabytes * 1_000_000, tagged=kind == "decoded")
    print(f"{records:,} records, {messages:,} messages; load {os.getloadavg()[0]:.1f}\n")
    spent: dict[str, list[tuple[float, ...]]] = {name: [] for name in names}
    for turn in range(options.rounds):
        for number, (name, path) in enumerate(names.items()):
            place = made(folder / f"{turn}-{number}")
            spent[name].append(await throughput(place, source, messages, path))
    print(f"| {kind}, joined, gzip | CPU s per GB, each turn | MB/s of wall time | peak RSS, MB |")
    print("|---|---|---|---|")
    for name, turns in spent.items():
        columns = (" / ".join(f"{each:.1f}" for each in row) for row in zip(*turns, strict=True))
        print(f"| {name} | {' | '.join(columns)} |", flush=True)
    if options.fluent_bit:
        best = {name: min(turn[0] for turn in turns) for name, turns in spent.items()}
        print(f"\nours / Fluent Bit: {best['logshipper'] / best['Fluent Bit']:.2f} of the CPU")
    print()


async def measure(options: argparse.Namespace, folder: Path) -> None:
    names = {"logshipper": ""} | ({"Fluent Bit": options.fluent_bit} if options.fluent_bit else {})
    if not options.fluent_bit:
        print("No --fluent-bit PATH: only our own is measured.\n")
    for kind in ("spliced", "decoded"):
        await compare(options, made(folder / kind), kind, names)
    print(f"| | {options.files} files: peak RSS, MB | {options.idle} idle: % of a core | ", end="")
    print("line to sink, p50 / p99, ms | start, CPU s |\n|---|---|---|---|---|")
    for number, (name, path) in enumerate(names.items()):
        places = [
            made(folder / f"{what}-{number}") for what in ("files", "idle", "latency", "start")
        ]
        peak = await many(places[0], options.files, path)
        share = await idle(places[1], options.idle, path)
        p50, p99 = await latency(places[2], path)
        begin = await start(places[3], path)
        print(f"| {name} | {peak:.0f} | {share:.2f} | {p50:.0f} / {p99:.0f} | {begin:.2f} |")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--fluent-bit", default="", metavar="PATH")
    parser.add_argument("--megabytes", type=int, default=300)
    parser.add_argument("--rounds", type=int, default=2)
    parser.add_argument("--files", type=int, default=200)
    parser.add_argument("--idle", type=int, default=500)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="speed-") as folder:
        asyncio.run(measure(options, Path(folder)))


if __name__ == "__main__":
    main()
