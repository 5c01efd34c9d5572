"""`logshipper tail` of logs that only Docker's API gives, with a real engine."""

import asyncio
import json
import random
from pathlib import Path

import pytest

from tests.integration.test_logshipper_api import JOINED, LOCAL, LONG, SYSLOG
from tests.integration.test_logshipper_seen import Tailing, tailed
from tests.stack.shipper import RUN, Shipper, numbered
from wharfinger.operator.parts.dockerd import DockerDaemon
from wharfinger.operator.parts.process import until

pytestmark = [pytest.mark.real, pytest.mark.timeout(240)]


def texts(out: str) -> list[str]:
    """The messages of lines for people."""
    return [line.split(" ", 2)[2] for line in out.splitlines()]


async def has(tailing: Tailing, text: str) -> None:
    async def shown() -> bool:
        return text in tailing.text

    await until(shown, timeout_seconds=60, what=f"{text!r} in {tailing.text[-500:]!r}")


@pytest.mark.parametrize("driver", [(LOCAL,), SYSLOG], ids=["local", "cached"])
async def test_the_last_lines_are_shown_as_those_of_files_are(
    docker_daemon: DockerDaemon, shipper: Shipper, driver: tuple[str, ...]
) -> None:
    command = ("--name=web-1", *numbered("line", 6000))
    container = (await docker_daemon.run(*RUN, *driver, *command)).strip()
    await docker_daemon.run("wait", container)
    everything = [f"line {n}" for n in range(1, 6001)]
    for arguments, count in (
        ((), 10),
        (("-n", "all"), 6000),
        (("-n", "300"), 300),
        (("-n", "9999"), 6000),
        (("--since", "1h"), 6000),
        (("--since", "1h", "-n", "2"), 2),
    ):
        code, out, err = await tailed(shipper, "web-1", *arguments)
        assert (code, err) == (0, "")
        assert texts(out) == everything[-count:]
    for arguments in (("--since", "2099-01-01"), ("-n", "0")):
        assert await tailed(shipper, "web-1", *arguments) == (0, "", "")
    code, out, err = await tailed(shipper, container[:6], "--json", "-n", "3")
    assert (code, err) == (0, "")
    documents = [json.loads(each) for each in out.splitlines()]
    assert [each["message"] for each in documents] == everything[-3:]
    assert {(each["app"], each["container_name"]) for each in documents} == {("shop", "web-1")}


async def test_since_a_time_between_lines(docker_daemon: DockerDaemon, shipper: Shipper) -> None:
    script = (
        "i=0; while [ $i -lt 300 ]; do i=$((i+1)); echo old $i; done; sleep 2;"
        "i=0; while [ $i -lt 300 ]; do i=$((i+1)); echo new $i; done"
    )
    options = (LOCAL, "--name=twice")
    container = (await docker_daemon.run(*RUN, *options, "busybox", "sh", "-c", script)).strip()
    await docker_daemon.run("wait", container)
    _, out, _ = await tailed(shipper, "twice", "--json", "-n", "all")
    (time,) = [
        document["@timestamp"]
        for document in map(json.loads, out.splitlines())
        if document["message"] == "new 1"
    ]
    code, out, err = await tailed(shipper, "twice", "--since", time)
    assert (code, err) == (0, "")
    assert texts(out) == [f"new {n}" for n in range(1, 301)]


async def test_parts_are_joined_and_the_rules_are_applied(
    docker_daemon: DockerDaemon, shipper: Shipper
) -> None:
    # Nothing is shown as a part alone, wherever the last lines begin.
    for name, options in {"parts": (), "terminal": ("--tty",)}.items():
        command = (f"--name={name}", *options, "busybox", "sh", "-c", LONG)
        container = (await docker_daemon.run(*RUN, LOCAL, *command)).strip()
        await docker_daemon.run("wait", container)
    code, out, err = await tailed(shipper, "parts", "--json", "-n", "all")
    assert (code, err) == (0, "")
    assert sorted(json.loads(each)["message"] for each in out.splitlines()) == JOINED
    code, out, err = await tailed(shipper, "terminal", "--json", "-n", "4")
    assert (code, err) == (0, "")
    shown = [json.loads(each)["message"] for each in out.splitlines()]
    assert shown == ["c" * 16_384 + "\r", "\r", "after\r", "end"]
    lines = r"printf 'Traceback (most recent call last):\n  File x\nValueError: y\ndone\n'"
    label = "--label=wharfinger.logs.multiline=python"
    command = ("--name=rules", label, "busybox", "sh", "-c", lines)
    container = (await docker_daemon.run(*RUN, LOCAL, *command)).strip()
    await docker_daemon.run("wait", container)
    _, out, _ = await tailed(shipper, "rules", "--json")
    assert [json.loads(each)["message"] for each in out.splitlines()] == [
        "Traceback (most recent call last):\n  File x\nValueError: y",
        "done",
    ]


async def test_a_log_that_nobody_can_read_is_refused_with_the_reason(
    docker_daemon: DockerDaemon, shipper: Shipper
) -> None:
    away = (*SYSLOG, "--log-opt=cache-disabled=true", "--name=away")
    await docker_daemon.run(*RUN, *away, *numbered("x", 1))
    code, out, err = await tailed(shipper, "away", "-f")
    assert (code, out) == (64, "")
    assert "log driver 'syslog' sends lines away, and cache-disabled keeps no copy" in err


ROTATED = {
    "local": (LOCAL, "--log-opt=max-size=40k", "--log-opt=max-file=60"),
    "one-file": (
        LOCAL,
        "--log-opt=max-size=2m",
        "--log-opt=max-file=1",
        "--log-opt=compress=false",
    ),
    "cached": (*SYSLOG, "--log-opt=cache-max-size=40k", "--log-opt=cache-max-file=60"),
}


@pytest.mark.parametrize("name", ROTATED)
async def test_what_comes_is_followed_across_rotation_until_the_container_is_removed(
    docker_daemon: DockerDaemon, shipper: Shipper, tmp_path: Path, name: str
) -> None:
    script = "echo begun; while [ ! -e /go ]; do sleep 0.1; done; "
    script += "i=0; while [ $i -lt 20000 ]; do i=$((i+1)); echo line $i; "
    script += "[ $((i%200)) -gt 0 ] || sleep 0.02; done; exec sleep 300"
    options = ("--name=spinner", *ROTATED[name])
    container = (await docker_daemon.run(*RUN, *options, "busybox", "sh", "-c", script)).strip()
    tailing = Tailing(shipper, tmp_path, "-f", "spinner")

    async def begun() -> bool:
        return "begun" in tailing.text

    await tailing.process.start(begun, timeout_seconds=60)
    await docker_daemon.run("exec", container, "touch", "/go")
    await has(tailing, "line 20000\n")
    await docker_daemon.run("rm", "--force", container)
    await has(tailing, "container spinner was removed")
    lines = [line for line in tailing.text.splitlines() if not line.startswith("logshipper:")]
    assert texts("\n".join(lines)) == ["begun", *(f"line {n}" for n in range(1, 20_001))]
    # Docker cuts a single file to nothing in its place: it is asked at times, and not followed.
    assert ("nobody knows whether all of it was read" in tailing.text) == (name == "one-file")
    await tailing.process.terminate()


async def test_a_journal_is_shown_and_followed(
    journal_docker_daemon: DockerDaemon, tmp_path: Path
) -> None:
    docker = journal_docker_daemon
    shipper = Shipper(docker, "http://127.0.0.1:9", tmp_path)
    script = "i=0; while [ $i -lt 500 ]; do i=$((i+1)); echo line $i; done; "
    script += "while [ ! -e /go ]; do sleep 0.1; done; echo one; echo two; exec sleep 300"
    options = ("--log-driver=journald", "--name=kept")
    await docker.run(*RUN, *options, "busybox", "sh", "-c", script)

    async def written() -> bool:
        return "line 500\n" in (await tailed(shipper, "kept"))[1]

    await until(written, timeout_seconds=30, what="all is written")
    code, out, err = await tailed(shipper, "kept", "-n", "300")
    assert (code, err) == (0, "")
    assert texts(out) == [f"line {n}" for n in range(201, 501)]
    tailing = Tailing(shipper, tmp_path, "-f", "-n", "2", "kept")

    async def begun() -> bool:
        return "line 500\n" in tailing.text

    await tailing.process.start(begun, timeout_seconds=60)
    await docker.run("exec", "kept", "touch", "/go")
    await has(tailing, "two\n")
    await docker.run("rm", "--force", "kept")
    await has(tailing, "container kept was removed")
    *lines, _ = tailing.text.splitlines()
    assert texts("\n".join(lines)) == ["line 499", "line 500", "one", "two"]
    await tailing.process.terminate()


async def test_one_that_has_stopped_is_followed_into_its_next_runs(
    docker_daemon: DockerDaemon, shipper: Shipper, tmp_path: Path
) -> None:
    script = "echo begun $(cat /proc/uptime); for i in 1 2 3; do echo line $i; done"
    command = ("--name=again", "busybox", "sh", "-c", script)
    container = (await docker_daemon.run(*RUN, LOCAL, *command)).strip()
    await docker_daemon.run("wait", container)
    tailing = Tailing(shipper, tmp_path, "-f", "-n", "1", "again")

    async def begun() -> bool:
        return "line 3\n" in tailing.text

    await tailing.process.start(begun, timeout_seconds=60)
    rng = random.Random(5)
    for run in (1, 2):
        await asyncio.sleep(rng.uniform(0, 3))
        await docker_daemon.run("start", container)

        async def shown(run: int = run) -> bool:
            return tailing.text.count("line 3\n") == 1 + run

        await until(shown, timeout_seconds=30, what=f"run {run}")
    await docker_daemon.run("rm", container)
    await has(tailing, "container again was removed")
    lines = [" ".join(line.split()[2:4]) for line in tailing.text.splitlines()[:-1]]
    one = ["line 1", "line 2", "line 3"]
    assert [line for line in lines if "begun" not in line] == ["line 3", *one, *one]
    assert "nobody knows" not in tailing.text
    await tailing.process.terminate()


async def test_an_engine_that_goes_away_is_told_and_waited_for(
    live_restore_docker_daemon: DockerDaemon, tmp_path: Path
) -> None:
    docker = live_restore_docker_daemon
    shipper = Shipper(docker, "http://127.0.0.1:9", tmp_path)
    script = "i=0; while [ $i -lt 100 ]; do i=$((i+1)); echo line $i; done; sleep 1000"
    await docker.run(*RUN, LOCAL, "--name=stays", "busybox", "sh", "-c", script)
    tailing = Tailing(shipper, tmp_path, "-f", "-n", "all", "stays")

    async def begun() -> bool:
        return "line 100\n" in tailing.text

    await tailing.process.start(begun, timeout_seconds=60)
    await docker.kill()
    await has(tailing, "logshipper: Docker at ")
    await docker.start()
    await has(tailing, "the log can be read again")
    await docker.run("rm", "--force", "stays")
    await has(tailing, "container stays was removed")
    shown = [line for line in tailing.text.splitlines() if not line.startswith("logshipper:")]
    assert texts("\n".join(shown)) == [f"line {n}" for n in range(1, 101)]
    await tailing.process.terminate()
