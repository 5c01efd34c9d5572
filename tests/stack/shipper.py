"""A log shipper as a process, a strict sink, and the exact count of what came of each line."""

import asyncio
import os
import re
import shutil
import signal
import sys
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from pathlib import Path
from typing import Any, Final

import aiohttp
import pytest

from tests.logshipper.dockerlog import DockerLog
from tests.logshipper.strict_sink import StrictSink
from wharfinger.operator.parts.dockerd import DockerDaemon
from wharfinger.operator.parts.process import Process, free_port, until

Record = Callable[[str, object], None]

LIMIT_SECONDS: Final = 90.0
RUN: Final = (
    "run",
    "--detach",
    "--network=none",
    "--label=wharfinger.app=shop",
    "--label=wharfinger.env=prod",
)
# Small, so that little text fills many bodies and files.
BATCH_BYTES: Final = 20_000
REQUESTS: Final = 4


NUMBERED: Final = "i=0; while [ $i -lt {count} ]; do i=$((i+1)); echo {name} $i; done"


def numbered(name: str, count: int) -> tuple[str, ...]:
    """A command of busybox that prints numbered lines."""
    return ("busybox", "sh", "-c", NUMBERED.format(name=name, count=count))


def expected(name: str, count: int) -> set[str]:
    return {f"{name} {n}" for n in range(1, count + 1)}


def holds(sink: StrictSink, messages: set[str]) -> Callable[[], bool]:
    """Whether the sink holds all of these."""

    def condition() -> bool:
        return len(sink.documents) >= len(messages) and messages <= set(sink.messages)

    return condition


class ShipperProcess:
    """The `logshipper` command, with a configuration that is still to be written.

    Args:
        folder: for configuration and log.
        environment: of the shipper; empty for that of the tests.
    """

    start_seconds: float = 30

    def __init__(self, folder: Path, environment: Mapping[str, str] | None = None) -> None:
        self.listen = f"127.0.0.1:{free_port()}"
        self.config = folder / "wharfinger.toml"
        self.process = Process(
            [sys.executable, "-m", "logshipper", "--config", self.config],
            log=folder / "logshipper.log",
            environment=environment,
        )

    async def start(self) -> None:
        await self.process.start(self.ready, timeout_seconds=self.start_seconds)

    async def ready(self) -> bool:
        try:
            return (await self.ask("readyz"))[0] == 200
        except aiohttp.ClientError:
            return False

    async def ask(self, path: str) -> tuple[int, str]:
        async with (
            aiohttp.ClientSession() as session,
            session.get(f"http://{self.listen}/{path}") as answer,
        ):
            return answer.status, await answer.text()

    async def until_counted(self, *series: str) -> str:
        """Waits until /metrics has these: the sink has a line before we hear that it does."""
        text = ""

        async def there() -> bool:
            nonlocal text
            text = (await self.ask("metrics"))[1]
            return all(each in text for each in series)

        await until(there, timeout_seconds=LIMIT_SECONDS, what=f"the metrics say {series}")
        return text


class Shipper(ShipperProcess):
    """One with a state folder of its own and one sink, unless others are given."""

    def __init__(self, docker: DockerDaemon, url: str, folder: Path, *, sinks: str = "") -> None:
        super().__init__(folder)
        sinks = sinks or f'[[logshipper.sinks]]\ntype = "bulk"\nurl = "{url}"\n'
        self.config.write_text(
            f'[host]\nname = "h1"\nstate_dir = "{folder}/state"\nruntime_dir = "{folder}/run"\n'
            f'[docker]\nurl = "{docker.url}"\n'
            f'[logshipper]\nlisten = "{self.listen}"\npoll_seconds = 2\n'
            f"{sinks}"
        )


@pytest.fixture
async def sink() -> AsyncIterator[StrictSink]:
    async with StrictSink() as running:
        yield running


@pytest.fixture
async def shipper(
    docker_daemon: DockerDaemon, sink: StrictSink, tmp_path: Path
) -> AsyncIterator[Shipper]:
    """Stopped as yet."""
    made = Shipper(docker_daemon, sink.url, tmp_path)
    yield made
    await made.process.terminate()


class CountingSink(StrictSink):
    """Knows besides how many documents the largest body had."""

    largest: int = 0

    def take(self, body: bytes) -> dict[str, Any]:
        self.largest = max(self.largest, body.count(b"\n") // 2)
        return super().take(body)


class Faults(ShipperProcess):
    """A shipper between an engine and a sink, and what became of the lines.

    Args:
        docker: the engine; its folder of containers may be given containers that it knows not.
        folder: for configuration and state.
        record: takes the figures.
        environment: of the shipper; empty for that of the tests.
    """

    start_seconds = 60

    def __init__(
        self,
        docker: DockerDaemon,
        sink: CountingSink,
        folder: Path,
        record: Record,
        environment: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__(folder, environment)
        self.docker = docker
        self.sink = sink
        self.note = record
        self.folder = folder
        self.state = folder / "state"
        self.expected: set[str] = set()
        self.figures: dict[str, int] = {}
        self._foreign: list[DockerLog] = []
        self.configure()

    def configure(
        self, *, sink: str = "", request_timeout_seconds: int = 10, **settings: object
    ) -> None:
        """Writes the configuration, with more settings of its section and of its sink.

        Args:
            sink: lines for the sink's table.
            request_timeout_seconds: what is not answered for so long is sent again; a test that
                counts what came twice has no use for one that a busy machine exceeds.
            settings: of `[logshipper]`.
        """
        more = "".join(f"{key} = {value}\n" for key, value in settings.items())
        self.config.write_text(
            f'[host]\nname = "h1"\nstate_dir = "{self.state}"\nruntime_dir = "{self.folder}/run"\n'
            f'[docker]\nurl = "{self.docker.url}"\n'
            f'[logshipper]\nlisten = "{self.listen}"\npoll_seconds = 1\n{more}'
            f'[[logshipper.sinks]]\nurl = "{self.sink.url}"\nbatch_bytes = {BATCH_BYTES}\n'
            f"requests = {REQUESTS}\nrequest_timeout_seconds = {request_timeout_seconds}\n{sink}\n"
        )

    async def kill(self) -> None:
        """SIGKILL, wherever it stands."""
        os.kill(self.process.pid, signal.SIGKILL)
        await self.process.kill()

    async def metric(self, name: str) -> float:
        """The sum of a metric over its labels; `name` may end in a whole set of them."""
        text = (await self.ask("metrics"))[1]
        pattern = rf"^wharfinger_logshipper_{re.escape(name)}(?:{{.*}})? (\S+)$"
        return sum(float(value) for value in re.findall(pattern, text, re.MULTILINE))

    async def until_health(self, word: str) -> None:
        """Waits until health is red and says that word; with an empty one, until it is green."""

        async def says() -> bool:
            code, text = await self.ask("healthz")
            return word in text and code != 200 if word else code == 200

        await until(says, timeout_seconds=LIMIT_SECONDS, what=f"health says {word!r}")

    async def wait(self, holds: Callable[[], Awaitable[bool]], what: str) -> None:
        await until(holds, timeout_seconds=LIMIT_SECONDS, what=what)

    async def until_metric(self, name: str, holds: Callable[[float], bool]) -> None:
        async def told() -> bool:
            return holds(await self.metric(name))

        await until(told, timeout_seconds=LIMIT_SECONDS, what=f"{name} is so")

    async def write(
        self, name: str, count: int, *options: str, pause: str = ":", then: str = ":"
    ) -> str:
        """A container that prints numbered lines, `pause` after every hundredth, and `then`."""
        script = (
            f"i=0; while [ $i -lt {count} ]; do i=$((i+1)); echo {name} $i;"
            f" [ $((i%100)) -gt 0 ] || {pause}; done; {then}"
        )
        self.expected |= {f"{name} {n}" for n in range(1, count + 1)}
        command = (*RUN, *options, "busybox", "sh", "-c", script)
        return (await self.docker.run(*command)).strip()

    def log(self, digit: str = "a", *, max_files: int = 4) -> DockerLog:
        """The log of a container that Docker does not know, in its folder; the test writes it."""
        root = self.docker.data_root / "containers"
        log = DockerLog(root, container_id=digit.rjust(64, "f"), max_files=max_files)
        self._foreign.append(log)
        return log

    async def until_whole(self, *, seconds: float = LIMIT_SECONDS) -> None:
        """Waits until every line that is expected is in the sink; the last counts are noted."""
        sink = self.sink

        def whole() -> bool:
            return len(sink.documents) >= len(self.expected) and not self.missing()

        try:
            await sink.until(whole, seconds=seconds)
        except TimeoutError:
            missing = sorted(self.missing())
            pytest.fail(f"{len(missing)} lines are missing, {missing[:3]} among them")
        self.count()
        assert len(sink.documents) == len(self.expected)

    async def until_documents(self, count: int) -> None:
        """Waits until the sink holds so many, or all."""
        goal = min(count, len(self.expected))
        await self.sink.until(lambda: len(self.sink.documents) >= goal, seconds=LIMIT_SECONDS)

    def missing(self) -> set[str]:
        return self.expected - set(self.sink.messages)

    def count(self) -> None:
        """Counts lines, lost, duplicates by id, and documents that came again with their id."""
        messages = self.sink.messages
        self.figures.update(
            lines=len(self.expected),
            lost=len(self.expected - set(messages)),
            duplicates=len(messages) - len(set(messages)),
            sent_again=self.sink.duplicates,
        )

    async def until_settled(self) -> None:
        """Waits until the shipper holds nothing that the sink has not."""
        await self.until_metric("lag_bytes", lambda lag: lag == 0)

    async def lost_bytes(self, reason: str = "") -> float:
        labels = f'{{reason="{reason}"}}' if reason else ""
        return await self.metric(f"lost_bytes_total{labels}")

    def rss_bytes(self) -> int:
        status = Path(f"/proc/{self.process.pid}/status").read_text(encoding="utf-8")
        return int(status.partition("VmRSS:")[2].split()[0]) * 1024

    async def close(self) -> None:
        for figure, count in self.figures.items():
            self.note(figure, count)
        await self.process.terminate()
        for log in self._foreign:
            shutil.rmtree(log.folder, ignore_errors=True)


def rotated(faults: Faults, container: str) -> list[Path]:
    """The rotated files of a container's log."""
    folder = faults.docker.data_root / "containers" / container
    return sorted(folder.glob("*-json.log.*"))


@pytest.fixture
async def counting_sink() -> AsyncIterator[CountingSink]:
    async with CountingSink() as running:
        yield running


@pytest.fixture
async def faults(
    docker_daemon: DockerDaemon,
    counting_sink: CountingSink,
    tmp_path: Path,
    record_property: Record,
) -> AsyncIterator[Faults]:
    """Stopped as yet, so that a test may configure it."""
    made = Faults(docker_daemon, counting_sink, tmp_path, record_property)
    yield made
    await made.close()


async def eventually(condition: Callable[[], bool], what: str) -> None:
    async def holds() -> bool:
        return await asyncio.to_thread(condition)

    await until(holds, timeout_seconds=LIMIT_SECONDS, what=what)
