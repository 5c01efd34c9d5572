"""`deploy` cut off half-way, and two of it at once: what is on record, what the next one does."""

import asyncio
import signal
import sys
from typing import Any

import pytest

from deploy.release.records.record import lock_key
from deploy.release.records.releases import Releases
from tests.stack.commandsite import STEP_SECONDS, CommandSite
from tests.stack.deploycommand import ended
from tests.stack.virtualengine import VirtualEngine
from wharfinger.etcd import Etcd
from wharfinger.keys import Service

pytestmark = pytest.mark.real

SHOP = Service("shop", "integration")


@pytest.mark.parametrize("name", ["SIGINT", "SIGTERM", "SIGHUP"])
async def test_an_interrupt_is_on_record_and_the_lock_is_free(site: CommandSite, name: str) -> None:
    process = await site.half_way()
    process.send_signal(getattr(signal, name))
    done = await ended(process)
    next_step = (
        "`deploy status integration` tells what runs; the same command again goes on, "
        "`deploy rollback integration rN` goes back to what ran"
    )
    assert (done.code, f"{name}: interrupted; {next_step}\n" in done.err) == (75, True), done.err
    assert await site.states("integration") == [
        ("up", "r1", "succeeded"), ("up", "r2", "failed"),
    ]  # fmt: skip
    assert (await site.records("integration"))[-1].why == f"cut off by {name}"
    assert await site.etcd.get(lock_key(SHOP)) is None
    site.engine("integration").order()
    assert (await site.deploy("up", "integration", "r2")).code == 0
    assert len(set(await site.running("integration"))) == 1


async def test_an_interrupt_when_all_is_done_leaves_no_failure_on_record(
    site: CommandSite, monkeypatch: pytest.MonkeyPatch
) -> None:
    end, came = Releases.end, list[str]()

    async def interrupted(releases: Releases, *words: Any) -> None:
        if not came and (task := asyncio.current_task()) is not None:
            came.append("SIGTERM")
            task.cancel("cut off by SIGTERM")
        await end(releases, *words)

    digest = await site.pushed(1)
    monkeypatch.setattr(Releases, "end", interrupted)
    with pytest.raises(asyncio.CancelledError):
        await site.deploy("up", "integration")
    assert await site.running("integration") == [digest] * 2
    assert await site.states("integration") == [("up", "r1", "succeeded")]
    assert (await site.deploy("status", "integration")).code == 0


async def test_after_a_kill_the_next_says_so_and_goes_on(site: CommandSite) -> None:
    process = await site.half_way()
    process.kill()
    await ended(process)
    assert (await site.states("integration"))[-1] == ("up", "r2", "running")
    held = await site.deploy("up", "integration", "r2")
    assert (held.code, "locked by ann (up, on build1, pid" in held.err) == (75, True)
    assert "one that was killed leaves it within 15 s" in held.err
    # The lock has 15 s to live; what ends its lease now is what would end it then.
    kv = await site.etcd.get(lock_key(SHOP))
    assert kv is not None
    await site.etcd.revoke(kv.lease)
    status = await site.deploy("status", "integration")
    assert (status.code, "was cut off" in status.out) == (69, True)
    site.engine("integration").order()
    done = await site.deploy("up", "integration", "r2")
    assert (done.code, "was cut off: it ends as failed, and we go on" in done.err) == (0, True)
    assert await site.states("integration") == [
        ("up", "r1", "succeeded"), ("up", "r2", "failed"), ("up", "r2", "succeeded"),
    ]  # fmt: skip
    assert (await site.records("integration"))[1].why == "cut off"


@pytest.mark.parametrize("when", ["list_ranges", "running"])
async def test_a_rollout_that_ends_while_somebody_looks_was_not_cut_off(
    site: CommandSite, monkeypatch: pytest.MonkeyPatch, when: str
) -> None:
    process = await site.half_way()
    place = {"list_ranges": Etcd, "running": VirtualEngine}[when]
    look, looks = getattr(place, when), list[Any]()

    async def slowly(*words: Any, **more: Any) -> Any:
        found = await look(*words, **more)
        if not looks:
            looks.append(found)
            site.engine("integration").order()
            assert (await ended(process)).code == 0
        return found

    monkeypatch.setattr(place, when, slowly)
    status = await site.deploy("status", "integration")
    assert (status.code, "cut off" in status.out, "should run" in status.out) == (0, False, False)


async def test_a_rollout_that_begins_while_somebody_looks_is_no_fault(
    site: CommandSite, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Between etcd's answer and the engine's."""
    await site.pushed(1)
    second = await site.pushed(2)
    await site.deploy("up", "integration", "r1")
    site.engine("integration").order(hold="stop")
    look, begun = VirtualEngine.running, list[asyncio.subprocess.Process]()

    async def late(engine: VirtualEngine) -> Any:
        monkeypatch.setattr(VirtualEngine, "running", look)
        begun.append(await site.start("up", "integration", "r2"))
        await site.until(lambda kinds: second in kinds)
        return await look(engine)

    monkeypatch.setattr(VirtualEngine, "running", late)
    status = await site.deploy("status", "integration")
    assert (status.code, "is under way" in status.out) == (0, True), status.out
    begun[0].kill()
    await ended(begun[0])


async def test_after_a_kill_a_rollback_goes_back_to_what_should_run(site: CommandSite) -> None:
    process = await site.half_way()
    process.kill()
    await ended(process)
    kv = await site.etcd.get(lock_key(SHOP))
    assert kv is not None
    await site.etcd.revoke(kv.lease)
    site.engine("integration").order()
    assert (await site.deploy("rollback", "integration")).code == 0
    assert (await site.states("integration"))[-1] == ("rollback", "r1", "succeeded")
    assert len(set(await site.running("integration"))) == 1


async def test_of_two_at_once_one_is_refused_and_one_that_waits_comes_after(
    site: CommandSite,
) -> None:
    process = await site.half_way()
    refused = await site.deploy("rollback", "integration", "--json")
    assert refused.code == 75
    assert "integration is locked by ann (up, on build1" in refused.result["error"]
    assert refused.result["error"].endswith("if they hang: deploy unlock integration")
    site.engine("integration").order(seconds=1.0)
    waiting = await site.deploy("scale", "integration", "3", "--wait", "30")
    assert (waiting.code, "waiting for ann (up, on build1" in waiting.err) == (0, True)
    assert (await ended(process)).code == 0
    assert await site.states("integration") == [
        ("up", "r1", "succeeded"), ("up", "r2", "succeeded"), ("scale", "r2", "succeeded"),
    ]  # fmt: skip


async def test_an_etcd_that_is_killed_and_comes_back_harms_nothing(site: CommandSite) -> None:
    process = await site.half_way()
    site.engine("integration").order(seconds=STEP_SECONDS)
    await site.etcd_server.process.kill()
    await asyncio.sleep(2)
    await site.etcd_server.start()
    done = await ended(process)
    assert done.code == 0, done.err
    assert len(set(await site.running("integration"))) == 1
    assert (await site.states("integration"))[-1] == ("up", "r2", "succeeded")


async def test_an_etcd_that_stands_still_at_the_end_is_waited_for(site: CommandSite) -> None:
    process = await site.half_way()
    site.etcd_server.process.freeze()
    site.engine("integration").order(seconds=STEP_SECONDS)
    await site.until(lambda kinds: len(kinds) == 1)
    await asyncio.sleep(2)
    assert process.returncode is None
    site.etcd_server.process.thaw()
    done = await ended(process)
    assert done.code == 0, done.err
    assert (await site.states("integration"))[-1] == ("up", "r2", "succeeded")


async def test_a_promotion_cut_off_is_no_promotion(site: CommandSite) -> None:
    digest = await site.pushed(1)
    await site.deploy("up", "integration")
    await site.reported(digest)
    site.engine("production").order(seconds=0.4)
    promote = ("promote", "integration", "production", "--approve", "yes")
    process = await site.start(*promote)
    await site.until(bool, "production")
    process.send_signal(signal.SIGTERM)
    assert (await ended(process)).code == 75
    assert await site.tag("production") == ""
    assert await site.states("production") == [("promote", "r1", "failed")]
    assert (await site.deploy("promote", "integration", "production")).code == 0
    assert await site.running("production") == [digest] * 3
    assert await site.tag("production") == digest


async def test_the_installed_command_ends_with_its_code(site: CommandSite) -> None:
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "deploy.release", "status", "nowhere",
        "--file", site.folder, "--config", site.folder / "wharfinger.toml",
        stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE,
    )  # fmt: skip
    done = await ended(process)
    assert (done.code, "no environment 'nowhere'" in done.err) == (64, True)


@pytest.mark.parametrize("flags", [(), ("--json",)])
async def test_a_reader_that_leaves_stops_no_rollout(
    site: CommandSite, flags: tuple[str, ...]
) -> None:
    digest = await site.pushed(1)
    site.engine("integration").order(seconds=0.3)
    process = await site.start("up", "integration", *flags)
    assert process.stdout is not None
    assert process.stderr is not None
    await (process.stdout if flags else process.stderr).readline()
    for stream in (process.stdout, process.stderr):
        stream._transport.close()  # type: ignore[attr-defined]
    await process.wait()
    assert await site.running("integration") == [digest] * 2
    assert await site.states("integration") == [("up", "r1", "succeeded")]


async def test_nohup_is_heeded(site: CommandSite) -> None:
    await site.pushed(1)
    site.engine("integration").order(seconds=0.5)
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        process = await site.start("up", "integration")
    finally:
        signal.signal(signal.SIGHUP, before)
    await site.until(bool)
    process.send_signal(signal.SIGHUP)
    assert (await ended(process)).code == 0
