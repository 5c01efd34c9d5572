"""A shipper and a sink of its own that counts: all of them read the same containers' logs."""

import contextlib
import os
import re
import signal
import sys
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import aiohttp

from tests.logshipper.strict_sink import StrictSink
from wharfinger.operator.parts.process import Process, free_port, until

TOKEN: Final = re.compile(r"\b[a-z]+-[0-9]+-[0-9]{6}\b")
OURS: Final = """
[host]
name = "h1"
state_dir = "{folder}/state"
runtime_dir = "{folder}/run"
[docker]
url = "{docker}"
[logshipper]
listen = "{listen}"
[[logshipper.sinks]]
type = "bulk"
url = "{url}"
request_timeout_seconds = 2
"""
# What makes it lose least: see the bench's own words.
FLUENT_BIT: Final = """
[SERVICE]
    Flush 0.2
    Grace 5
    Log_Level info
    scheduler.base 1
    scheduler.cap 2
    {service}
[INPUT]
    Name tail
    Tag d
    Path {root}/containers/*/*-json.log*
    Exclude_Path *.gz
    Read_from_Head On
    Refresh_Interval 1
    Rotate_Wait 30
    DB {folder}/tail.db
    DB.sync full
    Buffer_Chunk_Size 1M
    Buffer_Max_Size 8M
    multiline.parser docker
    {reading}
[FILTER]
    Name modify
    Match *
    Rename log message
[OUTPUT]
    Name es
    Match *
    Host 127.0.0.1
    Port {port}
    Index logs
    Suppress_Type_Name On
    Generate_ID On
    Compress gzip
    Buffer_Size False
    Retry_Limit no_limits
    net.io_timeout 2
    net.connect_timeout 2
"""
MEMORY: Final = {"service": "", "reading": "Mem_Buf_Limit 5MB"}
DISK: Final = {
    "service": "storage.path {folder}/chunks\n    storage.sync full",
    "reading": "storage.type filesystem",
}


class Sink(StrictSink):
    """Takes what Fluent Bit calls a message, too; knows which lines came, and how often each."""

    def lines(self) -> Counter[str]:
        """How many documents hold each numbered line."""
        return Counter(
            token for text in self.messages for token in dict.fromkeys(TOKEN.findall(text))
        )


@dataclass(frozen=True)
class Kind:
    """Which shipper, and how it is set.

    Attributes:
        name: of its column.
        fluent_bit: the program's path; ours without it.
        disk: Fluent Bit's chunks are files; else they are in memory.
    """

    name: str
    fluent_bit: str = ""
    disk: bool = False


class Contestant:
    """One shipper between the engine and its sink."""

    def __init__(self, kind: Kind, folder: Path, *, docker: str, root: Path) -> None:
        self.kind, self.folder = kind, folder
        self.sink = Sink()
        self._docker, self._root = docker, root
        self._listen = f"127.0.0.1:{free_port()}"
        self.process: Process

    async def open(self) -> None:
        """Starts the sink, and writes the configuration of the shipper, which is yet to start."""
        (self.folder / "run").mkdir(parents=True)
        self.sink.port = free_port()
        await self.sink.start()
        self.process = Process(
            self._command(), log=self.folder / "shipper.log", environment=dict(os.environ)
        )

    async def close(self) -> None:
        await self.process.terminate()
        with contextlib.suppress(Exception):
            await self.sink.stop()

    async def start(self) -> None:
        """Starts the shipper and waits until it is at work."""
        await self.process.start()
        if not self.kind.fluent_bit:
            await until(self._ready, timeout_seconds=60, what="the shipper is ready")

    async def begin(self) -> None:
        """Starts the shipper and waits for nothing."""
        await self.process.start()

    async def kill(self) -> None:
        """SIGKILL, wherever it stands."""
        os.kill(self.process.pid, signal.SIGKILL)
        await self.process.kill()

    async def _ready(self) -> bool:
        with contextlib.suppress(aiohttp.ClientError):
            url = f"http://{self._listen}/readyz"
            async with aiohttp.ClientSession() as session, session.get(url) as answer:
                return answer.status == 200
        return False

    def _command(self) -> list[str | Path]:
        folder = self.folder
        if not self.kind.fluent_bit:
            config = folder / "wharfinger.toml"
            config.write_text(
                OURS.format(
                    folder=folder, docker=self._docker, listen=self._listen, url=self.sink.url
                )
            )
            return [sys.executable, "-m", "logshipper", "run", "--config", config]
        buffer = DISK if self.kind.disk else MEMORY
        config = folder / "fluent-bit.conf"
        config.write_text(
            FLUENT_BIT.format(
                folder=folder,
                root=self._root,
                port=self.sink.port,
                reading=buffer["reading"],
                service=buffer["service"].format(folder=folder),
            )
        )
        return [self.kind.fluent_bit, "-c", config]
