"""Push against reload, and what pushed peers cost a request: real parts, in one run.

    python bench/discovery_push.py [CHANGES] [ROUNDS] [SECONDS]

`live` is the time from the put in etcd (its start, and its acknowledgement) until Nginx answers
from the new instance, each answer over a new connection; `stale` counts answers from the old one
after `applied_revision` was reported: there must be none. Requests are counted by wrk, plain and
pushed upstreams in turns (ABBA), with the same backends; the figures are medians over the rounds,
those of the cost medians of the ratios of neighbours. The goals are stated beside them, and a
missed one ends the run with exit code 1.
"""

import asyncio
import contextlib
import json
import os
import random
import re
import shutil
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil

from wharfinger.etcd import Etcd
from wharfinger.kv import Delete, Put, chunks
from wharfinger.operator.parts.etcd import EtcdServer
from wharfinger.operator.parts.nginx import NginxServer
from wharfinger.operator.parts.process import Process, free_port, until
from wharfinger.sections import EtcdConfig

POLL_SECONDS = 0.0002
PAUSE_SECONDS = 0.4
STALE_CHECKS = 10
GOAL_PUSH_P99_SECONDS = 0.005
GOAL_COST = 0.08
CONNECTIONS = 32
CROWD = 1000
# Answers from Nginx itself: what is measured is the way through it, not Python behind it.
BACKENDS = """
server {{ listen 127.0.0.1:{port}; access_log off; keepalive_requests 1000000;
          location / {{ return 200 "{port}\\n"; }} }}
"""


@dataclass(slots=True)
class Stack:
    """A discovery between an etcd and a Nginx of its own."""

    folder: Path
    etcd: Etcd
    nginx: NginxServer
    port: int

    async def status(self) -> dict[str, Any]:
        """All that discovery holds."""
        answer = await ask(self.port, "/status")
        return dict(json.loads(answer.partition(b"\r\n\r\n")[2]))

    async def applied(self) -> int:
        """From /metrics: /status would be a load of its own."""
        told = await ask(self.port, "/metrics")
        match = re.search(rb"^wharfinger_discovery_applied_revision (\S+)", told, re.MULTILINE)
        return int(float(match[1])) if match else 0

    async def put(self, service: str, port: int, host: str = "") -> int:
        """Registers an instance as a registrar does, both keys at once."""
        key = f"{service}/127.0.0.1-{port}"
        meta = json.dumps({"http_host": host}).encode()
        puts = [
            Put(f"/{key}", f"127.0.0.1:{port}".encode()),
            Put(f"/wharfinger/instances/{key}", meta),
        ]
        return (await self.etcd.transact((), puts)).revision

    async def remove(self, service: str, port: int) -> int:
        """Takes both keys away at once."""
        key = f"{service}/127.0.0.1-{port}"
        deletes = [Delete(f"/{key}"), Delete(f"/wharfinger/instances/{key}")]
        return (await self.etcd.transact((), deletes)).revision

    def cpu_seconds(self) -> float:
        """What Nginx's workers have used."""
        workers = psutil.Process(self.nginx.process.pid).children()
        return sum(sum(worker.cpu_times()[:2]) for worker in workers)


async def ask(port: int, path: str, host: str = "x") -> bytes:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(f"GET {path} HTTP/1.0\r\nHost: {host}\r\n\r\n".encode())
    told = await reader.read()
    writer.close()
    return told


def first_answer(port: int, wanted: bytes) -> float:
    """When the first answer that ends so had come; asked by a plain socket, which is quicker."""
    while True:
        with socket.create_connection(("127.0.0.1", port)) as asked:
            asked.sendall(b"GET / HTTP/1.0\r\nHost: live.test\r\n\r\n")
            told = b""
            while part := asked.recv(4096):
                told += part
        if told.endswith(wanted):
            return time.perf_counter()
        time.sleep(POLL_SECONDS)


@contextlib.asynccontextmanager
async def running(folder: Path, mode: str, **nginx_table: Any) -> AsyncIterator[Stack]:
    folder.mkdir()  # noqa: ASYNC240 - nothing else runs
    server, nginx, port = EtcdServer(folder), NginxServer(folder / "n", lua=True), free_port()
    table = {
        "dest": str(nginx.include),
        "listen": nginx.port,
        "mode": mode,
        "check_cmd": f"{nginx.command} -t",
        "reload_cmd": f"{nginx.command} -s reload",
        **nginx_table,
    }
    config = folder / "wharfinger.toml"
    config.write_text(
        f'[host]\nname = "bench"\nstate_dir = "{folder}/state"\nruntime_dir = "{folder}/run"\n'
        f'[etcd]\nendpoints = ["{server.endpoint}"]\n'
        f'[discovery]\nlisten = "127.0.0.1:{port}"\nconfdir = "{folder}/none"\n[discovery.nginx]\n'
        + "".join(f"{name} = {json.dumps(value)}\n" for name, value in table.items())
    )
    words = [sys.executable, "-m", "discovery", "run", "--config", str(config)]
    discovery = Process(words, log=folder / "discovery.log")

    async def ready() -> bool:
        with contextlib.suppress(OSError):
            return b" 200 " in (await ask(port, "/readyz"))[:20]
        return False

    await server.start()
    await nginx.start()
    await discovery.start()
    await until(ready, timeout_seconds=30, what="discovery is ready")
    try:
        async with Etcd(EtcdConfig(endpoints=(server.endpoint,))) as etcd:
            yield Stack(folder, etcd, nginx, port)
    finally:
        await discovery.terminate()
        await nginx.stop()
        await server.stop()


async def backends(nginx: NginxServer, count: int) -> list[int]:
    """Ports of servers in this Nginx; each answers with its port."""
    ports = [free_port() for _ in range(count)]
    text = "".join(BACKENDS.format(port=port) for port in ports)
    nginx.include.with_name("zz-backends.conf").write_text(text)
    await nginx.reload()
    return ports


async def live(stack: Stack, changes: int) -> tuple[list[float], list[float], int, int]:
    """Seconds from a put's start and from its end, stale answers, and changes of workers."""
    ports = await backends(stack.nginx, 2)
    first = await stack.put("live_prod", ports[0], "live.test")
    await until_applied(stack, first)
    await asyncio.sleep(1)
    from_start, from_end, stale, replaced = [], [], 0, 0
    workers = {child.pid for child in psutil.Process(stack.nginx.process.pid).children()}
    for number in range(changes):
        old, new = ports[number % 2], ports[1 - number % 2]
        # Nobody is there to answer in between: the first answer is the change itself.
        await until_applied(stack, await stack.remove("live_prod", old))
        await asyncio.sleep(random.uniform(0.0, PAUSE_SECONDS))
        began = time.perf_counter()
        revision = await stack.put("live_prod", new, "live.test")
        ended = time.perf_counter()
        wanted = f"{new}\n".encode()
        now = await asyncio.to_thread(first_answer, stack.nginx.port, wanted)
        from_start.append(now - began)
        from_end.append(now - ended)
        await until_applied(stack, revision)
        for _ in range(STALE_CHECKS):
            answer = await ask(stack.nginx.port, "/", "live.test")
            stale += not answer.endswith(wanted)
        now_workers = {child.pid for child in psutil.Process(stack.nginx.process.pid).children()}
        replaced += now_workers != workers
        workers = now_workers
    return from_start, from_end, stale, replaced


async def crowd(stack: Stack, services: int) -> None:
    """Other services of ten instances each, all with a host."""
    puts = []
    for number in range(services * 10):
        ip = f"10.{number // 62500}.{number // 250 % 250}.{number % 250 + 1}"
        key = f"other{number // 10}_prod/{ip}-80"
        meta = json.dumps({"http_host": f"other{number // 10}.test"}).encode()
        puts.append(Put(f"/{key}", f"{ip}:80".encode()))
        puts.append(Put(f"/wharfinger/instances/{key}", meta))
    for part in chunks(puts):
        revision = (await stack.etcd.transact((), part)).revision
    await until_applied(stack, revision)


async def until_applied(stack: Stack, revision: int) -> None:
    while await stack.applied() < revision:  # noqa: ASYNC110 - it is waited for, not measured
        await asyncio.sleep(0.001)


def wrk(port: int, host: str, seconds: int) -> float:
    """Requests a second."""
    words = ["wrk", "-t1", f"-c{CONNECTIONS}", f"-d{seconds}s", "-H", f"Host: {host}"]
    told = subprocess.run(
        [*words, f"http://127.0.0.1:{port}/"], capture_output=True, text=True, check=True
    ).stdout
    if "Non-2xx" in told or "Socket errors" in told:
        sys.exit(f"wrk met errors:\n{told}")
    match = re.search(r"Requests/sec: +([0-9.]+)", told)
    return float(match[1]) if match else 0.0


async def cost(folder: Path, keepalive: int, rounds: int, seconds: int) -> float:
    """How many fewer requests a second pushed peers take, of plain ones."""
    figures: dict[str, list[tuple[float, float]]] = {"reload": [], "push": []}
    # A Nginx of their own, so that only the way through the other one is counted.
    behind = NginxServer(folder / f"behind{keepalive}")
    await behind.start()
    async with contextlib.AsyncExitStack() as both:
        both.push_async_callback(behind.stop)
        ports = await backends(behind, 4)
        stacks = {}
        for mode in figures:
            more = {"keepalive_connections": keepalive}
            name = folder / f"{mode}{keepalive}"
            stack = stacks[mode] = await both.enter_async_context(running(name, mode, **more))
            for port in ports:
                last = await stack.put("wrk_prod", port, "wrk.test")
            await until_applied(stack, last)
            if (await stack.status())["mode"] != mode:
                sys.exit(f"Nginx is not in {mode} mode")
            await asyncio.sleep(1)
        for number in range(rounds + 1):
            turns: dict[str, list[tuple[float, float]]] = {mode: [] for mode in stacks}
            # What else the machine does changes from second to second, and weighs on both alike.
            for mode in (*stacks, *reversed(stacks)):
                stack, before = stacks[mode], stacks[mode].cpu_seconds()
                rps = await asyncio.to_thread(wrk, stack.nginx.port, "wrk.test", seconds)
                turns[mode].append((rps, (stack.cpu_seconds() - before) / (rps * seconds)))
            for mode, two in turns.items() if number else ():  # the first round warms up
                figures[mode].append((sum(t[0] for t in two) / 2, sum(t[1] for t in two) / 2))
    middle = {m: [statistics.median(v) for v in zip(*f, strict=True)] for m, f in figures.items()}
    pairs = list(zip(figures["push"], figures["reload"], strict=True))
    lost = 1 - statistics.median(push[0] / plain[0] for push, plain in pairs)
    more = statistics.median(push[1] / plain[1] for push, plain in pairs) - 1
    for mode, name in (("reload", "plain"), ("push", "pushed")):
        rps, used = middle[mode]
        label = f"wrk keepalive {keepalive:2}  {name:6}"
        print(f"{label} {rps:9,.0f} requests/s  {used * 1e6:5.1f} us CPU each")
    print(f"                  pushed peers cost {lost:.1%} of the requests a second "
          f"(goal: at most {GOAL_COST:.0%}), {more:+.1%} of Nginx's CPU for each")  # fmt: skip
    return lost


def line(name: str, seconds: list[float]) -> str:
    cuts = statistics.quantiles(seconds, n=100, method="inclusive")
    return (
        f"{name:24} n={len(seconds)}  p50 {cuts[49] * 1e3:6.2f} ms  p90 {cuts[89] * 1e3:6.2f} ms  "
        f"p99 {cuts[98] * 1e3:6.2f} ms  max {max(seconds) * 1e3:6.2f} ms"
    )


async def main() -> None:
    if shutil.which("wrk") is None:
        sys.exit("wrk is missing: apt-get install wrk")
    changes, rounds, seconds = (
        int(sys.argv[n]) if len(sys.argv) > n else default
        for n, default in ((1, 200), (2, 13), (3, 1))
    )
    missed = []
    print(f"load {os.getloadavg()[0]:.1f}")
    with tempfile.TemporaryDirectory(dir="/tmp", prefix="wf-") as name:
        folder = Path(name)
        for mode, others, number in (
            ("push", 0, changes),
            ("push", CROWD, changes // 2),
            ("reload", 0, max(20, changes // 5)),
        ):
            async with running(folder / f"live-{mode}{others}", mode) as stack:
                if others:
                    await crowd(stack, others)
                from_start, from_end, stale, replaced = await live(stack, number)
            print(f"{mode}, beside {others} other services; load {os.getloadavg()[0]:.1f}")
            print(line(f"{mode}: live from put", from_start))
            print(line(f"{mode}: live from its ack", from_end))
            print(f"{mode}: {stale} stale of {number * STALE_CHECKS} answers, "
                  f"workers replaced by {replaced} of {number} changes")  # fmt: skip
            if stale:
                missed.append(f"{mode}: {stale} stale answers")
            p99 = statistics.quantiles(from_end, n=100, method="inclusive")[98]
            if mode == "push" and p99 >= GOAL_PUSH_P99_SECONDS:
                missed.append(f"push p99 {p99 * 1e3:.1f} ms beside {others} services")
        for keepalive in (0, 32):
            lost = await cost(folder, keepalive, rounds, seconds)
            if lost > GOAL_COST:
                missed.append(f"pushed peers cost {lost:.1%} with keepalive {keepalive}")
            print(f"load {os.getloadavg()[0]:.1f}")
    if missed:
        sys.exit("missed: " + "; ".join(missed))


if __name__ == "__main__":
    asyncio.run(main())
