"""The runtime on a real dockerd: PORT in unmodified images, registrar or no registrar."""

import asyncio
import fcntl
import json
import re
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import psutil
import pytest

from registrar import porttable
from registrar.ports import warmth
from tests.stack.complaints import complaints
from tests.stack.discovery import DiscoveryStack
from tests.stack.registrar import IP, SHOP_LABELS, WAIT_SECONDS, RegistrarStack
from wharfinger.errors import Exit, Unavailable
from wharfinger.operator.demo.traffic import posting
from wharfinger.operator.parts.dockerd import DockerDaemon
from wharfinger.operator.parts.process import free_port, freeze, until

pytestmark = pytest.mark.real

WHARFINGER = Path(sys.executable).parent / "wharfinger"
# What an image does that honours PORT and knows nothing of us.
SERVE = "exec httpd -f -p $PORT"
OURS = ("--runtime=wharfinger", "--network=host", *SHOP_LABELS)


class RuntimeStack:
    """A registrar, and the runtime installed in its engine."""

    def __init__(self, stack: RegistrarStack) -> None:
        self.stack = stack
        self.docker = stack.docker
        # Sockets need short paths; the programs stay while the engine knows of them.
        self.runtime_dir = self.docker.folder / "run"
        self.runtime_dir.mkdir(exist_ok=True)
        self.socket = self.runtime_dir / "registrar.sock"
        self.daemon_json = self.docker.folder / "daemon.json"
        self.lib = self.docker.folder / "lib"
        self.table = stack.folder / "state" / "registrar" / "ports"
        self.config = stack.folder / "install.toml"
        self.config.write_text(
            f"[host]\nstate_dir = {json.dumps(str(stack.folder / 'state'))}\n"
            f"runtime_dir = {json.dumps(str(self.runtime_dir))}\n"
            f"[docker]\nurl = {json.dumps(self.docker.url)}\n"
        )

    async def wharfinger(self, verb: str, *more: str) -> tuple[int, str]:
        """`wharfinger VERB --runtime` on this engine: its code, and all that it said."""
        process = await asyncio.create_subprocess_exec(
            WHARFINGER, verb, "--runtime", "--config", self.config,
            "--daemon-json", self.daemon_json, "--lib-dir", self.lib, *more,
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
        )  # fmt: skip
        said, _ = await process.communicate()
        return process.returncode or 0, said.decode()

    async def install(self, *more: str) -> None:
        code, said = await self.wharfinger("install", *more)
        assert code == Exit.OK, said
        # The engine's own folder outlives this registrar's.
        self.set("warm", self.stack.runtime_dir / warmth.PIPE_NAME)
        self.docker.process.signal(signal.SIGHUP)
        await until(self.is_known, timeout_seconds=WAIT_SECONDS, what="dockerd knows the runtime")

    def set(self, key: str, value: object) -> None:
        """Changes one of the runtime's settings, which must be there."""
        settings = self.lib / "settings"
        text, found = re.subn(f"(?m)^{key}=.*$", f"{key}={value}", settings.read_text())
        assert found == 1
        settings.write_text(text)

    async def is_known(self) -> bool:
        return "wharfinger" in json.loads(
            await self.docker.run("info", "--format={{json .Runtimes}}")
        )

    async def run(self, *arguments: str, command: str = SERVE, runtime: Any = OURS) -> str:
        """Starts a container of an image that knows nothing of us; gives its id."""
        words = ("run", "--detach", *runtime, *arguments, "busybox", "sh", "-c", command)
        return (await self.docker.run(*words)).strip()

    async def environment(self, container_id: str) -> dict[str, str]:
        """What its first process was started with."""
        pid = await self.stack.pid(container_id)
        text = await asyncio.to_thread(Path(f"/proc/{pid}/environ").read_text)
        variables = text.split("\0")
        return dict(each.split("=", 1) for each in variables if each)

    async def given(self, container_ids: Iterable[str]) -> dict[str, int]:
        """The port of each that was started with one."""
        environments = {each: await self.environment(each) for each in container_ids}
        return {each: int(its["PORT"]) for each, its in environments.items() if "PORT" in its}

    async def port(self, container_id: str) -> int:
        return int((await self.environment(container_id))["PORT"])

    def table_now(self) -> porttable.Table:
        return porttable.decode(self.table.read_bytes())


@pytest.fixture
async def runtime_stack(registrar_stack: RegistrarStack) -> RuntimeStack:
    """A registrar that is ready, and the runtime installed beside it."""
    stack = RuntimeStack(registrar_stack)
    await stack.install()

    async def table_is_there() -> bool:
        return stack.table.exists()

    await until(table_is_there, timeout_seconds=WAIT_SECONDS, what="the registrar shares its table")
    return stack


async def test_an_unmodified_image_has_its_port_and_keeps_it(runtime_stack: RuntimeStack) -> None:
    stack = runtime_stack
    one, two = await stack.run(), await stack.run()
    first, second = await stack.port(one), await stack.port(two)
    assert {first, second} < set(stack.stack.port_range)
    await stack.stack.until_keys(2)
    assert await stack.stack.ports() == {first, second}
    assert stack.table_now().assignments.in_environment == {one, two}
    await stack.docker.run("restart", "--time=0", one)
    assert await stack.port(one) == first
    await stack.stack.until_state(one, "registered")
    await stack.docker.run("rm", "--force", one, two)

    async def given_back() -> bool:
        return stack.table_now().assignments.ports == {}

    await until(given_back, timeout_seconds=WAIT_SECONDS, what="the ports are taken back")


async def test_without_a_registrar_each_gets_a_port_that_it_takes_up_later(
    runtime_stack: RuntimeStack,
) -> None:
    stack = runtime_stack
    before = await stack.run()
    await stack.stack.until_keys(1)
    await stack.stack.process.kill()
    others = await asyncio.gather(*(stack.run() for _ in range(4)))
    given = {await stack.port(each) for each in (before, *others)}
    assert len(given) == 5
    await stack.docker.run("restart", "--time=0", before)
    assert await stack.port(before) in given
    await stack.stack.start()
    await stack.stack.until_keys(5)
    assert await stack.stack.ports() == given


async def test_both_ways_at_once_give_no_port_twice(runtime_stack: RuntimeStack) -> None:
    stack, gate = runtime_stack, asyncio.Semaphore(8)

    async def start(number: int) -> str:
        async with gate:
            return await (stack.run() if number % 2 else stack.stack.run_shop())

    ids = await asyncio.gather(*map(start, range(24)))
    await stack.stack.until_keys(24)
    assigned = stack.table_now().assignments
    assert assigned.ports.keys() == set(ids)
    assert len(set(assigned.ports.values())) == 24
    assert await stack.stack.ports() == set(assigned.ports.values())
    for container_id in ids[1::2]:
        assert await stack.port(container_id) == assigned.ports[container_id]


async def test_who_did_not_ask_starts_as_with_runc(runtime_stack: RuntimeStack) -> None:
    stack = runtime_stack
    host, none = ("--runtime=wharfinger", "--network=host"), ("--runtime=wharfinger",)
    sleep = "sleep 600"
    for container in (
        await stack.run(command=sleep, runtime=host),
        await stack.run("--network=none", *SHOP_LABELS, command=sleep, runtime=none),
        await stack.run("--label=wharfinger.ignore=1", command=sleep),
        await stack.run(command=sleep, runtime=("--network=host", *SHOP_LABELS)),
    ):
        assert "PORT" not in await stack.environment(container)
    own = await stack.run("--env=PORT=8123", command=sleep)
    assert await stack.port(own) == 8123
    fixed = free_port()
    labelled = await stack.run(f"--label=wharfinger.port={fixed}")
    assert await stack.port(labelled) == fixed
    await stack.stack.until_state(labelled, "registered")
    assert stack.table_now().assignments.in_environment == frozenset()


def asked_first(stack: RuntimeStack) -> psutil.Process:
    """The process that the runtime asks before it starts an interpreter."""
    (process,) = (
        each
        for each in psutil.Process(stack.stack.process.pid).children()
        if warmth.MODULE in each.cmdline()
    )
    return process


async def test_with_a_registrar_no_interpreter_is_started(runtime_stack: RuntimeStack) -> None:
    stack = runtime_stack
    stack.set("python", "/bin/false")
    several = await asyncio.gather(*(stack.run() for _ in range(4)))
    assert len({await stack.port(each) for each in several}) == 4
    await stack.stack.until_keys(4)

    async def counted() -> bool:
        metrics = await stack.stack.ask_text("/metrics")
        return 'wharfinger_registrar_warm_starts_total{outcome="done"} 4.0' in metrics

    await until(counted, timeout_seconds=WAIT_SECONDS, what="the starts are counted")
    await stack.docker.run("restart", "--time=0", several[0])
    assert await stack.port(several[0]) in stack.stack.port_range


async def test_a_frozen_process_holds_up_no_start_and_the_interpreter_gives_the_port(
    runtime_stack: RuntimeStack,
) -> None:
    stack = runtime_stack
    stack.set("log", log := stack.docker.folder / "log")
    process = asked_first(stack)
    freeze(process.pid)
    try:
        with complaints(log) as told:
            ids = [await stack.run(command="sleep 600") for _ in range(4)]
        given = await stack.given(ids)
    finally:
        process.resume()
    # As below: a machine may be too slow for one, and hardly for all.
    assert told.only_too_slow(set(ids) - given.keys()), told.whys
    assert set(given.values()) <= set(stack.stack.port_range)
    assert given


async def test_many_starts_while_registrar_and_process_are_killed_have_a_port_or_say_why_not(
    runtime_stack: RuntimeStack,
) -> None:
    stack = runtime_stack
    stack.set("log", log := stack.docker.folder / "log")
    gate = asyncio.Semaphore(8)
    begun = asyncio.Semaphore(0)

    async def start() -> str:
        async with gate:
            begun.release()
            return await stack.run(command="sleep 600")

    async def after(count: int) -> None:
        for _ in range(count):
            await begun.acquire()

    with complaints(log) as told:
        starts = [asyncio.create_task(start()) for _ in range(40)]
        await after(10)
        asked_first(stack).kill()
        await after(8)
        await stack.stack.process.kill()
        await after(8)
        await stack.stack.start()
        ids = await asyncio.gather(*starts)
    given = await stack.given(ids)
    # On a machine that is slow enough some start without one, as they should; none for any other
    # reason, and none in silence.
    assert told.only_too_slow(set(ids) - given.keys()), told.whys
    assert len(given) > len(ids) / 2
    assert len(set(given.values())) == len(given)
    await stack.stack.until_status(
        lambda status: status["ports_assigned"] == len(ids), "all are taken up"
    )
    assert stack.table_now().assignments.ports.items() >= given.items()


@pytest.mark.parametrize("way", ["runtime", "start script"])
async def test_whose_port_was_taken_meanwhile_gets_another_on_its_next_start(
    runtime_stack: RuntimeStack, way: str
) -> None:
    stack = runtime_stack
    container = await (stack.run() if way == "runtime" else stack.stack.run_shop())
    await stack.stack.until_keys(1)
    (port,) = await stack.stack.ports()
    await stack.docker.run("stop", "--time=0", container)
    await stack.stack.until_keys(0)
    with socket.socket() as foreign:
        foreign.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        foreign.bind((IP, port))  # and does not listen: no list of listeners shows it
        # Two sockets may share a port with SO_REUSEADDR as long as none listens (socket(7)).
        foreign.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 0)
        await stack.docker.run("start", container)
        await stack.stack.until_keys(1)
        (another,) = await stack.stack.ports()
    assert another != port
    assert another in stack.stack.port_range


async def test_a_lock_that_is_not_let_go_of_stops_nothing_and_is_told(
    runtime_stack: RuntimeStack,
) -> None:
    stack = runtime_stack
    before = await stack.run()
    await stack.stack.until_keys(1)
    with (stack.table.parent / "ports.lock").open("r+") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        lock.truncate()
        lock.write("somebody pid 7")
        lock.flush()
        after = await stack.run(command="sleep 600")
        assert "PORT" not in await stack.environment(after)

        async def red() -> bool:
            checks = (await stack.stack.ask("/healthz"))["checks"]
            return "somebody pid 7" in json.dumps(checks)

        with stack.stack.explained():
            await until(red, timeout_seconds=WAIT_SECONDS, what="the holder is named")
        assert await stack.stack.ports() == {await stack.port(before)}
    await until(stack.stack.is_healthy, timeout_seconds=WAIT_SECONDS, what="health is back")


async def test_a_table_that_was_damaged_is_made_anew_with_all_that_was_given(
    runtime_stack: RuntimeStack,
) -> None:
    stack = runtime_stack
    before = await stack.run()
    await stack.stack.until_keys(1)
    stack.table.write_text("damaged")

    async def whole() -> bool:
        try:
            return before in stack.table_now().assignments.ports
        except (OSError, porttable.Rejected):
            return False

    await until(whole, timeout_seconds=WAIT_SECONDS, what="the table is made anew")
    after = await stack.run()
    await stack.stack.until_keys(2)
    assert await stack.port(after) != await stack.port(before)
    await stack.stack.process.kill()
    stack.table.unlink()
    await stack.stack.start()
    await stack.stack.until_keys(2)
    assert stack.table_now().assignments.ports == {
        before: await stack.port(before),
        after: await stack.port(after),
    }


async def test_a_stop_is_held_back_until_the_registrar_lets_it_go(
    runtime_stack: RuntimeStack,
) -> None:
    stack = runtime_stack
    await stack.stack.process.kill()
    stack.socket.unlink(missing_ok=True)
    command = "trap 'exit 7' TERM; while :; do sleep 1 & wait $!; done"
    container = await stack.run(command=command)
    asked: asyncio.Queue[tuple[str, asyncio.StreamWriter]] = asyncio.Queue()

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.0 200 OK\r\n\r\nhold 60\n")
        await asked.put((head.decode().splitlines()[0], writer))

    server = await asyncio.start_unix_server(answer, stack.socket)
    async with server:
        stopping = asyncio.create_task(stack.docker.run("stop", "--time=20", container))
        line, writer = await asyncio.wait_for(asked.get(), WAIT_SECONDS)
        assert line == f"POST /v1/containers/{container}/stopping?signal=15 HTTP/1.0"
        listed = await stack.docker.run("ps", "--quiet", "--no-trunc", "--filter=status=running")
        assert container in listed
        assert not stopping.done()
        writer.close()
        await stopping
    assert await exit_code(stack.docker, container) == 7


async def test_a_stop_is_held_until_every_discovery_serves_without_it_and_loses_no_request(
    runtime_stack: RuntimeStack,
    edge: DiscoveryStack,
    record_property: Callable[[str, object], None],
) -> None:
    stack = runtime_stack.stack
    # The engine's own folder outlives this registrar's.
    runtime_stack.socket.unlink(missing_ok=True)
    runtime_stack.socket.symlink_to(stack.runtime_dir / "registrar.sock")
    (edge.nginx.include.parent / "once.conf").write_text("proxy_next_upstream off;\n")
    labels = ("--label=wharfinger.host=shop.test", "--label=wharfinger.drain=10")
    ids = [await stack.run_shop("--runtime=wharfinger", *labels) for _ in range(3)]
    keys = await stack.until_keys(3)
    await edge.until_applied(max(kv.mod_revision for kv in keys.values()))
    async with posting(f"http://{IP}:{edge.nginx.port}/", "shop.test") as traffic:
        await traffic.more(50)
        began = time.monotonic()
        # Shorter than the drain: the clock of --time starts when the signal goes out.
        await stack.docker.run("stop", "--time=1", ids[0])
        record_property("stopped_after_seconds", round(time.monotonic() - began, 3))
        await traffic.more(50)
    record_property("requests", traffic.answered)
    assert not traffic.failures
    assert await exit_code(stack.docker, ids[0]) != 137
    log = stack.process.log.read_text()
    assert "stop let go" in log
    assert "not acknowledged" not in log


async def test_a_stop_without_a_registrar_is_delivered(runtime_stack: RuntimeStack) -> None:
    stack = runtime_stack
    await stack.stack.process.kill()
    stack.socket.unlink(missing_ok=True)
    command = "trap 'exit 7' TERM; while :; do sleep 1 & wait $!; done"
    container = await stack.run(command=command)
    await stack.docker.run("stop", "--time=20", container)
    assert await exit_code(stack.docker, container) == 7


async def test_it_comes_out_of_dockerd_as_it_came_in(
    breakable_registrar_stack: RegistrarStack,
) -> None:
    stack = RuntimeStack(breakable_registrar_stack)
    before = stack.daemon_json.read_bytes()
    await stack.install("--default")
    container = await stack.run(runtime=OURS[1:])
    assert await stack.port(container) in stack.stack.port_range
    code, said = await stack.wharfinger("uninstall")
    assert code == Exit.TRY_LATER
    assert "1 container created for the runtime" in said
    assert stack.daemon_json.read_bytes() != before
    await stack.docker.run("rm", "--force", container)
    code, said = await stack.wharfinger("uninstall")
    assert (code, "until then" in said) == (Exit.OK, True), said
    assert stack.daemon_json.read_bytes() == before
    # Still what dockerd starts containers with, so still there.
    await stack.run(runtime=OURS[1:])
    await stack.docker.remove_containers()
    await stack.docker.process.terminate()
    await stack.docker.start()
    assert not await stack.is_known()
    code, said = await stack.wharfinger("uninstall")
    assert (code, "is removed" in said) == (Exit.OK, True), said
    assert not stack.lib.exists()
    with pytest.raises(Unavailable, match="nknown runtime"):
        await stack.run()


async def exit_code(docker: DockerDaemon, container_id: str) -> int:
    return int(await docker.run("inspect", "--format={{.State.ExitCode}}", container_id))
