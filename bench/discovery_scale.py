"""Many discoveries on one etcd: what they cost it, and when the last of them knows.

    python bench/discovery_scale.py [DISCOVERIES] [INSTANCES] [CHANGES]

Each has a session, a watch and a tree of its own, the code that the daemon runs; all of them share
one process here, so `told` (from the put's start to the snapshot of the last one) is an upper
bound: the first and the median discovery are beside it. etcd's figures are those of its process.
"""

import asyncio
import resource
import statistics
import sys
import tempfile
import time
from dataclasses import dataclass, field
from pathlib import Path

import psutil

from discovery.services.tree import UNHEARD, Tree
from wharfinger import keys
from wharfinger.etcd import Etcd
from wharfinger.kv import Put
from wharfinger.operator.parts.etcd import EtcdServer
from wharfinger.sections import EtcdConfig
from wharfinger.watch import Watch

STARTING_AT_ONCE = 50
QUIET_SECONDS = 10.0
WAIT_SECONDS = 120.0


@dataclass(slots=True)
class Discovery:
    """One watcher: it knows what the daemon knows, and renders nothing."""

    etcd: Etcd
    told_at: dict[int, float] = field(default_factory=dict)
    revision: int = 0
    news: asyncio.Event = field(default_factory=asyncio.Event)

    async def run(self) -> None:
        """Watches for ever."""
        tree = Tree()
        async for update in Watch(self.etcd, ["/", keys.INSTANCES], without=UNHEARD):
            if tree.hear(update).changed:
                tree.snapshot()
            self.revision = tree.revision
            self.told_at[self.revision] = time.perf_counter()
            self.news.set()

    async def until(self, revision: int) -> None:
        """Returns when it knows that revision."""
        while self.revision < revision:
            self.news.clear()
            await self.news.wait()

    def told(self, revision: int) -> float:
        """When it knew that revision."""
        return min(at for known, at in self.told_at.items() if known >= revision)


async def put(etcd: Etcd, number: int, service: int) -> int:
    """Registers an instance as a registrar does."""
    key = f"app{service}_prod/10.{number >> 16 & 255}.{number >> 8 & 255}.{number & 255}-80"
    address = key.rpartition("/")[2].replace("-", ":").encode()
    puts = [Put(f"/{key}", address), Put(f"{keys.INSTANCES.rstrip('/')}/{key}", b"{}")]
    return (await etcd.transact((), puts)).revision


async def started(endpoint: str, count: int, revision: int) -> tuple[list[Discovery], float]:
    """That many discoveries that have listed everything, and how long it took."""
    began = time.perf_counter()
    made: list[Discovery] = []
    for first in range(0, count, STARTING_AT_ONCE):
        new = [
            Discovery(Etcd(EtcdConfig(endpoints=(endpoint,))))
            for _ in range(min(STARTING_AT_ONCE, count - first))
        ]
        RUNNING.extend(asyncio.create_task(one.run()) for one in new)
        async with asyncio.timeout(WAIT_SECONDS):
            await asyncio.gather(*(one.until(revision) for one in new))
        made += new
    return made, time.perf_counter() - began


RUNNING: list[asyncio.Task[None]] = []


def cpu(process: psutil.Process) -> float:
    """Seconds of CPU that it has used."""
    times = process.cpu_times()
    return float(times.user + times.system)


async def measured(count: int, instances: int, changes: int) -> None:
    """One run."""
    with tempfile.TemporaryDirectory() as folder:
        server = EtcdServer(Path(folder))
        await server.start()
        writer = Etcd(EtcdConfig(endpoints=(server.endpoint,)))
        revision = 0
        for number in range(instances):
            revision = await put(writer, number, number // 10)
        etcd, own = psutil.Process(server.process.pid), psutil.Process()
        before = etcd.memory_info().rss
        made, seconds = await started(server.endpoint, count, revision)
        print(f"{count} discoveries, {instances} instances: all listed within {seconds:.1f} s")
        grown = (etcd.memory_info().rss - before) / count / 1024
        print(f"etcd: {etcd.memory_info().rss / 2**20:.0f} MiB, {grown:.0f} KiB a discovery")
        used, mine = cpu(etcd), cpu(own)
        await asyncio.sleep(QUIET_SECONDS)
        print(f"quiet: etcd {(cpu(etcd) - used) / QUIET_SECONDS:.1%} of a core, "
              f"all discoveries {(cpu(own) - mine) / QUIET_SECONDS:.1%}")  # fmt: skip
        used, mine = cpu(etcd), cpu(own)
        spans: list[list[float]] = []
        for number in range(changes):
            at = time.perf_counter()
            revision = await put(writer, 1_000_000 + number, number)
            async with asyncio.timeout(WAIT_SECONDS):
                await asyncio.gather(*(one.until(revision) for one in made))
            spans.append(sorted(one.told(revision) - at for one in made))
        for name, at in (("first", 0), ("median", count // 2), ("last", count - 1)):
            row = sorted(span[at] * 1000 for span in spans)
            p99 = row[min(len(row) - 1, int(len(row) * 0.99))]
            print(f"told, {name}: p50 {statistics.median(row):.1f} ms, p99 {p99:.1f} ms")
        print(f"a change: etcd {(cpu(etcd) - used) / changes * 1000:.1f} ms of CPU, "
              f"a discovery {(cpu(own) - mine) / changes / count * 1e6:.0f} us")  # fmt: skip
        for task in RUNNING:
            task.cancel()
        await asyncio.gather(*RUNNING, return_exceptions=True)
        await asyncio.gather(*(one.etcd.close() for one in made), writer.close())
        await server.stop()


def main() -> None:
    """Runs it with what the command line says."""
    given = [int(word) for word in sys.argv[1:]]
    count, instances, changes = (*given, *(500, 1000, 50)[len(given) :])
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(hard, 65_536), hard))
    asyncio.run(measured(count, instances, changes))


if __name__ == "__main__":
    main()
