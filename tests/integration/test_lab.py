"""The hosts that scenarios play on are apart, can be cut off and lose power, and leave nothing."""

import signal
import subprocess
import sys
import time
from pathlib import Path

import aiohttp
import psutil
import pytest

from tests.stack.lab.host import Host
from tests.stack.lab.lab import MARK, PARENT, Lab, raised, remove_left
from tests.stack.lab.namespaces import Namespaces
from wharfinger.errors import Unavailable
from wharfinger.operator.parts.images import build_busybox
from wharfinger.operator.parts.process import until

pytestmark = [pytest.mark.real, pytest.mark.timeout(120)]

ECHO = """
import http.server, os
class Answer(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        body = os.uname().nodename.encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)
http.server.HTTPServer(("0.0.0.0", 8000), Answer).serve_forever()
"""
BUSYBOX = ("run", "--detach", "--network=host", "busybox", "sleep", "1000")


async def name_of(target: Host, asker: Namespaces) -> str:
    """What a host says, asked from elsewhere; nothing where no answer comes."""
    timeout = aiohttp.ClientTimeout(total=0.5)
    try:
        async with (
            asker.session(timeout=timeout) as session,
            session.get(f"http://{target.ip}:8000/") as answer,
        ):
            return await answer.text()
    except (aiohttp.ClientError, TimeoutError):
        return ""


async def until_heard(target: Host, asker: Namespaces) -> None:
    async def answered() -> bool:
        return await name_of(target, asker) == target.name

    await until(answered, timeout_seconds=20, what=f"{asker.name} hears {target.name}")


@pytest.fixture
async def echoing(lab: Lab) -> Lab:
    """All hosts are on, and each says its name on the same port."""
    for host in lab.hosts:
        echo = host.program("echo", sys.executable, "-c", ECHO)
        host.boot.append(echo.start)
    await lab.power_on()
    for host in lab.hosts:
        await until_heard(host, lab.client)
    return lab


async def test_hosts_have_names_ports_and_addresses_of_their_own(echoing: Lab) -> None:
    lab = echoing
    for asker in (lab.client, *lab.hosts):
        for host in lab.hosts:
            await until_heard(host, asker)
    routes = await lab.hosts[0].run("ip", "-brief", "address")
    assert [line.split()[0].partition("@")[0] for line in routes.splitlines()] == ["lo", "eth0"]
    async with lab.hosts[0].session() as session, session.get("http://127.0.0.1:8000/") as answer:
        assert await answer.text() == "box1"
    assert (await lab.hosts[0].run("getent", "hosts", "box3")).split() == ["10.77.0.13", "box3"]


async def test_a_host_that_is_cut_off_hears_nobody_and_is_not_heard(echoing: Lab) -> None:
    lab = echoing
    one, two, three = lab.hosts
    await two.partition()
    await until_heard(two, two)
    assert [await name_of(host, two) for host in (one, three)] == ["", ""]
    assert [await name_of(two, asker) for asker in (one, three, lab.client)] == ["", "", ""]
    await until_heard(three, one)
    await two.heal()
    await until_heard(two, one)
    await until_heard(one, two)
    await one.partition(two)
    assert await name_of(two, one) == await name_of(one, two) == ""
    await until_heard(three, one)
    # A host that returns is as much cut off as it was.
    await one.power_off()
    await one.power_on()
    await until_heard(one, three)
    assert await name_of(two, one) == ""
    await two.heal()
    await until_heard(two, one)


async def test_a_deaf_host_is_heard(echoing: Lab) -> None:
    one, two, _ = echoing.hosts
    heard = one.folder / "heard"
    listener = one.process(["python3", "-c", LISTEN, heard], log=one.folder / "listen.log")

    async def listens() -> bool:
        return "listens" in listener.log_tail()

    await listener.start(listens)
    await two.deafen(one)
    assert await name_of(two, one) == ""
    await two.run("python3", "-c", SEND, one.ip)
    assert await listener.wait() == 0
    assert heard.read_text() == "box2 lives"


LISTEN = """
import pathlib, socket, sys
with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as taker:
    taker.bind(("0.0.0.0", 8001))
    print("listens", flush=True)
    pathlib.Path(sys.argv[1]).write_bytes(taker.recv(100))
"""
SEND = """
import socket, sys, time
with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sender:
    for _ in range(20):
        sender.sendto(b"box2 lives", (sys.argv[1], 8001))
        time.sleep(0.1)
"""


async def test_power_off_takes_containers_along_and_the_disk_stays() -> None:
    async with raised(1) as lab:
        (host,) = lab.hosts
        host.boot.append(host.docker.start)
        await host.power_on()
        await build_busybox(host.docker, host.folder / "image")
        container = await host.docker.run(*BUSYBOX)
        assert await host.run("docker", "-H", host.docker.url, "exec", container, "hostname")
        pid = int(await host.docker.run("inspect", "--format={{.State.Pid}}", container))
        assert "sleep" in await host.run("cat", f"/proc/{pid}/cmdline")
        await host.power_off()
        assert not processes_of(host.folder)
        with pytest.raises(Unavailable):
            await host.run("true")
        await host.power_on()
        assert container.startswith(await host.docker.run("ps", "--all", "--quiet"))
        state = "{{.State.Running}}"
        assert await host.docker.run("inspect", f"--format={state}", container) == "false"
    assert not processes_of(lab.folder)
    assert not lab.folder.exists()


async def test_signals_reach_a_program_inside_and_its_end_is_told(lab: Lab) -> None:
    host = lab.hosts[0]
    await host.power_on()
    sleeper = await host.start("sleep", "1000")
    assert psutil.Process(sleeper.pid).name() in {"nsenter", "sleep"}
    sleeper.freeze()
    assert psutil.Process(sleeper.pid).status() == psutil.STATUS_STOPPED
    sleeper.thaw()
    assert await sleeper.terminate() == -signal.SIGTERM
    failing = host.program("failing", "sh", "-c", "exit 7")
    await failing.start()
    assert await failing.wait() == 7
    await sleeper.start()
    assert await sleeper.kill() == -signal.SIGKILL
    with pytest.raises(Unavailable, match="failing ended with code 7"):
        await failing.start(ready=never)


async def never() -> bool:
    return False


KILLED = """
import asyncio
from tests.stack.lab.lab import raised
async def main():
    async with raised(1) as lab:
        (host,) = lab.hosts
        host.boot.append(host.docker.start)
        await host.power_on()
        print(lab.folder, flush=True)
        await asyncio.sleep(1000)
asyncio.run(main())
"""


def test_a_test_that_was_killed_leaves_no_process_and_its_folder_until_the_next() -> None:
    root = Path(__file__).parent.parent.parent
    test = subprocess.Popen([sys.executable, "-c", KILLED], stdout=subprocess.PIPE, cwd=root)
    with test:
        assert test.stdout is not None
        folder = Path(test.stdout.readline().decode().strip())
        assert folder.name.startswith(MARK)
        assert folder.parent == PARENT
        remove_left()
        assert folder.exists(), "taken from a test that runs"
        assert processes_of(folder)
        test.kill()
    deadline = time.monotonic() + 20
    while processes_of(folder):
        assert time.monotonic() < deadline
        time.sleep(0.02)
    remove_left()
    assert not folder.exists()


def processes_of(folder: Path) -> list[str]:
    found = []
    for process in psutil.process_iter(["cmdline"]):
        words = process.info["cmdline"] or []
        if str(folder) in " ".join(words) and process.pid != psutil.Process().pid:
            found.append(" ".join(words)[:200])
    return found
