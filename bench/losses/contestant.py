"""A shipper and a sink of its own that counts: all of them read the same containers' logs."""

import contextlib
import os
import re
import signal
import sys
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import aiohttp
import msgspec

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
request_timeout_seconds = 5
"""
# All else as it is by itself, but for a container that it would first see after up to a minute.
DEFAULTS: Final = """
[SERVICE]
    Flush 1
    Log_Level info
[INPUT]
    Name tail
    Tag d
    Path {root}/containers/*/*-json.log
    Read_from_Head On
    Refresh_Interval 1
    DB {folder}/tail.db
    Mem_Buf_Limit 5MB
    multiline.parser docker
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
"""
# What makes it lose least: see the bench's own words.
TUNED: Final = """
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
    net.io_timeout 5
    net.connect_timeout 2
"""


class Sink(StrictSink):
    """Knows which numbered lines came, and how often each; as strict, and in less time."""

    def _item(self, action: bytes, source: bytes) -> dict[str, Any]:
        identity = msgspec.json.decode(action)["create"]["_id"]
        document = msgspec.json.decode(source)
        seen = identity in self.documents
        self.received[identity] += 1
        assert self.documents.setdefault(identity, document) == document
        return {"create": {"_id": identity, "status": 409 if seen else 201}}

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
        config: Fluent Bit's.
        service: for it.
        reading: for it.
    """

    name: str
    fluent_bit: str = ""
    config: str = TUNED
    service: str = ""
    reading: str = "Mem_Buf_Limit 5MB"


def kinds(fluent_bit: str, *, defaults: bool) -> list[Kind]:
    """Ours, and Fluent Bit in several ways if there is a path of it."""
    if not fluent_bit:
        return [Kind("logshipper")]
    service = "storage.path {folder}/chunks\n    storage.sync full"
    files = {"service": service, "reading": "storage.type filesystem"}
    tuned = [
        Kind("logshipper"),
        Kind("Fluent Bit, files", fluent_bit, **files),
        Kind("Fluent Bit, memory", fluent_bit),
    ]
    more = [Kind("Fluent Bit, its defaults", fluent_bit, DEFAULTS)]
    return tuned + (more if defaults else [])


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
        config = folder / "fluent-bit.conf"
        told = self.kind.config.format(
            folder=folder,
            root=self._root,
            port=self.sink.port,
            reading=self.kind.reading,
            service=self.kind.service.format(folder=folder),
        )
        config.write_text(told)
        return [self.kind.fluent_bit, "-c", config]
