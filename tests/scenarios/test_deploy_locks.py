"""A lock that is lost while a release rolls: the work stops before another can begin."""

import asyncio
import signal

import pytest

from tests.stack.commandsite import CommandSite
from tests.stack.deploycommand import ended
from wharfinger.operator.parts.process import freeze

pytestmark = [pytest.mark.real, pytest.mark.scenario]


async def test_unlock_stops_who_hangs_before_anybody_else_begins(site: CommandSite) -> None:
    process = await site.half_way()
    site.engine("integration").order(seconds=60)
    unlocked = await site.deploy("unlock", "integration", "--by", "bob")
    assert (unlocked.code, "was locked by ann" in unlocked.out) == (0, True)
    done = await asyncio.wait_for(ended(process), 30)
    assert (done.code, "the lock was lost" in done.err, "taken by bob" in done.err) == (
        69, True, True,
    )  # fmt: skip
    assert (await site.states("integration"))[-1][2] == "running", "it could not write any more"
    nobody = await site.deploy("unlock", "integration")
    assert nobody.out == "nobody has the lock\n"


async def test_an_etcd_that_is_away_for_longer_than_the_lock_stops_the_rollout(
    site: CommandSite,
) -> None:
    process = await site.half_way()
    site.engine("integration").order(seconds=60)
    site.etcd_server.process.freeze()
    done = await asyncio.wait_for(ended(process), 30)
    assert (done.code, "stopped where it was" in done.err) == (69, True)
    assert "etcd is away: the lock holds for" in done.err
    site.etcd_server.process.thaw()
    assert (await site.states("integration"))[-1][2] == "running"
    site.engine("integration").order()
    again = await site.deploy("up", "integration", "r2", "--wait", "30")
    assert (again.code, "was cut off" in again.err) == (0, True)
    assert [state for *_, state in await site.states("integration")] == [
        "succeeded", "failed", "succeeded",
    ]  # fmt: skip


async def test_after_a_kill_whoever_waits_goes_on_within_the_time_of_the_lock(
    site: CommandSite,
) -> None:
    process = await site.half_way()
    process.kill()
    await ended(process)
    site.engine("integration").order()
    done = await site.deploy("up", "integration", "r2", "--wait", "30")
    assert (done.code, "was cut off" in done.err) == (0, True)
    assert len(set(await site.running("integration"))) == 1


async def test_a_deployer_that_stood_still_does_nothing_more_when_it_wakes(
    site: CommandSite,
) -> None:
    process = await site.half_way()
    site.engine("integration").order(seconds=2)
    freeze(process.pid)
    other = await site.deploy("rollback", "integration", "--by", "bob", "--wait", "40")
    assert other.code == 0
    process.send_signal(signal.SIGCONT)
    done = await ended(process)
    assert (done.code, "the lock" in done.err) == (69, True), done.err
    assert await site.states("integration") == [
        ("up", "r1", "succeeded"), ("up", "r2", "failed"), ("rollback", "r1", "succeeded"),
    ]  # fmt: skip
    assert (await site.deploy("status", "integration")).code == 0
