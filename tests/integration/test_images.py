"""The start script and the demo's application in real containers."""

import asyncio
import contextlib
import json
import os
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import aiohttp
import psutil
import pytest

from wharfinger.operator.parts.dockerd import DockerDaemon
from wharfinger.operator.parts.process import free_port, until

pytestmark = pytest.mark.real

ORDERS = 600
CLIENTS = 32


class Shop:
    """One container, and the registrar's part in its life, played by hand."""

    def __init__(self, daemon: DockerDaemon, name: str) -> None:
        self.daemon = daemon
        self.name = name
        self.port = free_port()

    async def run(self, *flags: str, image: str = "shop", command: tuple[str, ...] = ()) -> None:
        await self.daemon.run(
            "run", "--detach", "--network=host", f"--name={self.name}", *flags, image, *command
        )

    async def state(self) -> dict[str, Any]:
        told = await self.daemon.run("inspect", "--format={{json .State}}", self.name)
        state: dict[str, Any] = json.loads(told)
        return state

    async def port_file(self) -> Path:
        pid = (await self.state())["Pid"]
        return Path(f"/proc/{pid}/root/dev/shm/wharfinger.port")

    async def give_port(self, drain: str = "1") -> None:
        file = await self.port_file()
        assert not file.exists()
        file.write_text(f"{self.port}\n{drain}\n", encoding="ascii")

    async def logs(self) -> str:
        return await self.daemon.run("logs", self.name)

    async def until_logged(self, text: str, times: int = 1) -> None:
        async def logged() -> bool:
            return (await self.logs()).count(text) == times

        await until(logged, timeout_seconds=30, what=f"{text!r} is logged {times} times")

    async def answers(self) -> bool:
        try:
            return await self.ask("GET", "/") == f"{self.port}\n"
        except aiohttp.ClientError:
            return False

    async def ask(self, method: str, path: str, body: str | None = None) -> str:
        url = f"http://127.0.0.1:{self.port}{path}"
        async with (
            aiohttp.ClientSession() as session,
            session.request(method, url, data=body) as response,
        ):
            assert response.status == 200
            return await response.text()

    async def until_answers(self) -> None:
        await until(self.answers, timeout_seconds=30, what="the shop answers")

    async def until_ended(self) -> dict[str, Any]:
        async def ended() -> bool:
            return (await self.state())["Status"] == "exited"

        await until(ended, timeout_seconds=30, what="the container has ended")
        return await self.state()


@pytest.fixture
def shop(docker_daemon: DockerDaemon) -> Callable[[str], Shop]:
    return lambda name: Shop(docker_daemon, name)


@pytest.mark.parametrize(
    "flags",
    [(), ("--read-only",), ("--user=0",), ("--user=4711:4711",), ("--tty",)],
    ids=["plain", "read-only", "root", "nobody", "tty"],
)
async def test_gets_its_port_and_serves(
    shop: Callable[[str], Shop], flags: tuple[str, ...]
) -> None:
    one = shop("one")
    await one.run(*flags)
    await one.give_port()
    await one.until_answers()
    assert await one.ask("POST", "/order?item=tea", "x" * 200_000) == f"{one.port}\n"
    await one.until_logged(f"POST /order?item=tea 200 port={one.port}")


async def test_a_restarted_container_asks_again(shop: Callable[[str], Shop]) -> None:
    one = shop("one")
    await one.run("--read-only")
    await one.give_port("0")
    await one.until_answers()
    await one.daemon.run("restart", "one")
    # /dev/shm of a restarted container is a new tmpfs: give_port finds no file there.
    assert not await one.answers()
    await one.give_port("0")
    await one.until_answers()


async def test_a_port_of_an_earlier_start_is_not_taken(
    shop: Callable[[str], Shop], tmp_path: Path
) -> None:
    one = shop("one")
    await one.run(f"--volume={tmp_path}:/dev/shm", "--user=0")
    await one.give_port("0")
    await one.until_answers()
    await one.daemon.run("stop", "one")
    # busybox compares whole seconds.
    file = tmp_path / "wharfinger.port"
    earlier = file.stat().st_mtime - 5
    os.utime(file, (earlier, earlier))
    await one.daemon.run("start", "one")
    pid = (await one.state())["Pid"]
    await _until_it_naps_again(pid)
    assert not await one.answers()
    file.write_text(f"{one.port}\n0\n", encoding="ascii")
    await one.until_answers()


async def _until_it_naps_again(pid: int) -> None:
    naps: set[int] = set()

    async def twice() -> bool:
        naps.update(child.pid for child in psutil.Process(pid).children())
        return len(naps) > 2

    await until(twice, timeout_seconds=30, what="the start script has looked twice")


async def test_a_stop_is_held_back_and_loses_no_request(shop: Callable[[str], Shop]) -> None:
    one = shop("one")
    await one.run()
    await one.give_port("1")
    await one.until_answers()
    before = asyncio.get_running_loop().time()
    stopping = asyncio.create_task(one.daemon.run("stop", "one"))
    # It serves as long as the drain lasts.
    assert await one.ask("POST", "/order", "held") == f"{one.port}\n"
    await stopping
    assert asyncio.get_running_loop().time() - before >= 1
    state = await one.state()
    assert state["ExitCode"] == 0
    assert not state["OOMKilled"]


async def test_a_request_under_way_is_finished_after_the_stop(shop: Callable[[str], Shop]) -> None:
    one = shop("one")
    await one.run()
    await one.give_port("0")
    await one.until_answers()
    reader, writer = await asyncio.open_connection("127.0.0.1", one.port)
    writer.write(b"POST /order HTTP/1.1\r\nHost: shop\r\nContent-Length: 4\r\n\r\nha")
    await writer.drain()
    pid = (await one.state())["Pid"]
    await until(lambda: _answering(pid), timeout_seconds=30, what="the request has arrived")
    stopping = asyncio.create_task(one.daemon.run("stop", "one"))
    await until(lambda: _closed(pid), timeout_seconds=30, what="the shop has closed its door")
    writer.write(b"lf")
    await writer.drain()
    answer = await reader.read()
    writer.close()
    await writer.wait_closed()
    await stopping
    assert answer.startswith(b"HTTP/1.1 200 OK\r\n")
    assert (await one.state())["ExitCode"] == 0


def _commands(pid: int) -> list[str]:
    """What runs in the container beside its first process."""
    found = []
    for child in psutil.Process(pid).children(recursive=True):
        with contextlib.suppress(psutil.NoSuchProcess):
            found.append(" ".join(child.cmdline()))
    return found


async def _answering(pid: int) -> bool:
    return any("/bin/answer" in command and " nc " not in command for command in _commands(pid))


async def _closed(pid: int) -> bool:
    return not any(" nc " in command for command in _commands(pid))


async def test_many_posts_at_once_lose_nothing(shop: Callable[[str], Shop]) -> None:
    one = shop("one")
    await one.run()
    await one.give_port()
    await one.until_answers()
    outcomes: Counter[str] = Counter()
    numbers = iter(range(ORDERS))

    async def order(session: aiohttp.ClientSession) -> None:
        for number in numbers:
            url = f"http://127.0.0.1:{one.port}/order?number={number}"
            async with session.post(url, data="x" * 1000) as response:
                outcomes[await response.text()] += 1

    connector = aiohttp.TCPConnector(force_close=True, limit=0)
    async with (
        aiohttp.ClientSession(connector=connector) as session,
        asyncio.TaskGroup() as group,
    ):
        for _ in range(CLIENTS):
            group.create_task(order(session))
    assert outcomes == {f"{one.port}\n": ORDERS}
    await one.until_logged("POST /order?number=", ORDERS)


async def test_orphans_are_reaped(shop: Callable[[str], Shop]) -> None:
    one = shop("one")
    script = "for i in 1 2 3 4 5; do (sh -c 'sleep 0.05' & ) ; done; exec sleep 1000"
    await one.run(image="busybox", command=("with-port", "sh", "-c", script))
    await one.give_port()
    pid = (await one.state())["Pid"]

    async def only_the_command_is_left() -> bool:
        return _commands(pid) == ["sleep 1000"]

    await until(only_the_command_is_left, timeout_seconds=30, what="orphans are reaped")


async def test_without_a_registrar_it_says_so(shop: Callable[[str], Shop]) -> None:
    one = shop("one")
    await one.run("--env=WHARFINGER_PORT_WAIT_SECONDS=1")
    assert (await one.until_ended())["ExitCode"] == 75


@pytest.mark.parametrize("drain", ["0", "0.2"])
async def test_exit_codes_pass_through_pid_1(shop: Callable[[str], Shop], drain: str) -> None:
    one = shop("one")
    command = ("with-port", "sh", "-c", "trap 'exit 42' TERM; while :; do sleep 0.05; done")
    await one.run(image="busybox", command=command)
    await one.give_port(drain)

    async def traps() -> bool:
        return any("sleep" in command for command in _commands((await one.state())["Pid"]))

    await until(traps, timeout_seconds=30, what="the command runs")
    await one.daemon.run("stop", "one")
    assert (await one.state())["ExitCode"] == 42
