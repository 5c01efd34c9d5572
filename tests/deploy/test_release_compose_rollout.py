"""The rolling loop's start of new instances, when docker-compose does not do it."""

from types import SimpleNamespace
from typing import cast

import pytest

from deploy.release.engines.compose.plan import Wish
from deploy.release.engines.compose.rollout import Rollout
from deploy.release.engines.compose.site import NotRunning, Site
from deploy.release.engines.facts import Facts
from tests.stack.told import Told
from wharfinger.errors import Unavailable


def facts(container_id: str) -> Facts:
    return cast("Facts", SimpleNamespace(id=container_id, name=container_id, runs=True))


@pytest.mark.parametrize("there", [["a"], ["a", "new"]])
async def test_who_is_removed_meanwhile_ends_no_release(there: list[str]) -> None:
    told = Told()
    await rollout(there, told)._start(1, {"a": facts("a"), "b": facts("b")})
    assert told.steps[1:] == ["a container was removed meanwhile: looked at again"]


async def test_where_nobody_was_removed_it_fails() -> None:
    with pytest.raises(NotRunning, match="nothing could be started: No such container: c"):
        await rollout(["a", "b"], Told())._start(1, {"a": facts("a"), "b": facts("b")})


def rollout(there: list[str], told: Told) -> Rollout:
    async def found() -> tuple[Facts, ...]:
        return tuple(facts(each) for each in there)

    async def start(_count: int) -> None:
        raise Unavailable("No such container: c")

    site = cast("Site", SimpleNamespace(found=found, progress=told))
    return Rollout(site, "2", Wish(replicas=2), start)
