"""Releases on a Swarm of three hosts, under POSTs that nobody tries twice."""

import json
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.stack.lab.lab import Lab
from tests.stack.lab.load import Load, posting
from tests.stack.swarmsite import SwarmSite, shares, swarm_site
from wharfinger.operator.parts.process import until

pytestmark = [pytest.mark.real, pytest.mark.scenario, pytest.mark.timeout(900)]

Record = Callable[[str, object], None]


@pytest.fixture
async def site(lab: Lab, tmp_path: Path) -> AsyncIterator[SwarmSite]:
    async with swarm_site(lab) as made:
        yield made
        made.platform.keep_logs(tmp_path / "logs")


@dataclass(slots=True)
class Cost:
    """Of one action."""

    lost: int = 0
    answered: int = 0


class Account:
    """What each action costs."""

    def __init__(self, load: Load, record: Record) -> None:
        self._load = load
        self._record = record

    @asynccontextmanager
    async def of(self, action: str, most: int | None = 0) -> AsyncIterator[Cost]:
        """Counts what is lost by an action, and shortly after it.

        Args:
            action: its name in the record.
            most: of requests that may be lost; None where it is only to be measured.
        """
        lost, answered = len(self._load.lost), len(self._load.answered)
        cost, began = Cost(), time.monotonic()
        yield cost
        seconds = time.monotonic() - began
        await self._load.more(60)
        found = self._load.lost[lost:]
        cost.lost, cost.answered = len(found), len(self._load.answered) - answered
        figures = f"{cost.lost} lost, {cost.answered} answered, {seconds:.1f} s"
        self._record(action, figures)
        said = [(each.why, each.edge, f"{each.began - began:.2f} s") for each in found]
        assert most is None or len(found) <= most, (action, said, time.time())


async def test_releases_are_rolled_out_and_back_without_a_request_lost(
    site: SwarmSite, record_property: Record
) -> None:
    await site.run("up", site.wish("r1"))
    await site.until_keys(3)
    await site.until_served()
    async with site.platform.load() as load:
        account = Account(load, record_property)
        await load.more(100)

        async with account.of("update"):
            await site.run("up", site.wish("r2"))
        assert shares(await site.images_running(), site.images["r2"]) == [1, 1, 1]

        async with account.of("rollback"):
            await site.run("up", site.wish("r1"))
        assert sum(shares(await site.images_running(), site.images["r1"])) == 3

        async with account.of("scale from 3 to 6"):
            await site.run("scale", site.wish("r1", replicas=6))
        assert shares(await site.images_running(), site.images["r1"]) == [2, 2, 2]
        async with account.of("update of 6, two at a time"):
            await site.run("up", site.wish("r2", replicas=6, batch=2))
        assert shares(await site.images_running(), site.images["r2"]) == [2, 2, 2]
        async with account.of("scale from 6 to 2"):
            await site.run("scale", site.wish("r2", replicas=2))
        left = shares(await site.images_running(), site.images["r2"])
        assert sorted(left) == [0, 1, 1]

        busy = left.index(1)
        async with account.of("node drained"):
            await site.drained(busy)
            await site.until_keys(2)
        async with account.of("update with a node drained"):
            await site.run("up", site.wish("r1", replicas=2))
        assert shares(await site.images_running(), site.images["r1"])[busy] == 0


async def test_what_does_not_run_is_rolled_back_and_says_why(
    site: SwarmSite, record_property: Record
) -> None:
    await site.run("up", site.wish("r2"))
    await site.until_served()
    async with site.platform.load() as load:
        account = Account(load, record_property)
        await load.more(100)

        async with account.of("release that exits"):
            said = await site.run("up", site.wish("exits"), code=69)
        assert "restored=True" in said
        assert "no price list is configured" in said
        assert "r2 runs again" in said
        assert shares(await site.images_running(), site.images["r2"]) == [1, 1, 1]

        async with account.of("release that never serves"):
            said = await site.run("up", site.wish("deaf", start_seconds=6), code=69)
        assert "not served by the edges within 18 s" in said
        assert "waits for a database" in said
        assert shares(await site.images_running(), site.images["r2"]) == [1, 1, 1]

        async with account.of("release that no node takes"):
            nowhere = site.wish("r1", hosts="role=none", start_seconds=4)
            said = await site.run("up", nowhere, code=69)
        assert "no suitable node" in said
        assert "restored=True" in said
        assert shares(await site.images_running(), site.images["r2"]) == [1, 1, 1]

        async with account.of("same digest, that no node takes"):
            nowhere = site.wish("r2", hosts="role=none", start_seconds=4)
            said = await site.run("up", nowhere, code=69)
        assert "no suitable node" in said
        assert "restored=True" in said
        assert shares(await site.images_running(), site.images["r2"]) == [1, 1, 1]

        async with account.of("registry away"):
            for registry in site.registries:
                await registry.kill()
            said = await site.run("up", site.wish("slow"), code=69)
        assert "No such image" in said
        assert "restored=True" in said

        async def three() -> bool:
            # One that another took the place of is drained before it ends.
            return sum(shares(await site.images_running(), site.images["r2"])) == 3

        await until(three, timeout_seconds=60, what="as many run as before")


async def test_a_deployer_killed_half_way_is_followed_by_one_that_goes_on(
    site: SwarmSite, record_property: Record
) -> None:
    await site.run("up", site.wish("r1"))
    await site.until_served()
    async with site.platform.load() as load:
        account = Account(load, record_property)

        async with account.of("deployer killed"):
            wish = site.wish("r2")
            deployer = await site.begun("up", wish)

            async def half_way() -> bool:
                return "under way: 1 of 3" in deployer.log_tail(50)

            await until(half_way, timeout_seconds=60, what="one is replaced")
            await deployer.kill()
            said = await site.run("up", wish)
        assert "goes on" in said
        assert shares(await site.images_running(), site.images["r2"]) == [1, 1, 1]

        async with account.of("deployer of a bad release killed"):
            wish = site.wish("deaf", start_seconds=8)
            deployer = await site.begun("up", wish)

            async def begun() -> bool:
                return await site.update_state() == "updating"

            await until(begun, timeout_seconds=60, what="the bad one is tried")
            await deployer.kill()
            # What Swarm does to the bad one is seen to its end before another is tried.
            said = await site.run("up", site.wish("r1"))
        assert "another update" in said
        assert sum(shares(await site.images_running(), site.images["r1"])) == 3


async def test_managers_elect_another_leader_meanwhile(
    site: SwarmSite, record_property: Record
) -> None:
    await site.run("up", site.wish("r1", replicas=2))
    await site.until_served()
    async with site.platform.load() as load:
        account = Account(load, record_property)
        async with account.of("engine of the leader killed"):
            deployer = await site.begun("up", site.wish("r2", replicas=2, start_seconds=60))

            async def half_way() -> bool:
                return "under way: 1 of 2" in deployer.log_tail(50)

            await until(half_way, timeout_seconds=60, what="one is replaced")
            # Its containers live on, and so do their keys.
            await site.lab.hosts[0].docker.kill()
            code = await deployer.wait(timeout_seconds=200)
        assert code == 0, deployer.log_tail(100)
        record_property("after the leader was killed", deployer.log_tail(30))


async def test_a_first_release_that_does_not_run_leaves_nothing(site: SwarmSite) -> None:
    for release, why in (("exits", "no price list"), ("deaf", "waits for a database")):
        wish = site.wish(release, environment="pre", start_seconds=3)
        said = await site.run("up", wish, code=69)
        assert why in said
        assert "restored=False" in said
        assert "the stack is removed" in said
        assert await site.run("running", wish) == ""
    said = await site.run("scale", site.wish("r1", environment="pre"), code=69)
    assert "is not deployed" in said


async def test_the_digest_that_passed_is_promoted_and_one_instance_is_enough(
    site: SwarmSite, record_property: Record
) -> None:
    """The old instance goes when the edges serve the new one; without a HEALTHCHECK, before."""
    for environment, host in (("pre", "pre.example"), ("prod", "shop.example")):
        await site.run("up", site.wish("r1", environment=environment, site=host, replicas=1))
    await site.until_served()
    edges = [edge.host.ip for edge in site.platform.edges]
    async with posting(site.lab.client, edges, "shop.example") as load:
        account = Account(load, record_property)
        await site.run("up", site.wish("r2", environment="pre", site="pre.example", replicas=1))
        async with account.of("promotion, one instance"):
            await site.run("up", site.wish("r2", replicas=1))
        running = [
            json.loads(line)
            for environment in ("pre", "prod")
            for line in (
                await site.run("running", site.wish("r2", environment=environment))
            ).splitlines()
        ]
        assert [each["image"] for each in running if each["state"] == "up"] == [
            site.images["r2"]
        ] * 2

        async with account.of("one instance that takes its time"):
            await site.run("up", site.wish("slow", replicas=1))
        await site.run("up", site.wish("r2", replicas=1))
        # What the HEALTHCHECK is for: Swarm stops the old one while the new one sleeps.
        async with account.of("the same without HEALTHCHECK", most=None) as cost:
            await site.run("up", site.wish("slow", replicas=1, waits=False))
        assert cost.lost > 0
        await site.run("up", site.wish("r2", replicas=1))

        async with account.of("no longer anywhere but everywhere", most=None):
            await site.docker("service", "rm", "shop-prod_shop")
            await site.run("up", site.wish("r1", replicas=0))
        async with account.of("update of one on each node"):
            await site.run("up", site.wish("r2", replicas=0))
        assert shares(await site.images_running(), site.images["r2"]) == [1, 1, 1]
        async with account.of("bad release on each node"):
            said = await site.run("up", site.wish("exits", replicas=0), code=69)
        assert "restored=True" in said
