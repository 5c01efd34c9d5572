"""The agents as a stack on a Swarm of three hosts: installed, upgraded, drained, engine killed."""

from collections.abc import AsyncIterator, Callable
from pathlib import Path

import pytest

from tests.stack.lab.lab import Lab
from tests.stack.lab.load import posting
from tests.stack.swarm import SITE, Swarm, swarm
from wharfinger.operator.parts.process import until

pytestmark = [pytest.mark.real, pytest.mark.scenario, pytest.mark.timeout(900)]


@pytest.fixture
async def three(lab: Lab, tmp_path: Path) -> AsyncIterator[Swarm]:
    async with swarm(lab, tmp_path) as made:
        yield made


async def test_a_stack_is_installed_upgraded_and_outlives_its_engines(
    three: Swarm, record_property: Callable[[str, object], None]
) -> None:
    one, two, last = three.lab.hosts
    await three.deploy()
    await three.deploy_shop()
    before = await three.until_keys([one, two, last])
    await three.until_served(three.edges, 3)

    async with posting(three.lab.client, three.edges, SITE) as load:
        await load.more(100)
        await three.update("registrar", "logshipper", "discovery")
        for name in ("registrar", "logshipper", "discovery"):
            assert await three.state(name) == "completed"
        assert await three.keys() == before
        await load.more(100)
        record_property("lost_while_agents_were_upgraded", len(load.lost))
        record_property("answered_while_agents_were_upgraded", len(load.answered))
        assert not load.lost, load.reasons

        await three.docker("node", "update", "--availability", "drain", last.name)
        await three.until_keys([one, two])
        await load.more(100)
        record_property("lost_by_a_drained_node", len(load.lost))
        assert not load.lost, load.reasons

        await three.docker("node", "update", "--availability", "active", last.name)
        await three.until_keys([one, two, last])
        await three.until_served(three.edges, 3)

        # Containers outlive their engine, and so do the instances: their keys are kept.
        await two.docker.kill()
        await three.until_node(two, "Down")
        await load.more(200)
        record_property("lost_while_an_engine_was_dead", len(load.lost))
        assert not load.lost, load.reasons
        assert {two.ip in key for key in await three.keys()} == {True, False}

        # Without live-restore the engine ends what it finds, Nginx too, without a stop's farewell.
        load.edges[:] = three.edges[:1]
        await load.more(20)
        so_far = len(load.lost)
        await two.docker.start()
        await three.until_node(two, "Ready")
        await three.until_keys([one, two, last])
        await three.until_served(three.edges, 3)
        record_property("lost_by_its_return_at_the_other_edge", len(load.lost) - so_far)
        record_property("answered_in_all", len(load.answered))

    async def shipped() -> bool:
        return await three.logged() >= len(load.answered)

    await until(shipped, timeout_seconds=60, what="every answered request is in the log store")
