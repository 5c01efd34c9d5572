"""Logs of Docker's other drivers, read through its API, with a real engine: exact counts."""

import asyncio
import json
import random
import sys
from pathlib import Path

import aiohttp
import pytest

from tests.logshipper.strict_sink import StrictSink, status
from tests.stack.shipper import RUN, Shipper, expected, holds, numbered
from wharfinger.operator.parts.command import output
from wharfinger.operator.parts.dockerd import DockerDaemon
from wharfinger.operator.parts.process import until

pytestmark = [pytest.mark.real, pytest.mark.timeout(240)]

LOCAL = "--log-driver=local"
# Nobody listens there: the engine's own copy is what is read.
SYSLOG = ("--log-driver=syslog", "--log-opt=syslog-address=udp://127.0.0.1:9")
LONG = (
    "head -c 20000 /dev/zero | tr '\\0' a; echo between >&2; sleep 0.2;"
    "head -c 20000 /dev/zero | tr '\\0' b; echo; head -c 16384 /dev/zero | tr '\\0' c; echo;"
    "echo; echo after; printf end"
)
JOINED = ["", "a" * 20_000 + "b" * 20_000, "after", "between", "c" * 16_384, "end"]


async def test_numbered_lines_arrive_once_across_rotation(
    docker_daemon: DockerDaemon, sink: StrictSink, shipper: Shipper
) -> None:
    await shipper.start()
    options = (LOCAL, "--log-opt=max-size=50k", "--log-opt=max-file=30", "--name=loud")
    container = (await docker_daemon.run(*RUN, *options, *numbered("line", 5000))).strip()
    await sink.until(holds(sink, expected("line", 5000)), seconds=60)
    assert len(sink.documents) == 5000
    document = next(iter(sink.documents.values()))
    assert {k: v for k, v in document.items() if k not in {"@timestamp", "message"}} == {
        "app": "shop",
        "env": "prod",
        "host": "h1",
        "container": container,
        "container_name": "loud",
        "image": "busybox",
        "stream": "stdout",
    }
    assert all(identity.startswith(container[:16]) for identity in sink.documents)
    metrics = await shipper.until_counted(
        f'lag_bytes{{container="{container[:12]}",sink="main"}} 0.0'
    )
    assert 'wharfinger_logshipper_losses_total{reason="rotated"} 0.0' in metrics
    code, text = await shipper.ask("healthz")
    assert code == 200, text
    [told] = json.loads((await shipper.ask("status"))[1])["sinks"][0]["logs"]
    assert told["container"] == container
    assert told["ship"] is True


@pytest.mark.parametrize("driver", [(LOCAL,), SYSLOG], ids=["local", "cached"])
async def test_parts_are_joined_as_they_are_from_files(
    docker_daemon: DockerDaemon, sink: StrictSink, shipper: Shipper, driver: tuple[str, ...]
) -> None:
    await shipper.start()
    await docker_daemon.run(*RUN, *driver, "busybox", "sh", "-c", LONG)
    await sink.until(holds(sink, set(JOINED)))
    assert sorted(sink.messages) == JOINED


async def test_a_terminals_log_has_no_frames(
    docker_daemon: DockerDaemon, sink: StrictSink, shipper: Shipper
) -> None:
    await shipper.start()
    await docker_daemon.run(*RUN, LOCAL, "--tty", "busybox", "sh", "-c", LONG)
    wanted = [
        "\r",
        "a" * 20_000 + "between\r",
        "after\r",
        "b" * 20_000 + "\r",
        "c" * 16_384 + "\r",
        "end",
    ]
    await sink.until(holds(sink, set(wanted)))
    assert sorted(sink.messages) == wanted


async def test_bytes_come_as_they_are_and_a_character_set_serves(
    docker_daemon: DockerDaemon, sink: StrictSink, shipper: Shipper
) -> None:
    await shipper.start()
    # Across the edge of a part stands one character of three bytes.
    script = "head -c 16383 /dev/zero | tr '\\0' x; printf '\\347\\240\\201\\n'"
    await docker_daemon.run(*RUN, LOCAL, "busybox", "sh", "-c", script)
    gbk = "printf '\\302\\353\\315\\267\\n'"
    label = "--label=wharfinger.logs.charset=gbk"
    await docker_daemon.run(*RUN, LOCAL, label, "busybox", "sh", "-c", gbk)
    wanted = {"x" * 16_383 + "码", "码头"}
    await sink.until(holds(sink, wanted))
    assert set(sink.messages) == wanted


async def test_containers_of_a_moment_are_not_missed(
    docker_daemon: DockerDaemon, sink: StrictSink, shipper: Shipper
) -> None:
    await shipper.start()
    for number in range(20):
        command = (*RUN[:1], "--rm", *RUN[2:], LOCAL, *numbered(f"short-{number}", 100))
        await docker_daemon.run(*command)
    wanted = set().union(*(expected(f"short-{number}", 100) for number in range(20)))
    await sink.until(holds(sink, wanted))
    assert len(sink.documents) == 2000
    metrics = (await shipper.ask("metrics"))[1]
    assert 'wharfinger_logshipper_losses_total{reason="removed"} 0.0' in metrics


async def test_a_container_that_starts_again_goes_on(
    docker_daemon: DockerDaemon, sink: StrictSink, shipper: Shipper
) -> None:
    await shipper.start()
    script = "echo run $(cat /proc/uptime); for i in 1 2 3; do echo line $i; done"
    container = (await docker_daemon.run(*RUN, LOCAL, "busybox", "sh", "-c", script)).strip()
    for runs in range(1, 4):
        await sink.until(lambda runs=runs: len(sink.documents) >= 4 * runs)  # type: ignore[misc]
        await docker_daemon.run("wait", container)
        assert len(sink.documents) == 4 * runs
        if runs < 3:
            await docker_daemon.run("start", container)


async def test_killed_while_lines_are_written_and_files_rotate(
    docker_daemon: DockerDaemon, sink: StrictSink, shipper: Shipper
) -> None:
    count = 20_000
    options = (LOCAL, "--log-opt=max-size=100k", "--log-opt=max-file=60")
    script = (
        f"i=0; while [ $i -lt {count} ]; do i=$((i+1)); echo line $i;"
        " [ $((i%100)) -gt 0 ] || sleep 0.02; done; sleep 100"
    )
    await docker_daemon.run(*RUN, *options, "busybox", "sh", "-c", script)
    rng = random.Random(3)
    for _ in range(4):
        await shipper.start()
        goal = len(sink.documents) + rng.randrange(1, 3000)
        await sink.until(lambda goal=goal: len(sink.documents) >= min(goal, count))  # type: ignore[misc]
        await shipper.process.kill()
    await shipper.start()
    await sink.until(holds(sink, expected("line", count)), seconds=90)
    assert len(sink.documents) == count


@pytest.mark.scenario
async def test_dockerd_may_be_killed_while_containers_go_on(
    live_restore_docker_daemon: DockerDaemon, sink: StrictSink, tmp_path: Path
) -> None:
    docker = live_restore_docker_daemon
    shipper = Shipper(docker, sink.url, tmp_path)
    await shipper.start()
    try:
        script = "i=0; while [ $i -lt 600 ]; do i=$((i+1)); echo line $i; sleep 0.02; done"
        command = ("--name=writer", LOCAL, "busybox", "sh", "-c", f"{script}; sleep 300")
        await docker.run(*RUN, *command)
        for lines in (50, 250):
            await sink.until(lambda lines=lines: len(sink.documents) > lines)  # type: ignore[misc]
            await docker.kill()

            async def told() -> bool:
                code, text = await shipper.ask("healthz")
                return code != 200 and "writer" in text

            await until(told, timeout_seconds=30, what="health names the container")
            await docker.start()
        await sink.until(lambda: "line 600" in sink.messages, seconds=90)
        # What dockerd itself had in its hands when it was killed, nobody has.
        kept = (await docker.run("logs", "writer")).splitlines()
        assert sorted(sink.messages) == sorted(kept)

        async def well() -> bool:
            return (await shipper.ask("healthz"))[0] == 200

        await until(well, timeout_seconds=30, what="health is green again")
    finally:
        await shipper.process.terminate()


async def test_a_container_that_dockerd_finds_dead_goes_on_when_it_starts(
    breakable_docker_daemon: DockerDaemon, sink: StrictSink, tmp_path: Path
) -> None:
    docker = breakable_docker_daemon
    shipper = Shipper(docker, sink.url, tmp_path)
    await shipper.start()
    try:
        container = (await docker.run(*RUN, LOCAL, *numbered("before", 50))).strip()
        await sink.until(holds(sink, expected("before", 50)))
        await docker.kill()
        await docker.start()
        await docker.run("start", container)
        await docker.run(*RUN, LOCAL, *numbered("after", 50))
        await sink.until(lambda: len(sink.documents) >= 150, seconds=60)
        wanted = [f"before {n}" for n in range(1, 51)] * 2 + [f"after {n}" for n in range(1, 51)]
        assert sorted(sink.messages) == sorted(wanted)
    finally:
        await shipper.process.terminate()


async def test_a_log_that_docker_cannot_read_is_left_out_with_its_words(
    docker_daemon: DockerDaemon, sink: StrictSink, shipper: Shipper
) -> None:
    await shipper.start()
    options = (*SYSLOG, "--log-opt=cache-disabled=true", "--name=away")
    await docker_daemon.run(*RUN, *options, *numbered("x", 1))
    await docker_daemon.run(*RUN, LOCAL, *numbered("seen", 5))
    await sink.until(holds(sink, expected("seen", 5)))

    async def told() -> bool:
        logs = json.loads((await shipper.ask("status"))[1])["sinks"][0]["logs"]
        return any("keeps no copy here" in each["why"] for each in logs)

    await until(told, timeout_seconds=30, what="it is told")
    code, text = await shipper.ask("healthz")
    assert code == 200, text


@pytest.mark.scenario
async def test_what_is_rotated_away_while_the_sink_is_down_is_told(
    docker_daemon: DockerDaemon, sink: StrictSink, shipper: Shipper
) -> None:
    await shipper.start()
    await docker_daemon.run(*RUN, LOCAL, "--name=first", *numbered("first", 10))
    await sink.until(holds(sink, expected("first", 10)))
    sink.mood = status(503)
    options = (LOCAL, "--log-opt=max-size=50k", "--log-opt=max-file=2", "--name=loud")
    loop = "i=1; while [ $i -lt 60000 ]; do i=$((i+1)); echo line $i; done"
    script = f"echo line 1; until [ -e /go ]; do sleep 0.1; done; {loop}; sleep 100"
    await docker_daemon.run(*RUN, *options, "busybox", "sh", "-c", script)

    async def read() -> bool:
        logs = json.loads((await shipper.ask("status"))[1])["sinks"][0]["logs"]
        return any(each["name"] == "loud" and each["lag_bytes"] for each in logs)

    await until(read, timeout_seconds=60, what="its first line is read")
    await docker_daemon.run("exec", "loud", "touch", "/go")

    async def written() -> bool:
        return "line 60000" in await docker_daemon.run("logs", "--tail=1", "loud")

    await until(written, timeout_seconds=60, what="all is written")
    await asyncio.sleep(6)
    sink.mood = None
    await sink.until(holds(sink, {"line 1", "line 60000"}), seconds=60)
    numbers = sorted(int(each.split()[1]) for each in sink.messages if each.startswith("line"))
    assert len(numbers) == len(set(numbers))
    # What there is comes in two pieces: what was taken before, and what Docker still had.
    assert numbers[0] == 1
    metrics = (await shipper.ask("metrics"))[1]
    assert 'wharfinger_logshipper_losses_total{reason="rotated"} 0.0' not in metrics
    code, text = await shipper.ask("healthz")
    assert code != 200
    assert "nobody knows how many" in text


async def test_plan_says_how_each_log_is_read(
    docker_daemon: DockerDaemon, shipper: Shipper
) -> None:
    away = (*SYSLOG, "--log-opt=cache-disabled=true")
    for name, options in {
        "file": (),
        "local": (LOCAL,),
        "cached": SYSLOG,
        "away": away,
        "none": ("--log-driver=none",),
        "off": (LOCAL, "--label=wharfinger.logs=off"),
    }.items():
        await docker_daemon.run(*RUN, *options, f"--name={name}", *numbered("x", 1))
    command = [sys.executable, "-m", "logshipper", "plan", "--config", str(shipper.config)]
    text = await output(*command, "--all", "--json")
    plans = {each["name"]: each for each in json.loads(text)["containers"]}
    assert {name: (plan["ship"], plan["why"]) for name, plan in plans.items()} == {
        "file": (True, ""),
        "local": (True, "through Docker's API (driver local)"),
        "cached": (True, "through Docker's API (driver syslog)"),
        "away": (
            False,
            "log driver 'syslog' sends lines away, and cache-disabled keeps no copy here",
        ),
        "none": (False, "log driver 'none' keeps nothing"),
        "off": (False, "label wharfinger.logs=off"),
    }
    assert "through Docker's API (driver local)" in await output(*command, "--all")


async def test_one_that_was_removed_while_the_shipper_was_down_is_told_and_forgotten(
    docker_daemon: DockerDaemon, sink: StrictSink, shipper: Shipper
) -> None:
    await shipper.start()
    container = (await docker_daemon.run(*RUN, LOCAL, *numbered("gone", 10))).strip()
    await docker_daemon.run(*RUN, LOCAL, "busybox", "sh", "-c", "echo stays; sleep 300")
    await sink.until(holds(sink, expected("gone", 10) | {"stays"}))
    await shipper.process.terminate()
    await docker_daemon.run("rm", "--force", container)
    await shipper.process.start()

    async def told() -> bool:
        try:
            metrics = (await shipper.ask("metrics"))[1]
            sinks = json.loads((await shipper.ask("status"))[1])["sinks"]
        except aiohttp.ClientError:
            return False
        lost = 'wharfinger_logshipper_losses_total{reason="removed"} 1.0' in metrics
        logs = [each["container"] == container for sink in sinks for each in sink["logs"]]
        return lost and logs == [False]

    await until(told, timeout_seconds=30, what="its end is told")
    code, text = await shipper.ask("healthz")
    assert code != 200
    assert "nobody knows whether all of it was read" in text
    assert len(sink.documents) == 11
    assert sink.duplicates == 0


async def test_a_sink_that_is_down_does_not_hold_up_the_other(
    docker_daemon: DockerDaemon, sink: StrictSink, tmp_path: Path
) -> None:
    async with StrictSink() as other:
        sinks = "".join(
            f'[[logshipper.sinks]]\nname = "{name}"\nurl = "{each.url}"\n'
            for name, each in (("one", sink), ("other", other))
        )
        shipper = Shipper(docker_daemon, sink.url, tmp_path, sinks=sinks)
        await shipper.start()
        try:
            other.mood = status(503)
            await docker_daemon.run(*RUN, LOCAL, *numbered("line", 20_000))
            await sink.until(holds(sink, expected("line", 20_000)), seconds=60)
            other.mood = None
            await other.until(holds(other, expected("line", 20_000)), seconds=60)
            assert set(sink.documents) == set(other.documents)
        finally:
            await shipper.process.terminate()
