"""A sink to which nothing is sent is red all the same when it is not there."""

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import pytest

from logshipper import delivery, probe
from logshipper.linesettings import LineSettings
from logshipper.model import Route
from logshipper.probe import keep_probing
from logshipper.sinkconfig import (
    AnySink,
    BulkConfig,
    FileConfig,
    KafkaConfig,
    SlsConfig,
    StdoutConfig,
    SyslogConfig,
)
from logshipper.sinks.catalogue import make
from tests.logshipper.dockerlog import DockerLog
from tests.logshipper.life import Life, complete
from tests.logshipper.sending import Sending
from tests.logshipper.strict_sink import StrictSink, hang, status
from wharfinger.operator.parts.process import free_port


@pytest.fixture
async def sending(sink: StrictSink, tmp_path: Path) -> AsyncIterator[Sending]:
    made = Sending(BulkConfig(url=sink.url, request_timeout_seconds=0.5), tmp_path)
    yield made
    await made.delivery.close()


@pytest.fixture
def hasty(monkeypatch: pytest.MonkeyPatch) -> None:
    for module, name in (
        (probe, "IDLE_SECONDS"),
        (probe, "ABSENT_SECONDS"),
        (probe, "LONGEST_ABSENT_SECONDS"),
        (delivery, "ALARM_SECONDS"),
    ):
        monkeypatch.setattr(module, name, 0.1)


def reported(sending: Sending | Life) -> tuple[bool, str]:
    check = next(each for each in sending.health.report().checks if each.name == "sink")
    return check.healthy, check.why


class Sink:
    """Counts its probes; `idle_seconds` is what a test says."""

    def __init__(self) -> None:
        self.idle_seconds = float("inf")
        self.there = True
        self.probes = 0

    async def probe(self) -> bool:
        self.probes += 1
        return self.there


async def until(condition: Callable[[], object]) -> None:
    async with asyncio.timeout(10):
        while not condition():  # noqa: ASYNC110 - of sockets, not of a task
            await asyncio.sleep(0.005)


@pytest.mark.usefixtures("hasty")
@pytest.mark.parametrize("there", [True, False])
async def test_one_that_is_idle_is_asked_again_and_one_that_is_busy_is_not(*, there: bool) -> None:
    sink = Sink()
    sink.there = there
    task = asyncio.create_task(keep_probing(sink))
    await until(lambda: sink.probes > 3)
    sink.idle_seconds = 0.0
    await asyncio.sleep(0)
    asked = sink.probes
    for _ in range(5):
        await asyncio.sleep(0.1)
    assert sink.probes <= asked + 1  # it may have been on its way
    sink.idle_seconds = 1000.0
    await until(lambda: sink.probes > asked + 2)
    task.cancel()


async def test_one_that_was_never_there_is_red_at_once_and_green_when_it_is(
    sink: StrictSink, sending: Sending
) -> None:
    assert reported(sending) == (False, "not yet confirmed")
    await sink.stop()
    assert not await sending.delivery.probe()
    healthy, why = reported(sending)
    assert not healthy
    assert "cannot be reached" in why
    assert "does it run" in why
    await sink.start()
    assert await sending.delivery.probe()
    assert reported(sending) == (True, "")
    assert sink.requests == 0


async def test_one_that_was_there_is_red_when_it_is_away_for_a_while(
    sink: StrictSink, sending: Sending, monkeypatch: pytest.MonkeyPatch
) -> None:
    await sending.deliver("one")
    await sink.stop()
    assert not await sending.delivery.probe()
    assert reported(sending)[0]  # a restart is no alarm
    monkeypatch.setattr(delivery, "ALARM_SECONDS", 0.0)
    assert not await sending.delivery.probe()
    assert not reported(sending)[0]
    assert str(sending.events.since(0)).count("sink failing") == 1


async def test_a_line_waits_for_no_probe(sink: StrictSink, sending: Sending) -> None:
    await sink.stop()
    for _ in range(5):
        await sending.delivery.probe()
    await sink.start()
    assert sending.delivery._not_before <= time.monotonic()
    await sending.deliver("one")
    assert reported(sending) == (True, "")
    assert sink.requests == 1
    assert sending.delivery.trouble == ""


@pytest.mark.parametrize("mood", [status(503), hang])
async def test_what_answers_connections_and_takes_nothing_stays_red(
    sink: StrictSink, sending: Sending, monkeypatch: pytest.MonkeyPatch, mood: object
) -> None:
    monkeypatch.setattr(delivery, "ALARM_SECONDS", 0.0)
    sink.mood = mood  # type: ignore[assignment]
    task = asyncio.create_task(sending.deliver("one"))
    await until(lambda: sending.delivery.trouble)
    assert sending.delivery.idle_seconds == 0
    assert await sending.delivery.probe()  # it says nothing
    assert not reported(sending)[0]
    sink.mood = None
    await task
    assert reported(sending)[0]


async def test_what_rules_leave_nothing_of_is_no_word_of_the_sinks(sending: Sending) -> None:
    await sending.delivery.deliver([])
    assert sending.delivery.idle_seconds == float("inf")


@pytest.mark.usefixtures("hasty")
async def test_a_shipments_sink_that_dies_while_no_line_comes(
    sink: StrictSink, tmp_path: Path
) -> None:
    await sink.stop()
    life = Life(sink, tmp_path / "state")
    life.start()
    await until(lambda: not reported(life)[0] and "reached" in reported(life)[1])
    await sink.start()
    await until(lambda: reported(life)[0])
    for _ in range(2):
        await sink.stop()
        await until(lambda: not reported(life)[0])
        await sink.start()
        await until(lambda: reported(life)[0])
    log = DockerLog(tmp_path / "containers")
    log.write("one", "two")
    route = Route(ship=True, lines=LineSettings(exclude=("two",)))
    await life.follow(log, route=route)
    log.written.remove("two")
    await sink.until(complete(sink, log))
    await sink.stop()
    await until(lambda: not reported(life)[0])
    assert not any(task.done() for task in life.tasks)
    await life.kill()


async def test_a_certificate_that_is_not_trusted_is_said(tmp_path: Path) -> None:
    async def serve(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", free_port())
    port = server.sockets[0].getsockname()[1]
    sending = Sending(BulkConfig(url=f"https://127.0.0.1:{port}"), tmp_path)
    assert not await sending.delivery.probe()  # it takes connections, and speaks no TLS
    assert not reported(sending)[0]
    await sending.delivery.close()
    server.close()


async def test_a_name_that_is_none_is_said(tmp_path: Path) -> None:
    sending = Sending(BulkConfig(url=f"http://{'x' * 64}.example"), tmp_path)
    assert not await sending.delivery.probe()
    assert not reported(sending)[0]
    await sending.delivery.close()


@pytest.mark.parametrize(
    ("config", "remote"),
    [
        (BulkConfig(), True),
        (SlsConfig(), True),
        (KafkaConfig(servers=("127.0.0.1:9092",), topic="logs"), True),
        (SyslogConfig(address="127.0.0.1:514", transport="tcp"), True),
        (SyslogConfig(address="127.0.0.1:514", transport="tls"), True),
        (SyslogConfig(address="127.0.0.1:514", transport="udp"), False),
        (FileConfig(path=Path("/nowhere/log")), False),
        (StdoutConfig(), False),
    ],
    ids=lambda each: getattr(each, "type", str(each)) + getattr(each, "transport", ""),
)
async def test_only_sinks_that_a_connection_tells_of_are_probed(
    config: AnySink, tmp_path: Path, *, remote: bool
) -> None:
    sending = Sending(config, tmp_path)
    assert make(config).remote is remote
    loops = dict(sending.delivery.loops())
    assert ("main probe" in loops) is remote
    for loop in loops.values():
        loop.close()
    assert reported(sending)[0] is not remote
    await sending.delivery.close()
