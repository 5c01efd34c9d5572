"""Releases on Compose under POST load that nothing tries twice: no request is lost."""

import asyncio
import re
import time
from collections.abc import Callable
from dataclasses import replace

import pytest

from deploy.release.engine import RolloutFailed
from tests.stack.rolling import Rolling, application
from tests.stack.told import Told
from wharfinger.errors import Unavailable
from wharfinger.operator.parts.process import Process, free_port, until

pytestmark = [pytest.mark.real, pytest.mark.scenario, pytest.mark.timeout(300)]

Record = Callable[[str, object], None]


async def test_a_release_is_rolled_out_and_back_and_scaled(
    rolling: Rolling, record_property: Record
) -> None:
    await rolling.up("v1")
    assert await rolling.running() == {"v1": 2}
    async with rolling.load() as load:
        await load.more(20)
        for action, wanted in (
            (rolling.up("v2"), {"v2": 2}),
            (rolling.scale("v2", 4), {"v2": 4}),
            (rolling.scale("v2", 1), {"v2": 1}),
            (rolling.up("v1"), {"v1": 2}),
        ):
            began = time.monotonic()
            await action
            record_property(f"seconds to {wanted}", round(time.monotonic() - began, 1))
            assert await rolling.running() == wanted
            record_property(f"answered until {wanted}", len(load.answered))
            record_property(f"lost until {wanted}", len(load.lost))
            await load.more(20)
    assert not load.lost, load.reasons


@pytest.mark.parametrize(
    ("version", "why"),
    [
        ("exits", r"exit code 3.*\| no till in the shop"),
        ("silent", r"shop.* is running: not registered within .*registrar on box"),
        ("crashes", r"it has ended.*\| out of stock"),
    ],
)
async def test_a_release_that_does_not_run_is_taken_back_and_says_why(
    rolling: Rolling, record_property: Record, version: str, why: str
) -> None:
    rolling.app = application(monitor_seconds=4.0)
    await rolling.up("v1")
    before = {each.id for each in await rolling.engine().running()}
    async with rolling.load() as load:
        await load.more(20)
        began = time.monotonic()
        with pytest.raises(RolloutFailed) as failed:
            await rolling.up(version)
        told = time.monotonic()
        record_property("seconds", round(time.monotonic() - began, 1))
        record_property("why", str(failed.value))
        await load.more(20)
    record_property("answered", len(load.answered))
    record_property("lost", len(load.lost))
    assert failed.value.restored
    assert re.search(why, str(failed.value), re.DOTALL), str(failed.value)
    # One that has served dies with what it was asked; nobody else loses any.
    assert not load.lost or version == "crashes", load.reasons
    assert all(each.began < told for each in load.lost)
    assert {each.id for each in await rolling.engine().running()} == before
    assert {each.state for each in await rolling.engine().running()} == {"up"}


async def test_a_deployer_that_was_killed_is_gone_on_from(
    rolling: Rolling, record_property: Record
) -> None:
    rolling.app = application(3)
    await rolling.up("v1")
    async with rolling.load() as load:
        await load.more(20)
        for moment in ("starts", "traffic moves away", "stopped", "starts", "traffic moves away"):
            process = await rolling.deployer("v2")
            process.log.unlink(missing_ok=True)
            await process.start()

            async def there(moment: str = moment, process: Process = process) -> bool:
                return moment in process.log_tail(100) or not process.running

            await until(there, timeout_seconds=60, what=f"the deployer says {moment}")
            await process.kill()
            assert (await rolling.running()).get("v1", 0) > 0, process.log_tail(30)
        await rolling.up("v2")
        assert any("goes on where" in each for each in rolling.told.steps)
        await load.more(20)
    record_property("answered", len(load.answered))
    record_property("lost", len(load.lost))
    assert await rolling.running() == {"v2": 3}
    assert not load.lost, load.reasons


async def test_a_rollout_waits_for_etcd_and_goes_on(
    rolling: Rolling, record_property: Record
) -> None:
    await rolling.up("v1")
    async with rolling.load() as load:
        await load.more(20)
        rolling.told = told = Told()
        work = asyncio.create_task(rolling.engine().up(await rolling.target("v2"), told))

        async def half() -> bool:
            return any("traffic moves away" in each for each in told.steps)

        await until(half, timeout_seconds=60, what="the first leaves")
        rolling.registrar.etcd_server.process.freeze()
        await asyncio.sleep(10)
        rolling.registrar.etcd_server.process.thaw()
        await work
        await load.more(20)
    record_property("answered", len(load.answered))
    record_property("lost", len(load.lost))
    record_property("steps", told.steps)
    assert await rolling.running() == {"v2": 2}
    assert not load.lost, load.reasons


async def test_a_registrar_that_is_away_does_not_cost_a_request(
    rolling: Rolling, record_property: Record
) -> None:
    """Its keys are deleted by the deployer, who then gives the traffic its time."""
    await rolling.up("v1", 3)
    async with rolling.load() as load:
        await load.more(20)
        await rolling.registrar.process.kill()
        await rolling.scale("v1", 1)
        await rolling.registrar.start()
        await load.more(20)
    record_property("answered", len(load.answered))
    record_property("lost", len(load.lost))
    assert any("deleted from here" in each for each in rolling.told.steps)
    assert await rolling.running() == {"v1": 1}
    assert not load.lost, load.reasons


async def test_one_on_a_fixed_port_goes_before_the_next_comes_and_comes_back(
    rolling: Rolling,
) -> None:
    rolling.app = application(1, fixed=free_port())
    await rolling.up("v1")
    await rolling.up("v2")
    assert await rolling.running() == {"v2": 1}
    with pytest.raises(RolloutFailed, match="no till") as failed:
        await rolling.up("exits")
    assert failed.value.restored
    assert await rolling.running() == {"v2": 1}
    async with rolling.load() as load:
        await load.more(5)
    assert not load.lost


async def test_another_machine_goes_back_without_the_file(rolling: Rolling) -> None:
    rolling.app = replace(application(1, fixed=free_port()))
    await rolling.up("v1")
    with pytest.raises(RolloutFailed) as failed:
        await rolling.engine(state="elsewhere").up(await rolling.target("exits"), Told())
    assert failed.value.restored
    (replica,) = await rolling.engine().running()
    assert (replica.image, replica.state) == (rolling.images["v1"], "up")


async def test_the_first_release_that_fails_leaves_nothing(rolling: Rolling) -> None:
    with pytest.raises(RolloutFailed, match="no till"):
        await rolling.up("exits")
    assert await rolling.running() == {}
    with pytest.raises(Unavailable, match="nothing runs in prod"):
        await rolling.scale("v1", 2)
