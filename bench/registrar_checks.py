"""What health checks cost: CPU of 500 of them, and how soon good ones pass beside ones that hang.

    python bench/registrar_checks.py [--checks 500] [--seconds 20]

Each kind is asked every 10 s, of a server in a process of its own, in the loop that the registrar
runs in. CPU seconds hold on a busy machine too; wall times do not.
"""

import argparse
import asyncio
import contextlib
import resource
import subprocess
import sys
import time
from collections.abc import Iterator

import uvloop

from registrar.checks.model import Check, CheckKind, Target
from registrar.checks.probes import Prober
from registrar.checks.schedule import Schedule
from wharfinger.dockerd import Docker
from wharfinger.sections import DockerConfig

IP = "127.0.0.1"
SETTLE_SECONDS = 10.0
HTTP_SERVER = """
import asyncio
async def answer(reader, writer):
    try:
        await reader.readuntil(b"\\r\\n\\r\\n")
        writer.write(b"HTTP/1.1 200 OK\\r\\nContent-Length: 2\\r\\n\\r\\nok")
    except (asyncio.IncompleteReadError, ConnectionError):
        pass
    writer.close()
async def main():
    server = await asyncio.start_server(answer, "127.0.0.1", 0, backlog=1024)
    print(server.sockets[0].getsockname()[1], flush=True)
    await server.serve_forever()
asyncio.run(main())
"""
GRPC_SERVER = """
import asyncio, grpc
async def check(request, context):
    return b"\\x08\\x01"
async def main():
    server = grpc.aio.server()
    method = grpc.unary_unary_rpc_method_handler(check)
    health = grpc.method_handlers_generic_handler("grpc.health.v1.Health", {"Check": method})
    server.add_generic_rpc_handlers([health])
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    print(port, flush=True)
    await server.wait_for_termination()
asyncio.run(main())
"""
# Takes every connection and never says a word.
SILENT_SERVER = """
import socket, sys
server = socket.create_server(("127.0.0.1", 0), backlog=1024)
print(server.getsockname()[1], flush=True)
sys.stdin.read()
"""


def cpu_seconds() -> float:
    used = resource.getrusage(resource.RUSAGE_SELF)
    return used.ru_utime + used.ru_stime


@contextlib.contextmanager
def serving(program: str) -> Iterator[int]:
    process = subprocess.Popen(
        [sys.executable, "-c", program], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    )
    try:
        yield int(process.stdout.readline())
    finally:
        process.terminate()
        process.wait()


def targets(count: int, port: int, kind: CheckKind, first: int = 0, **check: float) -> list[Target]:
    asked = Check(kind=kind, interval_seconds=10, **check)
    now = time.time_ns()
    return [Target(f"{n:064x}", now, IP, port, asked) for n in range(first, first + count)]


async def passes(schedule: Schedule, wanted: list[Target]) -> float:
    began = time.monotonic()
    while not all(schedule.outcomes[each].passing for each in wanted):  # noqa: ASYNC110 - measured
        await asyncio.sleep(0.005)
    return time.monotonic() - began


async def cost(prober: Prober, kind: CheckKind, port: int, count: int, seconds: float) -> None:
    probes = 0

    def probed(*_: object) -> None:
        nonlocal probes
        probes += 1

    schedule = Schedule(prober, on_change=lambda: None, on_probed=probed)
    running = asyncio.create_task(schedule.run())
    wanted = targets(count, port, kind)
    schedule.want(wanted)
    first = await passes(schedule, wanted)
    await asyncio.sleep(SETTLE_SECONDS)
    probes, began, cpu = 0, time.monotonic(), cpu_seconds()
    await asyncio.sleep(seconds)
    share = (cpu_seconds() - cpu) / (time.monotonic() - began)
    print(
        f"{kind.value:6} {count} checks: all passed after {first * 1e3:.0f} ms; "
        f"{probes / seconds:.0f} probes/s take {share:.1%} of a core, "
        f"{share * seconds / probes * 1e6:.0f} us each"
    )
    running.cancel()


async def beside_those_that_hang(prober: Prober, silent: int, port: int, count: int) -> None:
    schedule = Schedule(prober, on_change=lambda: None)
    running = asyncio.create_task(schedule.run())
    hung = targets(count, silent, CheckKind.HTTP, timeout_seconds=60)
    schedule.want(hung)
    await asyncio.sleep(SETTLE_SECONDS)
    for number in range(5):
        good = targets(50, port, CheckKind.HTTP, first=10_000 + 100 * number)
        schedule.want([*hung, *good])
        taken = await passes(schedule, good)
        print(f"beside {count} that hang, 50 new ones passed after {taken * 1e3:.0f} ms")
    running.cancel()


async def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--checks", type=int, default=500)
    parser.add_argument("--seconds", type=float, default=20.0)
    asked = parser.parse_args()
    docker = Docker(DockerConfig(url="unix:///nowhere/docker.sock"))
    async with docker, Prober(docker) as prober:
        for kind, program in (
            (CheckKind.TCP, HTTP_SERVER),
            (CheckKind.HTTP, HTTP_SERVER),
            (CheckKind.GRPC, GRPC_SERVER),
        ):
            with serving(program) as port:
                await cost(prober, kind, port, asked.checks, asked.seconds)
        with serving(SILENT_SERVER) as silent, serving(HTTP_SERVER) as port:
            await beside_those_that_hang(prober, silent, port, asked.checks)


if __name__ == "__main__":
    uvloop.run(main())
