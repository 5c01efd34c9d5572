"""`deploy down` by the command: asked for, on record, gone on with, and undone."""

import asyncio
import os
import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager

import msgspec
import pytest

from deploy.release.commands import down
from deploy.release.engines import departure
from deploy.release.engines.instances import Instances
from deploy.release.records.lock import holder_of
from deploy.release.records.record import Record, folder, lock_key
from tests.stack.commandsite import CommandSite
from tests.stack.deploycommand import ended
from tests.stack.told import Told
from wharfinger import metadata
from wharfinger.errors import Unavailable
from wharfinger.keys import HOSTS, INSTANCES, Service
from wharfinger.operator.parts.process import until

pytestmark = pytest.mark.real

SHOP = Service("shop", "integration")


@contextmanager
def answering(monkeypatch: pytest.MonkeyPatch, text: str) -> Iterator[None]:
    """A person at the terminal who types that."""
    ours, theirs = os.pipe()
    os.write(theirs, text.encode())
    os.close(theirs)
    monkeypatch.setattr(down, "at_terminal", lambda: True)
    with os.fdopen(ours) as stdin:
        monkeypatch.setattr(sys, "stdin", stdin)
        yield


async def asking(site: CommandSite) -> tuple[asyncio.subprocess.Process, int]:
    """A take-down that waits for its answer at a terminal, and where one would sit before that."""
    master, slave = os.openpty()
    process = await site.start("down", "integration", terminal=slave)
    os.close(slave)
    said = b""
    while b"to take it down" not in said:
        said += await asyncio.to_thread(os.read, master, 4096)
    return process, master


async def instance(site: CommandSite, service: Service, at: str, container: str) -> None:
    """An instance as a registrar tells of it."""
    told = metadata.Metadata(id=container, name=f"c-{container}", host="box9")
    address, about = keys_of(service, at)
    await site.etcd.put(address, at.encode())
    await site.etcd.put(about, msgspec.json.encode(told))


async def withdrawn(site: CommandSite, service: Service, at: str) -> None:
    """It has gone, as a registrar tells."""
    for key in keys_of(service, at):
        await site.etcd.delete(key)


def keys_of(service: Service, at: str) -> tuple[str, str]:
    """Of an instance: its address, and what is known of it."""
    place = at.replace(":", "-")
    return f"{service.prefix}{place}", f"{INSTANCES}{service.name}/{place}"


async def until_held(site: CommandSite) -> str:
    """Waits until a take-down has the lock and is on record; gives who has it."""

    async def holds() -> bool:
        begun = (await site.states("integration"))[-1][::2] == ("down", "running")
        return begun and await holder_of(site.etcd, SHOP) is not None

    await until(holds, timeout_seconds=20, what="a take-down has begun")
    return str(await holder_of(site.etcd, SHOP))


async def test_it_is_on_record_shown_and_brought_back_as_it_was(site: CommandSite) -> None:
    await site.pushed(1)
    second = await site.pushed(2)
    await site.deploy("up", "integration", "r1")
    await site.deploy("up", "integration", "r2")
    await site.deploy("scale", "integration", "3")
    done = await site.deploy("down", "integration", "--yes", "--by", "bob")
    told = "integration is down: 3 instances of shop were taken away; `deploy rollback"
    assert (done.code, told in done.out) == (0, True), done.err
    assert await site.running("integration") == []
    record = (await site.records("integration"))[-1]
    assert (record.verb, record.release, record.state, record.by, record.replicas) == (
        "down", "r2", "succeeded", "bob", 0,
    )  # fmt: skip
    assert await site.tag("integration") == second, "nothing is taken from the registry"

    status = await site.deploy("status", "integration")
    assert status.code == 0, status.out
    assert f"integration: down since {record.ended} by bob: r2 was taken away" in status.out
    assert "`deploy rollback integration` brings r2 back" in status.out
    (row,) = (await site.deploy("status", "integration", "--json")).result["environments"]
    assert (row["ok"], row["serving"], row["down"]["by"]) == (True, None, "bob")
    history = await site.deploy("history", "integration")
    assert "down" in history.out

    again = await site.deploy("down", "integration", "--yes")
    assert (again.code, "is down already, since" in again.out) == (0, True)
    assert len(await site.records("integration")) == 4, "nothing was done"

    await site.registry.process.kill()
    assert (await site.deploy("rollback", "integration")).code == 0
    assert await site.running("integration") == [second] * 3
    assert (await site.deploy("status", "integration")).code == 0


async def test_up_brings_it_back(site: CommandSite) -> None:
    digest = await site.pushed(1)
    await site.deploy("up", "integration")
    await site.deploy("down", "integration", "--yes")
    assert (await site.deploy("up", "integration", "r1")).code == 0
    assert await site.running("integration") == [digest] * 2


async def test_nothing_is_promoted_from_it_or_scaled_there(site: CommandSite) -> None:
    digest = await site.pushed(1)
    await site.reported(digest)
    await site.deploy("up", "integration")
    await site.deploy("down", "integration", "--yes")
    refused = await site.deploy("promote", "integration", "production", "--approve", "well")
    assert refused.code == 69
    assert "integration is down, by ann since" in refused.err
    assert await site.running("production") == []
    refused = await site.deploy("scale", "integration", "4")
    assert refused.code == 69
    assert "integration was taken down by ann" in refused.err
    refused = await site.deploy("report", "integration.smoke", str(site.folder / "unit.xml"))
    assert (refused.code, "integration was taken down: deploy up" in refused.err) == (64, True)
    assert await site.running("integration") == []
    assert len(await site.records("integration")) == 2


async def test_who_types_something_else_has_changed_nothing(
    site: CommandSite, monkeypatch: pytest.MonkeyPatch
) -> None:
    digest = await site.pushed(1)
    await site.deploy("up", "integration")
    for typed in ("y\n", "\n", "", "production\n", "Integration\n", "integration"):
        with answering(monkeypatch, typed):
            refused = await site.deploy("down", "integration")
        assert (refused.code, "nothing was changed" in refused.err) == (64, True), typed
        told = "shop in integration, on compose: 2 instances; released last: r1, by ann at "
        assert told in refused.err
    assert await site.running("integration") == [digest] * 2
    assert len(await site.records("integration")) == 1
    with answering(monkeypatch, "integration\n"):
        assert (await site.deploy("down", "integration")).code == 0
    assert await site.running("integration") == []


async def test_where_nobody_is_there_it_is_refused_without_yes(site: CommandSite) -> None:
    digest = await site.pushed(1)
    await site.deploy("up", "integration")
    process = await site.start("down", "integration")
    done = await ended(process)
    assert (done.code, "--yes takes integration down" in done.err) == (64, True), done.err
    assert await site.running("integration") == [digest] * 2


@pytest.mark.parametrize("typed", [b"", b"integ", b"integration"])
async def test_ctrl_d_at_the_question_changes_nothing(site: CommandSite, typed: bytes) -> None:
    """Behind half a line it hands that over, and no more may be waited for: Ctrl-C did not end it.

    The whole name counts once its line is ended.
    """
    digest = await site.pushed(1)
    await site.deploy("up", "integration")
    process, master = await asking(site)
    os.write(master, typed + b"\x04")
    code = await asyncio.wait_for(process.wait(), 20)
    said = os.read(master, 4096)
    os.close(master)
    assert (code, b"nothing was changed" in said) == (64, True), said
    assert await site.running("integration") == [digest] * 2


async def test_a_terminal_that_goes_away_is_no_answer(site: CommandSite) -> None:
    digest = await site.pushed(1)
    await site.deploy("up", "integration")
    process, master = await asking(site)
    os.close(master)
    assert await asyncio.wait_for(process.wait(), 20) == 64
    assert await site.running("integration") == [digest] * 2


async def test_nobody_is_asked_where_the_input_was_closed(
    site: CommandSite, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "stdin", None)
    done = await site.deploy("down", "integration")
    assert (done.code, "--yes takes integration down" in done.err) == (64, True), done.err


@pytest.mark.parametrize(
    ("flag", "value", "said"),
    [("--app", "", "it is empty"), ("--app", " ", "it is empty")]
    + [("--docker", each, "no engine's address") for each in ("", "box9", "tcp://", "unix://x")],
)
async def test_an_unset_variable_is_not_the_application_or_engine_of_today(
    site: CommandSite, flag: str, value: str, said: str
) -> None:
    digest = await site.pushed(1)
    await site.deploy("up", "integration")
    refused = await site.deploy("down", "integration", "--yes", flag, value)
    assert (refused.code, said in refused.err) == (64, True), refused.err
    assert await site.running("integration") == [digest] * 2


async def test_ctrl_c_at_the_question_ends_it_at_once(site: CommandSite) -> None:
    digest = await site.pushed(1)
    await site.deploy("up", "integration")
    process, master = await asking(site)
    process.send_signal(signal.SIGINT)
    await process.wait()
    os.close(master)
    assert process.returncode == 75
    assert await site.running("integration") == [digest] * 2
    assert len(await site.records("integration")) == 1


async def test_a_dry_run_says_what_there_is(site: CommandSite) -> None:
    digest = await site.pushed(1)
    await site.deploy("up", "integration")
    done = await site.deploy("down", "integration", "--dry-run")
    assert (done.code, "2 instances; released last: r1, by ann" in done.out) == (0, True), done.err
    told = (await site.deploy("down", "integration", "--dry-run", "--json")).result
    assert [each["name"] for each in told["instances"]] == ["shop-1", "shop-2"]
    assert await site.running("integration") == [digest] * 2
    assert len(await site.records("integration")) == 1


async def test_another_release_than_was_agreed_to_is_not_taken_away(
    site: CommandSite, monkeypatch: pytest.MonkeyPatch
) -> None:
    await site.pushed(1)
    second = await site.pushed(2)
    await site.deploy("up", "integration", "r1")

    async def slowly(_leaving: object, *, renamed: bool) -> None:
        assert not renamed
        assert (await site.deploy("up", "integration", "r2")).code == 0

    monkeypatch.setattr(down, "at_terminal", lambda: True)
    monkeypatch.setattr(down, "_require_yes", slowly)
    refused = await site.deploy("down", "integration")
    assert (refused.code, "from r1 to r2: nothing was changed" in refused.err) == (75, True)
    assert await site.running("integration") == [second] * 2


async def test_a_wrong_environment_is_refused(site: CommandSite) -> None:
    digest = await site.pushed(1)
    await site.deploy("up", "integration")
    for words in (("integratio",), ("integration", "--app", "sho"), ("in/tegration",), ("",)):
        refused = await site.deploy("down", *words, "--yes")
        assert refused.code in (64, 69), (words, refused.err)
    never = await site.deploy("down", "production", "--yes")
    assert (never.code, "nothing of shop was ever released to prod" in never.err) == (69, True)
    assert await site.running("integration") == [digest] * 2
    assert await site.records("production") == []


@pytest.mark.parametrize("name", ["SIGKILL", "SIGTERM"])
async def test_cut_off_it_is_half_way_and_the_same_again_ends_it(
    site: CommandSite, name: str
) -> None:
    digest = await site.pushed(1)
    await site.deploy("up", "integration")
    site.engine("integration").order(seconds=0.3)
    process = await site.start("down", "integration", "--yes")
    while len(await site.running("integration")) == 2:
        assert process.returncode is None
    process.send_signal(getattr(signal, name))
    await process.wait()
    site.engine("integration").order()
    assert await site.running("integration") == [digest]
    await site.etcd.delete(lock_key(SHOP))  # as the end of its lease does
    status = await site.deploy("status", "integration")
    assert status.code == 69
    assert ("was cut off" if name == "SIGKILL" else "cut off by SIGTERM") in status.out
    assert "`deploy down integration` takes away what is left" in status.out
    assert "down since" not in status.out
    assert [line.split()[2:4] for line in status.out.splitlines()[1:2]] == [["half", "down"]]
    refused = await site.deploy("promote", "integration", "production", "--approve", "well")
    half = "a rollout in integration is under way" if name == "SIGKILL" else "half-way taken down"
    assert (refused.code, half in refused.err) == (69, True), refused.err
    refused = await site.deploy("scale", "integration", "4")
    assert (refused.code, "is half-way taken down" in refused.err) == (69, True)
    refused = await site.deploy("report", "integration.smoke", str(site.folder / "unit.xml"))
    assert (refused.code, "is half-way taken down" in refused.err) == (64, True)
    done = await site.deploy("down", "integration", "--yes")
    assert done.code == 0, done.err
    assert await site.running("integration") == []
    assert [(each[0], each[2]) for each in await site.states("integration")] == [
        ("up", "succeeded"), ("down", "failed"), ("down", "succeeded"),
    ]  # fmt: skip


async def test_half_way_it_may_be_brought_back(site: CommandSite) -> None:
    await site.pushed(1)
    digest = await site.pushed(2)
    await site.deploy("up", "integration", "r1")
    await site.deploy("up", "integration", "r2")
    site.engine("integration").order(seconds=0.3)
    process = await site.start("down", "integration", "--yes")
    while len(await site.running("integration")) == 2:
        assert process.returncode is None
    process.terminate()
    await process.wait()
    site.engine("integration").order()
    assert (await site.deploy("rollback", "integration")).code == 0
    assert await site.running("integration") == [digest] * 2, "not the release before"
    assert (await site.deploy("status", "integration")).code == 0


async def test_an_engine_that_is_away_leaves_no_record(site: CommandSite) -> None:
    await site.pushed(1)
    await site.deploy("up", "integration")
    site.engine("integration").order(away=True)
    refused = await site.deploy("down", "integration", "--yes")
    assert (refused.code, "the engine does not answer" in refused.err) == (69, True)
    assert len(await site.records("integration")) == 1


async def test_what_runs_on_another_engine_alone_is_not_called_down(site: CommandSite) -> None:
    await site.pushed(1)
    await site.deploy("up", "integration")
    (site.folder / "shop_integration.json").unlink()
    await instance(site, SHOP, "10.0.0.9:80", "9")
    refused = await site.deploy("down", "integration", "--yes")
    told = "requests are sent to 10.0.0.9:80 (c-9 on box9): say it there"
    assert (refused.code, told in refused.err) == (69, True), refused.err
    assert len(await site.records("integration")) == 1


async def test_what_another_engine_runs_drained_is_named(site: CommandSite) -> None:
    """Left there by a take-down that was cut off; no address tells of it any more."""
    await site.pushed(1)
    await site.deploy("up", "integration")
    key = f"{SHOP.prefix}10.0.0.9-80"
    drains = [
        {"key": key, "name": "shop-9"},
        {"key": "/shop_integration2/10.0.0.8-80", "name": "shop-8"},
        {"key": f"{SHOP.prefix}10.0.0.1-80", "name": "shop-1"},
    ]
    told = msgspec.json.encode({"version": "1", "drains": drains})
    await site.etcd.put(f"{HOSTS}box9/registrar", told)
    looked = await site.deploy("down", "integration", "--dry-run", "--json")
    assert looked.result["drained"] == {"10.0.0.9:80": "shop-9 on box9"}
    done = await site.deploy("down", "integration", "--yes")
    named = "drained, and not on this engine: 10.0.0.9:80 (shop-9 on box9); if it runs still"
    assert (done.code, named in done.err) == (0, True), done.err


async def test_while_it_is_under_way_no_way_back_is_named(site: CommandSite) -> None:
    await site.pushed(1)
    await site.deploy("up", "integration")
    site.engine("integration").order(hold="stop")
    process = await site.start("down", "integration", "--yes")
    await until_held(site)
    status = await site.deploy("status", "integration")
    assert (status.code, "is under way" in status.out) == (0, True), status.out
    assert "rollback" not in status.out
    assert "down since" not in status.out
    process.kill()
    await process.wait()


async def test_an_environment_that_the_file_has_no_more_is_taken_away(site: CommandSite) -> None:
    digest = await site.pushed(1)
    for environment in ("integration", "production"):
        waived = ("--without-evidence", "a test") if environment == "production" else ()
        await site.deploy("up", environment, *waived)
    wharf = site.folder / "wharf.yaml"
    before = wharf.read_text()
    wharf.write_text(before.replace("  integration:", "  renamed:"))
    await instance(site, SHOP, "10.0.0.1:80", "1")
    status = await site.deploy("status")
    assert status.code == 69
    assert "write it back, or `deploy down integration` takes it away" in status.out
    await withdrawn(site, SHOP, "10.0.0.1:80")
    done = await site.deploy("down", "integration", "--yes")
    assert (done.code, "rollback" in done.out) == (0, False), done.err
    assert await site.running("integration") == []
    assert await site.running("production") == [digest] * 3, "nothing else"
    assert "down" in (await site.deploy("history", "integration")).out
    assert (await site.deploy("history", "nothing")).code == 64


async def test_one_that_the_file_has_no_more_says_what_can_be_done(site: CommandSite) -> None:
    """`deploy status` does not know it; who hangs there can be stopped."""
    await site.pushed(1)
    await site.deploy("up", "integration")
    wharf = site.folder / "wharf.yaml"
    wharf.write_text(wharf.read_text().replace("  integration:", "  renamed:"))
    site.engine("integration").order(hold="stop")
    process = await site.start("down", "integration", "--yes")
    held = await until_held(site)
    process.kill()
    await process.wait()
    refused = await site.deploy("down", "integration", "--yes")
    assert (refused.code, "deploy unlock integration" in refused.err) == (75, True), refused.err
    freed = await site.deploy("unlock", "integration")
    assert (freed.code, held in freed.out) == (0, True), freed.err
    assert (await site.deploy("unlock", "integratio")).code == 64
    process = await site.start("down", "integration", "--yes")
    await until_held(site)
    process.terminate()
    done = await ended(process)
    assert (done.code, "deploy status" in done.err) == (75, False), done.err
    assert "what is not stopped yet runs on; the same command again goes on" in done.err


async def test_what_failed_since_is_ended_by_another_take_down(site: CommandSite) -> None:
    """Though nothing of it is left, all is well again only when that is on record."""
    await site.pushed(1)
    bad = await site.pushed(2)
    await site.deploy("up", "integration", "r1")
    await site.deploy("down", "integration", "--yes")
    site.engine("integration").order(**{"break": [bad]})
    assert (await site.deploy("up", "integration", "r2")).code == 69
    (site.folder / "shop_integration.json").unlink()
    status = await site.deploy("status", "integration")
    told = "`deploy down integration` takes away what is left"
    assert (status.code, told in status.out) == (69, True), status.out
    assert (await site.deploy("down", "integration", "--yes")).code == 0
    assert (await site.deploy("status", "integration")).code == 0


async def test_what_a_renamed_application_left_is_taken_away(
    site: CommandSite, monkeypatch: pytest.MonkeyPatch
) -> None:
    digest = await site.pushed(1)
    await site.deploy("up", "integration")
    wharf = site.folder / "wharf.yaml"
    wharf.write_text(wharf.read_text().replace("app: shop", "app: store"))
    await site.deploy("up", "integration", "--digest", digest)
    assert (site.folder / "store_integration.json").read_text().count("shop-") == 2
    with answering(monkeypatch, "integration\n"):
        assert (await site.deploy("down", "integration", "--app", "shop")).code == 64
    with answering(monkeypatch, "shop integration\n"):
        done = await site.deploy("down", "integration", "--app", "shop")
    assert (done.code, "2 instances of shop were" in done.out) == (0, True)
    assert "rollback" not in done.out, "that would be of the application as it is called now"
    assert await site.running("integration") == []
    assert (site.folder / "store_integration.json").read_text().count("shop-") == 2


async def test_a_record_that_names_no_engine_starts_none(site: CommandSite) -> None:
    hostile = Record(release="r1", state="succeeded", engine="sh -c reboot")
    await site.etcd.put(f"{folder(Service('shop', 'old'))}1", msgspec.json.encode(hostile))
    refused = await site.deploy("down", "old", "--yes")
    assert (refused.code, "names no engine" in refused.err) == (64, True)


async def test_what_etcd_still_holds_is_waited_for_and_then_named(site: CommandSite) -> None:
    """An address that no registrar describes is sent requests, too; the user's own keys are not."""
    instances = Instances(site.etcd, SHOP, by="ann", tell=lambda _text: None)
    told = Told()
    await site.etcd.put(f"{SHOP.prefix}database/url", b"x")
    await site.etcd.put("/shop_integration2/10.0.0.9-80", b"10.0.0.9:80")
    await departure.until_gone(instances, told, patience_seconds=0.0)
    await instance(site, SHOP, "10.0.0.9:80", "9")
    await site.etcd.put(f"{SHOP.prefix}10.0.0.8-80", b"10.0.0.8:80")
    left = r"10\.0\.0\.8:80 \(whose, no registrar tells\), 10\.0\.0\.9:80 \(c-9 on box9\)"
    with pytest.raises(Unavailable, match=left):
        await departure.until_gone(instances, told, patience_seconds=0.5)
    assert told.waits[0] == ("addresses that etcd has no more", 0, 2)


async def test_a_first_release_that_failed_is_taken_away_and_promises_no_rollback(
    site: CommandSite,
) -> None:
    digest = await site.pushed(1)
    site.engine("integration").order(**{"break": [digest]})
    assert (await site.deploy("up", "integration")).code == 69
    site.engine("integration").order()
    done = await site.deploy("down", "integration", "--yes")
    told = "`deploy up integration r1` brings r1 back"
    assert (done.code, told in done.out) == (0, True), done.err
    status = await site.deploy("status", "integration")
    assert (status.code, "rollback" in status.out) == (0, False)
    refused = await site.deploy("scale", "integration", "3")
    assert (refused.code, "`deploy up integration r1` brings it back" in refused.err) == (69, True)
    refused = await site.deploy("rollback", "integration")
    assert (refused.code, "no release has succeeded here yet" in refused.err) == (69, True)


async def test_a_scaler_leaves_it_alone_and_says_so(site: CommandSite) -> None:
    wharf = site.folder / "wharf.yaml"
    rule = "replicas: 2, autoscale: {min: 2, max: 4, cpu: 70%}}"
    wharf.write_text(wharf.read_text().replace("replicas: 2}", rule))
    digest = await site.pushed(1)
    assert (await site.deploy("up", "integration")).code == 0
    await instance(site, SHOP, "10.0.0.9:80", "beef")
    process = await site.start("autoscale", "integration", "--every", "0.1")
    try:
        assert process.stderr is not None
        # It has begun: it looks at a host that does not answer.
        assert b"box9" in await process.stderr.readline()
        await withdrawn(site, SHOP, "10.0.0.9:80")
        assert (await site.deploy("down", "integration", "--yes")).code == 0
        said = b""
        while b"integration was taken down by ann" not in said:
            said += await process.stderr.readline()
        assert process.returncode is None, "it waits"
        assert (await site.deploy("rollback", "integration")).code == 0
    finally:
        process.terminate()
        await process.wait()
    assert await site.running("integration") == [digest] * 2
    assert [each[0] for each in await site.states("integration")] == ["up", "down", "rollback"]


async def test_what_does_not_come_up_afterwards_leaves_it_down(site: CommandSite) -> None:
    await site.pushed(1)
    bad = await site.pushed(2)
    await site.deploy("up", "integration", "r1")
    await site.deploy("down", "integration", "--yes")
    site.engine("integration").order(**{"break": [bad]})
    failed = await site.deploy("up", "integration", "r2")
    assert (failed.code, "had been taken down before: shop-1 never" in failed.err) == (69, True)
    status = await site.deploy("status", "integration")
    assert status.code == 69
    assert "integration: down since" in status.out
    assert "the up of r2 by ann" in status.out
    site.engine("integration").order()
    done = await site.deploy("down", "integration", "--yes")
    assert (done.code, await site.running("integration")) == (0, []), done.err
    assert (await site.deploy("status", "integration")).code == 0
