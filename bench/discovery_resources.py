"""Many resources, each of another service: what a start takes, and what a change of one costs.

    python bench/discovery_resources.py [RESOURCES] [CHANGES] [FOLDER...]

Half of them are confd's templates, half Jinja2's that name their service; each runs `true` as its
check and has a reload command of its own. `start` is from the process's start to ready, with all
files still to be written, and once more with all of them as they shall be; `live` from the put to
the new file, `applied` from the put to `applied_revision`. CPU is the daemon's, its commands
included. Each FOLDER is a checkout to measure beside this one, in turns, in the same run.
"""

import asyncio
import contextlib
import json
import os
import re
import statistics
import sys
import tempfile
import time
from dataclasses import asdict, dataclass, field
from pathlib import Path

import psutil

from wharfinger.etcd import Etcd
from wharfinger.kv import Put, chunks
from wharfinger.operator.parts.etcd import EtcdServer
from wharfinger.operator.parts.process import Process, free_port, until
from wharfinger.sections import EtcdConfig

OWN = Path(__file__).parents[1]
PAUSE_SECONDS = 0.5
SETTLED_SECONDS = 3.0
QUIET_SECONDS = 10.0
POLL_SECONDS = 0.001
GO = '{{range getvs "/app%d_prod/*"}}server {{.}};\n{{end}}'
JINJA = '{%% for one in instances("app%d_prod") %%}server {{ one.address }};\n{%% endfor %%}'


@dataclass(slots=True)
class Figures:
    """Of one checkout; seconds."""

    starts: list[float] = field(default_factory=list)
    start_cpu: list[float] = field(default_factory=list)
    again: list[float] = field(default_factory=list)
    again_cpu: list[float] = field(default_factory=list)
    quiet: list[float] = field(default_factory=list)
    live: list[float] = field(default_factory=list)
    applied: list[float] = field(default_factory=list)
    change_cpu: list[float] = field(default_factory=list)


def cpu(process: psutil.Process) -> float:
    """Seconds of CPU, of the process and of what it has run and waited for."""
    return float(sum(process.cpu_times()[:4]))


async def ask(port: int, path: str) -> bytes:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(f"GET {path} HTTP/1.0\r\nHost: x\r\n\r\n".encode())
    told = await reader.read()
    writer.close()
    return told


async def applied(port: int) -> int:
    told = await ask(port, "/metrics")
    match = re.search(rb"^wharfinger_discovery_applied_revision (\S+)", told, re.MULTILINE)
    return int(float(match[1])) if match else 0


def write(folder: Path, endpoint: str, port: int, resources: int) -> Path:
    """The configuration, and all resources."""
    for name in ("conf.d", "templates", "out"):
        (folder / name).mkdir(parents=True)
    for number in range(resources):
        ending, text = (".tmpl", GO) if number % 2 else (".j2", JINJA)
        (folder / "templates" / f"r{number}{ending}").write_text(text % number)
        table = {
            "src": f"r{number}{ending}",
            "dest": str(folder / "out" / str(number)),
            "keys": [f"/app{number}_prod"],
            "check_cmd": "true {{.src}}",
            "reload_cmd": f"true {number}",
        }
        lines = [f"{key} = {json.dumps(value)}" for key, value in table.items()]
        (folder / "conf.d" / f"r{number}.toml").write_text("[template]\n" + "\n".join(lines))
    config = folder / "wharfinger.toml"
    config.write_text(
        f'[host]\nname = "bench"\nstate_dir = "{folder}/state"\nruntime_dir = "{folder}/run"\n'
        f'[etcd]\nendpoints = ["{endpoint}"]\n'
        f'[discovery]\nlisten = "127.0.0.1:{port}"\nconfdir = "{folder}"\n'
    )
    return config


def puts(service: int, number: int) -> list[Put]:
    """An instance, as a registrar registers it."""
    key = f"app{service}_prod/10.0.{number // 250}.{number % 250 + 1}-80"
    address = key.rpartition("/")[2].replace("-", ":").encode()
    return [Put(f"/{key}", address), Put(f"/wharfinger/instances/{key}", b"{}")]


@dataclass(slots=True)
class Stack:
    """One checkout's discovery, beside an etcd of its own."""

    checkout: Path
    folder: Path
    etcd: Etcd
    config: Path
    port: int
    to: Figures

    async def start(self, seconds: list[float], used: list[float]) -> Process:
        """The daemon; notes how long it took until it was ready, and its CPU until then."""
        words = [sys.executable, "-m", "discovery", "run", "--config", str(self.config)]
        # `python -m` looks in the working directory first.
        daemon = Process(words, log=self.folder / "discovery.log", folder=self.checkout)
        began = time.perf_counter()
        await daemon.start()
        await until(self._ready, timeout_seconds=120, what="discovery is ready")
        seconds.append(time.perf_counter() - began)
        used.append(cpu(psutil.Process(daemon.pid)))
        return daemon

    async def _ready(self) -> bool:
        with contextlib.suppress(OSError):
            return b" 200 " in (await ask(self.port, "/readyz"))[:20]
        return False

    async def change(self, daemon: Process, service: int, number: int) -> None:
        """One change of one service, until it is served; and what it has cost then."""
        process, dest = psutil.Process(daemon.pid), self.folder / "out" / str(service)
        address = f"10.0.{number // 250}.{number % 250 + 1}:80;".encode()
        used, began = cpu(process), time.perf_counter()
        revision = (await self.etcd.transact((), puts(service, number))).revision
        while address not in dest.read_bytes():  # noqa: ASYNC110 - seen as any reader would
            await asyncio.sleep(POLL_SECONDS)
        self.to.live.append(time.perf_counter() - began)
        while await applied(self.port) < revision:  # noqa: ASYNC110 - nobody tells
            await asyncio.sleep(POLL_SECONDS)
        self.to.applied.append(time.perf_counter() - began)
        await asyncio.sleep(PAUSE_SECONDS)
        self.to.change_cpu.append(cpu(process) - used)


async def measured(checkout: Path, folder: Path, resources: int, changes: int, to: Figures) -> None:
    """One run of one checkout."""
    folder.mkdir()  # noqa: ASYNC240 - nothing else runs
    server, port = EtcdServer(folder / "etcd"), free_port()
    await server.start()
    try:
        async with Etcd(EtcdConfig(endpoints=(server.endpoint,))) as etcd:
            for part in chunks(
                [one for n in range(resources) for m in (0, 1) for one in puts(n, m)]
            ):
                await etcd.transact((), part)
            config = write(folder / "confdir", server.endpoint, port, resources)
            stack = Stack(checkout, config.parent, etcd, config, port, to)
            await (await stack.start(to.starts, to.start_cpu)).terminate()
            daemon = await stack.start(to.again, to.again_cpu)
            await asyncio.sleep(SETTLED_SECONDS)
            process = psutil.Process(daemon.pid)
            used = cpu(process)
            await asyncio.sleep(QUIET_SECONDS)
            to.quiet.append((cpu(process) - used) / QUIET_SECONDS)
            for number in range(changes):
                await stack.change(daemon, number % resources, number + 2)
            await daemon.terminate()
    finally:
        await server.stop()


def tell(name: str, figures: Figures) -> None:
    """Prints the medians."""
    middle = {field: statistics.median(values) for field, values in asdict(figures).items()}
    print(f"{name}, medians of {len(figures.starts)} starts and {len(figures.live)} changes")
    for words, seconds, used in (("first", "starts", "start_cpu"), ("again", "again", "again_cpu")):
        print(f"  start, {words}: {middle[seconds]:.1f} s, {middle[used]:.1f} s of CPU")
    print(f"  quiet: {middle['quiet']:.1%} of a core")
    live, done, used = (middle[field] * 1e3 for field in ("live", "applied", "change_cpu"))
    print(f"  a change: live {live:.0f} ms, applied {done:.0f} ms, {used:.0f} ms of CPU")


async def main(words: list[str]) -> None:
    """Runs it with what the command line says."""
    numbers = [int(word) for word in words if word.isdecimal()]
    resources, changes = (*numbers, *(500, 20)[len(numbers) :])
    checkouts = [OWN, *(Path.cwd() / word for word in words if not word.isdecimal())]
    figures = {checkout: Figures() for checkout in checkouts}
    print(f"{resources} resources, load {os.getloadavg()[0]:.1f}")
    with tempfile.TemporaryDirectory(dir="/tmp", prefix="wf-") as name:
        for number, checkout in enumerate((*checkouts, *reversed(checkouts))):
            folder = Path(name) / str(number)
            await measured(checkout, folder, resources, changes, figures[checkout])
    for checkout in checkouts:
        tell(checkout.name, figures[checkout])
    print(f"load {os.getloadavg()[0]:.1f}")


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1:]))
