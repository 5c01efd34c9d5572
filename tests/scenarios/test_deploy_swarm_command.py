"""The whole pipeline on a Swarm of three hosts, by the command alone."""

import json
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest

from tests.stack.lab.lab import Lab
from tests.stack.swarmdeployer import REPOSITORY
from tests.stack.swarmsite import SwarmSite, shares, swarm_site
from wharfinger.operator.parts.process import until

pytestmark = [pytest.mark.real, pytest.mark.scenario, pytest.mark.timeout(900)]

WHARF = """\
app: shop
image: {image}
build: {{layer: "{image}:r1", context: .}}
health: {{every: 500ms, timeout: 500ms, healthy: 1, start: 15s}}
drain: 2s
checks: [unit]
environments:
  pre: {{engine: swarm, replicas: 1, rollout: {{monitor: 1s}}}}
  production:
    {{engine: swarm, replicas: 3, needs: [checks], approve: true, rollout: {{monitor: 1s}}}}
"""
DOCKERFILE = """\
ARG LAYER
FROM ${{LAYER}}
COPY version /etc/version
{more}
"""
EXITS = 'CMD ["sh", "-c", "echo no price list >&2; exit 3"]'
FIXED = """\
app: shop
image: {image}
build: {{layer: "{image}:r1", context: .}}
port: {{fixed: 8080}}
health: {{every: 500ms, timeout: 500ms, healthy: 1, start: 15s}}
drain: 1s
environments:
  production: {{engine: swarm, replicas: 4, rollout: {{monitor: 1s}}}}
"""
PASSED = '<testsuite name="unit" tests="2"><testcase name="a"/><testcase name="b"/></testsuite>'


@pytest.fixture
async def site(lab: Lab, tmp_path: Path) -> AsyncIterator[SwarmSite]:
    async with swarm_site(lab) as made:
        yield made
        made.platform.keep_logs(tmp_path / "logs")


class Copy:
    """A working copy, and the command in it."""

    def __init__(self, site: SwarmSite, folder: Path, wharf: str = WHARF) -> None:
        self._site = site
        self.folder = folder
        folder.mkdir()
        (folder / "wharf.yaml").write_text(wharf.format(image=REPOSITORY))
        (folder / "unit.xml").write_text(PASSED)

    async def deploy(self, *words: str, code: int = 0) -> str:
        return await self._site.deploy(self.folder, *words, code=code)

    async def cut_off(self, *words: str, when: Callable[[], Awaitable[bool]]) -> None:
        """Begins, and is killed at a moment."""
        deployer = await self._site.deploying(self.folder, *words)

        async def at_work() -> bool:
            assert deployer.running, deployer.log_tail(50)
            return await when()

        await until(at_work, timeout_seconds=120, what=f"{words} is at work")
        await deployer.kill()

    async def told(self, *words: str) -> Any:
        """The last object that it prints with --json."""
        return json.loads((await self.deploy(*words, "--json")).splitlines()[-1])

    async def release(self, version: str, more: str = "") -> str:
        """Builds and pushes; gives the image by its digest."""
        (self.folder / "version").write_text(version)
        (self.folder / "Dockerfile").write_text(DOCKERFILE.format(more=more))
        locked = (self.folder / "layers.lock").exists()
        await self.deploy("build", *(() if locked else ("--update-lock",)))
        return str((await self.told("push"))["reference"])


def digest(image: str) -> tuple[str, str]:
    """An image as the command is told which one is meant."""
    return "--digest", image.partition("@")[2]


async def test_one_digest_goes_the_whole_way_and_back(site: SwarmSite, tmp_path: Path) -> None:
    copy = Copy(site, tmp_path / "shop")
    first = await copy.release("1")
    await copy.deploy("up", "pre")
    said = await copy.deploy("promote", "pre", "production", code=69)
    assert "unit" in said
    assert "production" in said
    assert shares(await site.images_running("production"), first) == [0, 0, 0]

    await copy.deploy("report", "unit", str(copy.folder / "unit.xml"))
    await copy.deploy("promote", "pre", "production", "--approve", "tried by hand")
    assert shares(await site.images_running("production"), first) == [1, 1, 1]

    second = await copy.release("2")
    assert second != first
    await copy.deploy("up", "pre")
    await copy.deploy("report", "unit", str(copy.folder / "unit.xml"))
    await copy.deploy("promote", "pre", "production", "--approve", "tried again")
    assert shares(await site.images_running("production"), second) == [1, 1, 1]
    assert sum(shares(await site.images_running("pre"), second)) == 1

    await copy.deploy("scale", "production", "5")
    bad = await copy.release("3", more=EXITS)
    said = await copy.deploy(
        *("up", "production", *digest(bad)),
        *("--without-evidence", "to see it fail"),
        code=69,
    )
    assert "no price list" in said
    # Scaled, and that stays: what failed was rolled back to as many as there were.
    assert sorted(shares(await site.images_running("production"), second)) == [1, 2, 2]

    await copy.deploy("rollback", "production")
    assert sorted(shares(await site.images_running("production"), first)) == [1, 2, 2]
    history = await copy.told("history", "production")
    assert [each["state"] for each in history["releases"]][:5] == [
        *("succeeded", "rolled back", "succeeded", "succeeded", "succeeded")
    ], history
    status = await copy.told("status")
    assert "production" in json.dumps(status)


async def test_a_first_release_that_was_cut_off_and_does_not_run_is_taken_away(
    site: SwarmSite, tmp_path: Path
) -> None:
    copy = Copy(site, tmp_path / "shop")
    first, second = [await copy.release(version, more=EXITS) for version in ("1", "2")]
    good = await copy.release("3")

    async def fails() -> bool:
        words = ("--filter", "name=shop-pre_shop", "--format", "{{.CurrentState}}")
        if not await site.docker("service", "ls", "--quiet", *words[:2]):
            return False
        return "Failed" in await site.docker("service", "ps", *words[2:], "shop-pre_shop")

    # The same release again, another that does not run either, one that does.
    for bad in (first, second):
        await copy.cut_off("up", "pre", *digest(first), when=fails)
        said = await copy.deploy("up", "pre", *digest(bad), "--wait", "60", code=69)
        assert "was cut off: it ends as failed" in said
        assert "no price list" in said
        assert "nothing ran before; the stack is removed" in said
        assert await site.docker("service", "ls", "--quiet") == ""
    await copy.cut_off("up", "pre", *digest(first), when=fails)
    await copy.deploy("up", "pre", *digest(good), "--wait", "60")
    history = await copy.told("history", "pre")
    assert [each["state"] for each in history["releases"]] == ["succeeded", *["failed"] * 5]
    assert sum(len(each) for each in (await site.images_running("pre")).values()) == 1


async def test_a_fixed_port_is_one_instance_a_node(site: SwarmSite, tmp_path: Path) -> None:
    copy = Copy(site, tmp_path / "shop", FIXED)
    first = await copy.release("1")
    said = await copy.deploy("up", "production", code=64)
    assert "4 instances cannot all have port 8080: 3 nodes take them" in said
    assert "take port.fixed out" in said
    assert (await copy.told("history", "production"))["releases"] == []
    assert shares(await site.images_running("production"), first) == [0, 0, 0]

    wharf = copy.folder / "wharf.yaml"
    wharf.write_text(wharf.read_text().replace("replicas: 4", "replicas: 3"))
    await copy.deploy("up", "production")
    assert shares(await site.images_running("production"), first) == [1, 1, 1]
    # No second one has room beside the old one: each goes before its successor comes.
    second = await copy.release("2")
    await copy.deploy("up", "production")
    assert shares(await site.images_running("production"), second) == [1, 1, 1]
    assert "3 nodes take them" in await copy.deploy("scale", "production", "4", code=64)

    await site.drained(2)
    await site.until_keys(2, "production")
    words = ("--no-trunc", "--filter", "desired-state=running", "--format", "{{.Error}}")

    async def waits() -> bool:
        told = await site.docker("service", "ps", *words, "shop-production_shop")
        return "max replicas per node limit exceed" in told

    await until(waits, timeout_seconds=60, what="the third waits, and is not tried")
    said = await copy.deploy("up", "production", *digest(first), code=64)
    assert "2 nodes take them" in said
    await copy.deploy("scale", "production", "2")
    await copy.deploy("up", "production", *digest(first))
    assert shares(await site.images_running("production"), first) == [1, 1, 0]
