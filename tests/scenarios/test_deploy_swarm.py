"""Releases on a Swarm of three hosts, under POSTs that nobody tries twice."""

from collections.abc import AsyncIterator, Callable

import pytest

from tests.stack.lab.lab import Lab
from tests.stack.lab.load import Load
from tests.stack.swarmsite import SwarmSite, shares, swarm_site

pytestmark = [pytest.mark.real, pytest.mark.scenario, pytest.mark.timeout(900)]

Record = Callable[[str, object], None]


@pytest.fixture
async def site(lab: Lab) -> AsyncIterator[SwarmSite]:
    async with swarm_site(lab) as made:
        yield made


class Account:
    """What each action costs."""

    def __init__(self, load: Load, record: Record) -> None:
        self._load = load
        self._record = record
        self._lost = 0
        self._answered = 0

    async def close(self, action: str) -> None:
        """Takes up all since the last action; some requests after it are its own."""
        await self._load.more(60)
        lost = len(self._load.lost) - self._lost
        self._record(f"{action}: lost", lost)
        self._record(f"{action}: answered", len(self._load.answered) - self._answered)
        print(action, "lost", lost, self._load.reasons)
        self._lost, self._answered = len(self._load.lost), len(self._load.answered)


async def test_releases(site: SwarmSite, record_property: Record) -> None:
    code, said = await site.done("up", site.wish("r1"))
    assert code == 0, said
    await site.until_keys(3)
    print(await site.docker("service", "inspect", "shop-prod_shop"))
    ids = (await site.docker("service", "ps", "-q", "--no-trunc", "shop-prod_shop")).split()
    print(await site.docker("inspect", "--type", "task", *ids[:1]))
    print(await site.docker("node", "inspect", "self"))
    async with site.platform.load() as load:
        account = Account(load, record_property)
        await load.more(100)
        await account.close("nothing")
        code, said = await site.done("up", site.wish("r2"))
        assert code == 0, said
        await account.close("update")
        code, said = await site.done("up", site.wish("exits"))
        assert code == 69
        await account.close("exits")
        print(await site.docker("service", "inspect", "shop-prod_shop"))
        code, said = await site.done("scale", site.wish("r2", replicas=6))
        await account.close("scale up")
        print(await site.docker("service", "inspect", "shop-prod_shop"))
        code, said = await site.done("scale", site.wish("r2", replicas=2))
        await account.close("scale down")
        code, said = await site.done("up", site.wish("deaf", replicas=2, start_seconds=6))
        await account.close("deaf")
        print(shares(await site.images_running(), site.images["r2"]))
