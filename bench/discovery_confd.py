"""A confd directory under change: how long from a put to its file and its reload, on a real etcd.

    python bench/discovery_confd.py [CHANGES] [BURST] [RESOURCES]

`file` is the time from the put's start until the destination holds the new value, `reload` until
its reload command has run, which notes it. The other resources see the same keys and do the same
work; one of them has a check that hangs, and must hold up nobody. A burst is puts on four
connections: reloads counted, and the time from the last put to the last reload.
"""

import asyncio
import random
import statistics
import sys
import tempfile
import time
from pathlib import Path

from wharfinger.etcd import Etcd
from wharfinger.operator.parts.etcd import EtcdServer
from wharfinger.operator.parts.process import Process, free_port
from wharfinger.sections import EtcdConfig

POLL_SECONDS = 0.001
GOAL_RELOADS = 3
GOAL_BURST_SECONDS = 0.3
TEMPLATE = '{{range getvs "/app_prod/*"}}server {{.}};\n{{end}}'


def resource(folder: Path, name: str, check: str) -> None:
    """Writes one as confd's users do."""
    (folder / "templates" / f"{name}.tmpl").write_text(TEMPLATE)
    reload = f"tail -n 1 {{{{.dest}}}} >> {folder}/{name}.reloads"
    (folder / "conf.d" / f"{name}.toml").write_text(
        f'[template]\nsrc = "{name}.tmpl"\ndest = "{folder}/{name}.conf"\nkeys = ["/app_prod"]\n'
        f"check_cmd = '{check}'\nreload_cmd = '{reload}'\n"
    )


def holds(path: Path, text: str) -> bool:
    """Whether the file has the text."""
    return path.exists() and text in path.read_text()


async def until_holds(path: Path, text: str) -> float:
    """When it has."""
    async with asyncio.timeout(60):
        while not holds(path, text):  # noqa: ASYNC110 - it is measured
            await asyncio.sleep(POLL_SECONDS)
    return time.perf_counter()


def line(name: str, seconds: list[float]) -> str:
    """Its quantiles."""
    cuts = statistics.quantiles(seconds, n=100, method="inclusive")
    told = (f"p{n} {cuts[n - 1] * 1e3:.0f} ms" for n in (50, 90, 99))
    return f"{name:7} {'  '.join(told)}"


async def lone_changes(etcd: Etcd, folder: Path, changes: int) -> None:
    """One put at a time, each after a quiet time."""
    files, reloads = [], []
    for number in range(changes):
        await asyncio.sleep(random.uniform(0.2, 0.6))
        # The highest so far: `tail` shows it.
        address = f"2.0.{number // 100}.{number % 100 + 100}"
        began = time.perf_counter()
        await etcd.put(f"/app_prod/{address}-80", f"{address}:80".encode())
        files.append(await until_holds(folder / "app.conf", f"{address}:80") - began)
        reloads.append(await until_holds(folder / "app.reloads", f"{address}:80") - began)
    print(line("file", files))
    print(line("reload", reloads))


async def burst(etcd: Etcd, folder: Path, size: int) -> bool:
    """Many at once; says whether the goals were met."""
    log = folder / "app.reloads"
    before = len(log.read_text().splitlines())
    gate = asyncio.Semaphore(4)

    async def put(number: int) -> None:
        async with gate:
            address = f"10.1.{number // 250}.{number % 250 + 1}"
            await etcd.put(f"/app_prod/{address}-80", f"{address}:80".encode())

    began = time.perf_counter()
    await asyncio.gather(*(put(number) for number in range(size)))
    await etcd.put("/app_prod/9.9.9.9-80", b"9.9.9.9:80")
    ended = time.perf_counter()
    done = await until_holds(log, "9.9.9.9:80")
    reloads = len(log.read_text().splitlines()) - before
    print(f"burst   {size} puts in {ended - began:.2f} s: {reloads} reloads, "
          f"final {done - ended:.3f} s after the last")  # fmt: skip
    return reloads <= GOAL_RELOADS and done - ended <= GOAL_BURST_SECONDS


async def measured(changes: int, size: int, others: int) -> bool:
    """One run."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        for below in ("conf.d", "templates"):
            (folder / below).mkdir()
        server = EtcdServer(folder)
        await server.start()
        etcd = Etcd(EtcdConfig(endpoints=(server.endpoint,)))
        await etcd.put("/app_prod/1.1.1.1-80", b"1.1.1.1:80")
        resource(folder, "app", "test -s {{.src}}")
        for number in range(others):
            resource(folder, f"other{number}", "test -s {{.src}}")
        settings = f'[host]\nstate_dir = "{name}/state"\nruntime_dir = "{name}/run"\n'
        listen = f'[discovery]\nlisten = "127.0.0.1:{free_port()}"\n'
        (folder / "wharfinger.toml").write_text(settings + listen)
        command = [sys.executable, "-m", "discovery", "run", "--config", folder / "wharfinger.toml"]
        flags = ["-watch", "-confdir", name, "-backend", "etcdv3", "-node", server.endpoint]
        daemon = Process([*command, *flags], log=folder / "log", name="discovery")

        async def ready() -> bool:
            return holds(folder / "app.reloads", "1.1.1.1")

        await daemon.start(ready, timeout_seconds=30)
        resource(folder, "hangs", "test -s {{.src}}; sleep 600")
        await asyncio.sleep(2)  # its file is read within a second
        print(f"{others + 2} resources, one of them hangs in its check; {changes} changes")
        await lone_changes(etcd, folder, changes)
        good = await burst(etcd, folder, size)
        await daemon.terminate()
        await etcd.close()
        await server.stop()
        return good


def main() -> None:
    """Runs it with what the command line says."""
    given = [int(word) for word in sys.argv[1:]]
    changes, size, others = (*given, *(30, 1000, 3)[len(given) :])
    if not asyncio.run(measured(changes, size, others)):
        print(
            f"the goals of the burst ({GOAL_RELOADS} reloads, {GOAL_BURST_SECONDS} s) were missed"
        )
        sys.exit(1)


if __name__ == "__main__":
    main()
