"""Three hosts under load: containers replaced, hosts without power, daemons upgraded."""

import asyncio
import re
import shutil
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.stack.lab.box import Box
from tests.stack.lab.platform import Platform
from tests.stack.lab.whole import lines_are_whole

pytestmark = [pytest.mark.real, pytest.mark.scenario, pytest.mark.timeout(300)]

Record = Callable[[str, object], None]

ROOT = Path(__file__).parent.parent.parent
PACKAGES = ("wharfinger", "registrar", "discovery", "logshipper")


async def test_all_containers_are_replaced_and_no_request_is_lost(
    platform: Platform, record_property: Record
) -> None:
    platform.spent = True
    async with platform.load() as load:
        await load.more(100)
        for turn in range(2):
            # One on each host at a time, as who deploys to three hosts does.
            await asyncio.gather(*(replaced(platform, box, turn) for box in platform.boxes))
        await load.more(100)
    record_property("containers replaced", 6)
    record_property("requests answered", len(load.answered))
    record_property("requests lost", len(load.lost))
    assert load.lost == []
    record_property("seconds to equal", round(await platform.until_equal(6), 1))
    await platform.until_healthy()
    await lines_are_whole(platform, load, record_property)


async def replaced(platform: Platform, box: Box, turn: int) -> None:
    before = await box.listening()
    await box.run_shop(f"new-{turn}")

    async def served() -> bool:
        state = await platform.state()
        fresh = await box.listening() - before
        return bool(fresh) and all(fresh <= each for each in state.served.values())

    await platform.until(served, "the new one is served everywhere")
    await box.operator("drain", f"shop-{turn}")
    await box.host.docker.run("stop", f"shop-{turn}")
    await box.host.docker.run("rm", f"shop-{turn}")


@pytest.mark.parametrize("number", [2, 0], ids=["a host that is no edge", "an edge"])
async def test_a_host_loses_power_and_returns(
    platform: Platform, record_property: Record, number: int
) -> None:
    """Nginx at box1 tries nothing twice; at box2, a POST that no connection came about for."""
    box = platform.boxes[number]
    shipped = platform.boxes[1]
    platform.spent = True
    await shipped.as_shipped()
    await platform.until_equal(6)
    async with platform.load() as load:
        await load.more(200)
        under_way, since = set(load.under_way), time.monotonic()
        await box.host.unplug()
        under_way |= set(load.under_way)  # what began while the cable went is in flight, too
        await box.host.power_off()
        if box.nginx is not None:
            load.edges.remove(box.host.ip)  # as when its address moves to the other edge
        await platform.until_equal(4)
        record_property("seconds until all edges do without it", round(time.monotonic() - since, 1))
        out = time.monotonic()
        await load.more(200)
        since = time.monotonic()
        await box.host.power_on()
        await platform.until_equal(6)
        record_property("seconds from power to equal", round(time.monotonic() - since, 1))
        await load.more(200)
    in_flight = [each for each in load.lost if each.number in under_way]
    record_property("requests answered", len(load.answered))
    record_property("requests lost in flight", len(in_flight))
    late = [each for each in load.lost if each not in in_flight]
    record_property("requests lost before it was out", len(late))
    record_property("reasons", load.reasons)
    assert [each for each in late if each.edge == shipped.host.ip] == []
    assert [each for each in load.lost if each.began > out] == []
    await platform.until_healthy()
    written = await asyncio.to_thread(platform.written_orders)
    record_property("lines that Docker never got", len(load.answered - written))
    stored = await platform.until_stored(written)
    record_property("lines stored", len(load.answered & stored.keys()))
    record_property("lines twice", stored.total() - len(stored))
    assert stored.total() == len(stored)
    assert len(load.answered - written) <= len(under_way)


async def test_all_hosts_lose_power_at_once_and_return(
    platform: Platform, record_property: Record
) -> None:
    """No member of etcd has a leader when the daemons come up, and no lease has anybody left."""
    before = (await platform.state()).runs
    async with platform.load() as load:
        await load.more(200)
        under_way = set(load.under_way)
        await asyncio.gather(*(box.host.power_off() for box in platform.boxes))
        since = time.monotonic()
        await platform.lab.power_on()
        await platform.until_equal(6)
        record_property("seconds from power to equal", round(time.monotonic() - since, 1))
        back = time.monotonic()
        await load.more(200)
    record_property("requests answered", len(load.answered))
    record_property("requests lost", len(load.lost))
    record_property("reasons", load.reasons)
    assert [each for each in load.lost if each.began > back] == []
    await platform.until_healthy()
    assert (await platform.state()).runs == before
    written = await asyncio.to_thread(platform.written_orders)
    record_property("lines that Docker never got", len(load.answered - written))
    stored = await platform.until_stored(written)
    record_property("lines stored", len(load.answered & stored.keys()))
    assert stored.total() == len(stored)
    assert len(load.answered - written) <= len(under_way)


async def test_all_daemons_are_upgraded_one_by_one_and_nothing_is_lost(
    platform: Platform, record_property: Record, tmp_path: Path
) -> None:
    platform.spent = True
    new = await asyncio.to_thread(new_version, tmp_path / "new")
    before = (await platform.state()).runs
    upgraded = 0
    async with platform.load() as load:
        await load.more(100)
        for box in platform.boxes:
            for name in box.daemons:
                await box.restart(name, {"PYTHONPATH": str(new)})
                _, status = await box.ask(name, "/status")
                assert status["version"] == "99.0.0"
                upgraded += 1
                await load.more(20)
    record_property("daemons upgraded", upgraded)
    record_property("requests answered", len(load.answered))
    record_property("requests lost", len(load.lost))
    assert load.lost == []
    await platform.until_equal(6)
    assert (await platform.state()).runs == before
    await lines_are_whole(platform, load, record_property)


def new_version(folder: Path) -> Path:
    """The same programs under another version."""
    for package in PACKAGES:
        shutil.copytree(ROOT / package, folder / package)
    file = folder / "wharfinger" / "__init__.py"
    text, count = re.subn(r'__version__ = ".*"', '__version__ = "99.0.0"', file.read_text())
    assert count == 1
    file.write_text(text)
    return folder
