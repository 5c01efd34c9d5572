"""Commands that are started by the loop while a watch is open, in a process of their own."""

import asyncio
import os
import subprocess
import sys

import pytest

from wharfinger.operator.parts.etcd import EtcdServer

pytestmark = pytest.mark.real

# With gRPC's fork handlers one start in ten crashes: of so many all must succeed.
STARTS = 400
PROGRAM = """
import asyncio, collections, sys
import uvloop
from wharfinger.etcd import Etcd
from wharfinger.sections import EtcdConfig
from wharfinger.watch import Watch

async def main():
    async with Etcd(EtcdConfig(endpoints=(sys.argv[1],))) as etcd:
        listed = asyncio.Event()
        async def follow():
            async for _ in Watch(etcd):
                listed.set()
        async def write():
            while True:
                await etcd.put("/x", b"1")
        tasks = [asyncio.create_task(work) for work in (follow(), write())]
        await listed.wait()
        codes = collections.Counter()
        for _ in range(int(sys.argv[2])):
            process = await asyncio.create_subprocess_exec("/bin/true")
            codes[await process.wait()] += 1
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        print(dict(codes))

uvloop.run(main())
"""


async def test_a_forked_child_becomes_its_command(etcd_server: EtcdServer) -> None:
    words = [sys.executable, "-c", PROGRAM, etcd_server.endpoint, str(STARTS)]
    # What the surroundings ask of gRPC must not bring the crash back.
    environment = {**os.environ, "GRPC_ENABLE_FORK_SUPPORT": "1"}
    done = await asyncio.to_thread(
        subprocess.run, words, env=environment, capture_output=True, text=True, check=False
    )
    assert done.stdout.strip() == str({0: STARTS})
    assert done.stderr == ""
