"""A child beside the files, former files put back, and templates without etcd; real processes."""

import contextlib
import json
import os
import shlex
import signal
import sys
from pathlib import Path

import aiohttp
import pytest

from discovery.publish.history import name_of
from tests.integration.test_discovery_confd import (
    confd,
    endpoint,
    flags,
    in_why,
    ran,
    until_holds,
    write,
)
from tests.stack.discovery import DiscoveryStack

pytestmark = pytest.mark.real

__all__ = ["confd"]

CHILD = """
import os, pathlib, signal, sys, time
log = pathlib.Path(sys.argv[1])
def say(text):
    with log.open("a") as file:
        file.write(text + "\\n")
def told(number, _):
    say(signal.Signals(number).name)
    if number == signal.SIGTERM and "stubborn" not in sys.argv:
        sys.exit(0)
for number in (signal.SIGTERM, signal.SIGUSR1, signal.SIGHUP):
    signal.signal(number, told)
say(f"began {os.getpid()} on {pathlib.Path(sys.argv[2]).read_text()}")
while True:
    signal.pause()
"""


def with_child(stack: DiscoveryStack, *more: str, words: str = "") -> tuple[Path, Path]:
    """A daemon that runs the child on a resource; gives the child's log and the file."""
    program, log = stack.folder / "child.py", stack.folder / "child.log"
    program.write_text(CHILD)
    dest = write(stack, "app", 'keys = ["/app"]', "{{getv `/app/key`}}")
    command = f"{sys.executable} {program} {log} {dest} {words}"
    settings = " ".join(f"--set discovery.exec.{setting}" for setting in more)
    flags(
        stack,
        f"-confdir {stack.confdir} -node {endpoint(stack)} "
        f"--exec {shlex.quote(command)} {settings}",
    )
    return log, dest


def pid_of(log: Path) -> int:
    return int(log.read_text().split("began ")[-1].split()[0])


def runs(pid: int) -> bool:
    return Path(f"/proc/{pid}").exists()


async def test_a_child_begins_when_the_files_are_there_and_ends_with_us(
    confd: DiscoveryStack,
) -> None:
    log, _ = with_child(confd)
    await confd.start()
    assert not log.exists()
    assert "files are missing" in await confd.why_unhealthy()
    await confd.etcd.put("/app/key", b"1")
    await until_holds(confd, log, "on 1\n")
    child = pid_of(log)
    assert (await confd.ask_json("/status"))["child"]["pid"] == child
    os.kill(confd.process.pid, signal.SIGUSR1)
    await until_holds(confd, log, "SIGUSR1")
    await confd.process.terminate()
    assert log.read_text().endswith("SIGTERM\n")
    assert not runs(child)


async def test_a_change_restarts_the_child(confd: DiscoveryStack) -> None:
    log, _ = with_child(confd)
    await confd.etcd.put("/app/key", b"1")
    await confd.start()
    await until_holds(confd, log, "on 1\n")
    first = pid_of(log)
    await confd.etcd.put("/app/key", b"2")
    await until_holds(confd, log, "on 2\n")
    assert log.read_text().splitlines()[1] == "SIGTERM"
    assert pid_of(log) != first


async def test_or_signals_it_and_a_stubborn_one_is_killed(confd: DiscoveryStack) -> None:
    log, _ = with_child(
        confd,
        "reload_signal=HUP",
        "kill_timeout_seconds=0.5",
        "splay_seconds=0.1",
        words="stubborn",
    )
    await confd.etcd.put("/app/key", b"1")
    await confd.start()
    await until_holds(confd, log, "on 1\n")
    child = pid_of(log)
    await confd.etcd.put("/app/key", b"2")
    await until_holds(confd, log, "SIGHUP")
    await confd.process.terminate()
    assert not runs(child)
    assert await confd.events("child killed")


async def test_a_child_that_ends_takes_us_with_it_with_its_code(confd: DiscoveryStack) -> None:
    write(confd, "app", 'keys = ["/app"]', "x")
    where = f"-confdir {confd.confdir} -node {endpoint(confd)}"
    code, told = await ran(confd, f"{where} --exec \"sh -c 'exit 3'\"")
    assert code == 3
    assert "the child ended with code 3" in told
    code, told = await ran(confd, f"{where} --exec \"sh -c 'kill -9 $$'\"")
    assert code == 137
    code, told = await ran(confd, f"{where} --exec no-such-program")
    assert "no-such-program cannot be run" in told
    code, told = await ran(confd, f"{where} --exec 'a | b'")
    assert code == 78
    assert "shell syntax" in told


@pytest.mark.scenario
async def test_a_former_file_is_put_back_and_stays_until_its_template_changes(
    confd: DiscoveryStack,
) -> None:
    reloads = confd.folder / "reloads"
    dest = write(
        confd,
        "app",
        f'keys = ["/app"]\nreload_cmd = "cat {{{{.dest}}}} >> {reloads}"',
        "{{getv `/app/key` `0`}}\n",
    )
    where = f"-confdir {confd.confdir} -node {endpoint(confd)}"
    await confd.start()
    code, told = await ran(confd, f"app {where}", verb="rollback")
    assert code == 64
    assert "nothing is kept from before" in told
    await confd.etcd.put("/app/key", b"1")
    await until_holds(confd, dest, "1")
    code, told = await ran(confd, where, verb="history")
    assert code == 0
    assert len(told.splitlines()) == 2
    code, told = await ran(confd, f"app {where}", verb="rollback")
    assert code == 0, told
    assert dest.read_text() == "0\n"
    assert reloads.read_text() == "0\n1\n0\n"
    (one,) = (await confd.ask_json("/status"))["resources"]
    assert one["held"]
    assert "held" in (await ran(confd, where, verb="history"))[1]
    (confd.confdir / "templates" / "app.conf.tmpl").write_text("first {{getv `/app/key`}}\n")
    await until_holds(confd, dest, "first 1")
    assert (await ran(confd, f"app {where}", verb="rollback"))[0] == 0
    assert dest.read_text() == "0\n"
    await confd.etcd.put("/app/key", b"2")  # held: it does not get there
    other = write(confd, "other", 'keys = ["/app"]', "{{getv `/app/key`}}")
    await until_holds(confd, other, "2")
    assert dest.read_text() == "0\n"
    (confd.confdir / "templates" / "app.conf.tmpl").write_text("new {{getv `/app/key`}}\n")
    await until_holds(confd, dest, "new 2")
    assert await confd.events("rollback ended")
    # By name, without a daemon, and back to following etcd.
    name = (await ran(confd, f"app {where}", verb="history"))[1].splitlines()[-1].split()[2]
    await confd.process.terminate()
    assert (await ran(confd, f"app --to {name} {where}", verb="rollback"))[0] == 0
    assert dest.read_text() in {"0\n", "1\n"}
    assert "follows etcd" in (await ran(confd, f"app --release {where}", verb="rollback"))[1]
    await confd.start()
    await until_holds(confd, dest, "new 2")
    for wrong in ("app --to nothing", "nothing"):
        code, told = await ran(confd, f"{wrong} {where}", verb="rollback")
        assert code == 64
        assert "nothing" in told


async def test_a_template_is_tried_with_made_up_data(confd: DiscoveryStack) -> None:
    dest = write(confd, "app", 'keys = ["/app_prod", "/app"]\noutput_format = "json"',
                 '{"servers": {{json (getv "/app/json")}}}')  # fmt: skip
    where = f"-confdir {confd.confdir} -node 127.0.0.1:1"
    data = confd.folder / "data.json"
    data.write_text(json.dumps({"app": {"json": "1"}, "/app_prod/10.0.0.1-80": "nonsense"}))
    code, told = await ran(confd, f"--data {data} {where}", verb="check")
    assert code == 78
    assert "app.conf.tmpl:1" in told
    assert "/app_prod/10.0.0.1-80" in told
    (confd.confdir / "templates" / "app.conf.tmpl").write_text('{"n": {{getv "/app/json"}}}')
    data.write_text('{"/app/json": "[]"}')
    code, told = await ran(confd, f"--data {data} {where}", verb="check")
    assert (code, "nothing wrong" in told) == (0, True)
    data.write_text('{"/app/json": "["}')
    code, told = await ran(confd, f"--data {data} {where}", verb="check")
    assert (code, "is no JSON" in told) == (78, True)
    data.write_text("[")
    code, told = await ran(confd, f"--data {data} {where}", verb="check")
    assert (code, "is no JSON object" in told) == (78, True)
    data.write_text('{"/app/json": "[]"}')
    code, told = await ran(confd, f"--dry-run --data {data} {where}")
    assert (code, '+{"n": []}' in told) == (0, True)
    assert (await ran(confd, f"--once --data {data} {where}"))[0] == 64
    assert not dest.exists()


@pytest.mark.scenario
async def test_a_former_file_that_fails_its_check_in_place_is_refused_by_the_daemon(
    confd: DiscoveryStack,
) -> None:
    # A check that looks at the file where it is: for as long as it runs, the file is there.
    bad = confd.folder / "bad"
    check = f"sh -c 'sleep 1; test ! -e {bad} || ! grep -q 0 {confd.folder}/app.conf'"
    dest = write(confd, "app", f'keys = ["/app"]\ncheck_cmd = "{check}"', "{{getv `/app/key` `0`}}")
    where = f"-confdir {confd.confdir} -node {endpoint(confd)}"
    await confd.start()
    await confd.etcd.put("/app/key", b"1")

    async def served() -> bool:
        return len((await ran(confd, where, verb="history"))[1].splitlines()) == 2

    async def settled() -> bool:
        return "  held" not in (await ran(confd, where, verb="history"))[1]

    await confd.until(served, "both have been served")
    bad.touch()
    code, told = await ran(confd, f"app {where}", verb="rollback")
    assert (code, "exit code 1" in told) == (64, True), told
    await confd.until(settled, "nothing is held")
    assert dest.read_text() == "1"
    bad.unlink()
    # etcd has no say in it, and need not be there.
    await confd.etcd_server.process.kill()
    code, told = await ran(confd, f"app {where}", verb="rollback")
    assert (code, dest.read_text()) == (0, "0"), told
    # Not even for a daemon that was started without it.
    code, told = await ran(confd, f"app --release {where}", verb="rollback")
    assert code == 0, told
    dest.write_text("1")
    await confd.process.kill()
    await confd.process.start(lambda: waits_for_etcd(confd))
    code, told = await ran(confd, f"app {where} --to {name_of(b'0')}", verb="rollback")
    assert (code, dest.read_text()) == (0, "0"), told
    await confd.etcd_server.start()
    await confd.until(confd.is_ready, "it is ready")
    code, told = await ran(confd, f"--dry-run {where}")
    assert (code, told) == (0, ""), "it stays as it is, and that is no difference"


async def waits_for_etcd(stack: DiscoveryStack) -> bool:
    with contextlib.suppress(aiohttp.ClientError, OSError):
        return "start-up" in (await stack.ask_json("/readyz"))["why"]
    return False


async def test_one_pass_keeps_what_a_wiped_store_has_lost(confd: DiscoveryStack) -> None:
    dest = write(confd, "app", 'keys = ["/app_prod"]')
    where = f"-onetime -confdir {confd.confdir} -node {endpoint(confd)}"
    alive, dead = await confd.backends.start(), await confd.backends.start()
    for address in (alive, dead):
        await confd.put("app_prod", address)
    assert (await ran(confd, where))[0] == 0
    assert dead in dest.read_text()
    await confd.etcd_server.process.kill()
    confd.etcd_server.wipe()
    await confd.etcd_server.start()
    await confd.backends.stop(dead)
    for _ in range(2):
        code, told = await ran(confd, where)
        assert code == 0, told
        assert alive in dest.read_text()
        assert dead not in dest.read_text()
    await confd.put("app_prod", alive)
    assert (await ran(confd, where))[0] == 0
    await confd.remove("app_prod", alive)
    assert (await ran(confd, where))[0] == 0
    assert alive not in dest.read_text()


async def test_a_held_file_that_fails_its_check_is_not_held(confd: DiscoveryStack) -> None:
    dest = write(confd, "app", 'keys = ["/app"]', "{{getv `/app/key` `0`}}")
    where = f"-confdir {confd.confdir} -node {endpoint(confd)}"
    assert (await ran(confd, f"-onetime {where}"))[0] == 0
    await confd.etcd.put("/app/key", b"1")
    assert (await ran(confd, f"-onetime {where}"))[0] == 0
    file = confd.confdir / "conf.d" / "app.toml"
    file.write_text(file.read_text() + 'check_cmd = "grep -q 1 {{.src}}"\n')
    code, told = await ran(confd, f"app {where}", verb="rollback")
    assert (code, "exit code 1" in told) == (64, True)
    assert dest.read_text() == "1"
    await confd.start()
    await confd.etcd.put("/app/key", b"11")
    await until_holds(confd, dest, "11")
    assert not await in_why(confd, "app")


async def test_one_pass_holds_a_former_file_until_its_template_changes(
    confd: DiscoveryStack,
) -> None:
    dest = write(confd, "app", 'keys = ["/app"]', "{{getv `/app/key` `0`}}")
    where = f"-confdir {confd.confdir} -node {endpoint(confd)}"
    assert (await ran(confd, f"-onetime {where}"))[0] == 0
    for value in (b"1", b"2"):
        await confd.etcd.put("/app/key", value)
        assert (await ran(confd, f"-onetime {where}"))[0] == 0
    for before in ("1", "0"):
        assert (await ran(confd, f"app {where}", verb="rollback"))[0] == 0
        assert dest.read_text() == before
    assert (await ran(confd, f"app {where}", verb="rollback"))[0] == 64
    assert (await ran(confd, f"-onetime {where}"))[0] == 0
    assert dest.read_text() == "0"
    (confd.confdir / "templates" / "app.conf.tmpl").write_text("new {{getv `/app/key`}}")
    assert (await ran(confd, f"-onetime {where}"))[0] == 0
    assert dest.read_text() == "new 2"
