"""Scripts inside real containers: their exit codes, their output, and those that hang."""

import asyncio
import os
import signal
from collections.abc import AsyncIterator

import pytest

from registrar.checks.grammar import from_registrator, parse
from registrar.checks.model import Answer, CheckKind, Target
from registrar.checks.probes import Prober
from registrar.checks.schedule import Schedule
from tests.checks.conftest import target
from tests.checks.test_schedule import running
from tests.stack.etcd import eventually
from wharfinger.dockerd import Docker, Limits
from wharfinger.dockerexec import Output
from wharfinger.errors import Rejected, Unavailable
from wharfinger.operator.parts.dockerd import DockerDaemon
from wharfinger.operator.parts.process import until
from wharfinger.sections import DockerConfig

real = pytest.mark.real
LIMITS = Limits(request_timeout_seconds=5.0)


class Box:
    """A container, and scripts to run in it."""

    def __init__(self, daemon: DockerDaemon, docker: Docker, container_id: str) -> None:
        self.daemon = daemon
        self.docker = docker
        self.container_id = container_id

    def target(self, command: str, **settings: str) -> Target:
        check = parse({"": f"script:{command}", **settings})
        return Target(self.container_id, 1, "127.0.0.1", 8080, check)

    async def processes(self, words: str) -> list[int]:
        """Those of the container with these words, by their ids on this host."""
        told = await self.daemon.run("top", self.container_id, "-o", "pid,args")
        return [int(line.split()[0]) for line in told.splitlines() if words in line]


@pytest.fixture
async def box(docker_daemon: DockerDaemon) -> AsyncIterator[Box]:
    container_id = await docker_daemon.run(
        "run", "--detach", "--network=host", "--env=FLAVOUR=plum", "busybox", "sleep", "1000"
    )
    async with Docker(DockerConfig(url=docker_daemon.url), limits=LIMITS) as docker:
        yield Box(docker_daemon, docker, container_id.strip())


@pytest.fixture
async def prober(box: Box) -> AsyncIterator[Prober]:
    async with Prober(box.docker) as prober:
        yield prober


@real
@pytest.mark.parametrize(
    ("command", "good", "why"),
    [
        ("true", True, "exit code 0"),
        ("echo all is well", True, "exit code 0"),
        ("echo no cart >&2; exit 3", False, "exit code 3: no cart"),
        ('test "$FLAVOUR" = plum', True, "exit code 0"),
        ('test "$SERVICE_IP:$SERVICE_PORT" = 127.0.0.1:8080', True, "exit code 0"),
        ("printf '\\033[31mred\\nblue'; false", False, "exit code 1: \\u001b[31mred blue"),
        ("nosuchcommand", False, "there is no such command"),
        ("kill -9 $$", False, "exit code 137"),
        ('["/bin/test", "$SERVICE_PORT", "-eq", "8080"]', True, "exit code 0"),
        ('["/bin/echo", "; false"]', True, "exit code 0"),
        ('["/nowhere"]', False, "no such file"),
        ("yes | head -c 3000000; exit 4", False, "exit code 4: y y y y"),
    ],
)
async def test_the_exit_code_decides(
    box: Box, prober: Prober, command: str, good: bool, why: str
) -> None:
    answer = await prober(box.target(command))
    assert answer.good is good, answer
    assert why in answer.why
    assert answer.why.isprintable()
    assert len(answer.why) < 250


@real
async def test_registrators_script_and_command(box: Box, prober: Prober) -> None:
    for attributes in (
        {"CHECK_SCRIPT": "test $SERVICE_PORT = 8080"},
        {"CHECK_CMD": "test 80 ="},
    ):
        check = from_registrator(attributes, exposed_port=80)
        assert check is not None
        assert (await prober(Target(box.container_id, 1, "127.0.0.1", 8080, check))).good


@real
async def test_a_script_that_hangs_is_never_joined_by_a_second(box: Box, prober: Prober) -> None:
    hanging = box.target("sleep 765", timeout="0.2", fall="1")
    other = box.target("true")
    why = "the script was not done within 0.2 s"
    assert await prober(hanging) == Answer(good=False, why=why)
    still = Answer(good=False, why="the script of an earlier check still runs")
    for each in (hanging, other, hanging):
        assert await prober(each) == still
    (process,) = await box.processes("sleep 765")
    assert (prober.scripts.hanging, prober.scripts.left) == (1, 1)
    os.kill(process, signal.SIGKILL)

    async def again() -> bool:
        return (await prober(other)).good is True

    await until(again, timeout_seconds=30, what="the next script is run")
    assert (prober.scripts.hanging, prober.scripts.left) == (1, 0)


@real
async def test_one_that_leaves_something_behind_has_ended(box: Box, prober: Prober) -> None:
    # What it left holds the stream open; the script itself is done.
    answer = await prober(box.target("sleep 764 & exit 3", timeout="0.5"))
    assert answer.good is False
    assert answer.why == "exit code 3"
    assert prober.scripts.left == 0


@real
async def test_a_script_that_is_forgotten_is_remembered(box: Box, prober: Prober) -> None:
    hanging, other = box.target("sleep 763", timeout="60"), box.target("true")
    schedule = Schedule(prober, on_change=lambda: None)
    async with running(schedule):
        schedule.want([hanging])

        async def runs() -> bool:
            return bool(await box.processes("sleep 763"))

        await until(runs, timeout_seconds=30, what="the script runs")
        schedule.want([])
        await eventually(lambda: schedule.running == 0)
        schedule.want([other])
        await eventually(lambda: "still runs" in schedule.outcomes[other].why)
    assert len(await box.processes("sleep 763")) == 1


@real
async def test_a_container_that_does_not_run_has_failed(box: Box, prober: Prober) -> None:
    await box.daemon.run("kill", box.container_id)
    answer = await prober(box.target("true"))
    assert answer.good is False
    assert "is not running" in answer.why
    await box.daemon.run("rm", box.container_id)
    answer = await prober(box.target("true"))
    assert answer.good is False
    assert "No such container" in answer.why


@real
async def test_a_container_that_goes_meanwhile_leaves_nothing(box: Box, prober: Prober) -> None:
    await prober(box.target("sleep 762", timeout="0.1"))
    assert prober.scripts.left == 1
    await box.daemon.run("rm", "--force", box.container_id)
    assert (await prober(box.target("true"))).good is False
    assert prober.scripts.left == 0


@real
@pytest.mark.scenario
async def test_an_engine_that_hangs_meanwhile_decides_nothing(
    breakable_docker_daemon: DockerDaemon,
) -> None:
    daemon = breakable_docker_daemon
    words = ("run", "--detach", "--network=host", "busybox", "sleep", "1000")
    container_id = (await daemon.run(*words)).strip()
    limits = Limits(request_timeout_seconds=1.0)
    async with Docker(DockerConfig(url=daemon.url), limits=limits) as docker:
        box = Box(daemon, docker, container_id)
        async with Prober(docker) as prober:
            asking = asyncio.create_task(prober(box.target("sleep 761", timeout="10")))

            async def runs() -> bool:
                return bool(await box.processes("sleep 761"))

            await until(runs, timeout_seconds=30, what="the script runs")
            daemon.process.freeze()
            try:
                answer = await asking
            finally:
                daemon.process.thaw()
            assert answer.good is None, answer
            assert "did not answer" in answer.why
            still = Answer(good=False, why="the script of an earlier check still runs")

            async def known() -> bool:
                return await prober(box.target("true")) == still

            await until(known, timeout_seconds=30, what="the script is found again")


@real
async def test_what_cannot_be_a_container_is_not_asked_for(box: Box) -> None:
    with pytest.raises(Rejected, match="no container's id"):
        await box.docker.exec("../info", ["true"], environment={}, timeout_seconds=1)


async def test_without_an_engine_nothing_is_decided() -> None:
    async with Docker(DockerConfig(url="unix:///nowhere/docker.sock")) as docker:
        async with Prober(docker) as prober:
            answer = await prober(target(80, kind=CheckKind.SCRIPT, script="true"))
        with pytest.raises(Unavailable):
            await docker.executing("0" * 64)
    assert answer.good is None
    assert "cannot be reached" in answer.why


def frame(data: bytes, stream: int = 1) -> bytes:
    return bytes([stream, 0, 0, 0]) + len(data).to_bytes(4) + data


@pytest.mark.parametrize("size", [1, 3, 8, 9, 1_000])
def test_frames_come_in_any_pieces(size: int) -> None:
    data = frame(b"one ") + frame(b"") + frame(b"two ", 2) + frame(b"three" * 10)
    output = Output(20)
    for at in range(0, len(data), size):
        output.feed(data[at : at + size])
    assert output.text == "one two threethreeth"


def test_a_frame_that_never_ends_is_not_kept() -> None:
    output = Output(10)
    output.feed(frame(b"x" * 100)[:50])
    output.feed(b"\xff" * 10_000_000)
    assert output.text == "x" * 10
