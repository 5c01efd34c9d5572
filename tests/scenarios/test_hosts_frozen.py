"""Three hosts under load, a daemon of one frozen for longer than its lease: no past is served."""

from collections.abc import Callable

import pytest

from tests.stack.lab.box import Box
from tests.stack.lab.platform import Platform
from tests.stack.lab.whole import lines_are_whole

pytestmark = [pytest.mark.real, pytest.mark.scenario, pytest.mark.timeout(300)]

Record = Callable[[str, object], None]


async def test_a_registrar_goes_on_after_its_host_went_on_without_it(
    platform: Platform, record_property: Record
) -> None:
    """The container that was killed meanwhile is let go once, and never sent to again."""
    box = platform.store
    platform.spent = True
    async with platform.load() as load:
        await load.more(100)
        box.daemons["registrar"].freeze()
        await box.host.docker.run("kill", "shop-0")
        await until_served_without_the_dead(platform)
        before = len(load.lost)
        await load.more(100)
        box.daemons["registrar"].thaw()
        await platform.until_equal(5)
        await load.more(200)
    record_property("requests answered", len(load.answered))
    record_property("requests lost before the probes let it go", before)
    record_property("requests lost afterwards", len(load.lost) - before)
    record_property("reasons", load.reasons)
    assert load.lost[before:] == []
    await platform.until_healthy()
    await lines_are_whole(platform, load, record_property)


async def until_served_without_the_dead(platform: Platform) -> None:
    """Waits until all edges do without what does not listen, and etcd has nothing of the host."""

    async def without() -> bool:
        state = await platform.state()
        gone = all(len(each) == 4 for each in state.etcd.values())
        return gone and all(each == state.runs for each in state.served.values())

    await platform.until(without, "the lease has ended, and what is dead was let go")


async def test_an_edge_goes_on_after_instances_came_and_went(
    platform: Platform, record_property: Record
) -> None:
    """Its Nginx serves all the while what there was before, and then what there is."""
    edge, other = platform.edges[0], platform.boxes[2]
    platform.spent = True
    async with platform.load() as load:
        await load.more(100)
        load.edges[:] = [edge.host.ip]
        edge.daemons["discovery"].freeze()
        for number in range(4):
            await come_and_go(platform, other, f"moment-{number}")
        await other.run_shop("late")
        await load.more(100)
        edge.daemons["discovery"].thaw()
        await platform.until_equal(7)
        await load.more(200)
    record_property("requests answered", len(load.answered))
    record_property("requests lost", len(load.lost))
    record_property("reasons", load.reasons)
    assert load.lost == []
    await platform.until_healthy()
    await lines_are_whole(platform, load, record_property)


async def come_and_go(platform: Platform, box: Box, name: str) -> None:
    """Starts an instance, and ends it when it is in etcd."""
    before = set((await box.keys()).values())
    await box.run_shop(name)
    fresh: set[str] = set()

    async def registered() -> bool:
        fresh.update(set((await box.keys()).values()) - before)
        return bool(fresh)

    await platform.until(registered, f"{name} is registered")
    await box.host.docker.run("rm", "--force", name)

    async def gone() -> bool:
        return not fresh & set((await box.keys()).values())

    await platform.until(gone, f"{name} is gone")
