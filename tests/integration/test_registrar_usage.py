"""What instances use of the processor, asked of a real registrar and engine."""

import asyncio
import time
from pathlib import Path

import pytest

from tests.stack.registrar import RegistrarStack
from wharfinger.operator.parts.images import build_shop
from wharfinger.operator.parts.process import until

pytestmark = pytest.mark.real


async def test_a_busy_instance_is_told_from_an_idle_one(registrar_stack: RegistrarStack) -> None:
    idle = await registrar_stack.run_shop()
    busy = await registrar_stack.run_shop()
    await registrar_stack.until_keys(2)
    burn = ("exec", "--detach", busy, "sh", "-c", "while :; do :; done")
    await registrar_stack.docker.run(*burn)

    async def used() -> dict[str, float]:
        told = (await registrar_stack.ask("/usage"))["instances"]
        assert {each["service"] for each in told} == {"shop_prod"}
        ports = await registrar_stack.ports()
        assert {each["address"] for each in told} == {f"127.0.0.1:{port}" for port in ports}
        return {each["id"]: each["cpu_seconds"] for each in told}

    first = await used()
    assert set(first) == {idle, busy}

    async def told_apart() -> bool:
        then = await used()
        grown = {of: then[of] - first[of] for of in then}
        return grown[busy] > 0.1 and grown[busy] > 5 * grown[idle]

    await until(told_apart, timeout_seconds=30, what="the busy one has used more")


async def test_who_asks_at_once_gets_one_answer(registrar_stack: RegistrarStack) -> None:
    await registrar_stack.run_shop()
    await registrar_stack.until_keys(1)
    before = time.monotonic()
    (entry,) = (await registrar_stack.ask("/usage"))["instances"]
    # Of a clock that nobody sets: who asks divides by what has passed.
    assert before <= entry["at"] <= time.monotonic()
    several = await asyncio.gather(*(registrar_stack.ask("/usage") for _ in range(20)))
    # On a machine that stands still meanwhile, some are told a second later.
    assert len({str(each) for each in several}) < 20


async def test_an_engine_that_is_away_is_told(
    breakable_registrar_stack: RegistrarStack, tmp_path: Path
) -> None:
    stack = breakable_registrar_stack
    await build_shop(stack.docker, tmp_path / "shop")
    await stack.run_shop()
    await stack.until_keys(1)
    await stack.docker.kill()
    (entry,) = (await stack.ask("/usage"))["instances"]
    assert entry["cpu_seconds"] is None
    assert "Docker" in entry["why"]
