"""The log shipper as a process, with a real Docker engine and a strict sink: exact counts."""

import asyncio
import contextlib
import json
import os
import random
import re
import signal
import sys
from pathlib import Path

import aiohttp
import pytest

from tests.logshipper.strict_sink import StrictSink, hang, status
from tests.stack.shipper import NUMBERED, RUN, Shipper, expected, holds, numbered
from tests.stack.strict import StrictLoki
from wharfinger.errors import Exit
from wharfinger.operator.parts.dockerd import DockerDaemon
from wharfinger.operator.parts.process import Process, free_port, until

pytestmark = [pytest.mark.real, pytest.mark.timeout(240)]


async def test_numbered_lines_arrive_once_across_rotation(
    docker_daemon: DockerDaemon, sink: StrictSink, shipper: Shipper
) -> None:
    await shipper.start()
    # Docker keeps every file of it: the writer is done before a busy machine has let the shipper
    # look even once, and what is deleted before that is lost to everybody.
    options = ("--log-opt=max-size=50k", "--log-opt=max-file=30", "--name=loud")
    container = (await docker_daemon.run(*RUN, *options, *numbered("line", 5000))).strip()
    await sink.until(holds(sink, expected("line", 5000)), seconds=60)
    assert len(sink.documents) == 5000
    assert sink.duplicates == 0
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
    assert len({identity.split(".")[1] for identity in sink.documents}) > 3
    metrics = await shipper.until_counted(
        f'lag_bytes{{container="{container[:12]}",sink="main"}} 0.0'
    )
    assert 'wharfinger_logshipper_lost_bytes_total{reason="rotated"} 0.0' in metrics
    code, text = await shipper.ask("healthz")
    assert code == 200, text
    assert container in (await shipper.ask("status"))[1]


async def test_containers_that_were_there_before_are_shipped_from_their_head(
    docker_daemon: DockerDaemon, sink: StrictSink, shipper: Shipper
) -> None:
    await docker_daemon.run(*RUN, *numbered("early", 300))
    await docker_daemon.run(*RUN, "--label=wharfinger.logs=off", *numbered("off", 300))
    await docker_daemon.run("run", "--detach", "--network=none", *numbered("bare", 10))
    await shipper.start()
    await sink.until(holds(sink, expected("early", 300) | expected("bare", 10)))
    assert len(sink.documents) == 310
    assert {d.get("app") for d in sink.documents.values()} == {"shop", None}


async def test_containers_of_a_moment_are_not_missed(
    docker_daemon: DockerDaemon, sink: StrictSink, shipper: Shipper
) -> None:
    await shipper.start()
    for number in range(10):
        await docker_daemon.run(*RUN[:1], "--rm", *RUN[2:], *numbered(f"short-{number}", 100))
    wanted = set().union(*(expected(f"short-{number}", 100) for number in range(10)))
    await sink.until(holds(sink, wanted))
    assert len(sink.documents) == 1000
    assert sink.duplicates == 0
    assert {d["app"] for d in sink.documents.values()} == {"shop"}


async def test_long_lines_are_joined_with_the_other_stream_between(
    docker_daemon: DockerDaemon, sink: StrictSink, shipper: Shipper
) -> None:
    await shipper.start()
    script = (
        "head -c 20000 /dev/zero | tr '\\0' a; echo between >&2; sleep 0.2;"
        "head -c 20000 /dev/zero | tr '\\0' b; echo; head -c 16384 /dev/zero | tr '\\0' c; echo;"
        "printf end"
    )
    await docker_daemon.run(*RUN, "busybox", "sh", "-c", script)
    wanted = {"a" * 20_000 + "b" * 20_000, "between", "c" * 16_384, "end"}
    await sink.until(holds(sink, wanted))
    assert sorted(sink.messages) == sorted(wanted)


async def test_removed_with_unread_lines_while_the_sink_is_down(
    docker_daemon: DockerDaemon, sink: StrictSink, shipper: Shipper
) -> None:
    await shipper.start()
    sink.mood = status(503)
    container = (await docker_daemon.run(*RUN, *numbered("gone", 5000))).strip()
    await docker_daemon.run("wait", container)
    await docker_daemon.run("rm", "--force", container)
    await sink.until(lambda: sink.requests > 2)
    assert sink.documents == {}
    sink.mood = None
    await sink.until(holds(sink, expected("gone", 5000)), seconds=60)
    assert len(sink.documents) == 5000


async def test_killed_while_lines_are_written_and_files_rotate(
    docker_daemon: DockerDaemon, sink: StrictSink, shipper: Shipper
) -> None:
    """Nothing is lost, and every line that came twice came with the id it had."""
    count = 20_000
    options = ("--log-opt=max-size=300k", "--log-opt=max-file=9", "--log-opt=compress=true")
    script = NUMBERED.format(count=count, name="line") + "; sleep 100"
    slow = script.replace("done", "[ $((i%100)) -gt 0 ] || sleep 0.02; done", 1)
    await docker_daemon.run(*RUN, *options, "busybox", "sh", "-c", slow)
    rng = random.Random(5)
    for _ in range(6):
        await shipper.start()
        enough = len(sink.documents) + rng.randrange(100, 1500)
        await sink.until(lambda enough=enough: len(sink.documents) > min(enough, count - 1))  # type: ignore[misc]
        os.kill(shipper.process.pid, signal.SIGKILL)
        await shipper.process.kill()
    await shipper.start()
    await sink.until(holds(sink, expected("line", count)), seconds=60)
    assert len(sink.documents) == count
    metrics = (await shipper.ask("metrics"))[1]
    lost = [each for each in metrics.splitlines() if "_lost_bytes_total{" in each]
    assert lost
    assert all(each.endswith(" 0.0") for each in lost)


async def test_frozen_while_files_rotate_and_a_container_is_removed_it_loses_nothing(
    docker_daemon: DockerDaemon, sink: StrictSink, shipper: Shipper
) -> None:
    """What it knows of Docker is old when it goes on; what it holds of the logs is not."""
    options = ("--log-opt=max-size=300k", "--log-opt=max-file=9", "--log-opt=compress=true")
    script = NUMBERED.format(count=10_000, name="line") + "; sleep 100"
    slow = script.replace("done", "[ $((i%100)) -gt 0 ] || sleep 0.02; done", 1)
    await shipper.start()
    gone = (await docker_daemon.run(*RUN, *numbered("gone", 2_000))).strip()
    stays = (await docker_daemon.run(*RUN, *options, "busybox", "sh", "-c", slow)).strip()
    await sink.until(holds(sink, expected("gone", 1) | expected("line", 500)))
    shipper.process.freeze()
    try:
        await docker_daemon.run("wait", gone)
        await docker_daemon.run("rm", "--force", gone)
        await docker_daemon.run(*RUN[:1], *RUN[2:], "--rm", *numbered("unseen", 100))
        await docker_daemon.run(*RUN, *numbered("new", 2_000))

        async def written() -> bool:
            return "line 10000" in await docker_daemon.run("logs", "--tail=1", stays)

        await until(written, timeout_seconds=60, what="all lines are written")
    finally:
        shipper.process.thaw()
    wanted = set().union(*(expected(*each) for each in (("line", 10_000), ("new", 2_000))))
    await sink.until(holds(sink, wanted), seconds=60)
    # Its file was held open; of the one that came and went meanwhile nothing is left on the host.
    await sink.until(holds(sink, expected("gone", 2_000)), seconds=60)
    assert len(sink.documents) == 14_000
    metrics = (await shipper.ask("metrics"))[1]
    lost = [each for each in metrics.splitlines() if "_lost_bytes_total{" in each]
    assert lost
    assert all(each.endswith(" 0.0") for each in lost)


async def test_stopped_in_good_order_sends_nothing_twice(
    docker_daemon: DockerDaemon, sink: StrictSink, shipper: Shipper
) -> None:
    await shipper.start()
    slow = NUMBERED.format(count=3000, name="line").replace(
        "done", "[ $((i%50)) -gt 0 ] || sleep 0.05; done"
    )
    await docker_daemon.run(*RUN, "busybox", "sh", "-c", slow)
    await sink.until(lambda: len(sink.documents) > 500)
    await shipper.process.terminate()
    await shipper.start()
    await sink.until(holds(sink, expected("line", 3000)), seconds=60)
    assert len(sink.documents) == 3000
    assert sink.duplicates == 0


async def test_a_restarted_engine_is_followed_again(
    breakable_docker_daemon: DockerDaemon, sink: StrictSink, tmp_path: Path
) -> None:
    docker = breakable_docker_daemon
    shipper = Shipper(docker, sink.url, tmp_path)
    await shipper.start()
    try:
        await docker.run(*RUN, *numbered("before", 100))
        await sink.until(holds(sink, expected("before", 100)))
        await docker.kill()
        async with asyncio.timeout(60):
            while (await shipper.ask("healthz"))[0] == 200:  # noqa: ASYNC110 - of a process
                await asyncio.sleep(0.1)
        await docker.start()
        await docker.run(*RUN, *numbered("after", 100))
        await sink.until(holds(sink, expected("after", 100)))
        assert len(sink.documents) == 200
        assert {d["app"] for d in sink.documents.values()} == {"shop"}
        async with asyncio.timeout(60):
            while (await shipper.ask("healthz"))[0] != 200:  # noqa: ASYNC110 - of a process
                await asyncio.sleep(0.1)
    finally:
        await shipper.process.terminate()


async def test_a_state_folder_that_cannot_be_made_is_waited_for_and_said(
    docker_daemon: DockerDaemon, sink: StrictSink, shipper: Shipper, tmp_path: Path
) -> None:
    (tmp_path / "state").write_text("in the way")

    async def red() -> bool:
        with contextlib.suppress(aiohttp.ClientError):
            return "is [host] state_dir right?" in (await shipper.ask("healthz"))[1]
        return False

    await shipper.process.start(red, timeout_seconds=30)
    (tmp_path / "state").unlink()
    await until(shipper.ready, timeout_seconds=30, what="the shipper is ready")
    await docker_daemon.run(*RUN, *numbered("line", 10))
    await sink.until(holds(sink, expected("line", 10)))


async def test_a_second_shipper_is_refused_and_told_who_holds_the_positions(
    docker_daemon: DockerDaemon, sink: StrictSink, shipper: Shipper, tmp_path: Path
) -> None:
    await shipper.start()
    second = Process(
        [*shipper.process.command, "--set", f"logshipper.listen=127.0.0.1:{free_port()}"],
        log=tmp_path / "second.log",
    )
    await second.start()
    assert await second.wait() == Exit.UNAVAILABLE
    assert f"is held by 'logshipper of h1 pid {shipper.process.pid}'" in second.log_tail()
    assert (await shipper.ask("readyz"))[0] == 200


async def test_into_the_log_store_and_found_there(
    docker_daemon: DockerDaemon, tmp_path: Path
) -> None:
    address = f"127.0.0.1:{free_port()}"
    config = tmp_path / "store.toml"
    config.write_text(
        f'[host]\nstate_dir = "{tmp_path}/state"\nruntime_dir = "{tmp_path}/run"\n'
        f'[logstore]\nlisten = "{address}"\nmin_free_bytes = 0\n'
    )
    store = Process(
        [sys.executable, "-m", "logshipper.store", "--config", config], log=tmp_path / "store.log"
    )
    shipper = Shipper(docker_daemon, f"http://{address}", tmp_path)

    async def hits(query: str) -> list[dict[str, str]]:
        async with (
            aiohttp.ClientSession() as session,
            session.get(f"http://{address}/api/search?limit=1000&{query}") as answer,
        ):
            assert answer.status == 200, await answer.text()
            found: list[dict[str, str]] = (await answer.json())["hits"]
            return found

    async def serves() -> bool:
        with contextlib.suppress(aiohttp.ClientError):
            return isinstance(await hits("q=anything"), list)
        return False

    try:
        await store.start(serves, timeout_seconds=30)
        await shipper.start()
        script = "echo a needle of straw; " + NUMBERED.format(name="hay", count=500)
        await docker_daemon.run(*RUN, "busybox", "sh", "-c", script)

        async def complete() -> bool:
            return len(await hits("q=hay&app=shop&env=prod")) == 500

        await until(complete, timeout_seconds=30, what="every line is found")
        [needle] = await hits("q=needle")
        assert needle["message"] == "a needle of straw"
        assert (await shipper.ask("healthz"))[0] == 200
    finally:
        await shipper.process.terminate()
        await store.terminate()


async def test_a_sink_that_hangs_for_ever_stops_no_other(
    docker_daemon: DockerDaemon, tmp_path: Path
) -> None:
    """Five sinks of five kinds, one of them deaf; each takes what it wants and no more."""
    out, audit = tmp_path / "out.ndjson", tmp_path / "audit.ndjson"
    async with StrictSink() as deaf, StrictSink() as bulk, StrictLoki() as loki:
        deaf.mood = hang
        sinks = f"""
[[logshipper.sinks]]
name = "deaf"
url = "{deaf.url}"
request_timeout_seconds = 600
batch_bytes = 2000
[[logshipper.sinks]]
name = "bulk"
url = "{bulk.url}"
[[logshipper.sinks]]
name = "loki"
type = "loki"
url = "{loki.url}"
apps = ["shop"]
[[logshipper.sinks]]
name = "file"
type = "file"
path = "{out}"
envs = ["!prod"]
[[logshipper.sinks]]
name = "audit"
type = "file"
path = "{audit}"
labels = ["audited=y*"]
"""
        shipper = Shipper(docker_daemon, "", tmp_path, sinks=sinks)
        await shipper.start()
        try:
            await docker_daemon.run(*RUN, *numbered("prod", 2000))
            plain = ("run", "--detach", "--network=none", "--label=wharfinger.app=tool")
            await docker_daemon.run(*plain, "--label=wharfinger.env=dev", *numbered("dev", 500))
            chosen = ("--label=wharfinger.env=dev", "--label=audited=yes")
            named = ("--label=wharfinger.logs.sinks=audit, bulk",)
            await docker_daemon.run(*plain, *chosen, *named, *numbered("chosen", 100))

            everything = expected("prod", 2000) | expected("dev", 500) | expected("chosen", 100)
            await bulk.until(holds(bulk, everything), seconds=120)
            await bulk.until(lambda: len(loki.documents) >= 2000, seconds=120)
            await bulk.until(lambda: out.exists() and len(messages(out)) >= 500, seconds=60)
            await bulk.until(lambda: audit.exists() and len(messages(audit)) >= 100, seconds=60)
            assert set(loki.messages) == expected("prod", 2000)
            assert sorted(messages(out)) == sorted(expected("dev", 500))
            assert sorted(messages(audit)) == sorted(expected("chosen", 100))
            assert len(bulk.documents) == 2600
            assert bulk.duplicates == 0
            assert deaf.documents == {}

            async def settled() -> bool:
                lags = lags_of((await shipper.ask("metrics"))[1])
                return lags.pop("deaf") > 0 and set(lags.values()) == {0.0}

            await until(settled, timeout_seconds=60, what="only the deaf one lags")
        finally:
            await shipper.process.kill()


def messages(path: Path) -> list[str]:
    return [json.loads(line)["message"] for line in path.read_text().splitlines()]


def lags_of(metrics: str) -> dict[str, float]:
    """The sum of the lags of each sink."""
    found: dict[str, float] = {}
    for sink, lag in re.findall(r'lag_bytes\{container="\w+",sink="(\w+)"\} (\S+)', metrics):
        found[sink] = found.get(sink, 0.0) + float(lag)
    return found


async def test_a_rotated_token_is_taken_up_at_sighup(
    docker_daemon: DockerDaemon, sink: StrictSink, tmp_path: Path
) -> None:
    token = tmp_path / "token"
    token.write_text("old\n")
    sinks = f'[[logshipper.sinks]]\nurl = "{sink.url}"\ntoken_file = "{token}"\n'
    shipper = Shipper(docker_daemon, "", tmp_path, sinks=sinks)
    await shipper.start()
    try:
        await docker_daemon.run(*RUN, *numbered("first", 10))
        await sink.until(holds(sink, expected("first", 10)), seconds=60)
        token.write_text("new\n")
        shipper.process.signal(signal.SIGHUP)
        await sink.until(lambda: "configuration reloaded" in shipper.process.log.read_text())
        await docker_daemon.run(*RUN, *numbered("second", 10))
        await sink.until(holds(sink, expected("second", 10)), seconds=60)
        assert sink.headers[0]["Authorization"] == "Bearer old"
        assert sink.headers[-1]["Authorization"] == "Bearer new"
        token.unlink()
        shipper.process.signal(signal.SIGHUP)

        async def red() -> bool:
            return "token_file" in (await shipper.ask("healthz"))[1]

        await until(red, timeout_seconds=60, what="the reload is refused")
        log = shipper.process.log.read_text()
        assert "Bearer" not in log
    finally:
        await shipper.process.terminate()


ENDLESS = "i=0; while :; do i=$((i+1)); echo mail bob@x.example $i; usleep 20000; done"


class Reloading(Shipper):
    """One whose configuration changes while it runs."""

    def reload(self, config: str) -> None:
        self.config.write_text(config)
        self.process.signal(signal.SIGHUP)

    async def settled(self) -> bool:
        """Whether all that was read is acknowledged; what is not is read again, by its ids."""
        told = json.loads((await self.ask("status"))[1])
        return not any(log["in_flight_bytes"] for each in told["sinks"] for log in each["logs"])

    def told(self, event: str) -> int:
        return self.process.log.read_text().count(event)


def taking(names: str, url: str, file: Path) -> str:
    return (
        f'[[logshipper.sinks]]\nurl = "{url}"\nnames = [{names}]\n'
        f'[[logshipper.files]]\npaths = ["{file}"]\n[logshipper.lines]\n'
    )


async def test_a_reload_changes_what_is_done_to_lines_and_what_a_sink_takes(
    docker_daemon: DockerDaemon, sink: StrictSink, tmp_path: Path
) -> None:
    file = tmp_path / "host.log"
    shipper = Reloading(docker_daemon, "", tmp_path, sinks=taking('"!late"', sink.url, file))
    before = shipper.config.read_text()
    await shipper.start()
    try:
        early = (await docker_daemon.run(*RUN, "--name=early", "busybox", "sh", "-c", ENDLESS))[:64]
        await docker_daemon.run(*RUN, "--name=late", *numbered("late", 10))
        file.write_text("host bob@x.example 1\n")
        await sink.until(lambda: "host bob@x.example 1" in sink.messages)
        await sink.until(lambda: len(sink.documents) > 20)
        assert not any(message.startswith("late") for message in sink.messages)

        shipper.reload(before.replace('"!late"', "") + 'redact = ["email"]\nlevel = "auto"\n')
        await sink.until(lambda: expected("late", 10) <= set(sink.messages))
        await sink.until(lambda: any("mail [redacted:email]" in each for each in sink.messages))
        with file.open("a") as opened:
            opened.write("host bob@x.example 2\n")
        await sink.until(lambda: "host [redacted:email] 2" in sink.messages)

        shipper.reload(before.replace('"!late"', '"late"'))
        await sink.until(lambda: shipper.told("log left out") >= 2)
        await until(shipper.settled, timeout_seconds=60, what="what was read is acknowledged")
        await docker_daemon.run("kill", early)
        with file.open("a") as opened:
            opened.write("host bob@x.example 3\n")
        shipper.reload(before)
        await sink.until(lambda: "host bob@x.example 3" in sink.messages)
        count = len((await docker_daemon.run("logs", early)).splitlines())
        await sink.until(lambda: len(sink.documents) >= count + 13)
        numbers = [each.split()[-1] for each in sink.messages if each.startswith("mail")]
        assert sorted(map(int, numbers)) == list(range(1, count + 1))
        assert sum(message.startswith("host") for message in sink.messages) == 3
    finally:
        await shipper.process.terminate()


async def test_a_reload_names_what_only_a_restart_changes_and_keeps_all_of_the_old(
    docker_daemon: DockerDaemon, sink: StrictSink, tmp_path: Path
) -> None:
    sinks = taking("", sink.url, tmp_path / "host.log")
    shipper = Reloading(docker_daemon, "", tmp_path, sinks=sinks)
    before = shipper.config.read_text()
    redacting = before + 'redact = ["email"]\n'
    await shipper.start()
    try:
        for number, (config, why) in enumerate(
            [
                (
                    redacting.replace(sink.url, "http://127.0.0.1:1"),
                    r"sinks\[0\]\.url .*cannot change",
                ),
                (redacting + '[[logshipper.sinks]]\nname = "more"\n', r"sinks\[1\].*cannot change"),
                (redacting.replace("host.log", "x.log"), r"logshipper\.files .*cannot change"),
                (redacting.replace("email", "iban"), "there is no rule 'iban'"),
            ],
            1,
        ):
            shipper.reload(config)
            await sink.until(lambda n=number: shipper.told("configuration refused") >= n)  # type: ignore[misc]
            assert re.search(why, shipper.process.log.read_text())
        assert (await shipper.ask("healthz"))[0] == 503
        await docker_daemon.run(*RUN, "busybox", "echo", "bob@x.example")
        await sink.until(lambda: sink.messages == ["bob@x.example"])
        shipper.reload(redacting)
        await sink.until(lambda: shipper.told("configuration reloaded") == 1)
        await docker_daemon.run(*RUN, "busybox", "echo", "bob@x.example")
        await sink.until(lambda: sink.messages == ["bob@x.example", "[redacted:email]"])
    finally:
        await shipper.process.terminate()
