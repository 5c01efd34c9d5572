"""Peers that reach a real Nginx by push: nothing is reloaded, nothing cut, nothing served stale."""

import asyncio
import contextlib
import os
import shutil
import signal
import sys
from collections import Counter
from collections.abc import AsyncIterator

import aiohttp
import psutil
import pytest

from tests.stack.discovery import DiscoveryStack
from tests.stack.nginx import workers
from tests.stack.tls import Authority
from wharfinger.operator.parts.process import free_port

pytestmark = pytest.mark.real


async def shop(stack: DiscoveryStack, *, instances: int = 1, **metadata: object) -> list[str]:
    """Starts discovery with a service of so many instances, served at shop.test."""
    await stack.start()
    addresses = [await stack.backends.start() for _ in range(instances)]
    revision = 0
    for address in addresses:
        revision = await stack.put("shop_prod", address, http_host="shop.test", **metadata)
    await stack.until_served(*addresses)
    # Served is not yet confirmed: who is killed in between has to reload again.
    await stack.until_applied(revision)
    await stack.until(lambda: carries(stack), "peers go by push")
    return addresses


async def carries(stack: DiscoveryStack) -> bool:
    told = (await stack.ask_json("/status"))["push"]
    return bool(told["stamp"]) and not told["fallback"]


async def mode(stack: DiscoveryStack) -> str:
    return str((await stack.ask_json("/status"))["mode"])


async def answers(stack: DiscoveryStack, number: int, host: str = "shop.test") -> Counter[str]:
    """Who answers so many requests, each over a connection of its own."""
    return Counter([(await stack.get(host)).text for _ in range(number)])


async def test_a_push_replaces_no_worker_and_is_never_stale(push_stack: DiscoveryStack) -> None:
    stack = push_stack
    [first] = await shop(stack)
    assert await mode(stack) == "push"
    before, current = await workers(stack.nginx), first
    for _ in range(20):
        new = await stack.backends.start()
        await stack.put("shop_prod", new, http_host="shop.test")
        revision = await stack.remove("shop_prod", current)
        await stack.until_applied(revision)
        # From the acknowledgement on, no worker answers with the old one.
        assert set(await answers(stack, 8)) == {new}
        current = new
    assert await workers(stack.nginx) == before

    async def seeded() -> bool:
        return current in stack.nginx.include.read_text()

    await stack.until(seeded, "a restart would serve the latest peers")
    assert await stack.healthy()


async def test_connections_outlive_a_change_of_peers(push_stack: DiscoveryStack) -> None:
    stack = push_stack
    [first] = await shop(stack)
    asked, go_on = asyncio.Event(), asyncio.Event()

    async def slow(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 8\r\n\r\nbegi")
        asked.set()
        await go_on.wait()
        writer.write(b"n!OK")
        writer.close()

    server = await asyncio.start_server(slow, "127.0.0.1", 0)
    address = f"127.0.0.1:{server.sockets[0].getsockname()[1]}"
    await stack.put("shop_prod", address, http_host="shop.test")
    await stack.until_applied(await stack.remove("shop_prod", first))
    url = f"http://127.0.0.1:{stack.nginx.port}/"
    async with aiohttp.ClientSession(headers={"Host": "shop.test"}) as session:
        long = asyncio.create_task(_body(session, url))
        await asked.wait()
        await stack.put("shop_prod", first, http_host="shop.test")
        await stack.until_applied(await stack.remove("shop_prod", address))
        # The next requests go elsewhere, over a connection that was kept.
        assert await _body(session, url) == first
        go_on.set()
        assert await long == "begin!OK"
    server.close()


async def _body(session: aiohttp.ClientSession, url: str) -> str:
    async with session.get(url) as response:
        return await response.text()


async def test_a_restarted_nginx_serves_the_latest_peers_at_once(
    push_stack: DiscoveryStack,
) -> None:
    stack = push_stack
    [first] = await shop(stack)
    second = await stack.backends.start()
    await stack.put("shop_prod", second, http_host="shop.test")
    await stack.until_applied(await stack.remove("shop_prod", first))
    for kill in (False, True):
        await _written(stack, second)
        if kill:
            for worker in await workers(stack.nginx):
                psutil.Process(worker).kill()
            await stack.nginx.process.kill()
        await stack.nginx.stop()
        await stack.nginx.start()
        # From the file; nobody has pushed anything yet.
        assert set(await answers(stack, 8)) == {second}
        await stack.until(lambda: carries(stack), "peers go by push again")
        before = await workers(stack.nginx)
        third = await stack.backends.start()
        await stack.put("shop_prod", third, http_host="shop.test")
        await stack.until_applied(await stack.remove("shop_prod", second))
        assert set(await answers(stack, 8)) == {third}
        assert await workers(stack.nginx) == before
        second = third
    assert await stack.healthy()


async def _written(stack: DiscoveryStack, address: str) -> None:
    async def there() -> bool:
        return address in stack.nginx.include.read_text()

    await stack.until(there, f"{address} is in the file")


async def test_a_reload_by_hand_changes_nothing(push_stack: DiscoveryStack) -> None:
    stack = push_stack
    [first] = await shop(stack)
    for _ in range(3):
        new = await stack.backends.start()
        await stack.put("shop_prod", new, http_host="shop.test")
        await stack.until_applied(await stack.remove("shop_prod", first))
        await stack.nginx.reload()
        await workers(stack.nginx)
        assert set(await answers(stack, 8)) == {new}
        first = new
    newer = await stack.backends.start()
    await stack.put("shop_prod", newer, http_host="shop.test")
    await stack.until_applied(await stack.remove("shop_prod", first))
    assert set(await answers(stack, 8)) == {newer}
    assert await mode(stack) == "push"


@pytest.fixture
async def orphan(push_stack: DiscoveryStack) -> AsyncIterator[psutil.Process]:
    """The same Nginx whose parent has ended since, as a service's has: else it ignores USR2."""
    nginx = push_stack.nginx
    await nginx.stop()
    (nginx.folder / "temp").mkdir(exist_ok=True)
    pid_file = nginx.folder / "nginx.pid"
    # By its whole path: that is what the new binary is started by.
    command = nginx.command.replace("nginx", shutil.which("nginx") or "nginx", 1)
    script = f"{command} > /dev/null 2>&1 & until [ -s {pid_file} ]; do sleep 0.05; done"
    shell = await asyncio.create_subprocess_shell(script)
    await asyncio.wait_for(shell.wait(), timeout=20)
    master = psutil.Process(int(pid_file.read_text()))
    group = os.getpgid(master.pid)
    yield master
    left = [p for p in psutil.process_iter() if _group_of(p) == group and p.name() == "nginx"]
    for process in left:
        with contextlib.suppress(psutil.NoSuchProcess):
            process.kill()
    psutil.wait_procs(left, timeout=10)


def _group_of(process: psutil.Process) -> int:
    with contextlib.suppress(ProcessLookupError):
        return os.getpgid(process.pid)
    return -1


async def test_another_binary_takes_over_with_its_own_memory(
    push_stack: DiscoveryStack, orphan: psutil.Process
) -> None:
    stack, old = push_stack, orphan
    [first] = await shop(stack)
    old.send_signal(signal.SIGUSR2)

    async def two() -> bool:
        masters = [c for c in old.children() if "master process" in " ".join(c.cmdline())]
        return bool(masters) and len(masters[0].children()) == 2

    await stack.until(two, "the new master has its workers")
    # A change while both serve reaches one memory only; when one is left, that must be right.
    second = await stack.backends.start()
    await stack.put("shop_prod", second, http_host="shop.test")
    last = await stack.remove("shop_prod", first)
    old.send_signal(signal.SIGQUIT)

    async def gone() -> bool:
        return not old.is_running() or old.status() == psutil.STATUS_ZOMBIE

    await stack.until(gone, "the old master has left")
    await stack.until_applied(last)
    await stack.until_served(second)
    await stack.until(lambda: carries(stack), "peers go by push")
    for _ in range(3):
        third = await stack.backends.start()
        await stack.put("shop_prod", third, http_host="shop.test")
        await stack.until_applied(await stack.remove("shop_prod", second))
        assert set(await answers(stack, 8)) == {third}
        second = third
    # What needs a reload reaches the new master as well.
    other = await stack.backends.start()
    await stack.until_applied(await stack.put("blog_prod", other, http_host="blog.test"))
    await stack.until_served(other, host="blog.test")


@pytest.mark.parametrize("hangs", [True, False], ids=["hangs", "refuses"])
async def test_a_push_that_fails_falls_back_to_reload_and_is_tried_again(
    push_stack: DiscoveryStack, hangs: bool
) -> None:
    stack = push_stack
    [first] = await shop(stack)
    path = stack.runtime_dir / "nginx" / "push.sock"
    away = path.with_name("away.sock")
    path.rename(away)
    server = await _hanging(str(path)) if hangs else None
    before = await workers(stack.nginx)
    second = await stack.backends.start()
    await stack.put("shop_prod", second, http_host="shop.test")
    await stack.until_applied(await stack.remove("shop_prod", first))
    assert set(await answers(stack, 8)) == {second}
    assert (await workers(stack.nginx)).isdisjoint(before)
    status = await stack.ask_json("/status")
    assert str(path) in status["push"]["fallback"]
    assert await stack.healthy()  # what is served is right, though it took a reload
    notes = [c["why"] for c in (await stack.ask_json("/healthz"))["checks"]]
    assert any("peers go by reload" in note for note in notes)
    assert await stack.events("push failed")
    # And a further change, which finds stale peers in the shared memory.
    await stack.put("shop_prod", first, http_host="shop.test")
    await stack.until_applied(await stack.remove("shop_prod", second))
    assert set(await answers(stack, 8)) == {first}
    if server is not None:
        server.close()
        path.unlink(missing_ok=True)
    away.rename(path)
    await stack.until(lambda: carries(stack), "push works again")
    before = await workers(stack.nginx)

    async def pushed() -> bool:
        return bool(await stack.events("push works again"))

    await stack.until(pushed, "it is told")
    await stack.put("shop_prod", second, http_host="shop.test")
    await stack.until_applied(await stack.remove("shop_prod", first))
    assert set(await answers(stack, 8)) == {second}


async def _hanging(path: str) -> asyncio.Server:
    async def hang(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(OSError):
            await reader.read()
        writer.close()

    return await asyncio.start_unix_server(hang, path)


async def test_without_lua_auto_means_reload_and_says_so(discovery_stack: DiscoveryStack) -> None:
    stack = discovery_stack
    await stack.start()
    address = await stack.backends.start()
    await stack.put("shop_prod", address, http_host="shop.test")
    await stack.until_served(address)
    assert await mode(stack) == "reload"
    assert await stack.healthy()
    assert await stack.events("push mode is off")
    assert not await stack.events("configuration not applied")
    notes = [c["why"] for c in (await stack.ask_json("/healthz"))["checks"]]
    assert any("unknown directive" in note for note in notes)
    # Asked for by name, it is an error instead.
    stack.write_config(nginx={"mode": "push"})
    stack.process.signal(signal.SIGHUP)

    async def red() -> bool:
        return "lua_shared_dict" in await stack.why_unhealthy()

    await stack.until(red, "a push mode that cannot be is told")
    assert set(await answers(stack, 4)) == {address}


async def test_a_restart_of_discovery_reloads_nothing(push_stack: DiscoveryStack) -> None:
    stack = push_stack
    [first] = await shop(stack)
    before = await workers(stack.nginx)
    await stack.process.kill()
    second = await stack.backends.start()
    await stack.put("shop_prod", second, http_host="shop.test")
    revision = await stack.remove("shop_prod", first)
    await stack.start()
    await stack.until_applied(revision)
    assert set(await answers(stack, 8)) == {second}
    assert await workers(stack.nginx) == before


async def test_new_and_vanished_services_and_a_users_own_server(
    push_stack: DiscoveryStack,
) -> None:
    stack = push_stack
    [first] = await shop(stack)
    own = stack.nginx.include.with_name("zz-own.conf")
    own.write_text(
        f"server {{ listen {stack.nginx.port}; server_name own.test; "
        "location / { proxy_pass http://shop_prod; } }"
    )
    await stack.nginx.reload()
    await stack.until_served(first, host="own.test")
    other = await stack.backends.start()
    await stack.until_applied(await stack.put("blog_prod", other, http_host="blog.test"))
    assert set(await answers(stack, 4, "blog.test")) == {other}
    before = await workers(stack.nginx)
    # Empty, it answers 503 without a reload; and back again.
    await stack.until_applied(await stack.remove("blog_prod", other))
    assert (await stack.get("blog.test")).status == 503
    await stack.until_applied(await stack.remove("shop_prod", first))
    assert (await stack.get("own.test")).status == 503
    await stack.until_applied(await stack.put("shop_prod", first, http_host="shop.test"))
    assert set(await answers(stack, 4, "own.test")) == {first}
    assert await workers(stack.nginx) == before


async def test_too_few_instances_keep_the_last_peers(push_stack: DiscoveryStack) -> None:
    stack = push_stack
    stack.write_config(nginx={"min_instances": 2})
    first, second = await shop(stack, instances=2)
    await stack.remove("shop_prod", first)

    async def red() -> bool:
        return "1 of at least 2 instances" in await stack.why_unhealthy()

    await stack.until(red, "it is told")
    assert set(await answers(stack, 8)) == {first, second}


async def test_posts_survive_a_rolling_replacement(push_stack: DiscoveryStack) -> None:
    stack = push_stack
    addresses = await shop(stack, instances=3)
    before, statuses, stop = await workers(stack.nginx), Counter[int](), asyncio.Event()

    async def load() -> None:
        url = f"http://127.0.0.1:{stack.nginx.port}/"
        async with aiohttp.ClientSession(headers={"Host": "shop.test"}) as session:
            while not stop.is_set():
                async with session.post(url, data=b"") as response:
                    await response.read()
                    statuses[response.status] += 1

    loads = [asyncio.create_task(load()) for _ in range(4)]
    for old in addresses * 2:
        new = await stack.backends.start()
        await stack.until_applied(await stack.put("shop_prod", new, http_host="shop.test"))
        if old in addresses:
            await stack.until_applied(await stack.remove("shop_prod", old))
            # Acknowledged: nobody sends it anything from here on.
            await stack.backends.stop(old)
            addresses[addresses.index(old)] = new
    stop.set()
    await asyncio.gather(*loads)
    assert set(statuses) == {200}
    assert statuses[200] > 100
    assert await workers(stack.nginx) == before


@pytest.mark.scenario
async def test_certificates_that_change_are_served_and_broken_ones_told(
    push_stack: DiscoveryStack, authority: Authority
) -> None:
    stack = push_stack
    folder, port = stack.folder / "tls", free_port()
    folder.mkdir()

    def install(name: str, key_of: str = "") -> None:
        pair = authority.issue(name, "shop.test")
        key = authority.issue(key_of, "shop.test").key_file if key_of else pair.key_file
        (folder / "shop.test.crt").write_bytes(pair.cert_file.read_bytes())
        (folder / "shop.test.key").write_bytes(key.read_bytes())

    async def shown() -> str:
        command = f"openssl s_client -connect 127.0.0.1:{port} -servername shop.test"
        process = await asyncio.create_subprocess_exec(
            *command.split(),
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.DEVNULL,
        )
        told, _ = await process.communicate()
        return told.decode()

    async def shows(name: str) -> bool:
        return f"CN = {name}" in await shown()

    install("first")
    stack.write_config(nginx={"tls_dir": str(folder), "listen_tls": port, "https_redirect": False})
    [address] = await shop(stack)
    await stack.until(lambda: shows("first"), "the certificate is served")
    install("second")
    await stack.until(lambda: shows("second"), "the new certificate is served")
    install("third", key_of="fourth")

    async def red() -> bool:
        return "shop.test.crt" in await stack.why_unhealthy()

    await stack.until(red, "a pair that does not fit is told")
    assert await shows("second")
    # Peers go on changing meanwhile.
    other = await stack.backends.start()
    await stack.put("shop_prod", other, http_host="shop.test")
    await stack.until_applied(await stack.remove("shop_prod", address))
    assert set(await answers(stack, 4)) == {other}
    install("fifth")
    await stack.until(lambda: shows("fifth"), "the mended pair is served")
    await stack.until(stack.healthy, "all is well")


async def test_one_pass_without_a_daemon_pushes_too(push_stack: DiscoveryStack) -> None:
    stack = push_stack
    [first] = await shop(stack)
    before = await workers(stack.nginx)
    await stack.process.terminate()
    assert await _told(stack, "--dry-run") == ""
    second = await stack.backends.start()
    await stack.put("shop_prod", second, http_host="shop.test")
    await stack.remove("shop_prod", first)
    difference = await _told(stack, "--dry-run")
    assert {f"{sign}{line}" for sign, line in (("-", first), ("+", second))} <= {
        f"{line[0]}{address}"
        for line in difference.splitlines()
        for address in (first, second)
        if line[:1] in "+-" and address in line
    }
    assert set(await answers(stack, 4)) == {first}  # a look changes nothing
    await _told(stack, "--once")
    assert set(await answers(stack, 8)) == {second}
    assert await workers(stack.nginx) == before


async def _told(stack: DiscoveryStack, flag: str) -> str:
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "discovery", "run", flag, "--config", str(stack.config)),
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    out, err = await process.communicate()
    assert process.returncode == 0, (out + err).decode()
    return out.decode()
