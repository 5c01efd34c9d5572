"""The command itself killed half-way, on one host under POST load."""

from collections.abc import Callable

import pytest

from tests.stack.releasesite import ReleaseSite, killed

pytestmark = [pytest.mark.real, pytest.mark.scenario, pytest.mark.timeout(400)]

Record = Callable[[str, object], None]


async def test_one_that_was_killed_is_told_of_and_gone_on_from(
    release_site: ReleaseSite, record_property: Record
) -> None:
    site = release_site
    first = await site.release("1")
    await site.deploy("up", "production")
    second = await site.release("2")
    async with site.load() as load:
        await load.more(20)
        said = await killed(await site.start_deploy("up", "production"), when="traffic moves away")
        assert "traffic moves away" in said
        assert {first, second} == {*await site.running("production")}
        done = await site.deploy("up", "production", "--wait", "60")
        assert "goes on where an earlier run was cut off" in done.err
        await load.more(20)
    record_property("answered", len(load.answered))
    record_property("lost", len(load.lost))
    assert await site.running("production") == [second] * 3
    assert not load.lost, load.reasons
