"""A thousand registrars against one etcd: their real code, with only Docker left out.

    python bench/registrar_scale.py [--registrars 1000] [--instances 50] [--processes 4]
        [--ttl 15] [--steady 60] [--phases cold,steady,restart,away,frozen,wiped]

Every registrar has its own connection, lease, record and instances. Wall times on a machine that
carries all of them and etcd say little; CPU seconds, counts and ratios hold.
"""

import argparse
import asyncio
import contextlib
import json
import os
import re
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import aiohttp
import msgspec
import psutil
import uvloop
from prometheus_client import CollectorRegistry

from registrar.host.claim import Claim
from registrar.model import Instance
from registrar.registry.publisher import Desired, Publisher
from registrar.registry.registry import Registry
from wharfinger import __version__
from wharfinger.backoff import Backoff
from wharfinger.errors import WharfingerError
from wharfinger.etcd import Etcd
from wharfinger.events import Events
from wharfinger.health import Check
from wharfinger.keys import INSTANCES, Endpoint, InstanceKey, Service, host_key
from wharfinger.kv import Count, KeyRange
from wharfinger.lease import HostLease
from wharfinger.metadata import HostRecord, Metadata
from wharfinger.operator.parts.etcd import EtcdPorts, EtcdServer
from wharfinger.operator.parts.process import Process
from wharfinger.sections import EtcdConfig

TELL_SECONDS = 0.25
SAMPLE_SECONDS = 0.2
LIMIT_SECONDS = 600.0
SERVICES = 200
COUNTED = re.compile(
    r"^(grpc_server_msg_received_total|etcd_debugging_mvcc_put_total)"
    r"(?:\{.*grpc_method=\"(\w+)\".*\})? (\S+)$",
    re.MULTILINE,
)


class Registrar:
    """One host's session, lease, claim and publisher, as `registrar.daemon` wires them."""

    def __init__(self, number: int, asked: argparse.Namespace) -> None:
        host, events = f"host-{number:04}", Events()
        key = host_key(host, "registrar")
        self.replaced = 0
        self.confirmed: dict[str, float] = {"lease": 0.0, "registry": 0.0}
        self.etcd = Etcd(EtcdConfig(endpoints=(asked.endpoint,)))
        self.claim = Claim(self.etcd, host=host, key=key, saved=None)
        self.registry = Registry(self.etcd, host, events, self.claim)
        self.lease = HostLease(
            self.etcd,
            ttl_seconds=asked.ttl,
            path=asked.folder / host / "lease.json",
            owner=host,
            on_change=self._lease_changed,
            on_alive=lambda: self._confirm("lease"),
        )
        check = Check("registry", events)
        self.publisher = Publisher(
            self.registry,
            self.lease,
            check,
            host_key=key,
            host_record=lambda before: before or self._record(),
            metrics=CollectorRegistry(),
        )
        check.ok = self._registry_true  # type: ignore[method-assign]
        ip = f"10.{number // 250}.{number % 250}.5"
        keys = [
            InstanceKey(
                Service(f"app{(number + port * 7) % SERVICES}", "prod"), Endpoint(ip, 20_000 + port)
            )
            for port in range(asked.instances)
        ]
        self.desired = Desired(
            {
                each: Instance(
                    each,
                    Metadata(
                        id=f"{number:032x}{each.endpoint.port:032x}",
                        name=f"{each.service.app}-{each.endpoint.port}",
                        image=f"registry.example.com/{each.service.app}:1",
                        host=host,
                        started="2026-01-01T00:00:00.000+00:00",
                    ),
                )
                for each in keys
            }
        )

    async def run(self) -> None:
        await self.claim.settle(lambda _why: None)
        backoff = Backoff(first_seconds=0.1, cap_seconds=1.0)
        while True:
            try:
                await self.claim.look()
                await self.registry.load(await self.lease.ensure())
                break
            except WharfingerError:
                await asyncio.sleep(backoff.next_delay_seconds())
        self.publisher.want(self.desired)
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self.lease.keep())
            tasks.create_task(self.publisher.run())

    def _lease_changed(self, lease_id: int) -> None:
        self.replaced += 1
        self.publisher.lease_changed(lease_id)

    def _registry_true(self, _why: str = "") -> None:
        self._confirm("registry")

    def _confirm(self, what: str) -> None:
        self.confirmed[what] = time.time()

    def _record(self) -> bytes:
        since = "2026-01-01T00:00:00+00:00"
        record = HostRecord(
            version=__version__, since=since, health="healthy", machine=self.claim.machine
        )
        return msgspec.json.encode(record)


async def work(asked: argparse.Namespace) -> None:
    """One process with its share of the registrars; says every moment how they are."""
    registrars = [Registrar(asked.first + number, asked) for number in range(asked.registrars)]
    told = asked.folder / f"told-{asked.first}.json"

    def tell() -> None:
        state = {
            "confirmed": min(min(each.confirmed.values()) for each in registrars),
            "replaced": sum(each.replaced for each in registrars),
        }
        told.with_suffix(".new").write_text(json.dumps(state))
        told.with_suffix(".new").rename(told)

    tell()
    while not (asked.folder / "go").exists():  # noqa: ASYNC110
        await asyncio.sleep(0.05)
    async with asyncio.TaskGroup() as tasks:
        for each in registrars:
            tasks.create_task(each.run())
        while True:
            tell()
            await asyncio.sleep(TELL_SECONDS)


@dataclass(slots=True)
class Sample:
    """What etcd has counted up to one moment, restarts included."""

    at: float
    requests: float
    keepalives: float
    puts: float


@dataclass
class Watcher:
    """Looks at etcd's own counters, which begin anew when it does."""

    url: str
    samples: list[Sample] = field(default_factory=list)
    _last: tuple[float, float, float] = (0.0, 0.0, 0.0)
    _sum: tuple[float, float, float] = (0.0, 0.0, 0.0)

    async def run(self) -> None:
        timeout = aiohttp.ClientTimeout(total=2.0)
        async with aiohttp.ClientSession(timeout=timeout) as session:
            while True:
                with contextlib.suppress(aiohttp.ClientError, TimeoutError):
                    async with session.get(self.url) as response:
                        self.take(await response.text())
                await asyncio.sleep(SAMPLE_SECONDS)

    def take(self, text: str) -> None:
        requests = keepalives = puts = 0.0
        for name, method, value in COUNTED.findall(text):
            if name.startswith("etcd"):
                puts += float(value)
            else:
                requests += float(value)
                keepalives += float(value) if method == "LeaseKeepAlive" else 0.0
        now = (requests, keepalives, puts)
        base = (0.0, 0.0, 0.0) if now[0] < self._last[0] else self._last
        self._sum = tuple(s + n - b for s, n, b in zip(self._sum, now, base, strict=True))  # type: ignore[assignment]
        self._last = now
        self.samples.append(Sample(time.time(), *self._sum))

    def since(self, at: float) -> list[Sample]:
        """From the last sample before `at` on."""
        first = max((n for n, each in enumerate(self.samples) if each.at <= at), default=0)
        return self.samples[first:]


class Fleet:
    """All processes, etcd, and the figures of each phase."""

    def __init__(self, asked: argparse.Namespace, folder: Path) -> None:
        self.asked = asked
        self.folder = folder
        ports = EtcdPorts()
        self.server = EtcdServer(
            folder, ports=ports, arguments=["--quota-backend-bytes=4294967296", "--log-level=error"]
        )
        self.watcher = Watcher(f"http://127.0.0.1:{ports.health}/metrics")
        self.workers: list[Process] = []
        self.etcd = Etcd(EtcdConfig(endpoints=(self.server.endpoint,)), timeout_seconds=30.0)
        self.rows: list[dict[str, str]] = []
        self.spent_at = 0.0
        self.replaced_before = 0

    @contextlib.asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        await self.server.start()
        watching = asyncio.create_task(self.watcher.run())
        asked = self.asked
        share = -(-asked.registrars // asked.processes)
        try:
            for first in range(0, asked.registrars, share):
                count = min(share, asked.registrars - first)
                words = ["--worker", "--first", first, "--registrars", count]
                words += ["--instances", asked.instances, "--ttl", asked.ttl]
                words += ["--folder", self.folder, "--endpoint", self.server.endpoint]
                worker = Process(
                    [sys.executable, __file__, *map(str, words)],
                    log=self.folder / f"worker-{first}.log",
                )
                self.workers.append(worker)
                await worker.start()
            await self.until(lambda: len(self.told()) == len(self.workers))
            yield
        finally:
            watching.cancel()
            for worker in self.workers:
                await worker.kill()
            await self.etcd.close()
            await self.server.process.kill()

    def told(self) -> list[dict[str, Any]]:
        return [json.loads(path.read_text()) for path in self.folder.glob("told-*.json")]

    async def until(self, holds: Callable[[], Any]) -> None:
        deadline = time.time() + LIMIT_SECONDS
        while True:
            found = holds()
            if found if not asyncio.iscoroutine(found) else await found:
                return
            for process in (*self.workers, self.server.process):
                if not process.running:
                    raise SystemExit(f"{process.name} ended:\n{process.log_tail()}")
            if time.time() > deadline:
                raise SystemExit(f"not true within {LIMIT_SECONDS:g} s: {self.told()}")
            await asyncio.sleep(0.1)

    async def all_there(self) -> bool:
        wanted = self.asked.registrars * self.asked.instances
        with contextlib.suppress(WharfingerError):
            steps = [Count(KeyRange.of_prefix(prefix)) for prefix in (INSTANCES, "/app")]
            return (await self.etcd.transact((), steps)).results == (wanted, wanted)
        return False

    async def until_true(self, since: float) -> float:
        """Until all is there and each registrar has confirmed it and its lease; gives seconds."""

        async def true() -> bool:
            confirmed = min(each["confirmed"] for each in self.told())
            return confirmed > since and await self.all_there()

        await self.until(true)
        return time.time() - since

    def spent(self) -> tuple[float, float]:
        """CPU seconds of etcd (this life of it) and of all workers, up to now."""

        def seconds(process: Process) -> float:
            times = psutil.Process(process.pid).cpu_times()
            return float(times.user + times.system)

        self.spent_at = time.time()
        return seconds(self.server.process), sum(map(seconds, self.workers))

    def memory(self) -> tuple[float, float]:
        """RSS of etcd and, of the workers together, per registrar; MB."""
        rss = [psutil.Process(each.pid).memory_info().rss / 2**20
               for each in (self.server.process, *self.workers)]  # fmt: skip
        return rss[0], sum(rss[1:]) / self.asked.registrars

    async def cold(self) -> None:
        etcd, clients = self.spent()
        began = time.time()
        (self.folder / "go").touch()
        took = await self.until_true(began)
        await self.report("cold start", began, took, etcd, clients)

    async def steady(self) -> None:
        etcd, clients = self.spent()
        began = time.time()
        await asyncio.sleep(self.asked.steady)
        await self.report(
            f"steady, {self.asked.steady} s", began, time.time() - began, etcd, clients
        )

    async def restart(self) -> None:
        _, clients = self.spent()
        await self.server.process.kill()
        await self._back("killed and started", clients)

    async def away(self) -> None:
        _, clients = self.spent()
        await self.server.process.kill()
        await asyncio.sleep(self.asked.ttl * 1.5)
        await self._back(f"away for {self.asked.ttl * 1.5:g} s", clients)

    async def frozen(self) -> None:
        etcd, clients = self.spent()
        self.server.process.freeze()
        await asyncio.sleep(self.asked.ttl * 1.5)
        began = time.time()
        self.server.process.thaw()
        took = await self.until_true(began + 1.0)
        await self.report(
            f"frozen for {self.asked.ttl * 1.5:g} s", began, took + 1.0, etcd, clients
        )

    async def wiped(self) -> None:
        _, clients = self.spent()
        await self.server.process.kill()
        self.server.wipe()
        await self._back("wiped", clients)

    async def _back(self, name: str, clients: float) -> None:
        began = time.time()
        await self.server.start(timeout_seconds=120.0)
        took = await self.until_true(began)
        await self.report(name, began, took, 0.0, clients)

    def replaced(self) -> int:
        """How many leases were replaced since this was asked last."""
        before, self.replaced_before = (
            self.replaced_before,
            sum(each["replaced"] for each in self.told()),
        )
        return self.replaced_before - before

    async def report(
        self, name: str, began: float, took: float, etcd: float, clients: float
    ) -> None:
        whole = time.time() - self.spent_at
        etcd_now, clients_now = self.spent()
        await asyncio.sleep(3 * SAMPLE_SECONDS)  # the sample after the end
        samples = self.watcher.since(began)
        first, last = samples[0], samples[-1]
        elapsed = max(last.at - began, 0.001)
        rss, per_registrar = self.memory()
        self.rows.append(
            {
                "phase": name,
                "until true s": f"{took:.1f}",
                "etcd CPU s": f"{etcd_now - etcd:.1f}",
                "etcd % of a core": f"{100 * (etcd_now - etcd) / took:.0f}",
                "clients CPU s": f"{clients_now - clients:.1f}",
                "% of a core each": (
                    f"{100 * (clients_now - clients) / whole / self.asked.registrars:.3f}"
                ),
                "puts": f"{last.puts - first.puts:.0f}",
                "puts 10-90 % s": spread(samples),
                "requests/s": f"{(last.requests - first.requests) / elapsed:.0f}",
                "peak/s": f"{peak(samples):.0f}",
                "keepalives/s": f"{(last.keepalives - first.keepalives) / elapsed:.0f}",
                "leases replaced": str(self.replaced()),
                "etcd RSS MB": f"{rss:.0f}",
                "RSS MB each": f"{per_registrar:.2f}",
            }
        )
        print(name, {k: v for k, v in self.rows[-1].items() if k != "phase"}, flush=True)


def peak(samples: list[Sample]) -> float:
    """The most requests in any second."""
    best, start = 0.0, 0
    for sample in samples:
        while sample.at - samples[start].at > 1.0:
            start += 1
        best = max(best, sample.requests - samples[start].requests)
    return best


def spread(samples: list[Sample]) -> str:
    """Seconds from the tenth to the ninetieth percent of the puts."""
    first, last = samples[0].puts, samples[-1].puts
    if last == first:
        return "-"
    at = [next(each.at for each in samples if each.puts - first >= share * (last - first))
          for share in (0.1, 0.9)]  # fmt: skip
    return f"{at[1] - at[0]:.1f}"


def table(rows: list[dict[str, str]]) -> str:
    """The figures as Markdown, a phase a column."""
    names = [row["phase"] for row in rows]
    lines = [f"| | {' | '.join(names)} |", "|---" * (len(rows) + 1) + "|"]
    lines += [
        f"| {figure} | {' | '.join(row[figure] for row in rows)} |"
        for figure in rows[0]
        if figure != "phase"
    ]
    return "\n".join(lines)


async def measure(asked: argparse.Namespace) -> None:
    with tempfile.TemporaryDirectory(dir="/tmp") as name:
        fleet = Fleet(asked, Path(name))
        async with fleet.running():
            for phase in asked.phases.split(","):
                await getattr(fleet, phase)()
        print(
            f"\n{asked.registrars} registrars of {asked.instances} instances in "
            f"{len(fleet.workers)} processes, lease {asked.ttl} s, {os.cpu_count()} cores\n"
        )
        print(table(fleet.rows))


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser()
    parser.add_argument("--registrars", type=int, default=1000)
    parser.add_argument("--instances", type=int, default=50)
    parser.add_argument("--processes", type=int, default=4)
    parser.add_argument("--ttl", type=int, default=15)
    parser.add_argument("--steady", type=float, default=60)
    parser.add_argument("--phases", default="cold,steady,restart,away,frozen,wiped")
    parser.add_argument("--worker", action="store_true", help=argparse.SUPPRESS)
    parser.add_argument("--first", type=int, default=0, help=argparse.SUPPRESS)
    parser.add_argument("--folder", type=Path, help=argparse.SUPPRESS)
    parser.add_argument("--endpoint", help=argparse.SUPPRESS)
    return parser.parse_args()


if __name__ == "__main__":
    asked = arguments()
    uvloop.run(work(asked) if asked.worker else measure(asked))
