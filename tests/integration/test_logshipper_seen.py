"""What people see of logs on a real Docker engine: checks, positions, `logshipper tail`."""

import asyncio
import json
import os
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.logshipper.strict_sink import StrictSink, status
from tests.stack.shipper import RUN, Shipper, expected, holds, numbered
from wharfinger.errors import Unavailable
from wharfinger.operator import status as operator
from wharfinger.operator.parts.dockerd import DockerDaemon
from wharfinger.operator.parts.process import Process, until

pytestmark = [pytest.mark.real, pytest.mark.timeout(240)]

LIMITS = "lag_alarm_seconds = 3\nlag_alarm_bytes = 100000\nloss_alarm_seconds = 8\n"


RECORD = b'{"log":"two\\n","stream":"stdout","time":"2026-07-01T10:00:00Z"}\n'


def append(path: Path, data: bytes) -> None:
    """What dockerd does with a line."""
    with path.open("ab") as file:
        file.write(data)


def facts(path: Path) -> tuple[int, int]:
    """Size and inode."""
    status = path.stat()
    return status.st_size, status.st_ino


@pytest.fixture
def shipper(shipper: Shipper) -> Shipper:
    text = shipper.config.read_text()
    text = text.replace("poll_seconds = 2\n", f"poll_seconds = 0.5\n{LIMITS}")
    shipper.config.write_text(f"{text}batch_bytes = 50000\n")
    return shipper


async def checks(shipper: Shipper) -> tuple[int, dict[str, str]]:
    """The status of /healthz, and why what is red is red."""
    code, text = await shipper.ask("healthz")
    told = json.loads(text)["checks"]
    return code, {each["name"]: each["why"] for each in told if not each["healthy"]}


async def until_red(shipper: Shipper, *names: str) -> dict[str, str]:
    async def red() -> bool:
        return set(names) <= (await checks(shipper))[1].keys()

    await until(red, timeout_seconds=60, what=f"{names} red")
    code, why = await checks(shipper)
    assert code == 503
    return why


async def until_green(shipper: Shipper) -> None:
    async def green() -> bool:
        return (await checks(shipper))[0] == 200

    try:
        await until(green, timeout_seconds=60, what="all green")
    except Unavailable as error:
        raise AssertionError((await checks(shipper))[1]) from error


async def log_of(shipper: Shipper, container: str) -> dict[str, Any]:
    told = json.loads((await shipper.ask("status"))[1])
    (log,) = [each for each in told["sinks"][0]["logs"] if each["container"] == container]
    return dict(log)


@pytest.mark.scenario
async def test_a_dead_sink_and_what_lags_behind_it_are_red_until_it_is_back(
    docker_daemon: DockerDaemon,
    sink: StrictSink,
    shipper: Shipper,
    capsys: pytest.CaptureFixture[str],
) -> None:
    await shipper.start()
    quiet = (await docker_daemon.run(*RUN, "--name=first", *numbered("first", 3))).strip()
    await sink.until(holds(sink, expected("first", 3)))
    await until_green(shipper)

    sink.mood = status(503)
    quiet = (await docker_daemon.run(*RUN, "--name=quiet", *numbered("quiet", 1))).strip()
    why = await until_red(shipper, "lag", "sink main")
    assert f"container quiet ({quiet[:12]}) is" in why["lag"]
    assert "s behind in sink main" in why["lag"]
    assert "503" in why["lag"]
    assert "503" in why["sink main"]
    assert "wait in Docker's files" in why["sink main"]
    metrics = (await shipper.ask("metrics"))[1]
    key = f'{{container="{quiet[:12]}",sink="main"}}'
    (seconds,) = [
        float(line.split()[1]) for line in metrics.splitlines() if f"lag_seconds{key}" in line
    ]
    assert seconds >= 3
    assert f"log_retries_total{key}" in metrics
    await operator.status(shipper.config, ["logshipper"], as_json=False)
    shown = capsys.readouterr().out
    (row,) = [line for line in shown.splitlines() if line.startswith("quiet")]
    assert quiet[:12] in row
    assert "main" in row
    assert "503" in row

    sink.mood = None
    await sink.until(holds(sink, expected("quiet", 1)), seconds=60)
    await until_green(shipper)
    await shipper.until_counted(f"lag_bytes{key} 0.0")
    await docker_daemon.run("rm", "--force", quiet)

    async def gone() -> bool:
        return quiet[:12] not in (await shipper.ask("metrics"))[1]

    await until(gone, timeout_seconds=60, what="no series of a removed container")


@pytest.mark.scenario
async def test_a_loss_is_red_with_its_container_and_green_when_its_time_is_over(
    docker_daemon: DockerDaemon, sink: StrictSink, shipper: Shipper
) -> None:
    await shipper.start()
    sleeper = ("busybox", "sh", "-c", "echo one; exec sleep 300")
    container = (await docker_daemon.run(*RUN, "--name=loser", *sleeper)).strip()
    await sink.until(holds(sink, {"one"}))
    sink.mood = status(503)
    path = Path((await docker_daemon.run("inspect", "-f", "{{.LogPath}}", container)).strip())

    append(path, RECORD * 100)
    await until_red(shipper, "sink main")

    async def unread() -> bool:
        return int((await log_of(shipper, container))["lag_bytes"]) > 0

    await until(unread, timeout_seconds=30, what="it was seen")
    # What was read waits in memory; what is written behind it and truncated is gone.
    append(path, RECORD * 40_000)

    async def seen() -> bool:
        (file,) = (await log_of(shipper, container))["files"]
        return len(RECORD) * 200 < int(file["read_bytes"]) < int(file["size_bytes"])

    await until(seen, timeout_seconds=60, what="the file is larger than the memory for it")
    os.truncate(path, 10)  # what is left is no line, and nobody's lag
    sink.mood = None
    why = await until_red(shipper, "loss")
    assert f"container loser ({container[:12]}) in sink main" in why["loss"]
    assert "truncated" in why["loss"]
    assert "max-size, max-file" in why["loss"]
    metrics = (await shipper.ask("metrics"))[1]
    key = f'container="{container[:12]}",reason="truncated",sink="main"'
    assert f"log_lost_bytes_total{{{key}}}" in metrics
    assert (await log_of(shipper, container))["lost_bytes"]["truncated"] > 0
    await until_green(shipper)


@pytest.mark.scenario
async def test_status_says_where_each_file_stands(
    docker_daemon: DockerDaemon, sink: StrictSink, shipper: Shipper
) -> None:
    await shipper.start()
    sleeper = ("busybox", "sh", "-c", "echo one; exec sleep 300")
    container = (await docker_daemon.run(*RUN, "--name=stands", *sleeper)).strip()
    await sink.until(holds(sink, {"one"}))
    path = Path((await docker_daemon.run("inspect", "-f", "{{.LogPath}}", container)).strip())
    size, inode = facts(path)

    async def acknowledged() -> bool:
        (file,) = (await log_of(shipper, container))["files"]
        return bool(file["acknowledged_bytes"] == size)

    await until(acknowledged, timeout_seconds=30, what="acknowledged")
    (file,) = (await log_of(shipper, container))["files"]
    assert file["name"] == f"{container}-json.log"
    assert file["inode"] == inode
    assert file["size_bytes"] == file["read_bytes"] == size
    assert file["generation"]
    assert file["deleted"] is False
    assert (await log_of(shipper, container))["name"] == "stands"

    sink.mood = status(503)
    append(path, RECORD)
    await docker_daemon.run("rm", "--force", container)

    async def held() -> bool:
        log = await log_of(shipper, container)
        return log["in_flight_bytes"] > 0 or any(each["deleted"] for each in log["files"])

    await until(held, timeout_seconds=30, what="held although deleted")


class Tailing:
    """`logshipper tail` as a process; its output goes to a file."""

    def __init__(self, shipper: Shipper, folder: Path, *arguments: str) -> None:
        command = [sys.executable, "-m", "logshipper", "tail", "--config", shipper.config]
        self.process = Process([*command, *arguments], log=folder / "tail.out")

    @property
    def text(self) -> str:
        return self.process.log.read_text() if self.process.log.exists() else ""


async def tailed(shipper: Shipper, *arguments: str) -> tuple[int, str, str]:
    command = [sys.executable, "-m", "logshipper", "tail", "--config", str(shipper.config)]
    process = await asyncio.create_subprocess_exec(
        *command,
        *arguments,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    out, err = await process.communicate()
    assert process.returncode is not None
    return process.returncode, out.decode(), err.decode()


async def test_tail_shows_what_was_written_without_a_daemon_or_a_sink(
    docker_daemon: DockerDaemon, shipper: Shipper
) -> None:
    script = r"i=0; while [ $i -lt 500 ]; do i=$((i+1)); echo line $i; done; "
    script += r"head -c 40000 /dev/zero | tr '\0' x; echo; printf '\033]0;t\007\033[2Jevil\n' >&2"
    container = await docker_daemon.run(*RUN, "--name=web-1", "busybox", "sh", "-c", script)
    container = container.strip()
    await docker_daemon.run("wait", container)

    code, out, err = await tailed(shipper, "web-1", "-n", "all")
    assert (code, err) == (0, "")
    lines = out.splitlines()
    assert len(lines) == 502
    texts = [line.split(" ", 2) for line in lines]
    assert [text for _, _, text in texts if text.startswith("line")] == [
        f"line {n}" for n in range(1, 501)
    ]
    assert sum(text == "x" * 40_000 for _, _, text in texts) == 1
    assert [(s, t) for _, s, t in texts if "evil" in t] == [
        ("stderr", "\\u001b]0;t\\u0007\\u001b[2Jevil")
    ]
    code, out, err = await tailed(shipper, container[:6], "--json", "-n", "3")
    assert (code, err) == (0, "")
    documents = [json.loads(line) for line in out.splitlines()]
    assert len(documents) == 3
    assert {each["container_name"] for each in documents} == {"web-1"}
    assert {each["app"] for each in documents} == {"shop"}
    assert (await tailed(shipper, "web-1", "--since", "1h", "-n", "2"))[1].count("\n") == 2
    assert (await tailed(shipper, "web-1", "--since", "2099-01-01"))[:2] == (0, "")


async def test_tail_has_colours_on_a_terminal_alone(
    docker_daemon: DockerDaemon, shipper: Shipper
) -> None:
    script = r"printf '\033[31mred\033[0m \033]0;t\007evil\n' >&2"
    command = ("--name=colours", "busybox", "sh", "-c", script)
    container = (await docker_daemon.run(*RUN, *command)).strip()
    await docker_daemon.run("wait", container)
    ours, theirs = os.openpty()
    tail = [sys.executable, "-m", "logshipper", "tail", "--config", str(shipper.config)]
    process = await asyncio.create_subprocess_exec(*tail, "colours", stdout=theirs)
    os.close(theirs)
    try:
        assert await process.wait() == 0
        shown = os.read(ours, 4096).decode()
    finally:
        os.close(ours)
    assert "\x1b[31mstderr\x1b[0m \x1b[31mred\x1b[0m \\u001b]0;t\\u0007evil" in shown
    assert "\x1b" not in (await tailed(shipper, "colours"))[1]


async def test_tail_says_who_might_have_been_meant(
    docker_daemon: DockerDaemon, shipper: Shipper
) -> None:
    await docker_daemon.run(*RUN, "--name=web-1", *numbered("x", 1))
    code, out, err = await tailed(shipper, "web1")
    assert (code, out) == (64, "")
    assert "no container 'web1'; did you mean web-1?" in err
    assert (await tailed(shipper, "../etc"))[0] == 64
    await docker_daemon.run(*RUN, "--name=silent", "--log-driver=none", *numbered("x", 1))
    code, _, err = await tailed(shipper, "silent")
    assert code == 64
    assert "log driver 'none'" in err


async def test_tail_follows_across_rotation_until_the_container_is_removed(
    docker_daemon: DockerDaemon, shipper: Shipper, tmp_path: Path
) -> None:
    script = "echo begun; while [ ! -e /go ]; do sleep 0.1; done; "
    script += "i=0; while [ $i -lt 3000 ]; do i=$((i+1)); echo line $i; done; exec sleep 300"
    options = ("--name=spinner", "--log-opt=max-size=40k", "--log-opt=max-file=30")
    container = (await docker_daemon.run(*RUN, *options, "busybox", "sh", "-c", script)).strip()
    tailing = Tailing(shipper, tmp_path, "-f", "spinner")

    async def begun() -> bool:
        return "begun" in tailing.text

    await tailing.process.start(begun, timeout_seconds=60)
    await docker_daemon.run("exec", container, "touch", "/go")

    async def done() -> bool:
        return "line 3000\n" in tailing.text

    await until(done, timeout_seconds=60, what="the last line")
    texts = [line.split(" ", 2)[2] for line in tailing.text.splitlines()]
    assert texts == ["begun", *(f"line {n}" for n in range(1, 3001))]
    await docker_daemon.run("rm", "--force", container)

    async def ended() -> bool:
        return "container spinner was removed" in tailing.text

    await until(ended, timeout_seconds=60, what="the end")
    await tailing.process.terminate()
