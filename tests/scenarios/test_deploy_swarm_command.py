"""The whole pipeline on a Swarm of three hosts, by the command alone."""

import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from tests.stack.lab.lab import Lab
from tests.stack.swarmdeployer import REPOSITORY
from tests.stack.swarmsite import SwarmSite, shares, swarm_site

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
PASSED = '<testsuite name="unit" tests="2"><testcase name="a"/><testcase name="b"/></testsuite>'


@pytest.fixture
async def site(lab: Lab, tmp_path: Path) -> AsyncIterator[SwarmSite]:
    async with swarm_site(lab) as made:
        yield made
        made.platform.keep_logs(tmp_path / "logs")


class Copy:
    """A working copy, and the command in it."""

    def __init__(self, site: SwarmSite, folder: Path) -> None:
        self._site = site
        self.folder = folder
        folder.mkdir()
        (folder / "wharf.yaml").write_text(WHARF.format(image=REPOSITORY))
        (folder / "unit.xml").write_text(PASSED)

    async def deploy(self, *words: str, code: int = 0) -> str:
        return await self._site.deploy(self.folder, *words, code=code)

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
    bad = await copy.release("3", more='CMD ["sh", "-c", "echo no price list >&2; exit 3"]')
    said = await copy.deploy(
        *("up", "production", "--digest", bad.partition("@")[2]),
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
