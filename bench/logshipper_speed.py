"""What shipping costs, from Docker's files to a `_bulk` endpoint: joined and packed by gzip.

    python bench/logshipper_speed.py [--fluent-bit PATH] [--megabytes 300] [--rounds 2] [--rows ...]

Each turn is a new process on the same file, with our default settings but for what the row says.
CPU seconds are those of the whole process and of all that it began, its start included. Containers
are folders, and an engine of the bench's own answers for dockerd; the sink is a process of its own
that counts documents and does nothing else.

With `--fluent-bit` one of yours does the same work in turns: tail with the docker multiline parser,
six fields more, `es` with gzip, and for a row that does something to lines the filter of Fluent Bit
that is made for it (multiline with its java parser, parser with one for each kind of line, Lua
where it has none: redaction). It reads 1 MiB at once, flushes every 0.2 s and has one worker; no
more was tuned. What differs: its documents carry no id (ours do), it reads each record and Docker's
time (ours are spliced in the first two rows), its traces begin with the exception and not with the
logger's line, and it does not keep what it has not delivered (no `DB`, memory buffers; ours writes
its checkpoint).
"""

import argparse
import asyncio
import json
import os
import random
import statistics
import tempfile
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import NamedTuple

from speed.engine import Engine
from speed.input import write
from speed.run import Shipper, running
from speed.work import WORKS, Work

IDLE_SECONDS = 20.0
QUIET_LINES, QUIET_A_SECOND = 600, 30.0


class Turn(NamedTuple):
    """What one file cost."""

    cpu_seconds_per_gb: float
    megabytes_a_second: float
    peak_mb: float
    documents: int


def made(folder: Path) -> Path:
    """The folder, with one for the shipper inside."""
    (folder / "run").mkdir(parents=True)
    return folder


async def start(folder: Path, shipper: Shipper) -> float:
    """CPU seconds until the first line has come through."""
    engine = Engine(folder / "docker", 1)
    with engine.log(engine.ids[0]).open("ab") as file:
        file.write(record("ready"))
    async with engine.serving(), running(folder / "run", engine, shipper) as run:
        await run.has(1)
        return run.cpu_seconds


async def throughput(
    folder: Path, source: Path, messages: int, shipper: Shipper, work: Work
) -> Turn:
    """What one file costs."""
    engine = Engine(folder / "docker", 1)
    log = engine.log(engine.ids[0])
    size = os.stat(source).st_size  # noqa: PTH116 - see ASYNC240
    os.replace(source, log)  # noqa: PTH105 - a hard link would not be read
    async with engine.serving():
        begun = time.monotonic()
        async with running(folder / "run", engine, shipper, work) as run:
            documents = await run.has(messages)
            wall = (await run.sink())["last_at"] - begun
            os.replace(log, source)  # noqa: PTH105
            return Turn(run.cpu_seconds / size * 1e9, size / wall / 1e6, run.peak_mb, documents)


async def many(folder: Path, count: int, shipper: Shipper) -> float:
    """The peak of RSS with so many files at once, half a megabyte each."""
    engine = Engine(folder / "docker", count)
    messages = sum(write(engine.log(each), 500_000)[1] for each in engine.ids)
    async with engine.serving(), running(folder / "run", engine, shipper) as run:
        await run.has(messages)
        return run.peak_mb


async def idle(folder: Path, count: int, shipper: Shipper) -> float:
    """Per cent of a core for so many containers that say nothing."""
    engine = Engine(folder / "docker", count)
    messages = sum(write(engine.log(each), 10_000)[1] for each in engine.ids)
    async with engine.serving(), running(folder / "run", engine, shipper) as run:
        await run.has(messages)
        await asyncio.sleep(5.0)
        before = run.cpu_seconds
        await asyncio.sleep(IDLE_SECONDS)
        return (run.cpu_seconds - before) / IDLE_SECONDS * 100


async def latency(folder: Path, shipper: Shipper) -> tuple[float, float]:
    """Milliseconds from a line in Docker's file to its body at the sink, p50 and p99."""
    dice, engine = random.Random(7), Engine(folder / "docker", 20)
    async with engine.serving(), running(folder / "run", engine, shipper) as run:
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
    folder: Path, source: Path, messages: int, *, row: str, shippers: list[Shipper], rounds: int
) -> None:
    """One file through each shipper, in turns: a row for each."""
    work = WORKS[row]
    spent: dict[str, list[Turn]] = {shipper.name: [] for shipper in shippers}
    for turn in range(rounds):
        for number, shipper in enumerate(shippers):
            place = made(folder / f"{row}-{turn}-{number}")
            spent[shipper.name].append(await throughput(place, source, messages, shipper, work))
    best = {name: min(turn.cpu_seconds_per_gb for turn in turns) for name, turns in spent.items()}
    for name, turns in spent.items():
        cpu, speed, peak, count = zip(*turns, strict=True)
        columns = [" / ".join(f"{each:.1f}" for each in column) for column in (cpu, speed)]
        ratio = f"{best[name] / best[shippers[-1].name]:.2f}"
        columns += [f"{max(peak):.0f}", " / ".join(f"{each:,}" for each in sorted(set(count)))]
        print(f"| {work.title} | {name} | {' | '.join(columns)} | {ratio} |", flush=True)
    missing = [name for name, turns in spent.items() if min(t.documents for t in turns) < messages]
    if missing and not work.grouped:
        print(f"\nNot all {messages:,} messages came from {', '.join(missing)}.\n")


async def throughputs(options: argparse.Namespace, folder: Path, shippers: list[Shipper]) -> None:
    """The first table."""
    files: dict[bool, tuple[Path, int]] = {}
    for tagged in {WORKS[row].tagged for row in options.rows}:
        path = folder / f"source-{tagged}.log"
        records, messages = write(path, options.megabytes * 1_000_000, tagged=tagged)
        files[tagged] = path, messages
        kind = " with `tag`" if tagged else ""
        print(f"{records:,} records{kind}, {messages:,} messages; load {os.getloadavg()[0]:.1f}")
    print(
        "\n| joined, and | | CPU s per GB, each turn | MB/s of wall time | peak RSS, MB | ", end=""
    )
    print(f"documents | of the CPU of {shippers[-1].name} |\n|---|---|---|---|---|---|---|")
    for row in options.rows:
        source, messages = files[WORKS[row].tagged]
        await compare(folder, source, messages, row=row, shippers=shippers, rounds=options.rounds)
    print()


async def measure(options: argparse.Namespace, folder: Path) -> None:
    shippers = [Shipper("logshipper")]
    if options.fluent_bit:
        shippers.append(Shipper("Fluent Bit", options.fluent_bit))
    else:
        print("No --fluent-bit PATH: only our own is measured.\n")
    if options.rows:
        await throughputs(options, folder, shippers)
    if options.no_rest:
        return
    if options.fluent_bit:
        shippers.append(Shipper("Fluent Bit, its defaults", options.fluent_bit, tuned=False))
    print(f"| | {options.files} files: peak RSS, MB | {options.idle} idle: % of a core | ", end="")
    print("line to sink, p50 / p99, ms | start, CPU s |\n|---|---|---|---|---|")
    for number, shipper in enumerate(shippers):
        places = [
            made(folder / f"{what}-{number}") for what in ("files", "idle", "latency", "start")
        ]
        peak = await many(places[0], options.files, shipper)
        share = await idle(places[1], options.idle, shipper)
        p50, p99 = await latency(places[2], shipper)
        begin = await start(places[3], shipper)
        columns = f"{peak:.0f} | {share:.2f} | {p50:.0f} / {p99:.0f} | {begin:.2f}"
        print(f"| {shipper.name} | {columns} |", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--fluent-bit", default="", metavar="PATH")
    parser.add_argument("--megabytes", type=int, default=300)
    parser.add_argument("--rounds", type=int, default=2)
    parser.add_argument("--rows", nargs="*", choices=WORKS, default=list(WORKS))
    parser.add_argument("--no-rest", action="store_true", help="the first table only")
    parser.add_argument("--files", type=int, default=200)
    parser.add_argument("--idle", type=int, default=500)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="speed-") as folder:
        asyncio.run(measure(options, Path(folder)))


if __name__ == "__main__":
    main()
