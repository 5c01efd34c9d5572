"""What the runtime costs a start: 200 containers, 8 at a time, with plain runc and through it.

    python bench/registrar_starts.py [CONTAINERS] [AT A TIME] [ROUNDS]

Three in one run, in turns (ABC CBA), so that what else the machine does falls on all of them:
`runc` is plain runc; `cold` the runtime as it is without a registrar, which starts an interpreter
for each container; `warm` the runtime that asks the registrar's own process. In all three a
registrar runs, and all containers are of its kind: what it plans because of them falls on all
alike. It gives those of plain runc their ports, too, by the start script's way.

CPU is that of dockerd, containerd, the shims, and all that they started and waited for, and of the
registrar's process that is asked; a client of the API and the registrar itself stand outside of
it, and what the registrar uses is shown beside it.
"""

import asyncio
import contextlib
import os
import random
import shutil
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import aiohttp
import psutil

from registrar.ports.reservation import PROC, RESERVED
from registrar.porttable import decode
from wharfinger.operator.parts.dockerd import DockerDaemon
from wharfinger.operator.parts.etcd import EtcdServer
from wharfinger.operator.parts.images import build_busybox
from wharfinger.operator.parts.process import Process, free_port, until

WHARFINGER = Path(sys.executable).parent / "wharfinger"
LABELS = {"wharfinger.app": "bench", "wharfinger.env": "prod"}
WAYS = ("runc", "cold", "warm")
WAIT_SECONDS = 60.0


@dataclass(frozen=True)
class Round:
    """What one round of starts took, and the PORT of each container (0: none)."""

    wall_seconds: float
    cpu_seconds: float
    registrar_seconds: float
    ports: tuple[int, ...]


class Host:
    """An engine with the runtime in front of its runc, an etcd and a registrar."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.docker = DockerDaemon(folder / "docker")
        self.etcd = EtcdServer(folder)
        self.lib = folder / "lib"
        self.table = folder / "state" / "registrar" / "ports"
        first = random.randrange(20_000, 29_000, 1_000)
        self.ports = range(first, first + 1_000)
        self.listen = free_port()
        self.config = folder / "wharfinger.toml"
        self.config.write_text(
            "[host]\nname = 'bench'\nip = '127.0.0.1'\n"
            f"state_dir = '{folder}/state'\nruntime_dir = '{folder}/run'\n"
            f"[etcd]\nendpoints = ['{self.etcd.endpoint}']\n"
            f"[docker]\nurl = '{self.docker.url}'\n"
            f"[registrar]\nlisten = '127.0.0.1:{self.listen}'\n"
            f"port_range = '{first}-{self.ports[-1]}'\n"
        )
        command = [sys.executable, "-m", "registrar", "--config", self.config]
        self.registrar = Process(command, log=folder / "registrar.log")

    async def start(self) -> None:
        await asyncio.gather(self.docker.start(), self.etcd.start())
        await build_busybox(self.docker, self.folder / "busybox")
        await self.registrar.start(self.ready)
        await asyncio.to_thread(self.install)
        self.docker.process.signal(signal.SIGHUP)
        await until(self.known, timeout_seconds=WAIT_SECONDS, what="dockerd knows the runtime")

    async def stop(self) -> None:
        await self.registrar.terminate()
        await self.docker.stop()
        await self.etcd.stop()

    async def ready(self) -> bool:
        with contextlib.suppress(aiohttp.ClientError):
            async with (
                aiohttp.ClientSession() as session,
                session.get(f"http://127.0.0.1:{self.listen}/readyz") as response,
            ):
                return response.status == 200 and self.table.exists()
        return False

    async def known(self) -> bool:
        return "wharfinger" in await self.docker.run("info", "--format={{json .Runtimes}}")

    async def idle(self) -> bool:
        """Whether the registrar has taken back what the round before was given."""
        return not decode(self.table.read_bytes()).assignments.ports

    def install(self) -> None:
        subprocess.run(
            [WHARFINGER, "install", "--runtime", "--config", self.config, "--lib-dir", self.lib,
             "--daemon-json", self.docker.folder / "daemon.json"],
            check=True, stdout=subprocess.DEVNULL,
        )  # fmt: skip
        self.settings = (self.lib / "settings").read_text()

    def choose(self, way: str) -> None:
        """Has the runtime go one way: the cold one is that of settings without the pipe."""
        lines = self.settings.splitlines(keepends=True)
        kept = (each for each in lines if way == "warm" or not each.startswith("warm="))
        (self.lib / "settings").write_text("".join(kept))

    def warm_process(self) -> list[psutil.Process]:
        return psutil.Process(self.registrar.pid).children()

    def cpu_seconds(self) -> float:
        """Of the engine's processes, with all their children that have ended."""
        total = sum(sum(each.cpu_times()[:2]) for each in self.warm_process())
        for process in psutil.process_iter():
            try:
                command = " ".join(process.cmdline())
                if process.pid in (self.docker.process.pid, self.docker.containerd.pid) or (
                    "containerd-shim" in command and str(self.docker.containerd_socket) in command
                ):
                    times = process.cpu_times()
                    total += times.user + times.system + times.children_user + times.children_system
            except psutil.NoSuchProcess:
                continue
        return total

    def registrar_seconds(self) -> float:
        return sum(psutil.Process(self.registrar.pid).cpu_times()[:2])


async def start(session: aiohttp.ClientSession, runtime: str) -> str:
    wanted = {
        "Image": "busybox",
        "Cmd": ["sleep", "3600"],
        "Labels": LABELS,
        "HostConfig": {"NetworkMode": "host", "Runtime": runtime},
    }
    async with session.post("http://docker/containers/create", json=wanted) as answer:
        container_id: str = (await answer.json())["Id"]
    async with session.post(f"http://docker/containers/{container_id}/start") as answer:
        answer.raise_for_status()
    return container_id


def port_of(pid: int) -> int:
    variables = Path(f"/proc/{pid}/environ").read_bytes().split(b"\0")
    found = [each for each in variables if each.startswith(b"PORT=")]
    return int(found[0][5:]) if found else 0


async def play(host: Host, way: str, containers: int, width: int) -> Round:
    """Starts them all; gives what it took, and removes them again."""
    host.choose(way)
    runtime = "runc" if way == "runc" else "wharfinger"
    gate = asyncio.Semaphore(width)
    connector = aiohttp.UnixConnector(path=str(host.docker.socket), limit=width)
    async with aiohttp.ClientSession(connector=connector) as session:

        async def one(_number: int) -> str:
            async with gate:
                return await start(session, runtime)

        own, cpu, wall = host.registrar_seconds(), host.cpu_seconds(), time.perf_counter()
        ids = await asyncio.gather(*map(one, range(containers)))
        wall, cpu = time.perf_counter() - wall, host.cpu_seconds() - cpu
        own = host.registrar_seconds() - own
        pids = (await host.docker.run("inspect", "--format={{.State.Pid}}", *ids)).split()
    ports = tuple(port_of(int(pid)) for pid in pids)
    await host.docker.remove_containers()
    await until(host.idle, timeout_seconds=WAIT_SECONDS, what="the ports are taken back")
    return Round(wall, cpu, own, ports)


def reserved() -> set[int]:
    """What is kept out of the kernel's hands; it joins ranges that touch each other."""
    ends = (each.split("-") for each in (PROC / RESERVED).read_text().strip().split(",") if each)
    return {port for pair in ends for port in range(int(pair[0]), int(pair[-1]) + 1)}


@contextlib.contextmanager
def reservation_given_back(ours: range) -> Iterator[None]:
    """What the registrar reserves in the kernel stays after it; here it is only for the bench."""
    before = reserved()
    try:
        yield
    finally:
        left = reserved() - (set(ours) - before)
        (PROC / RESERVED).write_text(",".join(map(str, sorted(left))) + "\n")


def line(name: str, rounds: list[Round], containers: int) -> str:
    wall = statistics.median(each.wall_seconds for each in rounds)
    cpu = statistics.median(each.cpu_seconds for each in rounds)
    own = statistics.median(each.registrar_seconds for each in rounds)
    return (
        f"{name:6} {wall:7.2f} s wall  {cpu:7.2f} s CPU  {wall / containers * 1e3:6.1f} ms wall "
        f"and {cpu / containers * 1e3:6.1f} ms CPU a start; registrar {own:.2f} s CPU"
    )


def ratio(several: list[Round], plain: list[Round], what: str) -> float:
    """The median over the turns: neighbours in time suffer alike."""
    pairs = zip(several, plain, strict=True)
    return statistics.median(getattr(ours, what) / getattr(its, what) for ours, its in pairs)


async def main(containers: int = 200, width: int = 8, rounds: int = 6) -> None:
    folder = Path(tempfile.mkdtemp(prefix="wf-", dir="/tmp"))
    host = Host(folder)
    results: dict[str, list[Round]] = {way: [] for way in WAYS}
    try:
        with reservation_given_back(host.ports):
            await host.start()
            for way in WAYS:  # the first ones fill caches
                await play(host, way, width, width)
            for number in range(rounds):
                for way in WAYS if number % 2 == 0 else reversed(WAYS):
                    results[way].append(await play(host, way, containers, width))
                    print(line(way, results[way][-1:], containers), flush=True)
    finally:
        await host.stop()
        shutil.rmtree(folder)
    print(f"{containers} containers, {width} at a time, {rounds} rounds of each, load "
          f"{os.getloadavg()[0]:.1f}; medians:")  # fmt: skip
    for way, several in results.items():
        print(line(way, several, containers))
    for way in WAYS[1:]:
        wall, cpu = (
            statistics.median(getattr(each, what) for each in results[way])
            / statistics.median(getattr(each, what) for each in results["runc"])
            for what in ("wall_seconds", "cpu_seconds")
        )
        turns = ratio(results[way], results["runc"], "wall_seconds")
        print(f"{way}/runc  {wall:.3f} wall   {cpu:.3f} CPU   ({turns:.3f} wall by turns)")
    given = [each.ports for way in WAYS[1:] for each in results[way]]
    unique = all(len(set(ports)) == len(ports) == containers and 0 not in ports for ports in given)
    print(f"ports       {len(given)} rounds, {'all unique in each' if unique else 'NOT UNIQUE'}")
    assert unique
    assert all(port == 0 for each in results["runc"] for port in each.ports)


if __name__ == "__main__":
    asyncio.run(main(*map(int, sys.argv[1:])))
