"""`deploy` killed before each of its writes: what is told of it, and the same command again."""

import itertools
from collections.abc import AsyncIterator, Callable
from typing import Any

import pytest

from deploy.release.records import choice
from deploy.release.records.record import lock_key
from deploy.release.records.releases import Releases
from tests.stack import dying
from tests.stack.commandsite import CommandSite
from tests.stack.deploycommand import ended
from wharfinger.errors import Unavailable
from wharfinger.etcd.session import Session
from wharfinger.keys import Service

pytestmark = [pytest.mark.real, pytest.mark.scenario, pytest.mark.timeout(600)]

Note = Callable[[str, object], None]
MOST_WRITES = 100


async def killed(
    site: CommandSite, monkeypatch: pytest.MonkeyPatch, *words: str
) -> AsyncIterator[str]:
    """Kills a command before its first write, its second, and so on; gives what that was."""
    place = site.folder / "died"
    monkeypatch.setenv(dying.AT, str(place))
    for number in itertools.count(1):
        assert number < MOST_WRITES
        monkeypatch.setenv(dying.BEFORE, str(number))
        done = await ended(await site.start(*words, module="tests.stack.dying"))
        if done.code == 0:
            return
        assert done.code == -9, done.err
        yield f"{number}: {place.read_text()}"


async def is_well(site: CommandSite, environment: str, wanted: int) -> bool:
    """Whether it is as it should be, by etcd's and the engine's own words."""
    history = await Releases(site.etcd, Service("shop", environment)).history()
    serving, running = choice.serving(history), await site.running(environment)
    if history and history[-1].record.state != "succeeded":
        return False
    return running == ([serving.digest] * wanted if serving else [])


async def time_passes(site: CommandSite, environment: str) -> None:
    """Ends the lock of a command that was killed, as its lease would be ended."""
    kv = await site.etcd.get(lock_key(Service("shop", environment)))
    if kv is not None:
        assert kv.lease, "it would be there for ever"
        await site.etcd.revoke(kv.lease)


async def test_a_promotion_goes_on_wherever_it_was_killed(
    site: CommandSite, monkeypatch: pytest.MonkeyPatch, record_property: Note
) -> None:
    first, second = await site.pushed(1), await site.pushed(2)
    for digest in (first, second):
        await site.reported(digest)
    await site.deploy("up", "production", "r1", "--approve", "at first")
    await site.deploy("up", "integration", "r2")
    promote = ("promote", "integration", "production", "--approve", "seen")
    died = []
    async for at in killed(site, monkeypatch, *promote):
        died.append(at)
        await time_passes(site, "production")
        status = await site.deploy("status", "production")
        well = await is_well(site, "production", 3)
        assert (status.code == 0) == well, (at, status.out)
        again = await site.deploy(*promote)
        assert again.code == 0, (at, again.err)
        assert await site.running("production") == [second] * 3, at
        assert await site.tag("production") == second, at
        assert await is_well(site, "production", 3), at
        states = {state for *_, state in await site.states("production")}
        assert states <= {"succeeded", "failed"}, at
        assert (await site.deploy("status")).code == 0, at
        # Back to where it began, so that the next one has as much to do.
        assert (await site.deploy("rollback", "production", "r1")).code == 0, at
    record_property("killed before", "\n".join(died))
    kinds = {each.split()[1] for each in died}
    assert kinds == {"etcd", "registry", "engine"}, died
    assert await site.running("production") == [second] * 3


async def test_a_rollback_goes_on_wherever_it_was_killed(
    site: CommandSite, monkeypatch: pytest.MonkeyPatch, record_property: Note
) -> None:
    first, _second = await site.pushed(1), await site.pushed(2)
    await site.deploy("up", "integration", "r1")
    await site.deploy("up", "integration", "r2")
    died = []
    async for at in killed(site, monkeypatch, "rollback", "integration"):
        died.append(at)
        await time_passes(site, "integration")
        status = await site.deploy("status", "integration")
        assert (status.code == 0) == await is_well(site, "integration", 2), (at, status.out)
        is_over = (await site.states("integration"))[-1] == ("rollback", "r1", "succeeded")
        again = await site.deploy("rollback", "integration")
        if is_over:
            assert (again.code, "none is before it" in again.err) == (69, True), (at, again.err)
        else:
            assert again.code == 0, (at, again.err)
        assert await site.running("integration") == [first] * 2, at
        assert (await site.deploy("status", "integration")).code == 0, at
        assert (await site.deploy("up", "integration", "r2")).code == 0, at
    record_property("killed before", "\n".join(died))
    assert await site.running("integration") == [first] * 2


async def test_a_report_is_kept_wherever_it_was_killed(
    site: CommandSite, monkeypatch: pytest.MonkeyPatch, record_property: Note
) -> None:
    digest = await site.pushed(1)
    await site.deploy("up", "integration")
    assert (await site.reported(digest)).code == 0
    bad = site.folder / "bad.xml"
    bad.write_text('<testsuite><testcase name="a"><failure/></testcase></testsuite>')
    died = []
    promote = ("promote", "integration", "production", "--approve", "seen")
    words = ("report", "unit", str(bad), "--digest", digest)
    place = site.folder / "died"
    monkeypatch.setenv(dying.AT, str(place))
    for number in itertools.count(1):
        monkeypatch.setenv(dying.BEFORE, str(number))
        done = await ended(await site.start(*words, module="tests.stack.dying"))
        if done.code != -9:
            break
        died.append(f"{number}: {place.read_text()}")
        # Nothing of it is there: the one before counts, as if this had not been run.
        assert (await site.deploy(*promote)).code == 0, died[-1]
    record_property("killed before", "\n".join(died))
    assert done.code == 1, done.err
    refused = await site.deploy(*promote)
    assert (refused.code, "unit: 1 test, 1 failed" in refused.err) == (69, True)


@pytest.mark.parametrize("is_done", [False, True])
async def test_one_answer_of_etcd_that_is_lost_does_no_harm(
    site: CommandSite, monkeypatch: pytest.MonkeyPatch, *, is_done: bool
) -> None:
    """Whether what was asked for was done or not: nobody can tell."""
    call, left = Session.call, [0]

    async def lossy(session: Session, *words: Any, **more: Any) -> Any:
        left[0] -= 1
        if left[0]:
            return await call(session, *words, **more)
        if is_done:
            await call(session, *words, **more)
        raise Unavailable("the answer is lost")

    monkeypatch.setattr(Session, "call", lossy)
    first, second = await site.pushed(1), await site.pushed(2)
    await site.deploy("up", "integration", "r1")
    for number in itertools.count(1):
        assert number < MOST_WRITES
        left[0] = number
        done = await site.deploy("up", "integration", "r2")
        is_over, left[0] = left[0] > 0, 0
        assert (done.code == 0) or "the answer is lost" in done.err, (number, done.err)
        running = await site.running("integration")
        assert running in ([first] * 2, [second] * 2), number
        await time_passes(site, "integration")
        status = await site.deploy("status", "integration")
        assert (status.code == 0) == await is_well(site, "integration", 2), (number, status.out)
        again = await site.deploy("up", "integration", "r2")
        assert (again.code, await site.running("integration")) == (0, [second] * 2), again.err
        assert (await site.deploy("status", "integration")).code == 0, number
        assert (await site.deploy("up", "integration", "r1")).code == 0, number
        if is_over:
            return
