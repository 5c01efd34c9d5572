"""Files of text in real containers, shipped by the real process: exact counts, hostile folders."""

import json
from collections import Counter
from pathlib import Path

import aiohttp
import pytest

from tests.logshipper.strict_sink import StrictSink, status
from tests.stack.shipper import RUN, Shipper, ShipperProcess, expected, holds
from wharfinger.operator.parts.dockerd import DockerDaemon
from wharfinger.operator.parts.process import until

pytestmark = [pytest.mark.real, pytest.mark.timeout(240)]

FILES = "--label=wharfinger.logs.files={}"
WRITE = "i=0; while [ $i -lt {count} ]; do i=$((i+1)); echo {name} $i >> {path}; done"


def write(name: str, count: int, path: str) -> str:
    return WRITE.format(name=name, count=count, path=path)


def shell(script: str) -> tuple[str, ...]:
    return ("busybox", "sh", "-c", script)


def exactly_once(sink: StrictSink) -> bool:
    return len(sink.documents) == len(set(sink.messages)) and not sink.duplicates


async def test_a_labelled_file_is_shipped_with_its_path_beside_what_is_printed(
    docker_daemon: DockerDaemon, sink: StrictSink, shipper: Shipper
) -> None:
    await shipper.start()
    script = f"mkdir -p /var/log/app; echo printed; {write('line', 500, '/var/log/app/a.log')}"
    label = FILES.format("/var/log/**/*.log")
    container = (await docker_daemon.run(*RUN, label, *shell(f"{script}; sleep 600"))).strip()
    await sink.until(holds(sink, expected("line", 500) | {"printed"}), seconds=60)
    assert exactly_once(sink)
    written = next(d for d in sink.documents.values() if d["message"] == "line 1")
    assert {k: v for k, v in written.items() if k not in {"@timestamp", "container_name"}} == {
        "app": "shop",
        "env": "prod",
        "host": "h1",
        "container": container,
        "image": "busybox",
        "stream": "file",
        "file": "/var/log/app/a.log",
        "message": "line 1",
    }
    printed = next(d for d in sink.documents.values() if d["message"] == "printed")
    assert "file" not in printed


async def test_lines_that_were_unread_when_the_container_was_removed_arrive(
    docker_daemon: DockerDaemon, sink: StrictSink, shipper: Shipper
) -> None:
    await shipper.start()
    script = f"{write('first', 1, '/a.log')}; sleep 600"
    container = await docker_daemon.run(*RUN, FILES.format("/*.log"), *shell(script))
    await sink.until(holds(sink, {"first 1"}), seconds=60)
    sink.mood = status(503)
    await docker_daemon.run("exec", container.strip(), "sh", "-c", write("line", 300, "/a.log"))
    await docker_daemon.run("rm", "--force", container.strip())
    sink.mood = None
    await sink.until(holds(sink, {"first 1"} | expected("line", 300)), seconds=60)
    assert exactly_once(sink)


async def test_rotation_by_number_by_date_and_by_copying_loses_and_repeats_nothing(
    docker_daemon: DockerDaemon, sink: StrictSink, shipper: Shipper
) -> None:
    await shipper.start()
    label = FILES.format("/var/log/*")
    sleeper = (await docker_daemon.run(*RUN, label, *shell("mkdir -p /var/log; sleep 600"))).strip()

    async def within(script: str) -> None:
        await docker_daemon.run("exec", sleeper, "sh", "-c", script)

    log = "/var/log/a.log"
    awaited: set[str] = set()
    # By number and by date it makes no difference whether it was seen before it was renamed.
    for name, turn in {
        "numbered": f"mv {log} {log}.1",
        "again": f"mv {log}.1 {log}.2; mv {log} {log}.1",
        "dated": f"mv {log} /var/log/a-20260701.log",
        "last": "true",
    }.items():
        await within(f"echo heading >> {log}; {write(name, 200, log)}; {turn}")
        awaited |= expected(name, 200)
    await sink.until(holds(sink, awaited), seconds=60)
    # What is deleted, or cut off by copytruncate, must have been read before.
    for name, turn in {"made": f"rm {log}", "cut": f"cp {log} /tmp/copy; : > {log}"}.items():
        await within(f"{turn}; echo heading >> {log}; {write(name, 200, log)}")
        awaited |= expected(name, 200)
        await sink.until(holds(sink, awaited), seconds=60)
    assert Counter(m for m in sink.messages if m != "heading") == Counter(awaited)
    assert sink.messages.count("heading") == 6
    assert sink.duplicates == 0


async def test_a_killed_shipper_goes_on_in_files_that_were_renamed_meanwhile(
    docker_daemon: DockerDaemon, sink: StrictSink, shipper: Shipper
) -> None:
    await shipper.start()
    label = FILES.format("/var/log/*.log")
    sleeper = (await docker_daemon.run(*RUN, label, *shell("mkdir -p /var/log; sleep 600"))).strip()

    async def within(script: str) -> None:
        await docker_daemon.run("exec", sleeper, "sh", "-c", script)

    await within(write("before", 300, "/var/log/a.log"))
    await sink.until(holds(sink, expected("before", 300)), seconds=60)
    await shipper.process.kill()
    first = dict(sink.documents)
    sink.documents.clear()
    await within(write("unseen", 300, "/var/log/a.log"))
    await within("mv /var/log/a.log /var/log/a-20260701.log")
    await within(write("after", 300, "/var/log/a.log"))
    await shipper.start()
    await sink.until(holds(sink, expected("unseen", 300) | expected("after", 300)), seconds=60)
    again = set(sink.documents) & set(first)
    assert len(sink.documents) - len(again) == 600
    assert (
        not {d["message"] for d in sink.documents.values()}
        - expected("unseen", 300)
        - expected("after", 300)
        - expected("before", 300)
    )
    assert "lost" not in (await shipper.ask("healthz"))[1]


async def test_the_next_container_goes_on_with_the_volume_of_the_one_before(
    docker_daemon: DockerDaemon, sink: StrictSink, shipper: Shipper
) -> None:
    await shipper.start()
    options = (FILES.format("/data/*.log"), "--volume=wfdata:/data")
    await docker_daemon.run(*RUN, *options, "--name=one", *shell(write("one", 200, "/data/a.log")))
    await sink.until(holds(sink, expected("one", 200)), seconds=60)
    await docker_daemon.run("rm", "--force", "one")
    script = f"{write('two', 200, '/data/a.log')}; sleep 600"
    await docker_daemon.run(*RUN, *options, "--name=two", *shell(script))
    try:
        await sink.until(holds(sink, expected("one", 200) | expected("two", 200)), seconds=60)
        assert exactly_once(sink)

        async def in_its_name() -> bool:
            await docker_daemon.run("exec", "two", "sh", "-c", "echo late >> /data/a.log")
            return "two" in {d["container_name"] for d in sink.documents.values()}

        await until(in_its_name, timeout_seconds=60, what="lines carry the new container's name")
        assert sink.duplicates == 0
    finally:
        await docker_daemon.run("rm", "--force", "two")
        await docker_daemon.run("volume", "rm", "wfdata")


async def test_what_a_container_plants_is_neither_followed_nor_opened(
    docker_daemon: DockerDaemon, sink: StrictSink, shipper: Shipper
) -> None:
    await shipper.start()
    planted = (
        "mkdir /logs/real; ln -s /etc/passwd /logs/file.log; ln -s /etc /logs/folder;"
        "mkfifo /logs/fifo.log; mknod /logs/null.log c 1 3; mknod /logs/disk.log b 7 99;"
        "echo twice > /logs/one.log; ln /logs/one.log /logs/two.log;"
        "ln -s ../../../../../../../../etc/passwd /logs/real/up.log;"
        "mkdir /logs/dir.log; echo odd > \"/logs/odd$(printf '\\001').log\";"
        "mkdir /logs/many; cd /logs/many; i=0;"
        "while [ $i -lt 300 ]; do i=$((i+1)); echo $i > $i.log; done;"
        "head -c 3000000 /dev/zero | tr '\\0' x > /logs/real/endless.log;"
    )
    label = FILES.format("/logs/*.log,/logs/folder/passwd,/logs/real/*.log,/logs/many/*.log")
    script = f"mkdir /logs; {write('good', 50, '/logs/good.log')}; {planted} sleep 600"
    await docker_daemon.run(*RUN, label, *shell(script))
    await sink.until(holds(sink, expected("good", 50)), seconds=90)

    async def told() -> bool:
        status = (await shipper.ask("status"))[1]
        return "hard links" in status and "more than 100 files" in status

    await until(told, timeout_seconds=30, what="the status tells what was left out")
    left_out = json.loads((await shipper.ask("status"))[1])["files_left_out"]
    (reasons,) = left_out.values()
    assert len([why for why in reasons if "regular file" in why]) == 1
    assert any("link, and is not followed" in why for why in reasons)
    assert any("more than 100 files" in why for why in reasons)
    shipped = {str(d["file"]) for d in sink.documents.values()}
    assert all(f.startswith(("/logs/good", "/logs/many/", "/logs/real/endless")) for f in shipped)
    assert not [m for m in sink.messages if "root:" in m or m in {"twice", "odd"}]
    assert len(shipped) <= 100
    assert (await shipper.ask("healthz"))[0] == 200


async def test_files_of_the_host_are_shipped_by_configuration(
    docker_daemon: DockerDaemon, sink: StrictSink, shipper: Shipper, tmp_path: Path
) -> None:
    folder = tmp_path / "app"
    folder.mkdir()
    shipper.config.write_text(
        shipper.config.read_text()
        + f'[[logshipper.files]]\npaths = ["{folder}/**/*.log", "{folder}/deep/*"]\n'
        + 'app = "cron"\nenv = "ops"\n'
    )
    (folder / "a.log").write_bytes("one\nzwei ü\r\nhalf".encode())
    await shipper.start()
    await sink.until(lambda: len(sink.documents) == 2, seconds=60)
    with (folder / "a.log").open("a") as file:
        file.write(" a line\n")
    await sink.until(lambda: "half a line" in sink.messages, seconds=60)
    (folder / "deep").mkdir()
    (folder / "deep" / "b.log").write_text("below\n")
    await sink.until(lambda: "below" in sink.messages, seconds=60)
    assert set(sink.messages) == {"one", "zwei ü", "half a line", "below"}
    document = next(d for d in sink.documents.values() if d["message"] == "below")
    assert document["app"] == "cron"
    assert document["file"] == f"{folder}/deep/b.log"
    assert exactly_once(sink)


async def test_files_of_the_host_do_not_wait_for_docker(sink: StrictSink, tmp_path: Path) -> None:
    logs = tmp_path / "logs"
    logs.mkdir()
    shipper = ShipperProcess(tmp_path)
    shipper.config.write_text(
        f'[host]\nname = "h1"\nstate_dir = "{tmp_path}/state"\nruntime_dir = "{tmp_path}/run"\n'
        f'[docker]\nurl = "unix://{tmp_path}/none.sock"\n'
        f'[logshipper]\nlisten = "{shipper.listen}"\npoll_seconds = 1\n'
        f'[[logshipper.sinks]]\nurl = "{sink.url}"\n'
        f'[[logshipper.files]]\npaths = ["{logs}/*.log"]\napp = "nginx"\n'
    )

    async def listens() -> bool:
        try:
            return (await shipper.ask("healthz"))[0] == 503
        except aiohttp.ClientError:
            return False

    wanted: set[str] = set()
    try:
        for name in ("first", "second"):
            wanted |= expected(name, 50)
            with (logs / "a.log").open("a") as file:
                file.writelines(f"{line}\n" for line in sorted(expected(name, 50)))
            await shipper.process.start(listens)
            await sink.until(holds(sink, wanted), seconds=30)
            why = json.loads((await shipper.ask("healthz"))[1])["why"]
            assert "docker: " in why
            assert "sink main" not in why
            await shipper.process.terminate()
    finally:
        await shipper.process.terminate()
    assert set(sink.messages) == wanted
    assert len(sink.documents) == 100
