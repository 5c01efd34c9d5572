"""`deploy` from push to rollback, on a real etcd and registry: what it does, refuses, records."""

import json

import pytest
from aiohttp import web

from deploy.release.engine import Target
from deploy.release.progress import Progress
from deploy.release.registry import Registry
from tests.stack.commandsite import CommandSite
from tests.stack.virtualengine import VirtualEngine
from wharfinger.operator import terminal

pytestmark = pytest.mark.real


async def test_up_brings_what_was_pushed_last_and_says_so(site: CommandSite) -> None:
    await site.pushed(1)
    digest = await site.pushed(2)
    done = await site.deploy("up", "integration")
    assert (done.code, done.out) == (0, f"integration runs r2, 2 of it: {site.image}@{digest}\n")
    assert "up of r2 in integration: 2 instances" in done.err
    assert await site.running("integration") == [digest] * 2
    (record,) = await site.records("integration")
    assert (record.state, record.by, record.digest) == ("succeeded", "ann", digest)
    assert (record.replicas, record.declared, record.engine) == (2, 2, "compose")
    assert await site.tag("integration") == digest


async def test_up_takes_a_release_or_a_digest_by_name(site: CommandSite) -> None:
    first, second = await site.pushed(1), await site.pushed(2)
    assert (await site.deploy("up", "integration", "r1")).code == 0
    assert set(await site.running("integration")) == {first}
    assert (await site.deploy("up", "integration", "--digest", second)).code == 0
    assert await site.states("integration") == [
        ("up", "r1", "succeeded"), ("up", "r2", "succeeded"),
    ]  # fmt: skip


async def test_a_release_is_known_by_its_tag_when_etcd_was_lost(site: CommandSite) -> None:
    digest = await site.pushed(7)
    await site.etcd.delete_prefix("/wharfinger/")
    assert (await site.deploy("up", "integration", "r7")).code == 0
    assert set(await site.running("integration")) == {digest}
    done = await site.deploy("up", "integration", "r8")
    assert (done.code, "has no release r8" in done.err) == (69, True)


async def test_what_cannot_be_meant_is_a_wrong_use(site: CommandSite) -> None:
    for arguments, why in (
        (("up", "integration"), "nothing was pushed yet"),
        (("up", "stage"), "no environment 'stage'; it has integration, production"),
        (("up", "integration", "12"), "is no release: write r12"),
        (("up", "integration", "--digest", "sha256:12"), "is no digest"),
        (("up", "integration", "--without-evidence", "x"), "asks for no evidence"),
        (("scale", "integration", "0"), "give a number from 1"),
        (("promote", "integration", "integration"), "cannot be promoted to itself"),
        (("status", "--wait", "1"), "unrecognized arguments"),
    ):
        done = await site.deploy(*arguments)
        assert (done.code, why in done.err, done.out) == (64, True, ""), done.err
    assert await site.records("integration") == []


async def test_a_bad_file_says_each_line_and_changes_nothing(site: CommandSite) -> None:
    file = site.folder / "wharf.yaml"
    file.write_text(file.read_text().replace("drain: 1s", "drain: soon\ndrian: 2s"))
    done = await site.deploy("up", "integration", "--json")
    assert done.code == 78
    assert "wharf.yaml:5" in done.err
    assert "wharf.yaml:6" in done.err
    assert (done.result["ok"], done.result["exit"]) == (False, 78)


async def test_a_slow_registry_does_not_point_the_tag_to_what_ran_before(
    site: CommandSite, monkeypatch: pytest.MonkeyPatch
) -> None:
    await site.pushed(1)
    second = await site.pushed(2)
    put, late = Registry.put_tag, list[int]()

    async def slowly(registry: Registry, *words: str) -> None:
        if not late:
            late.append(1)
            assert (await site.deploy("up", "integration", "r2")).code == 0
        await put(registry, *words)

    monkeypatch.setattr(Registry, "put_tag", slowly)
    assert (await site.deploy("up", "integration", "r1")).code == 0
    assert set(await site.running("integration")) == {second}
    assert await site.tag("integration") == second


async def test_a_failed_release_is_on_record_with_why(site: CommandSite) -> None:
    good, bad = await site.pushed(1), await site.pushed(2)
    assert (await site.deploy("up", "integration", "r1")).code == 0
    site.engine("integration").order(fail=[bad])
    done = await site.deploy("up", "integration", "r2")
    assert done.code == 69
    # Whoever is woken by it asks first what serves now.
    told = "deploy: up of r2 in integration was rolled back, r1 runs as before: "
    assert done.err.endswith(f"{told}shop-1 exited with code 3\nno port\nbye\n"), "by lines"
    assert await site.running("integration") == [good] * 2
    last = (await site.records("integration"))[-1]
    assert (last.state, last.why, last.said) == (
        "rolled back", "shop-1 exited with code 3", ("no port", "bye"),
    )  # fmt: skip
    assert await site.tag("integration") == good


async def test_what_has_no_room_is_refused_and_not_on_record(site: CommandSite) -> None:
    await site.pushed(1)
    site.engine("integration").order(room=1)
    done = await site.deploy("up", "integration")
    assert (done.code, "there is room for 1" in done.err) == (64, True), done.err
    assert await site.records("integration") == []
    site.engine("integration").order(room=2)
    assert (await site.deploy("up", "integration")).code == 0
    done = await site.deploy("scale", "integration", "3")
    assert (done.code, "there is room for 2" in done.err) == (64, True), done.err
    assert await site.states("integration") == [("up", "r1", "succeeded")]


async def test_a_release_that_is_half_there_is_gone_back_from(site: CommandSite) -> None:
    good, bad = await site.pushed(1), await site.pushed(2)
    await site.deploy("up", "integration", "r1")
    site.engine("integration").order(**{"break": [bad]})
    done = await site.deploy("up", "integration", "r2")
    told = "up of r2 in integration failed, and r1 is not back (`deploy rollback integration r1`): "
    assert (done.code, told in done.err) == (69, True), done.err
    assert set(await site.running("integration")) == {good, bad}
    status = await site.deploy("status", "integration")
    assert status.code == 69
    assert "the up of r2 by ann" in status.out
    assert "which should run r1" in status.out
    refused = await site.deploy("scale", "integration", "3")
    assert (refused.code, "runs more than r1" in refused.err) == (69, True)
    assert (await site.deploy("rollback", "integration")).code == 0
    assert await site.running("integration") == [good] * 2
    assert await site.states("integration") == [
        ("up", "r1", "succeeded"), ("up", "r2", "failed"), ("rollback", "r1", "succeeded"),
    ]  # fmt: skip


async def test_an_engine_is_told_whether_the_rollout_before_ended_well(
    site: CommandSite, monkeypatch: pytest.MonkeyPatch
) -> None:
    _, bad = await site.pushed(1), await site.pushed(2)
    told: list[bool] = []
    up = VirtualEngine.up

    async def noted(self: VirtualEngine, target: Target, progress: Progress) -> None:
        told.append(target.settled)
        await up(self, target, progress)

    monkeypatch.setattr(VirtualEngine, "up", noted)
    await site.deploy("up", "integration", "r1")
    site.engine("integration").order(**{"break": [bad]})
    await site.deploy("up", "integration", "r2")
    await site.deploy("rollback", "integration")
    site.engine("integration").order(fail=[bad])
    await site.deploy("up", "integration", "r2")
    await site.deploy("up", "integration", "r1")
    assert told == [False, True, False, True, True]


async def test_rollback_goes_to_what_succeeded_here_and_needs_no_registry(
    site: CommandSite,
) -> None:
    first = await site.pushed(1)
    second, third = await site.pushed(2), await site.pushed(3)
    none = await site.deploy("rollback", "integration")
    assert (none.code, "no release has succeeded here yet" in none.err) == (69, True)
    await site.deploy("up", "integration", "r1")
    site.engine("integration").order(fail=[second])
    await site.deploy("up", "integration", "r2")
    site.engine("integration").order()
    await site.deploy("up", "integration", "r3")
    assert set(await site.running("integration")) == {third}
    await site.registry.process.kill()
    done = await site.deploy("rollback", "integration")
    assert (done.code, "the tag integration was not moved" in done.err) == (0, True)
    assert set(await site.running("integration")) == {first}
    refused = await site.deploy("rollback", "integration", "r2")
    told = "r2 has not succeeded here; what has: r1, r3"
    assert (refused.code, told in refused.err) == (69, True)
    again = await site.deploy("rollback", "integration")
    assert (again.code, "r1 is the first release" in again.err) == (69, True)


@pytest.mark.parametrize(
    "image", ["--help", "", "evil.example/${HOME}@{digest}", "{image}@sha256:" + "0" * 64]
)
async def test_an_image_that_somebody_wrote_into_a_record_is_not_run(
    site: CommandSite, image: str
) -> None:
    digest = await site.pushed(1)
    await site.deploy("up", "integration")
    key = "/wharfinger/deploy/shop_integration/releases/1"
    kept = await site.etcd.get(key)
    assert kept is not None
    forged = image.replace("{image}", site.image).replace("{digest}", digest)
    await site.etcd.put(key, json.dumps({**json.loads(kept.value), "image": forged}).encode())
    await site.pushed(2)
    await site.deploy("up", "integration", "r2")
    for words in (("rollback", "integration", "r1"), ("rollback", "integration")):
        refused = await site.deploy(*words)
        assert (refused.code, "names no image of its digest" in refused.err) == (69, True)
    assert digest not in await site.running("integration")


async def test_a_scale_is_kept_until_the_file_changes(site: CommandSite) -> None:
    await site.pushed(1)
    await site.pushed(2)
    early = await site.deploy("scale", "integration", "4")
    assert (early.code, "nothing has succeeded" in early.err) == (69, True)
    await site.deploy("up", "integration", "r1")
    assert (await site.deploy("scale", "integration", "4")).code == 0
    await site.deploy("up", "integration", "r2")
    assert len(await site.running("integration")) == 4
    file = site.folder / "wharf.yaml"
    file.write_text(file.read_text().replace("replicas: 2", "replicas: 1"))
    await site.deploy("up", "integration", "r2")
    assert len(await site.running("integration")) == 1


async def test_promotion_names_all_that_is_missing_and_then_brings_that_digest(
    site: CommandSite,
) -> None:
    digest = await site.pushed(1)
    await site.deploy("up", "integration")
    refused = await site.deploy("promote", "integration", "production")
    assert refused.code == 69
    assert "unit: nobody reported it" in refused.err
    assert "approval.production: nobody approved it" in refused.err
    skipped = await site.reported(digest, "<skipped/>")
    assert skipped.code == 1
    words = ("--approve", "looked at it")
    refused = await site.deploy("promote", "integration", "production", *words)
    assert (refused.code, "unit: 1 test, all skipped" in refused.err) == (69, True)
    assert (await site.reported(digest)).code == 0
    refused = await site.deploy("promote", "integration", "production")
    assert (refused.code, "unit" in refused.err) == (69, False), "an approval alone is missing"
    assert await site.running("production") == []
    assert await site.records("production") == [], "nothing began"

    done = await site.deploy("promote", "integration", "production", *words, "--json")
    assert done.code == 0, done.err
    assert await site.running("production") == [digest] * 3
    (record,) = await site.records("production")
    assert (record.verb, record.source, record.approval) == (
        "promote", "integration", "looked at it",
    )  # fmt: skip
    assert (done.result["digest"], done.result["from"]) == (digest, "integration")
    assert await site.tag("production") == digest


async def test_a_check_of_an_environment_is_of_what_runs_there(site: CommandSite) -> None:
    first, second = await site.pushed(1), await site.pushed(2)
    file = site.folder / "smoke.xml"
    file.write_text('<testsuite name="smoke"><testcase name="a"/></testsuite>')
    smoke = ("report", "integration.smoke", str(file), "--json")
    early = await site.deploy(*smoke)
    assert (early.code, "nothing was released to integration" in early.err) == (64, True)
    await site.deploy("up", "integration", "r1")
    # r2 was pushed later, and nobody has tried it.
    assert (await site.deploy(*smoke)).result["digest"] == first
    assert (await site.deploy(*smoke, "--digest", second)).result["digest"] == second
    assert (await site.deploy("report", "unit", str(file), "--json")).result["digest"] == second


async def test_an_approval_is_of_one_digest(site: CommandSite) -> None:
    first, second = await site.pushed(1), await site.pushed(2)
    await site.deploy("up", "integration", "r1")
    await site.reported(first)
    await site.reported(second)
    promote = ("promote", "integration", "production")
    assert (await site.deploy(*promote, "--approve", "fine")).code == 0
    assert (await site.deploy(*promote)).code == 0, "it is kept at the digest"
    assert "fine (ann, " in (await site.records("production"))[-1].approval
    await site.deploy("up", "integration", "r2")
    assert (await site.deploy(*promote)).code == 69


async def test_an_approval_is_of_one_application(site: CommandSite) -> None:
    digest = await site.pushed(1)
    await site.deploy("up", "integration")
    await site.reported(digest)
    promote = ("promote", "integration", "production")
    assert (await site.deploy(*promote, "--approve", "fine")).code == 0
    file = site.folder / "wharf.yaml"
    file.write_text(file.read_text().replace("app: shop", "app: worker"))
    await site.deploy("up", "integration", "--digest", digest)
    refused = await site.deploy(*promote)
    assert (refused.code, "approval.production: nobody" in refused.err) == (69, True)
    assert (await site.deploy(*promote, "--approve", "fine, too")).code == 0


async def test_promotion_is_of_what_the_source_really_runs(site: CommandSite) -> None:
    first, second = await site.pushed(1), await site.pushed(2)
    await site.reported(first)
    await site.reported(second)
    promote = ("promote", "integration", "production", "--approve", "yes")
    refused = await site.deploy(*promote)
    assert (refused.code, "nothing was ever released to integration" in refused.err) == (69, True)
    await site.deploy("up", "integration", "r1")
    refused = await site.deploy(*promote, "--digest", second)
    assert (refused.code, f"runs {first[:19]} (r1), not {second[:19]}" in refused.err) == (69, True)

    path = site.folder / "shop_integration.json"
    kept = path.read_text()
    path.write_text(kept.replace(first, second))
    refused = await site.deploy(*promote)
    assert (refused.code, "should run" in refused.err) == (69, True)
    path.write_text(kept.replace('"up"', '"unhealthy"', 1))
    refused = await site.deploy(*promote)
    assert (refused.code, "shop-1 is unhealthy" in refused.err) == (69, True)
    path.write_text("[]")
    refused = await site.deploy(*promote)
    assert (refused.code, "runs nothing" in refused.err) == (69, True)
    path.write_text(kept)
    site.engine("integration").order(away=True)
    refused = await site.deploy(*promote)
    assert (refused.code, "the engine does not answer" in refused.err) == (69, True)
    site.engine("integration").order(fail=[second])
    await site.deploy("up", "integration", "r2")
    refused = await site.deploy(*promote)
    assert (refused.code, "the last rollout in integration was rolled back" in refused.err) == (
        69, True,
    )  # fmt: skip
    assert await site.records("production") == []


async def test_up_asks_for_the_same_evidence_unless_a_reason_is_given(site: CommandSite) -> None:
    digest = await site.pushed(1)
    refused = await site.deploy("up", "production")
    assert (refused.code, "unit: nobody reported it" in refused.err) == (69, True)
    done = await site.deploy("up", "production", "--without-evidence", "the shop is down")
    assert done.code == 0
    assert (await site.records("production"))[-1].waived == "the shop is down"
    shown = await site.deploy("history", "production")
    assert "without evidence: the shop is down" in shown.out
    await site.reported(digest)
    assert (await site.deploy("up", "production", "--approve", "seen")).code == 0
    both = await site.deploy("up", "production", "--approve", "a", "--without-evidence", "b")
    assert both.code == 64


async def test_a_registry_that_is_away_refuses_a_promotion_and_leaves_nothing(
    site: CommandSite,
) -> None:
    digest = await site.pushed(1)
    await site.deploy("up", "integration")
    await site.reported(digest)
    await site.registry.process.kill()
    promote = ("promote", "integration", "production", "--approve", "yes")
    refused = await site.deploy(*promote)
    assert refused.code == 69
    assert await site.records("production") == []
    assert await site.running("production") == []
    await site.registry.start()
    assert (await site.deploy(*promote)).code == 0


async def test_status_and_history_for_people_and_programs(site: CommandSite) -> None:
    digest = await site.pushed(1)
    await site.deploy("up", "integration")
    status = await site.deploy("status")
    assert status.code == 0
    rows = [line.split() for line in status.out.splitlines()]
    assert rows[1][:5] == ["integration", "compose", "r1", digest, "2/2"], "nothing is cut"
    assert rows[2][:5] == ["production", "compose", "-", "-", "0/3"]
    told = (await site.deploy("status", "integration", "--json")).result["environments"][0]
    assert (told["ok"], told["running"]) == (True, [{"digest": digest, "instances": 2}])
    history = await site.deploy("history", "--limit", "5")
    assert history.out.splitlines()[1].split()[:6] == [
        "integration", "1", "r1", "up", "succeeded", "2",
    ]  # fmt: skip
    site.engine("integration").order(fail=[await site.pushed(2)])
    await site.deploy("up", "integration", "r2")
    lines = (await site.deploy("history")).out.splitlines()
    assert lines[-1] == "integration 2: shop-1 exited with code 3", "no column for sentences"
    # The log of the pipeline is far away by then.
    assert (await site.deploy("status", "integration")).out.endswith("code 3\nno port\nbye\n")
    assert "no port" not in (await site.deploy("status")).out
    site.engine("integration").order(away=True)
    away = await site.deploy("status")
    assert (away.code, "integration: the engine does not answer" in away.out) == (69, True)


async def test_a_narrow_terminal_has_each_environment_on_a_line(
    site: CommandSite, monkeypatch: pytest.MonkeyPatch
) -> None:
    digest = await site.pushed(1)
    approved = ("--approve", "seen")
    await site.deploy("up", "integration")
    await site.reported(digest)
    await site.deploy("promote", "integration", "production", *approved)
    wide = (await site.deploy("history")).out.splitlines()
    assert any("promote from integration" in line and digest in line for line in wide)
    for width in (125, 100, 80, 60):
        monkeypatch.setattr(terminal, "width", lambda width=width: width)
        status = (await site.deploy("status")).out.splitlines()
        history = (await site.deploy("history")).out.splitlines()
        for lines, titles in ((status[:3], ("UP", "RELEASE")), (history[:3], ("DID", "STATE"))):
            assert max(map(len, lines)) <= width, lines
            assert set(titles) <= set(lines[0].split())
            assert {line.split()[0] for line in lines[1:]} == {"integration", "production"}
        assert any(line.startswith("production 1: approved: seen") for line in history)
        assert digest[:19] in status[1] or digest[7:19] in status[1] or width == 60
        told = (await site.deploy("history", "--json")).result["releases"]
        assert {each["digest"] for each in told} == {digest}


async def test_what_an_environment_has_left_that_is_not_in_the_file_any_more_is_named(
    site: CommandSite,
) -> None:
    told = {"id": "c1", "name": "shop-old-1", "host": "h1", "image": "i"}
    key = "/wharfinger/instances/shop_old/10.0.0.1-80"
    await site.etcd.put(key, json.dumps(told).encode())
    status = await site.deploy("status")
    said = "old: is not in wharf.yaml, and requests are still sent to shop-old-1 on h1; "
    assert (status.code, said in status.out) == (69, True), status.out
    of_one = await site.deploy("status", "integration", "--json")
    assert (of_one.code, of_one.result["left_behind"]) == (0, {})
    await site.etcd.delete(key)
    assert (await site.deploy("status")).code == 0


async def test_what_a_rollout_that_began_nothing_says_of_the_way_back_takes_nothing_away(
    site: CommandSite,
) -> None:
    digests = [await site.pushed(number) for number in (1, 2, 3)]
    await site.deploy("up", "integration", "r1")
    await site.deploy("up", "integration", "r2")
    site.engine("integration").order(away=True)
    told = await site.deploy("up", "integration", "r3")
    assert "`deploy rollback integration rN` goes back to what ran" in told.err
    site.engine("integration").order()
    assert (await site.deploy("rollback", "integration", "r2")).code == 0
    assert await site.running("integration") == [digests[1]] * 2


async def test_an_engine_that_is_away_is_told_and_on_record(site: CommandSite) -> None:
    first = await site.pushed(1)
    await site.pushed(2)
    await site.deploy("up", "integration", "r1")
    site.engine("integration").order(away=True)
    done = await site.deploy("up", "integration", "r2")
    assert done.code == 69
    told = (
        "deploy: up of r2 in integration failed: the engine does not answer\n"
        "  `deploy status integration` tells what runs; the same command again goes on, "
        "`deploy rollback integration rN` goes back to what ran\n"
    )
    assert done.err.endswith(told), done.err
    status = await site.deploy("status", "integration", "--json")
    assert (status.code, status.result["environments"][0]["ok"]) == (69, False)
    mend = "integration: `deploy up integration r1` brings back what should run"
    assert mend not in (await site.deploy("status")).out
    site.engine("integration").order()
    assert mend in (await site.deploy("status")).out
    assert await site.states("integration") == [("up", "r1", "succeeded"), ("up", "r2", "failed")]
    assert await site.running("integration") == [first] * 2
    assert (await site.deploy("up", "integration", "r2")).code == 0


async def test_programs_are_told_every_step_and_the_end(site: CommandSite) -> None:
    await site.pushed(1)
    done = await site.deploy("up", "integration", "--json")
    assert {each["event"] for each in done.events} == {"step", "waiting", "result"}
    assert done.events[-1]["event"] == "result"
    assert done.err == ""
    assert json.dumps(done.result).count(site.image) == 1


async def test_an_etcd_that_is_away_is_said_at_once(site: CommandSite) -> None:
    await site.pushed(1)
    await site.etcd_server.process.kill()
    done = await site.deploy("up", "integration", "r1")
    assert (done.code, "etcd" in done.err) == (69, True)
    assert await site.running("integration") == []


async def test_a_release_of_another_repository_is_not_meant(site: CommandSite) -> None:
    digest = await site.pushed(1)
    told = {"release": "r2", "image": "elsewhere:5000/shop", "digest": digest}
    await site.etcd.put("/wharfinger/deploy/shop/pushes/2", json.dumps(told).encode())
    assert (await site.deploy("up", "integration")).code == 0
    assert (await site.records("integration"))[-1].release == "r1"


async def test_people_are_told_how_it_ended_and_nothing_fails_for_it(
    site: CommandSite, unused_tcp_port: int
) -> None:
    heard: list[dict[str, str]] = []

    async def hear(request: web.Request) -> web.Response:
        heard.append(await request.json())
        return web.Response()

    app = web.Application()
    app.router.add_post("/hook", hear)
    runner = web.AppRunner(app)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", unused_tcp_port).start()
    url = site.folder / "url"
    url.write_text(f"http://127.0.0.1:{unused_tcp_port}/hook\n")
    config = site.folder / "wharfinger.toml"
    config.write_text(f'{config.read_text()}[deploy.notify]\nwebhook_url_file = "{url}"\n')
    first, second = await site.pushed(1), await site.pushed(2)
    await site.deploy("up", "integration", "r1")
    site.engine("integration").order(fail=[second])
    await site.deploy("up", "integration", "r2")
    await site.deploy("promote", "integration", "production")
    for refused in (
        ("rollback", "integration"),
        ("scale", "production", "2"),
        ("up", "production"),
    ):
        assert (await site.deploy(*refused)).code == 69
    site.engine("integration").order(room=1)
    assert (await site.deploy("up", "integration", "r1")).code == 64
    site.engine("integration").order()
    assert [(each["outcome"], each["what"], each["environment"]) for each in heard] == [
        ("passed", "up", "integration"), ("failed", "up", "integration"),
    ], "a refusal is for whoever asked"  # fmt: skip
    assert (heard[0]["release"], heard[0]["image"]) == ("r1", f"{site.image}@{first}")
    assert "r2 in integration was rolled back, r1 runs as before: shop-1" in heard[1]["why"]
    assert (heard[1]["release"], heard[1]["image"]) == ("r2", f"{site.image}@{second}")
    await runner.cleanup()
    done = await site.deploy("up", "integration", "r1")
    assert (done.code, "not told: webhook" in done.err) == (0, True)
