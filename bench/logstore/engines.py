"""The log store and VictoriaLogs behind one small interface: started, fed, asked, measured."""

import asyncio
import contextlib
import json
import sys
from collections.abc import AsyncIterator, Iterator, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import NamedTuple, Protocol

import aiohttp
import psutil
from logstore.corpus import START

from wharfinger.operator.parts.process import Process, free_port

_DISTANT = aiohttp.ClientTimeout(total=300)


class Question(NamedTuple):
    """What is asked.

    Attributes:
        words: words and phrases as both languages write them; empty for all.
        app: of which application, empty for all.
        hours: from which hour of the corpus to which; None for all.
        minutes: of a bucket of a histogram; 0 for the last 100 lines.
        less: seconds that the last hour lacks: nobody shall answer from what was asked before.
    """

    words: str = ""
    app: str = ""
    hours: tuple[int, int] | None = None
    minutes: int = 0
    less: int = 0


class Engine(Protocol):
    """One program that takes and finds lines."""

    name: str
    url: str
    data: Path

    @property
    def bulk(self) -> str:
        """Where `_bulk` bodies go."""

    def command(self) -> list[str]:
        """What to start."""

    async def ask(self, client: aiohttp.ClientSession, question: Question) -> int:
        """Lines found, or counted in all buckets; raises LookupError if it cannot be asked."""


class Logstore:
    """Our own."""

    def __init__(self, folder: Path) -> None:
        self.name = "logstore"
        self.data = folder / self.name
        self.url = f"http://127.0.0.1:{free_port()}"

    @property
    def bulk(self) -> str:
        return f"{self.url}/_bulk"

    def command(self) -> list[str]:
        settings = {
            "listen": self.url.removeprefix("http://"),
            "data_dir": self.data,
            "retention_days": 3650,
        }
        flags = [part for k, v in settings.items() for part in ("--set", f"logstore.{k}={v}")]
        return [sys.executable, "-m", "logshipper.store", "run", *flags]

    async def ask(self, client: aiohttp.ClientSession, question: Question) -> int:
        asked = {"q": question.words, "app": question.app, **_range(question, "from", "to")}
        asked = {key: value for key, value in asked.items() if value}
        if not question.minutes:
            found = await _json(client, f"{self.url}/api/search", asked)
            return len(found["hits"])
        asked |= {"bucket_minutes": f"{question.minutes}"}
        found = await _json(client, f"{self.url}/api/histogram", asked)
        return sum(sum(bucket["levels"].values()) for bucket in found["buckets"])


class VictoriaLogs:
    """A binary of somebody's."""

    def __init__(self, folder: Path, binary: Path) -> None:
        self.name = "VictoriaLogs"
        self.data = folder / self.name
        self.url = f"http://127.0.0.1:{free_port()}"
        self._binary = binary

    @property
    def bulk(self) -> str:
        fields = "_msg_field=message&_time_field=@timestamp"
        streams = "_stream_fields=app,env,host,container,stream"
        return f"{self.url}/insert/elasticsearch/_bulk?{fields}&{streams}"

    def command(self) -> list[str]:
        return [
            str(self._binary),
            f"-storageDataPath={self.data}",
            f"-httpListenAddr={self.url.removeprefix('http://')}",
            "-retentionPeriod=3650d",
        ]

    async def ask(self, client: aiohttp.ClientSession, question: Question) -> int:
        words = question.words or "*"
        stream = f'{{app="{question.app}"}} ' if question.app else ""
        asked = {"query": stream + words, **_range(question, "start", "end")}
        if not question.minutes:
            address = f"{self.url}/select/logsql/query"
            async with client.get(address, params={**asked, "limit": "100"}) as answer:
                body = await answer.read()
            assert answer.status == 200, body
            return len(body.splitlines())
        asked |= {"step": f"{question.minutes}m"}
        found = await _json(client, f"{self.url}/select/logsql/hits", asked)
        return sum(sum(each["values"]) for each in found["hits"])


@contextlib.asynccontextmanager
async def running(engine: Engine, log: Path) -> AsyncIterator[psutil.Process]:
    """The program, for as long as the block runs."""
    server = Process(engine.command(), log=log, name=engine.name)
    async with aiohttp.ClientSession() as client:

        async def ready() -> bool:
            with contextlib.suppress(aiohttp.ClientError):
                async with client.get(f"{engine.url}/ready") as answer:
                    return answer.status == 200 or engine.name != "logstore"
            return False

        await server.start(ready)
    try:
        yield psutil.Process(server.pid)
    finally:
        await server.terminate()


async def fed(engine: Engine, folder: Path, senders: int) -> list[float]:
    """Sends all bodies of a folder from a process of its own; the seconds of each request."""
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, str(Path(__file__).with_name("sending.py"))),
        *(engine.bulk, str(folder), str(senders)),
        stdout=asyncio.subprocess.PIPE,
    )
    told, _ = await process.communicate()
    assert process.returncode == 0
    waits: list[float] = json.loads(told)
    return waits


def cpu_seconds(process: psutil.Process) -> float:
    """Of the process and of those that it started."""
    each = [process, *process.children(recursive=True)]
    return sum(sum(one.cpu_times()[:4]) for one in each) - sum(
        sum(one.cpu_times()[2:4]) for one in each[1:]
    )


def disk_bytes(folder: Path) -> int:
    """Of all files below."""
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())


def rendered(tables: Mapping[str, Mapping[str, str]]) -> Iterator[str]:
    """Markdown, an engine a column."""
    yield f"| | {' | '.join(tables)} |"
    yield "|---" * (len(tables) + 1) + "|"
    for row in next(iter(tables.values())):
        yield f"| {row} | {' | '.join(table[row] for table in tables.values())} |"


def session() -> aiohttp.ClientSession:
    """A client that waits for slow answers."""
    return aiohttp.ClientSession(timeout=_DISTANT)


async def _json(client: aiohttp.ClientSession, url: str, asked: Mapping[str, str]) -> dict:  # type: ignore[type-arg]
    async with client.get(url, params=asked) as answer:
        if answer.status == 400:
            raise LookupError((await answer.text())[:200])
        assert answer.status == 200, await answer.text()
        return dict(await answer.json(content_type=None))


def _range(question: Question, first: str, end: str) -> dict[str, str]:
    if question.hours is None:
        return {}
    begins, ends = (START + hour * 3600 for hour in question.hours)
    moments = (datetime.fromtimestamp(at, UTC) for at in (begins, ends - question.less))
    return {k: f"{m:%Y-%m-%dT%H:%M:%SZ}" for k, m in zip((first, end), moments, strict=True)}
