"""A shipper at work beside a sink that counts: our own, or a Fluent Bit."""

import asyncio
import contextlib
import os
import sys
import time
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import aiohttp
import psutil
from speed.engine import Engine
from speed.work import PARSERS, REDACT_LUA, WORKS, Work

from wharfinger.operator.parts.process import Process, free_port, until

SINK = Path(__file__).parent / "sink.py"
PATIENCE_SECONDS = 900.0
# Longer than either shipper waits for what may yet belong to the last event.
QUIET_SECONDS = 4.0
OURS: Final = """
[host]
name = "h1"
state_dir = "{folder}/state"
runtime_dir = "{folder}/run"
[docker]
url = "unix://{socket}"
[logshipper]
listen = "127.0.0.1:{listen}"
[logshipper.lines]
{lines}
[[logshipper.sinks]]
type = "bulk"
url = "http://127.0.0.1:{port}"
compression = "{compression}"
"""
# For throughput; its defaults else.
TUNED: Final = "Mem_Buf_Limit 128M\n    Buffer_Chunk_Size 1M\n    Buffer_Max_Size 1M"
FLUENT_BIT: Final = """
[SERVICE]
    Flush {flush}
    Grace 1
    Log_Level warn
    Parsers_File {folder}/parsers.conf
[INPUT]
    Name tail
    Tag d
    Path {root}/containers/*/*-json.log
    Read_from_Head On
    {reading}
    multiline.parser docker
{filters}
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
    {compress}
    {writing}
"""


@dataclass(frozen=True)
class Shipper:
    """Which one, and how it is set.

    Attributes:
        name: of its rows.
        fluent_bit: the program's path; ours without it.
        tuned: Fluent Bit's settings for speed, in place of its defaults.
    """

    name: str
    fluent_bit: str = ""
    tuned: bool = True

    def command(self, folder: Path, engine: Engine, port: int, work: Work) -> list[str | Path]:
        """Writes its configuration; gives what to run."""
        if not self.fluent_bit:
            config = folder / "wharfinger.toml"
            told = OURS.format(
                folder=folder,
                socket=engine.socket,
                listen=free_port(),
                lines=work.lines,
                port=port,
                compression="gzip" if work.gzip else "none",
            )
            config.write_text(told)
            return [sys.executable, "-m", "logshipper", "run", "--config", config]
        (folder / "parsers.conf").write_text(PARSERS)
        (folder / "redact.lua").write_text(REDACT_LUA)
        config = folder / "fluent-bit.conf"
        told = FLUENT_BIT.format(
            flush="0.2" if self.tuned else "1",
            folder=folder,
            root=engine.root,
            reading=TUNED if self.tuned else "",
            filters=work.filters.replace("redact.lua", f"{folder}/redact.lua"),
            container=engine.ids[0],
            port=port,
            compress="Compress gzip" if work.gzip else "",
            writing="Workers 1" if self.tuned else "",
        )
        config.write_text(told)
        return [self.fluent_bit, "-c", config]


@dataclass
class Run:
    """One shipper beside a sink.

    Attributes:
        process: the shipper.
        port: of the sink.
    """

    process: Process
    port: int

    async def sink(self) -> dict[str, Any]:
        url = f"http://127.0.0.1:{self.port}/"
        async with aiohttp.ClientSession() as session, session.get(url) as answer:
            told: dict[str, Any] = await answer.json()
            return told

    async def has(self, documents: int) -> int:
        """Waits until the sink has so many, or no more come; gives how many there are."""
        last, since = 0, time.monotonic()

        async def enough() -> bool:
            nonlocal last, since
            if not self.process.running:
                raise SystemExit(f"{self.process.name} ended:\n{self.process.log_tail()}")
            count = int((await self.sink())["documents"])
            if count > last:
                last, since = count, time.monotonic()
            return last >= documents or (last > 0 and time.monotonic() - since > QUIET_SECONDS)

        await until(
            enough, timeout_seconds=PATIENCE_SECONDS, what=f"{documents} documents are there"
        )
        return last

    @property
    def cpu_seconds(self) -> float:
        """Of the process and of all that it began."""
        process = psutil.Process(self.process.pid)
        spent = [
            process.cpu_times(),
            *(each.cpu_times() for each in process.children(recursive=True)),
        ]
        return float(sum(each.user + each.system for each in spent))

    @property
    def peak_mb(self) -> float:
        lines = Path(f"/proc/{self.process.pid}/status").read_text().splitlines()
        return next(int(line.split()[1]) / 1000 for line in lines if line.startswith("VmHWM"))


@contextlib.asynccontextmanager
async def running(
    folder: Path, engine: Engine, shipper: Shipper, work: Work = WORKS["spliced"]
) -> AsyncIterator[Run]:
    """A shipper at work; the engine must be serving."""
    port = free_port()
    sink = Process([sys.executable, SINK, str(port)], log=folder / "sink.log")
    command = shipper.command(folder, engine, port, work)
    process = Process(command, log=folder / "shipper.log", environment=dict(os.environ))
    run = Run(process, port)

    async def listening() -> bool:
        with contextlib.suppress(aiohttp.ClientError):
            return bool(await run.sink())
        return False

    try:
        await sink.start(listening)
        await process.start()
        yield run
    finally:
        await asyncio.gather(process.terminate(), return_exceptions=True)
        await sink.terminate()
