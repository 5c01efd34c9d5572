"""A container that asks for it is told when the edges serve it, and not before."""

import asyncio
import json

import pytest

from tests.stack.registrar import RegistrarStack
from wharfinger.errors import Unavailable
from wharfinger.keys import host_key
from wharfinger.operator.parts.process import until

pytestmark = pytest.mark.real

EDGE = host_key("edge", "discovery")
ASKS = "--label=wharfinger.serving=tell"


async def is_told(stack: RegistrarStack, container: str) -> bool:
    try:
        await stack.docker.run("exec", container, "test", "-e", "/dev/shm/wharfinger.serving")
    except Unavailable:
        return False
    return True


async def until_told(stack: RegistrarStack, container: str) -> None:
    async def told() -> bool:
        return await is_told(stack, container)

    await until(told, timeout_seconds=20, what=f"{container[:12]} is told")


async def serves(stack: RegistrarStack, revision: int) -> None:
    record = json.dumps({"applied_revision": revision}).encode()
    await stack.etcd.put(EDGE, record)


async def test_an_instance_is_told_when_the_last_edge_serves_it(
    registrar_stack: RegistrarStack,
) -> None:
    stack = registrar_stack
    await serves(stack, 1)
    asking, other = await asyncio.gather(stack.run_shop(ASKS), stack.run_shop())
    keys = await stack.until_keys(2)
    assert not await is_told(stack, asking)
    await serves(stack, max(kv.mod_revision for kv in keys.values()))
    await until_told(stack, asking)
    assert not await is_told(stack, other)


async def test_each_run_and_each_life_of_the_registrar_tells_anew(
    registrar_stack: RegistrarStack,
) -> None:
    stack = registrar_stack
    container = await stack.run_shop(ASKS, "--label=wharfinger.drain=0")
    await until_told(stack, container)
    # /dev/shm is new with each start.
    await stack.docker.run("restart", container)
    await until_told(stack, container)
    await stack.process.terminate()
    await stack.docker.run("exec", "--user=0", container, "rm", "/dev/shm/wharfinger.serving")
    await stack.start()
    await until_told(stack, container)


async def test_a_stop_is_held_until_the_last_edge_has_heard_of_it(
    registrar_stack: RegistrarStack,
) -> None:
    stack = registrar_stack
    container = await stack.run_shop(ASKS)  # its drain is a second
    await until_told(stack, container)
    keys = await stack.until_keys(1)
    held = max(kv.mod_revision for kv in keys.values())
    await serves(stack, held)
    stopping = asyncio.create_task(stack.docker.run("stop", "--time=30", container))
    await stack.until_keys(0)

    async def looks() -> bool:
        assert not stopping.done()
        return "sleep 0.5" in await stack.docker.run("top", container)

    await until(looks, timeout_seconds=20, what="its drain is over, and its stop held yet")
    await serves(stack, held + 100)
    await stopping
    state = await stack.docker.run("inspect", "--format={{.State.ExitCode}}", container)
    assert state == "0"
