"""The command itself on one host under POST load: build, push, up, rollback, scale, cut off."""

import time
from collections.abc import Callable

import pytest

from tests.stack.releasesite import ReleaseSite, killed

pytestmark = [pytest.mark.real, pytest.mark.scenario, pytest.mark.timeout(400)]

Record = Callable[[str, object], None]


async def test_a_commit_goes_to_production_and_back_without_a_lost_request(
    release_site: ReleaseSite, record_property: Record
) -> None:
    site = release_site
    first = await site.release("1")
    await site.deploy("up", "production")
    assert await site.running("production") == [first] * 3
    second = await site.release("2")
    async with site.load() as load:
        await load.more(20)
        for words, digest, count in (
            (("up", "production"), second, 3),
            (("rollback", "production"), first, 3),
            (("scale", "production", "5"), first, 5),
            (("scale", "production", "2"), first, 2),
            (("up", "production", "r2"), second, 2),
        ):
            began = time.monotonic()
            await site.deploy(*words)
            assert await site.running("production") == [digest] * count
            record_property(" ".join(words), f"{time.monotonic() - began:.1f} s")
            record_property(f"lost until {' '.join(words)}", len(load.lost))
            await load.more(20)
    record_property("answered", len(load.answered))
    assert not load.lost, load.reasons
    history = await site.deploy("history", "production", "--json")
    states = [each["state"] for each in history.result["releases"]]
    assert states == ["succeeded"] * 6, history.out


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
