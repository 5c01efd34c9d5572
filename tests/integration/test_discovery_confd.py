"""A confd directory and confd's own command line, on a real etcd, with nothing of Nginx."""

import asyncio
import json
import shlex
import signal
import stat
import sys
import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from tests.stack.discovery import WAIT_SECONDS, DiscoveryStack
from wharfinger.operator.parts.etcd import EtcdServer
from wharfinger.operator.parts.nginx import NginxServer

pytestmark = pytest.mark.real

UPSTREAM = """upstream app {
{{range getvs "/app_prod/*"}}    server {{.}};
{{end}}}
"""


@pytest.fixture
async def confd(
    tmp_path: Path, etcd_server: EtcdServer, nginx_server: NginxServer
) -> AsyncIterator[DiscoveryStack]:
    """A discovery that is started by confd's flags; its own file names but where it lives."""
    stack = DiscoveryStack(tmp_path, etcd_server, nginx_server)
    stack.config.write_text(
        f'[host]\nname = "edge-1"\nstate_dir = "{tmp_path}/state"\n'
        f'runtime_dir = "{stack.runtime_dir}"\n[discovery]\nlisten = "127.0.0.1:{stack.port}"\n'
    )
    flags(stack, f"-watch -confdir {stack.confdir} -backend etcdv3 -node http://{endpoint(stack)}")
    yield stack
    await stack.stop()


def endpoint(stack: DiscoveryStack) -> str:
    return stack.etcd_server.endpoint


def flags(stack: DiscoveryStack, line: str) -> None:
    stack.process.command = (
        sys.executable, "-m", "discovery", "run", "--config", str(stack.config), *shlex.split(line),
    )  # fmt: skip


def write(stack: DiscoveryStack, name: str, text: str, template: str = UPSTREAM) -> Path:
    """A resource as confd's users write it."""
    dest = stack.folder / f"{name}.conf"
    (stack.confdir / "templates" / f"{name}.conf.tmpl").write_text(template)
    (stack.confdir / "conf.d" / f"{name}.toml").write_text(
        f'[template]\nsrc = "{name}.conf.tmpl"\ndest = "{dest}"\n{text}\n'
    )
    return dest


async def until_holds(stack: DiscoveryStack, path: Path, text: str) -> None:
    def read() -> str:
        return path.read_text() if path.exists() else ""

    async def holds() -> bool:
        return text in read()

    await stack.until(holds, f"{path.name} holds {text!r}")


async def ran(stack: DiscoveryStack, line: str, verb: str = "run") -> tuple[int, str]:
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "discovery", verb, "--config", str(stack.config), *shlex.split(line),
        stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT,
    )  # fmt: skip
    async with asyncio.timeout(WAIT_SECONDS):
        told, _ = await process.communicate()
    return process.returncode or 0, told.decode()


async def resource(stack: DiscoveryStack, name: str) -> dict[str, Any]:
    found = (await stack.ask_json("/status"))["resources"]
    return next((one for one in found if one["name"] == name), {})


async def test_a_directory_of_confds_runs_unchanged(confd: DiscoveryStack) -> None:
    reloads, checked = confd.folder / "reloads", confd.folder / "checked"
    dest = write(
        confd,
        "app",
        'keys = ["/app_prod"]\nmode = "0640"\nuid = 0\ngid = 0\n'
        f'check_cmd = "grep -q server {{{{.src}}}} && echo {{{{ .src }}}} > {checked}"\n'
        f'reload_cmd = "cat {{{{.dest}}}} | wc -l >> {reloads} || true"',
    )
    await confd.put("app_prod", "10.0.0.1:80")
    await confd.start()
    assert dest.read_text() == "upstream app {\n    server 10.0.0.1:80;\n}\n"
    assert stat.S_IMODE(dest.stat().st_mode) == 0o640
    await confd.put("app_prod", "10.0.0.2:80")
    await until_holds(confd, dest, "10.0.0.2:80")
    await until_holds(confd, reloads, "3\n4\n")
    assert Path(checked.read_text().strip()).parent == dest.parent
    # A check that fails leaves the file, and another resource alone.
    other = write(confd, "other", 'keys = ["/other"]', '{{getv "/other/key" "none"}}')
    await until_holds(confd, other, "none")
    await confd.etcd.delete("/app_prod/10.0.0.1-80")
    await until_holds(confd, reloads, "3\n4\n3\n")
    await confd.etcd.delete("/app_prod/10.0.0.2-80")
    await confd.etcd.put("/other/key", b"some")
    await until_holds(confd, other, "some")

    async def failed() -> bool:
        return (await resource(confd, "app"))["state"] == "failed"

    await confd.until(failed, "the check of app has failed")
    assert "10.0.0.2:80" in dest.read_text()


async def test_files_are_picked_up_changed_and_removed_without_a_restart(
    confd: DiscoveryStack,
) -> None:
    first = write(confd, "first", 'keys = ["/first"]', "one {{getv `/first/key` `-`}}")
    await confd.start()
    await until_holds(confd, first, "one -")
    second = write(confd, "second", 'keys = ["/second"]', "two {{getv `/second/key` `-`}}")
    await until_holds(confd, second, "two -")
    await confd.etcd.put("/second/key", b"heard")  # its keys are watched, too
    await until_holds(confd, second, "two heard")
    (confd.confdir / "templates" / "second.conf.tmpl").write_text("changed")
    await until_holds(confd, second, "changed")
    (confd.confdir / "conf.d" / "third.toml").write_text("[template]\nsrc = 7\n")

    async def told() -> bool:
        return "third.toml" in await confd.why_unhealthy()

    await confd.until(told, "the broken file is told")
    await confd.etcd.put("/first/key", b"goes on")
    await until_holds(confd, first, "one goes on")
    # A file that breaks leaves its resource as it was.
    (confd.confdir / "conf.d" / "first.toml").write_text("[template")
    await confd.until(lambda: in_why(confd, "first.toml"), "the other broken file is told")
    await confd.etcd.put("/first/key", b"all the same")
    await until_holds(confd, first, "one all the same")
    for name in ("first", "third"):
        (confd.confdir / "conf.d" / f"{name}.toml").unlink()
    await confd.until(confd.healthy, "all is well again")
    assert await resource(confd, "first") == {}
    assert first.exists()


async def in_why(stack: DiscoveryStack, text: str) -> bool:
    return text in await stack.why_unhealthy()


async def test_a_broken_file_keeps_nothing_from_starting(confd: DiscoveryStack) -> None:
    good = write(confd, "good", 'keys = ["/app_prod"]')
    (confd.confdir / "conf.d" / "bad.toml").write_text('[template]\nsrc = "none"\ndest = "/x"\n')
    await confd.start()
    assert good.exists()
    assert "bad.toml" in await confd.why_unhealthy()
    await confd.process.terminate()
    good.unlink()
    code, told = await ran(confd, f"-onetime -confdir {confd.confdir} -node {endpoint(confd)}")
    assert code == 78
    assert "bad.toml" in told
    assert good.exists()


async def test_a_mended_template_is_tried_at_once(confd: DiscoveryStack) -> None:
    dest = write(confd, "app", 'keys = ["/app_prod"]', "{{getv `/none`}}")
    await confd.start()
    assert "key does not exist: /none" in await confd.why_unhealthy()
    (confd.confdir / "templates" / "app.conf.tmpl").write_text("mended")
    await until_holds(confd, dest, "mended")
    await confd.until(confd.healthy, "it is well again")


async def test_a_slow_check_holds_up_nobody(confd: DiscoveryStack) -> None:
    go = confd.folder / "go"
    slow = f"test -e {{{{.src}}}} && until test -e {go}; do sleep 0.05; done"
    write(confd, "slow", f'keys = ["/slow"]\ncheck_cmd = "{slow}"')
    quick = write(confd, "quick", 'keys = ["/quick"]', "{{getv `/quick/key` `none`}}")
    (confd.confdir / "conf.d" / "slow.toml").rename(confd.folder / "slow.toml")
    await confd.start()
    (confd.folder / "slow.toml").rename(confd.confdir / "conf.d" / "slow.toml")

    async def began() -> bool:
        return "slow" in {one["name"] for one in (await confd.ask_json("/status"))["resources"]}

    await confd.until(began, "the slow one is there")
    for number in range(3):
        await confd.etcd.put("/quick/key", f"value {number}".encode())
        await until_holds(confd, quick, f"value {number}")
    assert (await resource(confd, "slow"))["state"] == "waiting"
    go.touch()  # or the daemon's end would wait for it


async def test_one_dead_node_and_the_prefix_rule(confd: DiscoveryStack) -> None:
    flags(
        confd,
        f"--watch --confdir {confd.confdir} --backend=etcdv3 --node http://127.0.0.1:1 "
        f"--node http://{endpoint(confd)} --prefix /production --interval 1",
    )
    given = write(confd, "given", 'keys = ["/key"]', "{{getv `/key`}}{{getv `/keys` ``}}")
    own = write(confd, "own", 'keys = ["/key"]\nprefix = "/own"', "{{getv `/key`}}")
    await confd.etcd.put("/production/key", b"of the flag")
    await confd.etcd.put("/own/key", b"of the file")  # confd replaces it, its fork would join
    await confd.etcd.put("/production/keys", b"of somebody else")
    await confd.start()
    assert given.read_text() == own.read_text() == "of the flag"
    for number in range(3):  # over several listings
        await confd.etcd.put("/production/key", f"{number}".encode())
        await until_holds(confd, own, str(number))
        await asyncio.sleep(0)


async def test_a_change_is_for_who_can_see_it_and_a_hangup_for_everybody(
    confd: DiscoveryStack,
) -> None:
    flag = confd.folder / "flag"
    asking = f'{{{{fileExists "{flag}"}}}} {{{{getv "/app/key"}}}}'
    app = write(confd, "app", 'keys = ["/app"]', asking)
    other = write(confd, "other", 'keys = ["/other"]', '{{getv "/other/key"}} {{ls "/app"}}')
    none = write(confd, "none", "", f'{{{{fileExists "{flag}"}}}} {{{{ls "/app"}}}}')
    await confd.etcd.put("/app/key", b"1")
    await confd.etcd.put("/other/key", b"1")
    await confd.start()
    await until_holds(confd, app, "false 1")
    await until_holds(confd, none, "false []")
    flag.touch()
    await confd.until_applied(await confd.etcd.put("/other/key", b"2"))
    assert (app.read_text(), other.read_text()) == ("false 1", "2 []")
    confd.process.signal(signal.SIGHUP)
    await until_holds(confd, app, "true 1")
    await until_holds(confd, none, "true []")
    flag.unlink()
    await confd.until_applied(await confd.etcd.put("/app/key", b"2"))
    assert (app.read_text(), none.read_text()) == ("false 2", "true []")


async def test_what_confd_does_not_know_is_told_once_and_passed_over(confd: DiscoveryStack) -> None:
    dest = write(confd, "app", 'Keys = ["/app"]\nowner_of = "x"\nuid = -1', "{{ls `/`}}")
    await confd.etcd.put("/app/key", b"1")
    await confd.etcd.put("/apple/key", b"1")
    await confd.start()
    assert dest.read_text() == "[]"
    write(confd, "app", 'Keys = ["/app"]\nowner_of = "x"\nuid = -1', "{{ls `/app`}}")
    await until_holds(confd, dest, "[key]")
    (told,) = await confd.events("resource file is taken as by confd")
    assert "template.owner_of" in told["line"]
    where = f"-confdir {confd.confdir} -node {endpoint(confd)}"
    code, said = await ran(confd, where, verb="check")
    assert (code, "warning: template.owner_of" in said, "nothing wrong" in said) == (0, True, True)
    code, said = await ran(confd, f"--json {where}", verb="check")
    assert code == 0
    assert json.loads(said)["remarks"][0]["where"] == "template.owner_of"


async def test_sync_only_noop_and_a_kept_stage_file(confd: DiscoveryStack) -> None:
    where = f"-confdir {confd.confdir} -node {endpoint(confd)}"
    dest = write(confd, "app", 'keys = ["/app_prod"]\ncheck_cmd = "grep -q never {{.src}}"')
    code, told = await ran(confd, f"-noop -onetime {where}")
    assert code == 0
    assert "+upstream app {" in told
    assert not dest.exists()
    code, told = await ran(confd, f"-onetime -keep-stage-file {where}")
    assert code == 75
    assert not dest.exists()
    assert (dest.parent / f".{dest.name}.staged").read_text().startswith("upstream")
    assert (await ran(confd, f"-onetime -sync-only {where}"))[0] == 0
    assert dest.exists()


async def test_what_cannot_be_served_is_said(confd: DiscoveryStack) -> None:
    code, told = await ran(confd, "-backend consul -node 127.0.0.1:8500")
    assert code == 64
    assert "-backend consul: only etcd v3 is read" in told


async def test_check_asks_the_shell_about_its_commands(confd: DiscoveryStack) -> None:
    where = f"-confdir {confd.confdir} -node {endpoint(confd)}"
    write(confd, "app", 'keys = ["/app"]\nreload_cmd = "if true; then"')
    code, told = await ran(confd, where, verb="check")
    assert (code, "app.reload_cmd" in told) == (78, True)
    write(confd, "app", 'keys = ["/app"]\nreload_cmd = "if true; then echo x | cat; fi"')
    assert (await ran(confd, where, verb="check"))[0] == 0


async def test_a_password_on_the_command_line_is_taken(confd: DiscoveryStack) -> None:
    code, told = await ran(
        confd, f"-confdir {confd.confdir} -username root -password secret", verb="config"
    )
    assert code == 0
    assert "secret" not in told


async def test_several_templates_and_one_reload(confd: DiscoveryStack) -> None:
    reloads = confd.folder / "reloads"
    for name in ("a", "b"):
        (confd.confdir / "templates" / name).write_text(f"{name} {{{{getv `/set/key`}}}}\n")
    tables = "".join(
        f'[[template]]\nsrc = "{name}"\ndest = "{confd.folder}/{name}.out"\nkeys = ["/set"]\n'
        for name in ("a", "b")
    )
    command = f"cat {confd.folder}/a.out {confd.folder}/b.out >> {reloads}; echo - >> {reloads}"
    (confd.confdir / "conf.d" / "set.toml").write_text(f'reload_cmd = "{command}"\n{tables}')
    await confd.etcd.put("/set/key", b"1")
    await confd.start()
    assert reloads.read_text() == "a 1\nb 1\n-\n"
    await confd.etcd.put("/set/key", b"2")
    await until_holds(confd, reloads, "b 2\n-\n")
    assert reloads.read_text() == "a 1\nb 1\n-\na 2\nb 2\n-\n"


async def test_the_last_change_within_the_interval_is_not_lost(confd: DiscoveryStack) -> None:
    reloads = confd.folder / "reloads"
    dest = write(
        confd,
        "app",
        'keys = ["/app"]\nmin_reload_interval = "2s"\n'
        f'reload_cmd = "cat {{{{.dest}}}} >> {reloads}"',
        "{{getv `/app/key` `-`}}\n",
    )
    await confd.start()
    since = time.monotonic()
    for number in range(20):
        await confd.etcd.put("/app/key", f"{number}".encode())
    seconds = time.monotonic() - since
    await until_holds(confd, dest, "19")
    await until_holds(confd, reloads, "19\n")
    assert len(reloads.read_text().splitlines()) <= 3 + seconds // 2


async def test_what_is_not_the_format_it_shall_be_is_not_written(confd: DiscoveryStack) -> None:
    dest = write(
        confd, "app", 'keys = ["/app"]\noutput_format = "json"', '{"a": {{getv "/app/a"}}}'
    )
    await confd.etcd.put("/app/a", b"1")
    await confd.start()
    await confd.etcd.put("/app/a", b"[")
    await confd.until(lambda: in_why(confd, "is no JSON"), "it is refused")
    assert dest.read_text() == '{"a": 1}'
    await confd.etcd.put("/app/a", b"[2]")
    await until_holds(confd, dest, "[2]")


@pytest.mark.scenario
async def test_a_file_that_drifted_is_put_right(confd: DiscoveryStack) -> None:
    dest = write(confd, "app", 'keys = ["/app_prod"]')
    await confd.start()
    text = dest.read_text()
    dest.write_text("somebody else's")
    await until_holds(confd, dest, text)
    dest.unlink()
    await until_holds(confd, dest, text)
