"""An environment taken from a Swarm of three hosts, under POSTs that nobody tries twice."""

import json
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import pytest

from tests.stack.lab.lab import Lab
from tests.stack.lab.load import Load, posting
from tests.stack.swarmsite import SwarmSite, shares, swarm_site
from wharfinger.operator.parts.process import until

pytestmark = [pytest.mark.real, pytest.mark.scenario, pytest.mark.timeout(900)]

Record = Callable[[str, object], None]

# What Nginx answers by itself where nobody is left who could.
OWN_ANSWERS = {"status 503", "status 404"}


@pytest.fixture
async def site(lab: Lab, tmp_path: Path) -> AsyncIterator[SwarmSite]:
    async with swarm_site(lab) as made:
        yield made
        made.platform.keep_logs(tmp_path / "logs")


async def services(site: SwarmSite) -> set[str]:
    """By their names."""
    return set((await site.docker("service", "ls", "--format", "{{.Name}}")).split())


async def until_refused(load: Load) -> None:
    """Waits until the edges answer by themselves."""

    async def holds() -> bool:
        return len(load.lost) > 10

    await until(holds, timeout_seconds=30, what="the edges answer by themselves")


@pytest.mark.parametrize("replicas", [3, 0], ids=["replicated", "global"])
async def test_no_request_is_lost_before_the_edges_have_forgotten_it(
    site: SwarmSite, record_property: Record, replicas: int
) -> None:
    """Another environment loses none; what else is in the stack is let be."""
    beside = site.wish("r1", environment="pre", site="pre.example", replicas=2)
    wish = site.wish("r1", replicas=replicas)
    await site.run("up", beside)
    await site.run("up", wish)
    await site.docker(
        "service", "create", "--detach", "--quiet", "--name=shop-prod_other", "--network=host",
        "--label=com.docker.stack.namespace=shop-prod", "--entrypoint=sleep",
        site.images["r1"], "1000",
    )  # fmt: skip
    await site.until_served()
    edges = [edge.host.ip for edge in site.platform.edges]
    async with site.platform.load() as load, posting(site.lab.client, edges, "pre.example") as pre:
        await load.more(100)
        said = await site.run("down", wish)
        await until_refused(load)
        await pre.more(100)
    record_property("answered", len(load.answered))
    record_property("refused by the edges", load.reasons)
    record_property("said", said)
    assert set(load.reasons) <= OWN_ANSWERS, load.reasons
    assert not pre.lost, pre.reasons
    assert await services(site) == {"shop-pre_shop", "shop-prod_other"}
    assert shares(await site.images_running(), site.images["r1"]) == [0, 0, 0]
    assert sum(shares(await site.images_running("pre"), site.images["r1"])) == 2
    await site.until_keys(0)
    assert "is not on this Swarm" in await site.run("down", wish)

    await site.run("up", site.wish("r1", replicas=replicas))
    await site.until_served()


async def test_a_deployer_killed_half_way_is_followed_by_one_that_ends_it(
    site: SwarmSite,
) -> None:
    wish = site.wish("r1")
    for moment in ("service scale", "service rm"):
        await site.run("up", wish)
        deployer = await site.begun("down", wish)

        async def half_way(moment: str = moment) -> bool:
            return moment in deployer.log_tail(50)  # noqa: B023

        await until(half_way, timeout_seconds=60, what=moment)
        await deployer.kill()
        await site.run("down", wish)
        assert await services(site) == set()
        assert await site.run("running", wish) == ""
        assert sum(shares(await site.images_running(), site.images["r1"])) == 0
        await site.until_keys(0)


async def test_what_lives_on_where_no_manager_hears_is_not_called_down(site: SwarmSite) -> None:
    """The container serves on a host whose engine is dead; when that is back, Swarm ends it."""
    wish = site.wish("r1", docker=site.lab.hosts[0].docker.url)
    await site.run("up", wish)
    await site.until_served()
    lost = site.lab.hosts[2]
    await lost.docker.kill()

    async def away() -> bool:
        told = await site.docker("node", "inspect", "--format", "{{.Status.State}}", lost.name)
        return told.strip() == "down"

    await until(away, timeout_seconds=60, what="managers do not hear it")
    said = await site.run("down", wish, code=69)
    assert "requests are still sent to" in said
    assert f"on {lost.name}" in said
    await lost.docker.start()

    async def down() -> bool:
        found = await site.begun("down", wish)
        return await found.wait(timeout_seconds=120) == 0

    await until(down, timeout_seconds=240, what="the same again ends it")
    assert sum(shares(await site.images_running(), site.images["r1"])) == 0


async def test_a_service_of_our_name_that_is_somebody_elses_is_let_be(site: SwarmSite) -> None:
    await site.docker(
        "service", "create", "--detach", "--quiet", "--name=shop-prod_shop", "--network=host",
        "--container-label=wharfinger.app=till", "--entrypoint=sleep", site.images["r1"], "1000",
    )  # fmt: skip
    said = await site.run("down", site.wish("r1"), code=69)
    assert "label wharfinger.app says 'till', not shop" in said
    assert await services(site) == {"shop-prod_shop"}
    told = json.loads(await site.docker("service", "inspect", "shop-prod_shop"))
    assert told[0]["Spec"]["Mode"]["Replicated"]["Replicas"] == 1
