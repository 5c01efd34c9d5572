"""What the fleet costs a log store: memory, processor time, and bytes, for 1,000 hosts of 50.

    python bench/logstore_fleet.py [--hosts 1000] [--instances 50] [--readers 20] [--seconds 20]

A store without the fleet stands beside one with it, on the same etcd and the same machine.
"""

import argparse
import asyncio
import gzip
import tempfile
import time
from pathlib import Path

import aiohttp
import psutil

from tests.stack.etcd import ALONE, config_of
from tests.stack.logstore import StoreProcess
from wharfinger import hostrecord
from wharfinger.etcd import Etcd
from wharfinger.hostrecord import Beside, RegistrarRecord
from wharfinger.keys import Endpoint, HostKey, InstanceKey, Service
from wharfinger.kv import Put, chunks
from wharfinger.metadata import Metadata, encode
from wharfinger.operator.parts.etcd import EtcdServer
from wharfinger.operator.parts.process import until

MIB = 2**20


def instance(host: int, number: int) -> tuple[InstanceKey, bytes]:
    service = Service(f"app-{(host * 7 + number) % 200}", "prod")
    key = InstanceKey(service, Endpoint(f"10.1.{host // 250}.{host % 250 + 1}", 20_000 + number))
    told = Metadata(
        id=f"{host * 1_000_003 + number:064x}"[::-1],
        name=f"{service.app}-{host}-{number}",
        image=f"registry.example/{service.app}:1.{number % 9}",
        host=f"host-{host:04}",
        version=f"1.{number % 9}",
        tags=("blue", f"rack-{host % 40}"),
        http_host=f"{service.app}.example.com",
        started="2026-11-26T10:00:00Z",
    )
    return key, encode(told)


def record(host: int) -> Put:
    beside = {"logshipper": Beside(health="healthy", version="1.0", since="2026-11-26T10:00:00Z")}
    told = RegistrarRecord(
        version="1.0", since="2026-11-26T10:00:00+00:00", health="healthy",
        ip=f"10.1.{host // 250}.{host % 250 + 1}", machine="0123abcd.4567ef01", beside=beside,
    )  # fmt: skip
    return Put(HostKey(f"host-{host:04}", "registrar").key, hostrecord.encode(told))


async def fill(etcd: Etcd, hosts: int, instances: int) -> None:
    puts = [record(host) for host in range(hosts)]
    for host in range(hosts):
        for number in range(instances):
            key, told = instance(host, number)
            puts += [Put(key.address, key.endpoint.value.encode()), Put(key.metadata, told)]
    for some in chunks(puts):
        await etcd.transact((), some)


def rss(store: StoreProcess) -> float:
    return psutil.Process(store.process.pid).memory_info().rss / MIB


def cpu(store: StoreProcess) -> float:
    times = psutil.Process(store.process.pid).cpu_times()
    return float(times.user + times.system)


async def get(client: aiohttp.ClientSession, url: str, coding: str) -> tuple[float, bytes]:
    began = time.monotonic()
    async with client.get(f"{url}/api/fleet", headers={"Accept-Encoding": coding}) as answer:
        body = await answer.read()
    return time.monotonic() - began, body


async def follow(client: aiohttp.ClientSession, url: str, counted: dict[str, int]) -> None:
    headers = {"Accept-Encoding": "gzip"}
    async with client.get(f"{url}/api/fleet/live", headers=headers) as answer:
        async for chunk in answer.content.iter_any():
            counted["bytes"] += len(chunk)
            counted["changes"] += chunk.count(b"event: change")


async def churn(etcd: Etcd, hosts: int, seconds: float) -> int:
    ends, made = time.monotonic() + seconds, 0
    while time.monotonic() < ends:
        key, told = instance(made * 37 % hosts, made % 50)
        await etcd.put(key.metadata, told.replace(b'"weight":1', b'"weight":%d' % (made % 9 + 1)))
        made += 1
        await asyncio.sleep(0.02)
    return made


async def measured(parsed: argparse.Namespace, folder: Path) -> None:
    server = EtcdServer(folder, arguments=[*ALONE, "--quota-backend-bytes=2000000000"])
    await server.start()
    off_folder, on_folder = folder / "off", folder / "on"
    off_folder.mkdir()
    on_folder.mkdir()
    off = StoreProcess(off_folder)
    on = StoreProcess(on_folder, **{"fleet.enabled": "true"})
    on.process.command = (*on.process.command, "--set", f"etcd.endpoints={server.endpoint}")
    try:
        async with Etcd(config_of(server)) as etcd:
            print(f"{parsed.hosts} hosts of {parsed.instances} instances")
            await on.start()
            await off.start()
            print(f"fleet off: {rss(off):.0f} MiB; on, of nothing: {rss(on):.0f} MiB")
            await on.process.terminate()
            await fill(etcd, parsed.hosts, parsed.instances)
            began = time.monotonic()
            await on.start()
            timeout = aiohttp.ClientTimeout(total=None)
            # No unpacking here: what crosses the wire is counted.
            async with aiohttp.ClientSession(timeout=timeout, auto_decompress=False) as client:
                await ask(parsed, client, etcd, on, began)
    finally:
        await on.process.kill()
        await off.process.kill()
        await server.stop()


async def ask(
    parsed: argparse.Namespace,
    client: aiohttp.ClientSession,
    etcd: Etcd,
    store: StoreProcess,
    began: float,
) -> None:
    async def read() -> bool:
        async with client.get(f"{store.url}/status") as answer:
            told = await answer.json(encoding="utf-8")
        return bool(told["fleet"]["instances"] == parsed.hosts * parsed.instances)

    await until(read, timeout_seconds=120, what="the fleet is read")
    print(
        f"read after {time.monotonic() - began:.1f} s since its start, {cpu(store):.1f} s of a "
        f"core, {rss(store):.0f} MiB"
    )
    for coding in ("gzip", "gzip", "identity"):
        before = cpu(store)
        seconds, body = await get(client, store.url, coding)
        whole = len(gzip.decompress(body)) if coding == "gzip" else len(body)
        print(
            f"GET /api/fleet, {coding}: {len(body) / MIB:.2f} MiB of {whole / MIB:.1f}, "
            f"{seconds:.2f} s, {cpu(store) - before:.2f} s of a core"
        )
    counted = {"bytes": 0, "changes": 0}
    before, at = cpu(store), time.monotonic()
    readers = [
        asyncio.create_task(follow(client, store.url, counted)) for _ in range(parsed.readers)
    ]
    await asyncio.sleep(5)
    print(
        f"{parsed.readers} readers came: {counted['bytes'] / MIB / parsed.readers:.2f} MiB each, "
        f"{cpu(store) - before:.2f} s of a core, {rss(store):.0f} MiB"
    )
    first, before, at = counted["bytes"], cpu(store), time.monotonic()
    made = await churn(etcd, parsed.hosts, parsed.seconds)
    seconds = time.monotonic() - at
    print(
        f"{made / seconds:.0f} changes a second, {parsed.readers} readers: "
        f"{(cpu(store) - before) / seconds:.0%} of a core, "
        f"{(counted['bytes'] - first) / parsed.readers / seconds / 1024:.1f} KiB/s each, "
        f"{rss(store):.0f} MiB"
    )
    before, at = cpu(store), time.monotonic()
    await asyncio.sleep(10)
    print(f"nothing changes: {(cpu(store) - before) / (time.monotonic() - at):.1%} of a core")
    for reader in readers:
        reader.cancel()
    await asyncio.gather(*readers, return_exceptions=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--hosts", type=int, default=1_000)
    parser.add_argument("--instances", type=int, default=50)
    parser.add_argument("--readers", type=int, default=20)
    parser.add_argument("--seconds", type=float, default=20.0)
    with tempfile.TemporaryDirectory(prefix="wf-bench-") as folder:
        asyncio.run(measured(parser.parse_args(), Path(folder)))


if __name__ == "__main__":
    main()
