"""What a log costs by its driver: read from Docker's file, and through Docker's API.

    sudo python bench/logshipper_drivers.py [--lines 400000] [--containers 40]

A private engine, the shipper as a process, a sink that answers at once. First one log that is there
already, twice for each driver in turns; then containers that say nothing, and such that say a line
a second, for twenty seconds.
"""

import argparse
import asyncio
import os
import sys
import tempfile
import time
from pathlib import Path

import aiohttp
from aiohttp import web

from wharfinger.operator.parts.dockerd import DockerDaemon
from wharfinger.operator.parts.images import build_busybox
from wharfinger.operator.parts.process import Process, free_port, until

DRIVERS = ("json-file", "local")
RUN = ("run", "--detach", "--network=none", "--label=wharfinger.app=shop")
TEXT = "a line of an application that says something of this length or so"
SECONDS = 20.0
SETTLE_SECONDS = 6.0
LIMIT_SECONDS = 600.0


class Sink:
    """Counts, and believes everything."""

    def __init__(self) -> None:
        self.count = 0
        self.port = free_port()

    async def start(self) -> None:
        application = web.Application(client_max_size=2**30)
        application.router.add_post("/_bulk", self._take)
        runner = web.AppRunner(application)
        await runner.setup()
        await web.TCPSite(runner, "127.0.0.1", self.port).start()

    async def _take(self, request: web.Request) -> web.Response:
        count = (await request.read()).count(b'"create"')
        self.count += count
        items = b",".join([b'{"create":{"status":201}}'] * count)
        text = b'{"errors":false,"items":[' + items + b"]}"
        return web.Response(body=text, content_type="application/json")


async def shipper(docker: DockerDaemon, sink: Sink) -> Process:
    folder = Path(tempfile.mkdtemp(dir=docker.folder.parent))
    listen = f"127.0.0.1:{free_port()}"
    config = folder / "wharfinger.toml"
    config.write_text(
        f'[host]\nname = "h1"\nstate_dir = "{folder}/state"\nruntime_dir = "{folder}/run"\n'
        f'[docker]\nurl = "{docker.url}"\n[logshipper]\nlisten = "{listen}"\n'
        f'[[logshipper.sinks]]\nurl = "http://127.0.0.1:{sink.port}"\n'
    )
    process = Process(
        [sys.executable, "-m", "logshipper", "--config", config], log=folder / "logshipper.log"
    )

    async def ready() -> bool:
        try:
            async with (
                aiohttp.ClientSession() as session,
                session.get(f"http://{listen}/readyz") as answer,
            ):
                return answer.status == web.HTTPOk.status_code
        except aiohttp.ClientError:
            return False

    await process.start(ready, timeout_seconds=60)
    return process


def cpu_seconds(process: Process) -> float:
    fields = Path(f"/proc/{process.pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


async def whole(docker: DockerDaemon, sink: Sink, driver: str, lines: int) -> None:
    script = f"i=0; while [ $i -lt {lines} ]; do i=$((i+1)); echo {TEXT} $i; done"
    run = (*RUN, f"--log-driver={driver}", "busybox", "sh", "-c", script)
    await docker.run("wait", (await docker.run(*run)).strip(), timeout_seconds=LIMIT_SECONDS)
    sink.count = 0
    engine, began = cpu_seconds(docker.process), time.monotonic()
    process = await shipper(docker, sink)

    async def taken() -> bool:
        return sink.count >= lines

    await until(taken, timeout_seconds=LIMIT_SECONDS, what="all is shipped")
    print(
        f"{driver}: {sink.count} lines in {time.monotonic() - began:.1f} s; CPU seconds: "
        f"{cpu_seconds(process):.2f} with the start, "
        f"dockerd {cpu_seconds(docker.process) - engine:.2f}"
    )
    await process.terminate()
    await docker.remove_containers()


async def many(docker: DockerDaemon, sink: Sink, driver: str, script: str, count: int) -> None:
    for _ in range(count):
        await docker.run(*RUN, f"--log-driver={driver}", "busybox", "sh", "-c", script)
    process = await shipper(docker, sink)
    await asyncio.sleep(SETTLE_SECONDS)
    both = (process, docker.process)
    before = [cpu_seconds(each) for each in both]
    await asyncio.sleep(SECONDS)
    ours, theirs = (
        100 * (cpu_seconds(each) - then) / SECONDS for each, then in zip(both, before, strict=True)
    )
    print(f"{driver}: {count} x {script[:30]!r}: {ours:.2f} % of a core, dockerd {theirs:.2f} %")
    await process.terminate()
    await docker.remove_containers()


async def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--lines", type=int, default=400_000)
    parser.add_argument("--containers", type=int, default=40)
    parsed = parser.parse_args()
    folder = Path(tempfile.mkdtemp(prefix="wf-", dir="/tmp"))
    docker, sink = DockerDaemon(folder / "docker"), Sink()
    await docker.start()
    await sink.start()
    try:
        await build_busybox(docker, folder / "busybox")
        for driver in DRIVERS * 2:
            await whole(docker, sink, driver, parsed.lines)
        for script in ("sleep 1000", "while :; do echo tick; sleep 1; done"):
            for driver in DRIVERS:
                await many(docker, sink, driver, script, parsed.containers)
    finally:
        await docker.stop()


if __name__ == "__main__":
    asyncio.run(main())
