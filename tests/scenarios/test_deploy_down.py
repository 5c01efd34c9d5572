"""An environment taken down on one host, under POST load and beside others: nothing else goes."""

import asyncio
from collections.abc import Callable

import pytest

from tests.stack.deploycommand import ended
from tests.stack.lab.load import LOOPBACK, WORKERS, Load, posting
from tests.stack.releasesite import WHARF, ReleaseSite, killed
from wharfinger.operator.parts.process import until

pytestmark = [pytest.mark.real, pytest.mark.scenario, pytest.mark.timeout(400)]

Record = Callable[[str, object], None]

OTHER_SITE = "till.test"
# What Nginx answers by itself where nobody is left who could.
OWN_ANSWERS = {"status 503", "status 404"}
PROJECT = {
    "com.docker.compose.project": "shop-production",
    "com.docker.compose.service": "shop",
    "com.docker.compose.oneoff": "False",
}
# Containers that are nearly of shop in production, each by its labels.
OTHERS = {
    "of-another-application": {
        **PROJECT, "wharfinger.app": "till", "wharfinger.env": "production",
    },
    "of-another-environment": {
        **PROJECT, "wharfinger.app": "shop", "wharfinger.env": "integration",
    },
    "of-nobody": PROJECT,
    "by-hand": {"wharfinger.app": "shop", "wharfinger.env": "production"},
    "of-a-longer-name": {
        **PROJECT, "wharfinger.app": "shop", "wharfinger.env": "production.old",
    },
    "of-another-project": {
        **PROJECT, "com.docker.compose.project": "shop-production-2",
        "wharfinger.app": "shop", "wharfinger.env": "production",
    },
}  # fmt: skip


async def names(site: ReleaseSite) -> set[str]:
    """Of all containers that run."""
    return set((await site.docker.run("ps", "--format={{.Names}}")).split())


async def until_it_says(site: ReleaseSite, what: str) -> asyncio.subprocess.Process:
    """A take-down of production that has come so far."""
    process = await site.start_deploy("down", "production", "--yes")
    assert process.stderr is not None
    async for line in process.stderr:
        if what in line.decode():
            return process
    raise AssertionError(f"it ended and never said {what!r}")


async def refused(load: Load) -> None:
    """Waits until Nginx answers by itself."""

    async def holds() -> bool:
        return bool(load.lost)

    await until(holds, timeout_seconds=30, what="the edge answers by itself")


async def test_no_request_is_lost_before_the_edge_has_forgotten_it(
    release_site: ReleaseSite, record_property: Record
) -> None:
    """Another application's environment of the same name loses none at all."""
    site = release_site
    digest = await site.release("1")
    other = site.folder.parent / "till"
    other.mkdir()
    text = WHARF.format(registry=site.registry.address, site=OTHER_SITE)
    (other / "wharf.yaml").write_text(text.replace("app: shop", "app: till"))
    await site.deploy("up", "production")
    await site.deploy("up", "production", "--file", str(other), "--digest", digest)
    edge = [f"127.0.0.1:{site.edge.nginx.port}"]
    async with site.load() as load, posting(LOOPBACK, edge, OTHER_SITE) as beside:
        await load.more(50)
        done = await site.deploy("down", "production", "--yes")
        assert "production is down: 3 instances of shop were taken away" in done.out
        await refused(load)
        answered = len(load.answered)
        await beside.more(50)
    record_property("answered", answered)
    record_property("beside", len(beside.answered))
    record_property("refused by the edge", load.reasons)
    assert set(load.reasons) <= OWN_ANSWERS, load.reasons
    # Once it has forgotten them, it sends to none of them again; its workers hear within a moment.
    first = min(each.number for each in load.lost)
    assert sum(number > first for number in load.answered) <= WORKERS, sorted(load.answered)[-9:]
    assert not beside.lost, beside.reasons
    assert await site.running("production") == [digest] * 3, "those of the other application"
    assert not [each for each in await names(site) if each.startswith("shop-")]
    listed = await site.docker.run("ps", "--all", "--filter=label=wharfinger.app=shop", "-q")
    assert listed == "", "nothing is left behind, be it stopped"

    status = await site.deploy("status", "production")
    assert "production: down since" in status.out
    await site.deploy("rollback", "production")
    async with site.load() as load:
        await load.more(20)
    assert not load.lost, load.reasons


async def test_what_is_only_like_it_is_let_be(release_site: ReleaseSite) -> None:
    site = release_site
    digest = await site.release("1")
    await site.deploy("up", "production")
    await site.deploy("up", "integration")
    before = await names(site)
    for name, labels in OTHERS.items():
        words = [f"--label={key}={value}" for key, value in labels.items()]
        await site.docker.run(
            "run", "--detach", "--network=host", f"--name={name}", *words,
            "--entrypoint=sleep", f"{site.image}@{digest}", "600",
        )  # fmt: skip
    looked = await site.deploy("down", "production", "--dry-run")
    assert "compose: 3 instances; released last: r1, by ann at" in looked.out
    done = await site.deploy("down", "production", "--yes")
    assert "production is down: 3 instances of shop were taken away" in done.out
    assert "by its labels of something else, and let be: of-" in done.err
    left = await names(site)
    assert left == {*OTHERS, *(each for each in before if "integration" in each)}
    # It says what is there that should not be, and takes none of it at the second time, either.
    status = await site.deploy("status", "production", code=69)
    assert "nothing should run here since it was taken down" in status.out
    assert "no take-down takes it" in status.out
    assert "takes away what is left" not in status.out
    again = await site.deploy("down", "production", "--yes")
    assert "production is down already" in again.out
    assert await names(site) == left


@pytest.mark.parametrize("moment", ["traffic moves away", "stopped"])
async def test_killed_half_way_it_is_ended_by_the_same_again(
    release_site: ReleaseSite, record_property: Record, moment: str
) -> None:
    site = release_site
    await site.release("1")
    await site.deploy("up", "integration")
    beside = await names(site)
    await site.deploy("up", "production")
    await killed(await site.start_deploy("down", "production", "--yes"), when=moment)
    status = await site.deploy("status", "production", code=None)
    assert "production: down since" not in status.out
    done = await site.deploy("down", "production", "--yes", "--wait", "60")
    record_property("said", done.err)
    assert "the down of r1 by ann" in done.err
    assert await names(site) == beside
    assert "down since" in (await site.deploy("status", "production")).out


async def test_killed_half_way_it_is_brought_back(release_site: ReleaseSite) -> None:
    """What was drained already is let in again."""
    site = release_site
    digest = await site.release("1")
    await site.deploy("up", "production")
    process = await site.start_deploy("down", "production", "--yes")
    await killed(process, when="traffic moves away")
    await site.deploy("rollback", "production", "--wait", "60")
    assert await site.running("production") == [digest] * 3
    async with site.load() as load:
        await load.more(30)
    assert not load.lost, load.reasons
    await site.deploy("status", "production")


async def test_with_etcd_lost_half_way_nothing_is_called_down(release_site: ReleaseSite) -> None:
    site = release_site
    await site.release("1")
    await site.deploy("up", "production")
    process = await until_it_says(site, "traffic moves away")
    etcd = site.registrar.etcd_server.process
    etcd.freeze()
    try:
        done = await asyncio.wait_for(ended(process), 90)
    finally:
        etcd.thaw()
    assert done.code == 69, done.err
    assert "the lock was lost" in done.err
    assert await names(site), "nothing was stopped that etcd did not know to be drained"

    async def again() -> bool:
        return (await site.deploy("down", "production", "--yes", code=None)).code == 0

    await until(again, timeout_seconds=120, what="the same again ends it")
    assert not await names(site)
    history = await site.deploy("history", "production")
    assert "failed" in history.out


async def test_with_the_engine_lost_half_way_it_is_ended_by_the_same_again(
    release_site: ReleaseSite,
) -> None:
    site = release_site
    await site.release("1")
    await site.deploy("up", "integration")
    # An engine that was killed does not start all of them again.
    listing = ("ps", "--all", "--quiet")
    beside = await site.docker.run(*listing)
    await site.deploy("up", "production")
    process = await until_it_says(site, "stopped")
    await site.docker.kill()
    done = await ended(process)
    assert done.code == 69, done.err
    status = await site.deploy("status", "production", code=69)
    assert "down since" not in status.out
    await site.docker.start()
    done = await site.deploy("down", "production", "--yes")
    assert "production is down" in done.out
    assert await site.docker.run(*listing) == beside
