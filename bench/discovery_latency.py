"""How long from a put in etcd until Nginx serves it: real parts, a new connection each time.

    python bench/discovery_latency.py [--confd PATH] [CHANGES] [BURST]

`floor` is what Nginx alone takes for a check, a reload and a first new answer, in the same run;
`live` is the first answer with the new instance; `applied` is when discovery says that no older
worker accepts any more, which is what a release waits for.

With `--confd` a confd of yours and discovery run beside each other on one etcd, each with the same
template, resource file and commands, and a Nginx of its own. They are asked in turns.
"""

import argparse
import asyncio
import contextlib
import json
import math
import os
import random
import re
import statistics
import sys
import tempfile
import time
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path

from wharfinger.etcd import Etcd
from wharfinger.kv import Put, chunks
from wharfinger.operator.parts.etcd import EtcdServer
from wharfinger.operator.parts.nginx import NginxServer
from wharfinger.operator.parts.process import Process, free_port, until
from wharfinger.sections import EtcdConfig

POLL_SECONDS = 0.001
GIVEN_UP_SECONDS = 20.0  # a confd that misses a change of a burst never serves it
APPLIED_POLL_SECONDS = 0.005
# What the seed of this project ran: a loop over getvs, checked on the staged file, reloaded.
TEMPLATE = """\
upstream app {{
{{{{range getvs "/{name}_prod/*"}}}}  server {{{{.}}}};
{{{{end}}}}}}
server {{ listen {port}; location / {{
  return 200 "{{{{len (getvs "/{name}_prod/*")}}}} servers\\n"; }} }}
"""
RELOADS = 'publishes_total{outcome="applied",resource="nginx"}'


async def answer(port: int, path: str, host: str = "x") -> bytes:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(f"GET {path} HTTP/1.0\r\nHost: {host}\r\n\r\n".encode())
    told = await reader.read()
    writer.close()
    return told


async def metric(port: int, name: str) -> float:
    """One metric; /status would have discovery write ten thousand addresses each time."""
    told = await answer(port, "/metrics")
    match = re.search(
        rb"^wharfinger_discovery_" + re.escape(name.encode()) + rb" (\S+)", told, re.MULTILINE
    )
    return float(match[1]) if match else 0.0


async def applied(port: int, revision: int) -> float:
    while await metric(port, "applied_revision") < revision:  # noqa: ASYNC110 - it is measured
        await asyncio.sleep(APPLIED_POLL_SECONDS)
    return time.perf_counter()


def line(name: str, seconds: list[float]) -> str:
    cuts = statistics.quantiles(seconds, n=100, method="inclusive")
    return (
        f"{name:8} n={len(seconds)} p50 {cuts[49] * 1e3:.0f} ms  p90 {cuts[89] * 1e3:.0f} ms  "
        f"p99 {cuts[98] * 1e3:.0f} ms  max {max(seconds) * 1e3:.0f} ms"
    )


async def lone_changes(etcd: Etcd, nginx: NginxServer, port: int, changes: int) -> None:
    live, settled = [], []
    for number in range(changes):
        await asyncio.sleep(random.uniform(0.2, 0.6))
        host = f"n{number}.test"
        key = f"n{number}_prod/127.0.0.1-9"
        meta = json.dumps({"http_host": host}).encode()
        began = time.perf_counter()
        puts = [Put(f"/{key}", b"127.0.0.1:9"), Put(f"/wharfinger/instances/{key}", meta)]
        revision = (await etcd.transact((), puts)).revision
        # Nobody listens on port 9: 502 means that the new server is asked, 404 that it is not.
        while b" 502 " not in (await answer(nginx.port, "/", host))[:20]:  # noqa: ASYNC110
            await asyncio.sleep(POLL_SECONDS)
        live.append(time.perf_counter() - began)
        settled.append(await applied(port, revision) - began)
    print(line("live", live))
    print(line("applied", settled))


async def floor(nginx: NginxServer, changes: int) -> None:
    """What Nginx alone takes: `nginx -t`, `nginx -s reload`, first answer of a new worker."""
    took = []
    file = nginx.include.with_name("zz-floor.conf")
    for number in range(changes):
        await asyncio.sleep(random.uniform(0.2, 0.6))
        text = (
            f"server {{ listen {nginx.port}; server_name floor; return 200 'number {number}.'; }}"
        )
        began = time.perf_counter()
        file.write_text(text)
        await nginx.test()
        await nginx.reload()
        while f"number {number}.".encode() not in await answer(nginx.port, "/", "floor"):  # noqa: ASYNC110
            await asyncio.sleep(POLL_SECONDS)
        took.append(time.perf_counter() - began)
    file.unlink()
    print(line("floor", took))


async def burst(etcd: Etcd, port: int, size: int) -> None:
    before = await metric(port, RELOADS)
    began = time.perf_counter()
    gate = asyncio.Semaphore(4)

    async def put(number: int) -> int:
        async with gate:
            address = f"10.1.{number // 250}.{number % 250 + 1}"
            return await etcd.put(f"/burst_prod/{address}-80", f"{address}:80".encode())

    revision = max(await asyncio.gather(*(put(number) for number in range(size))))
    ended = time.perf_counter()
    done = await applied(port, revision)
    reloads = int(await metric(port, RELOADS) - before)
    print(
        f"burst    {size} puts in {ended - began:.2f} s: {reloads} reloads, "
        f"all applied {done - ended:.3f} s after the last"
    )


async def large(etcd: Etcd, port: int, size: int) -> None:
    puts = [
        Put(f"/large_prod/10.{n // 62500 + 2}.{n // 250 % 250}.{n % 250 + 1}-80",
            f"10.{n // 62500 + 2}.{n // 250 % 250}.{n % 250 + 1}:80".encode())
        for n in range(size)
    ]  # fmt: skip
    for part in chunks(puts):
        revision = (await etcd.transact((), part)).revision
    await applied(port, revision)
    took = []
    for number in range(10):
        await asyncio.sleep(0.3)
        began = time.perf_counter()
        revision = await etcd.put(
            f"/large_prod/10.9.9.{number + 1}-80", f"10.9.9.{number + 1}:80".encode()
        )
        took.append(await applied(port, revision) - began)
    print(line(f"{size} more", took))


@dataclass(slots=True)
class Rival:
    """A daemon that keeps a file of Nginx at what stands below `/NAME_prod/`."""

    name: str
    nginx: NginxServer
    process: Process
    reloads: Path
    count: int = 0

    async def put(self, etcd: Etcd) -> None:
        """One instance more, by one key, as registrator writes it."""
        self.count += 1
        ip = f"10.1.{self.count // 250}.{self.count % 250 + 1}"
        await etcd.put(f"/{self.name}_prod/{ip}-80", f"{ip}:80".encode())

    async def live(self) -> float:
        """When Nginx first told of all of them; for ever away when it never does."""
        wanted = f"\n{self.count} servers\n".encode()
        deadline = time.perf_counter() + GIVEN_UP_SECONDS
        while time.perf_counter() < deadline:
            if (await told(self.nginx.port)).endswith(wanted):
                return time.perf_counter()
            await asyncio.sleep(POLL_SECONDS)
        return math.inf

    def reloaded(self) -> int:
        """How often its reload command ran."""
        return self.reloads.read_text().count("x") if self.reloads.exists() else 0


async def told(port: int) -> bytes:
    with contextlib.suppress(OSError):  # before the first file nobody listens
        return await answer(port, "/")
    return b""


@contextlib.asynccontextmanager
async def rival(folder: Path, name: str, endpoint: str, confd: str) -> AsyncIterator[Rival]:
    """Runs confd where that is named, and discovery else."""
    nginx = NginxServer(folder / name / "nginx")
    confdir, reloads = folder / name / "confd", folder / name / "reloads"
    for part in ("conf.d", "templates"):
        (confdir / part).mkdir(parents=True)
    (confdir / "templates" / "app.tmpl").write_text(TEMPLATE.format(name=name, port=nginx.port))
    # A whole configuration is what Nginx checks: the staged file in a frame.
    check = (
        f"printf 'events {{}} http {{ include %s; }}' {{{{.src}}}} > {folder}/{name}/check.conf && "
        f"nginx -t -q -p {folder}/{name} -e /dev/null -c {folder}/{name}/check.conf"
        f" -g 'pid {folder}/{name}/check.pid;'"
    )
    reload = f"echo x >> {reloads}; {nginx.command} -s reload"
    fields = {"src": "app.tmpl", "dest": str(nginx.include), "keys": [f"/{name}_prod"]}
    lines = {**fields, "check_cmd": check, "reload_cmd": reload}
    (confdir / "conf.d" / "app.toml").write_text(
        "[template]\n" + "".join(f"{key} = {json.dumps(value)}\n" for key, value in lines.items())
    )
    words = [confd, "-watch", "-backend", "etcdv3", "-node", f"http://{endpoint}"]
    words += ["-confdir", str(confdir), "-log-level", "error"]
    if not confd:
        config = folder / name / "wharfinger.toml"
        config.write_text(
            f'[host]\nname = "bench"\nstate_dir = "{folder}/{name}/state"\n'
            f'runtime_dir = "{folder}/{name}/run"\n[etcd]\nendpoints = ["{endpoint}"]\n'
            f'[discovery]\nlisten = "127.0.0.1:{free_port()}"\nconfdir = "{confdir}"\n'
        )
        words = [sys.executable, "-m", "discovery", "run", "--config", str(config)]
    await nginx.start()
    process = Process(words, log=folder / name / "log")
    await process.start()
    try:
        yield Rival(name, nginx, process, reloads)
    finally:
        await process.terminate()
        await nginx.stop()


async def rivals(folder: Path, confd: str, changes: int, size: int) -> None:
    """Lone changes in turns, then a burst for each."""
    server = EtcdServer(folder / "rivals")
    (folder / "rivals").mkdir()
    await server.start()
    names = {"confd": confd, "ours": ""}
    async with contextlib.AsyncExitStack() as stack:
        stack.push_async_callback(server.stop)
        etcd = await stack.enter_async_context(Etcd(EtcdConfig(endpoints=(server.endpoint,))))
        both = []
        for name, path in names.items():
            one = await stack.enter_async_context(rival(folder, name, server.endpoint, path))
            await one.put(etcd)
            await one.live()
            both.append(one)
        took: dict[str, list[float]] = {name: [] for name in names}
        for number in range(changes):
            for one in both if number % 2 else reversed(both):
                await asyncio.sleep(random.uniform(0.2, 0.6))
                began = time.perf_counter()
                await one.put(etcd)
                took[one.name].append(await one.live() - began)
        for name, seconds in took.items():
            print(line(name, seconds))
        for one in both:
            await asyncio.sleep(1)
            before, began, gate = one.reloaded(), time.perf_counter(), asyncio.Semaphore(4)

            async def put(one: Rival = one, gate: asyncio.Semaphore = gate) -> None:
                async with gate:
                    await one.put(etcd)

            await asyncio.gather(*(put() for _ in range(size)))
            ended = time.perf_counter()
            final = await one.live() - ended
            reloads = one.reloaded() - before
            print(
                f"{one.name:8} {size} puts in {ended - began:.2f} s: "
                f"{reloads} reloads, final {final:.3f} s after the last"
            )


async def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("changes", nargs="?", type=int, default=40)
    parser.add_argument("burst", nargs="?", type=int, default=1000)
    parser.add_argument("--confd", default="", help="a confd to run beside it")
    parsed = parser.parse_args()
    changes, size = parsed.changes, parsed.burst
    print(f"load {os.getloadavg()[0]:.1f}")
    with tempfile.TemporaryDirectory(dir="/tmp") as name:
        folder = Path(name)
        if parsed.confd:
            await rivals(folder, parsed.confd, changes, size)
        etcd_server, nginx, port = EtcdServer(folder), NginxServer(folder / "nginx"), free_port()
        config = folder / "wharfinger.toml"
        config.write_text(
            f'[host]\nname = "bench"\nstate_dir = "{folder}/state"\n'
            f'runtime_dir = "{folder}/run"\n'
            f'[etcd]\nendpoints = ["{etcd_server.endpoint}"]\n'
            f'[discovery]\nlisten = "127.0.0.1:{port}"\nconfdir = "{folder}/none"\n'
            f'[discovery.nginx]\ndest = "{nginx.include}"\nlisten = {nginx.port}\n'
            f'check_cmd = "{nginx.command} -t"\nreload_cmd = "{nginx.command} -s reload"\n'
        )
        words = [sys.executable, "-m", "discovery", "run", "--config", str(config)]
        discovery = Process(words, log=folder / "discovery.log")

        async def ready() -> bool:
            with contextlib.suppress(OSError):
                return b" 200 " in (await answer(port, "/readyz"))[:20]
            return False

        await etcd_server.start()
        await nginx.start()
        await discovery.start()
        await until(ready, timeout_seconds=30, what="discovery is ready")
        try:
            async with Etcd(EtcdConfig(endpoints=(etcd_server.endpoint,))) as etcd:
                await floor(nginx, changes)
                await lone_changes(etcd, nginx, port, changes)
                await burst(etcd, port, size)
                await large(etcd, port, 10_000)
        finally:
            await discovery.terminate()
            await nginx.stop()
            await etcd_server.stop()


if __name__ == "__main__":
    asyncio.run(main())
