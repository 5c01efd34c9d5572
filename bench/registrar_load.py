"""A registrar under load on real parts: many starts at once, and many containers at rest.

    python bench/registrar_load.py [STARTED] [RESTING] [SECONDS]

STARTED containers are started 8 at a time by the start-script way. `listening -> etcd` is from the
moment at which the kernel shows the container's listener (asked every 2 ms) to the moment at which
a watcher of etcd hears of its key. Then RESTING containers in all are left alone for SECONDS.
"""

import asyncio
import contextlib
import random
import statistics
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import aiohttp
import psutil

from registrar import sockets
from registrar.ports.reservation import PROC, RESERVED
from wharfinger.etcd import Etcd
from wharfinger.kv import Changed
from wharfinger.operator.parts.dockerd import DockerDaemon
from wharfinger.operator.parts.etcd import EtcdServer
from wharfinger.operator.parts.images import build_busybox
from wharfinger.operator.parts.process import Process, free_port, until
from wharfinger.sections import EtcdConfig
from wharfinger.watch import Watch

AT_ONCE = 8
POLL_SECONDS = 0.002
PATIENCE_SECONDS = 300.0
RUN = (
    *("run", "--detach", "--network=host", "--user=1000"),
    *("--label=wharfinger.app=load", "--label=wharfinger.env=bench", "busybox"),
    *("with-port", "sh", "-c", 'exec nc -ll -p "$PORT" -e true'),
)


class Host:
    """A registrar with an engine and an etcd of its own, and what was seen of its ports."""

    def __init__(self, folder: Path) -> None:
        self.docker = DockerDaemon(folder / "d")
        self.etcd = EtcdServer(folder)
        first = random.randrange(20_000, 29_000, 1_000)
        self.ports = range(first, first + 1_000)
        self.listening: dict[int, float] = {}
        self.registered: dict[int, float] = {}
        self.listen = free_port()
        config = folder / "wharfinger.toml"
        config.write_text(
            "[host]\nname = 'bench'\nip = '127.0.0.1'\n"
            f"state_dir = '{folder}/state'\nruntime_dir = '{folder}/run'\n"
            f"[etcd]\nendpoints = ['{self.etcd.endpoint}']\n"
            f"[docker]\nurl = '{self.docker.url}'\n"
            f"[registrar]\nlisten = '127.0.0.1:{self.listen}'\n"
            f"port_range = '{first}-{self.ports[-1]}'\n"
        )
        command = [sys.executable, "-m", "registrar", "--config", config]
        self.registrar = Process(command, log=folder / "registrar.log")

    async def ready(self) -> bool:
        """Whether start-up is complete and every check holds."""
        with contextlib.suppress(aiohttp.ClientError):
            async with (
                aiohttp.ClientSession() as session,
                session.get(f"http://127.0.0.1:{self.listen}/readyz") as response,
            ):
                return response.status == 200
        return False

    async def see_listeners(self) -> None:
        """Notes when each port of the range is first listened on."""
        while True:
            now = time.perf_counter()
            for port in sockets.listeners().keys() & set(self.ports) - self.listening.keys():
                self.listening[port] = now
            await asyncio.sleep(POLL_SECONDS)

    async def see_keys(self) -> None:
        """Notes when each key is first heard of."""
        async with Etcd(EtcdConfig(endpoints=(self.etcd.endpoint,))) as etcd:
            async for update in Watch(etcd, ["/load_bench/"]):
                for event in update.events if isinstance(update, Changed) else ():
                    if event.kv is not None:
                        port = int(event.key.rpartition("-")[2])
                        self.registered.setdefault(port, time.perf_counter())

    async def run_containers(self, count: int) -> None:
        """Starts so many, a few at a time."""
        gate = asyncio.Semaphore(AT_ONCE)

        async def run() -> None:
            async with gate:
                await self.docker.run(*RUN)

        await asyncio.gather(*(run() for _ in range(count)))

    async def until_registered(self, count: int) -> None:
        """Waits until so many were heard of."""

        async def there() -> bool:
            return len(self.registered) == count

        await until(there, timeout_seconds=PATIENCE_SECONDS, what=f"{count} are registered")


@contextlib.contextmanager
def reservation_given_back(ports: range) -> Iterator[None]:
    """What the registrar reserves in the kernel stays after it; here it is only for the bench."""
    try:
        yield
    finally:
        ours = f"{ports[0]}-{ports[-1]}"
        others = [each for each in (PROC / RESERVED).read_text().strip().split(",") if each != ours]
        (PROC / RESERVED).write_text(",".join(others) + "\n")


async def starts(host: Host, count: int) -> None:
    used = psutil.Process(host.registrar.pid)
    before = used.cpu_times()
    began = time.perf_counter()
    await host.run_containers(count)
    started = time.perf_counter() - began
    await host.until_registered(count)
    whole = time.perf_counter() - began
    spent = sum(used.cpu_times()[:2]) - sum(before[:2])
    delays = [host.registered[port] - host.listening[port] for port in host.registered]
    cuts = statistics.quantiles(delays, n=100, method="inclusive")
    print(
        f"{count} started {AT_ONCE} at a time in {started:.1f} s, all in etcd after {whole:.1f} s"
    )
    print(f"unique ports: {len(host.registered)} of {count}")
    print(
        f"listening -> etcd: p50 {cuts[49] * 1e3:.0f} ms  p90 {cuts[89] * 1e3:.0f} ms  "
        f"p99 {cuts[98] * 1e3:.0f} ms  max {max(delays) * 1e3:.0f} ms"
    )
    print(f"registrar: {spent:.2f} CPU seconds, {used.memory_info().rss / 2**20:.0f} MiB resident")


async def rest(host: Host, count: int, seconds: float) -> None:
    await host.run_containers(count - len(host.registered))
    await host.until_registered(count)
    used = psutil.Process(host.registrar.pid)
    await asyncio.sleep(5)  # the last starts have their after-effects
    before = sum(used.cpu_times()[:2])
    await asyncio.sleep(seconds)
    spent = sum(used.cpu_times()[:2]) - before
    print(
        f"{count} at rest for {seconds:.0f} s: {spent:.2f} CPU seconds, "
        f"{spent / seconds:.2%} of a core, {used.memory_info().rss / 2**20:.0f} MiB resident"
    )


async def main(started: int, resting: int, seconds: float) -> None:
    with tempfile.TemporaryDirectory(prefix="wf-", dir="/tmp") as name:
        host = Host(Path(name))
        seeing: list[asyncio.Task[None]] = []
        try:
            await asyncio.gather(host.docker.start(), host.etcd.start())
            await build_busybox(host.docker, Path(name) / "image")
            with reservation_given_back(host.ports):
                await host.registrar.start(host.ready)
                watching = (host.see_keys(), host.see_listeners())
                seeing = [asyncio.create_task(each) for each in watching]
                await starts(host, started)
                seeing.pop().cancel()  # it would be measured, too
                await rest(host, resting, seconds)
        finally:
            for task in seeing:
                task.cancel()
            await host.registrar.terminate()
            await host.docker.stop()
            await host.etcd.stop()


if __name__ == "__main__":
    asked = [int(each) for each in sys.argv[1:]]
    asyncio.run(main(*(asked + [200, 500, 60][len(asked) :])))
