"""Discovery when commands fail, hang or lie, files drift, processes die; on real parts."""

import asyncio
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest

from tests.stack.discovery import DiscoveryStack
from wharfinger.operator.parts.process import free_port

pytestmark = pytest.mark.real

SHOP = {"http_host": "shop.test", "http_path": "/"}


def says(stack: DiscoveryStack, word: str) -> Callable[[], Awaitable[bool]]:
    async def found() -> bool:
        return word in await stack.why_unhealthy()

    return found


async def until_back(stack: DiscoveryStack, content: bytes) -> None:
    """Waits until the file of Nginx is as it was; a further try puts the new one there at times."""

    async def back() -> bool:
        return stack.nginx.include.read_bytes() == content

    await stack.until(back, "the former file is back")


async def test_a_failing_check_keeps_the_old_file_and_blocks_nothing(
    discovery_stack: DiscoveryStack,
) -> None:
    stack = discovery_stack
    flag = stack.folder / "refuse"
    check = stack.write_script("check", f"test ! -e {flag} || {{ echo refused by test; exit 3; }}")
    stack.write_config(nginx={"check_cmd": check})
    dest = stack.write_resource("motd", "{{ instances('shop_prod') | length }}")
    await stack.start()
    first, second, third = [await stack.backends.start() for _ in range(3)]
    await stack.until_applied(await stack.put("shop_prod", first, **SHOP))
    before = stack.nginx.include.read_bytes()
    flag.touch()
    applied = (await stack.ask_json("/status"))["applied_revision"]
    refused = await stack.put("shop_prod", second, **SHOP)
    await stack.until(says(stack, "refused by test"), "the refusal shows in /healthz")
    await until_back(stack, before)
    assert (await stack.get()).text == first
    status = await stack.ask_json("/status")
    assert applied <= status["applied_revision"] < refused
    by_name = {one["name"]: one for one in status["resources"]}
    assert by_name["nginx"]["commands"][0]["output"] == "refused by test\n"
    # One bad resource holds no other.
    assert by_name["motd"]["state"] == "current"
    assert dest.read_text() == "2"
    flag.unlink()
    await stack.put("shop_prod", third, **SHOP)
    await stack.until_served(first, second, third)
    await stack.until(stack.healthy, "it is healthy again")


async def test_what_failed_is_tried_again_by_itself(discovery_stack: DiscoveryStack) -> None:
    stack = discovery_stack
    flag = stack.folder / "refuse"
    check = stack.write_script("check", f"test ! -e {flag}")
    stack.write_config(nginx={"check_cmd": check})
    await stack.start()
    flag.touch()
    only = await stack.backends.start()
    await stack.put("shop_prod", only, **SHOP)
    await stack.until(says(stack, "exit code 1"), "the refusal shows")
    flag.unlink()
    await stack.until_served(only)


async def test_another_broken_file_of_nginx_is_not_made_worse(
    discovery_stack: DiscoveryStack,
) -> None:
    stack = discovery_stack
    await stack.start()
    first, second = await stack.backends.start(), await stack.backends.start()
    await stack.until_applied(await stack.put("shop_prod", first, **SHOP))
    broken = stack.nginx.include.with_name("zz-broken.conf")
    broken.write_text("upstream shop_prod { server 127.0.0.1:1; }")
    await stack.put("shop_prod", second, **SHOP)
    await stack.until(says(stack, "nginx"), "nginx -t's refusal shows")
    assert (await stack.get()).text == first
    broken.unlink()
    await stack.until_served(first, second)


async def test_a_failing_reload_is_rolled_back(discovery_stack: DiscoveryStack) -> None:
    stack = discovery_stack
    flag = stack.folder / "refuse"
    reload = stack.write_script(
        "reload", f"test ! -e {flag} && exec {stack.nginx.command} -s reload"
    )
    stack.write_config(nginx={"reload_cmd": reload})
    await stack.start()
    first, second = await stack.backends.start(), await stack.backends.start()
    await stack.until_applied(await stack.put("shop_prod", first, **SHOP))
    before = stack.nginx.include.read_bytes()
    flag.touch()
    await stack.put("shop_prod", second, **SHOP)
    await stack.until(says(stack, "reload"), "the failure shows")
    await until_back(stack, before)
    assert (await stack.get()).text == first
    flag.unlink()
    await stack.until_served(first, second)


async def test_a_reload_that_lies_is_found_out(discovery_stack: DiscoveryStack) -> None:
    stack = discovery_stack
    flag = stack.folder / "lie"
    reload = stack.write_script("reload", f"test -e {flag} || exec {stack.nginx.command} -s reload")
    stack.write_config(nginx={"reload_cmd": reload, "confirm_timeout_seconds": 0.5})
    await stack.start()
    first, second = await stack.backends.start(), await stack.backends.start()
    await stack.until_applied(await stack.put("shop_prod", first, **SHOP))
    flag.touch()
    refused = await stack.put("shop_prod", second, **SHOP)
    await stack.until(says(stack, "does not serve generation"), "the lie shows")
    assert (await stack.ask_json("/status"))["applied_revision"] < refused
    flag.unlink()
    await stack.until_served(first, second)


async def test_a_port_that_is_taken_is_found_out_though_nginx_t_passes(
    discovery_stack: DiscoveryStack,
) -> None:
    stack = discovery_stack
    with socket.socket() as taken:
        taken.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        taken.bind(("0.0.0.0", free_port()))
        taken.listen()
        port = taken.getsockname()[1]
        stack.write_config(nginx={"listen": port, "confirm_timeout_seconds": 0.5})
        await stack.start()
        await stack.until(says(stack, "does not serve generation"), "the failure shows")
        assert not stack.nginx.include.exists()
    await stack.until(stack.healthy, "it serves as soon as the port is free")


async def test_a_hung_check_is_ended(discovery_stack: DiscoveryStack) -> None:
    stack = discovery_stack
    flag = stack.folder / "hang"
    check = stack.write_script("check", f"test ! -e {flag} || sleep 600")
    stack.write_config(nginx={"check_cmd": check, "check_timeout_seconds": 0.5})
    await stack.start()
    first, second = await stack.backends.start(), await stack.backends.start()
    await stack.until_applied(await stack.put("shop_prod", first, **SHOP))
    flag.touch()
    await stack.put("shop_prod", second, **SHOP)
    await stack.until(says(stack, "not done after"), "the hung check shows")
    assert (await stack.get()).text == first
    flag.unlink()
    await stack.until_served(first, second)


async def test_killed_in_a_check_the_bad_file_does_not_stay(
    discovery_stack: DiscoveryStack,
) -> None:
    stack = discovery_stack
    flag, pid = stack.folder / "hang", stack.folder / "pid"
    check = stack.write_script(
        "check", f"test ! -e {flag} || {{ echo $$ > {pid}; exec sleep 600; }}"
    )
    stack.write_config(nginx={"check_cmd": check})
    await stack.start()
    first, second = await stack.backends.start(), await stack.backends.start()
    await stack.until_applied(await stack.put("shop_prod", first, **SHOP))
    before = stack.nginx.include.read_bytes()
    flag.touch()
    await stack.put("shop_prod", second, **SHOP)

    async def in_check() -> bool:
        return pid.exists() and bool(pid.read_text().strip())

    await stack.until(in_check, "the check of the new file hangs")
    assert stack.nginx.include.read_bytes() != before
    await stack.process.kill()
    os.kill(int(pid.read_text()), signal.SIGKILL)
    # With etcd away the start gets no further than to mend what the crash left.
    await stack.etcd_server.process.kill()
    await stack.process.start()

    async def mended() -> bool:
        return stack.nginx.include.read_bytes() == before

    await stack.until(mended, "the last good file is back")
    flag.unlink()
    await stack.etcd_server.start()
    await stack.until_served(first, second)


async def test_nginx_that_does_not_run_is_waited_for(discovery_stack: DiscoveryStack) -> None:
    stack = discovery_stack
    await stack.start()
    first = await stack.backends.start()
    await stack.until_applied(await stack.put("shop_prod", first, **SHOP))
    await stack.nginx.process.terminate()
    second = await stack.backends.start()
    revision = await stack.put("shop_prod", second, **SHOP)
    await stack.until(says(stack, "does it run"), "that nobody runs shows")

    async def tried_again() -> bool:
        return len(stack.nginx.errors().split("signal process started")) > 3

    await stack.until(tried_again, "it is tried again and again")
    assert len(await stack.events("configuration not applied")) == 1
    assert second in stack.nginx.include.read_text()
    assert (await stack.ask_json("/status"))["applied_revision"] < revision
    await stack.nginx.start()
    await stack.until_served(first, second)
    await stack.until_applied(revision)
    await stack.until(stack.healthy, "it is healthy again")


async def test_a_drifted_file_is_repaired(discovery_stack: DiscoveryStack) -> None:
    stack = discovery_stack
    await stack.start()
    only = await stack.backends.start()
    await stack.until_applied(await stack.put("shop_prod", only, **SHOP))
    before = stack.nginx.include.read_bytes()
    stack.nginx.include.write_text("# edited by hand\n")

    async def repaired() -> bool:
        return stack.nginx.include.read_bytes() == before

    await stack.until(repaired, "the file is ours again")
    assert await stack.events("file drifted")


async def test_a_hangup_takes_new_resources_and_refuses_bad_ones(
    discovery_stack: DiscoveryStack,
) -> None:
    stack = discovery_stack
    await stack.start()
    await stack.etcd.put("/myapp/database/url", b"db://x")
    dest = stack.write_resource(
        "app", 'url={{ getv("/database/url") }}', prefix="/myapp", keys=["/database"]
    )
    stack.process.signal(signal.SIGHUP)

    async def written() -> bool:
        return dest.exists() and dest.read_text() == "url=db://x"

    await stack.until(written, "the new resource is rendered")
    stack.write_resource("bad", "x", dst="/tmp/x")
    stack.process.signal(signal.SIGHUP)

    async def refused() -> bool:
        return bool(await stack.events("configuration refused"))

    await stack.until(refused, "the bad resource file is refused")
    assert "did you mean dest?" in stack.process.log_tail()
    await stack.etcd.put("/myapp/database/url", b"db://y")
    await stack.until(holds(dest, "url=db://y"), "the resources of before are kept and alive")


async def test_a_template_that_fails_holds_nobody_else(discovery_stack: DiscoveryStack) -> None:
    stack = discovery_stack
    bad = stack.write_resource("bad", "{{ getv('/missing') }}")
    stack.write_resource("worse", "{% if %}")
    await stack.start()
    only = await stack.backends.start()
    await stack.until_applied(await stack.put("shop_prod", only, **SHOP))
    assert (await stack.get()).text == only
    why = await stack.why_unhealthy()
    assert "key does not exist: /missing" in why
    assert "worse.j2 line 1" in why
    assert not bad.exists()
    await stack.etcd.put("/missing", b"there")
    await stack.until(holds(bad, "there"), "it is written as soon as the key is there")


async def test_confds_templates_are_kept_true(discovery_stack: DiscoveryStack) -> None:
    stack = discovery_stack
    seed = 'upstream app {\n{{range getvs "/app_prod/*"}}server {{.}};\n{{end}}}\n'
    servers = stack.write_resource("servers", seed, engine="tmpl", keys=["/app_prod"])
    other = stack.write_resource(
        "other", 'url={{getv "/db/url"}}\n', engine="tmpl", prefix="/myapp", keys=["/db"]
    )
    await stack.start()
    for address in ("10.0.0.2:80", "10.0.0.1:80"):
        await stack.put("app_prod", address)
    await stack.etcd.put("/app_prod/10.0.0.3-80", b"10.0.0.3:80; } evil {")
    text = "upstream app {\nserver 10.0.0.1:80;\nserver 10.0.0.2:80;\n}\n"
    await stack.until(holds(servers, text), "the addresses are there, sorted, and nothing else")
    # As in confd, a missing key leaves its own file alone, and no other.
    why = await stack.why_unhealthy()
    assert 'other.tmpl:1:6: executing "other.tmpl" at <getv "/db/url">' in why
    assert "key does not exist: /db/url" in why
    assert not other.exists()
    await stack.etcd.put("/myapp/db/url", b"db://x")
    await stack.until(holds(other, "url=db://x\n"), "it is written as soon as the key is there")
    # A template that was written anew counts from the next change on.
    (stack.confdir / "templates" / "other.tmpl").write_text('URL={{getv "/db/url" | toUpper}}\n')
    await stack.etcd.put("/myapp/db/url", b"db://y")
    await stack.until(holds(other, "URL=DB://Y\n"), "the new template is used")
    assert await stack.healthy()


async def test_once_and_dry_run(discovery_stack: DiscoveryStack) -> None:
    stack = discovery_stack
    address = await stack.backends.start()
    await stack.put("shop_prod", address, **SHOP)
    code, printed = await command(stack, "run", "--dry-run")
    assert code == 0
    assert f"+    server {address};" in printed
    assert not stack.nginx.include.exists()
    assert not (stack.folder / "state").exists()
    code, printed = await command(stack, "run", "--once")
    assert code == 0, printed
    assert (await stack.get()).text == address
    assert await command(stack, "run", "--dry-run") == (0, "")
    await stack.start()
    code, printed = await command(stack, "run", "--once")
    assert code == 69
    assert "is held by 'discovery pid" in printed
    await stack.etcd_server.process.kill()
    assert (await command(stack, "run", "--dry-run"))[0] == 69


async def test_check_names_every_fault(discovery_stack: DiscoveryStack) -> None:
    stack = discovery_stack
    assert (await command(stack, "check"))[0] == 0
    stack.write_resource("bad", "{% if %}", check_cmd="no-such-program -t")
    stack.write_resource("go", "\n{{nothing}}", engine="tmpl")
    stack.write_resource("pipe", "x", reload_cmd="cat x | wc")
    (stack.confdir / "conf.d" / "old.toml").write_text('[template]\nsrc="o.erb"\ndest="/tmp/o"')
    code, printed = await command(stack, "check")
    assert code == 78
    assert "shell" in printed
    assert "no template engine" in printed
    (stack.confdir / "conf.d" / "old.toml").unlink()
    (stack.confdir / "conf.d" / "pipe.toml").unlink()
    code, printed = await command(stack, "check")
    assert code == 78
    assert "no-such-program" in printed
    assert "bad.j2" in printed
    assert 'template: go.tmpl:2: function "nothing" not defined' in printed
    code, printed = await command(stack, "check", "--set", "etcd.endpoints=127.0.0.1:1")
    assert code == 78
    assert "etcd.endpoints: 127.0.0.1:1" in printed
    assert "no-such-program" in printed


def holds(path: Path, text: str) -> Callable[[], Awaitable[bool]]:
    def there() -> bool:
        return path.exists() and path.read_text() == text

    async def found() -> bool:
        return there()

    return found


async def command(stack: DiscoveryStack, verb: str, *arguments: str) -> tuple[int, str]:
    words = [sys.executable, "-m", "discovery", verb, "--config", str(stack.config), *arguments]
    done = await asyncio.to_thread(
        subprocess.run, words, capture_output=True, text=True, check=False, timeout=60
    )
    sys.stderr.write(done.stderr)
    return done.returncode, done.stdout + (done.stderr if done.returncode else "")
