"""The GitLab pipeline, run: from a commit to production in one digest, and all that stops it."""

import asyncio
import json
import os
import shutil
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import pytest

from tests.stack.gitlabci import TREE, Project, Ran
from tests.stack.releasesite import ReleaseSite
from tests.stack.webhook import Webhook, listening
from wharfinger.operator.parts.command import output

pytestmark = [pytest.mark.real, pytest.mark.scenario, pytest.mark.timeout(900)]

GATING = {"unit", "ruff", "bandit", "hadolint", "secrets"}
ENVIRONMENTS = ("integration", "pre", "production")
DELIVERED = {"build", "integration", "acceptance", "pre", "smoke"}
WHARF = """\
app: shop
image: {registry}/shop
build: {{layer: {layer}}}
drain: 1s
health: {{every: 500ms, timeout: 500ms, start: 20s}}
serve: {{host: shop.test}}
checks: [unit, ruff, bandit, hadolint, secrets]
environments:
  integration: {{engine: compose, needs: [checks], rollout: {{monitor: 1s}}}}
  pre:
    engine: compose
    mirrors: production
    needs: [checks, integration.acceptance]
  production:
    engine: compose
    replicas: 2
    needs: [checks, integration.acceptance, pre.smoke]
    approve: true
    rollout: {{monitor: 1s}}
"""
CODE = '''\
"""What a basket costs."""


def price(goods: int, each: int) -> int:
    """Gives it."""
    return goods * each
'''
TEST = '''\
"""Tests of it."""

from price import price


def test_price() -> None:
    """It is multiplied."""
    if price(2, 21) != 42:
        raise AssertionError
'''
# What asks a running shop; the suite's name is the test's.
PROBE = """\
#!/bin/sh
# probe HOST FILE: asks the edge for a shop, and writes what came of it.
f=0 t=
curl -sf --max-time 5 -o /dev/null -X POST -H "Host: $1" "$EDGE/" || f=1 t='<failure/>'
{
  echo "<testsuite name='shop' tests='1' failures='$f'>"
  echo "<testcase name='answers'>$t</testcase></testsuite>"
} > "$2"
exit "$f"
"""
DOCKERFILE = """\
ARG LAYER
FROM ${LAYER}
COPY shop answer /bin/
CMD ["shop"]
"""
GITLAB = """\
include: [{local: ci/wharfinger.yml}]
variables:
  WHARF_UNIT: python3 -m pytest -q -p no:cacheprovider --junitxml build/reports/unit.xml
  WHARF_ACCEPTANCE: ci/probe shop.test build/reports/acceptance.xml
  WHARF_SMOKE: ci/probe shop.test build/reports/smoke.xml
  WHARF_SOURCES: price.py
"""


# What each scanner is there for.
FAULTS = {
    "ruff": ("price.py", "import os\n"),
    "bandit": ("price.py", "\n\ndef judge(text: str) -> object:\n    return eval(text)\n"),
    "hadolint": ("Dockerfile", "RUN cd /tmp && sudo sh\n"),
    "secrets": ("price.py", f'KEY = "AKIA{"IOSFODNN7"}EXAMPLR"\n'),
}


class Site:
    """A repository, its pipeline, and where that leads."""

    def __init__(self, release: ReleaseSite, hook: Webhook) -> None:
        self.release = release
        self.hook = hook
        config = release.folder.parent / "deploy.toml"
        config.write_text(f"[deploy.notify]\nwebhook_url_file = {json.dumps(str(hook.file))}\n")
        # Who asks is whom the pipeline knows.
        told = {
            **release.settings,
            "WHARFINGER_CONFIG": str(config),
            "DOCKER_HOST": release.docker.url,
            "EDGE": f"http://127.0.0.1:{release.edge.nginx.port}",
        }
        self.project = Project(release.folder, told)
        release.environment = {**release.environment, "WHARFINGER_CONFIG": str(config)}

    async def begin(self) -> None:
        """Writes the repository of a shop, its layer locked, and commits it."""
        folder = self.project.folder
        (folder / "ci").mkdir()
        layer = "wharfinger/small"
        script = TREE / "deploy" / "images" / "small" / "image"
        environment = {**os.environ, **self.project.environment}
        await output(script, layer, environment=environment)
        shutil.copy(TREE / "deploy" / "ci" / "gitlab-ci.yml", folder / "ci" / "wharfinger.yml")
        for name in ("shop", "answer"):
            shutil.copy(TREE / "deploy" / "images" / "demo" / name, folder / name)
            (folder / name).chmod(0o755)
        for name, text in {
            "wharf.yaml": WHARF.format(registry=self.release.registry.address, layer=layer),
            "price.py": CODE,
            "test_price.py": TEST,
            "Dockerfile": DOCKERFILE,
            ".gitlab-ci.yml": GITLAB,
            ".gitignore": "build/\n.wharf/\n.gitlab-ci-local/\n__pycache__/\nwharf.env\n",
            "ci/probe": PROBE,
        }.items():
            (folder / name).write_text(text)
        (folder / "ci" / "probe").chmod(0o755)
        await asyncio.to_thread(self.project.git, "init", "--quiet", "--initial-branch", "main")
        await self.release.deploy("build", "--update-lock")
        await asyncio.to_thread(self.project.commit, "Open the shop")

    async def run(self, *jobs: str) -> Ran:
        return await asyncio.to_thread(self.project.run, *jobs)

    async def digests(self) -> dict[str, set[str]]:
        """What runs in each environment in which anything does, as the engine knows it."""
        found = {name: set(await self.release.running(name)) for name in ENVIRONMENTS}
        return {name: digests for name, digests in found.items() if digests}


@pytest.fixture
async def site(tmp_path: Path, release_site: ReleaseSite) -> AsyncIterator[Site]:
    async with listening(tmp_path) as hook:
        made = Site(release_site, hook)
        await made.begin()
        yield made


async def test_a_commit_reaches_production_in_one_digest(
    site: Site, record_property: Callable[[str, object], None]
) -> None:
    ran = await site.run("smoke", "--needs")
    assert ran.code == 0, ran.output
    assert ran.jobs == dict.fromkeys(GATING | DELIVERED, "PASS"), ran.output
    running = await site.digests()
    assert set(running) == {"integration", "pre"}
    (digest,) = running["integration"]
    assert running["pre"] == {digest}
    assert digest.startswith("sha256:")

    ran = await site.run("production")
    assert ran.code == 0, ran.output
    assert await site.digests() == {name: {digest} for name in ENVIRONMENTS}
    ran = await site.run("report")
    assert ran.code == 0, ran.output
    history = await site.release.deploy("history", "production", "--json")
    (record,) = history.result["releases"]
    # Who is signed in, as the pipeline knows them.
    assert record["by"] == "local"
    assert record["approval"].startswith("pipeline ")
    assert site.hook.heard[-1] | {"at": ""} == {
        "outcome": "passed",
        "what": "pipeline",
        "app": "shop",
        "environment": "",
        "release": "r1",
        "image": "",
        "by": "local",
        "at": "",
        "why": "",
        "url": site.hook.heard[-1]["url"],
    }
    record_property("digest", digest)


async def test_what_a_scanner_finds_stops_it(site: Site) -> None:
    for name, text in FAULTS.values():
        with (site.project.folder / name).open("a") as file:
            file.write(text)
    await asyncio.to_thread(site.project.commit, "Sell what nobody should buy")
    ran = await site.run("build", "--needs")
    assert ran.code != 0
    assert ran.jobs == {"unit": "PASS"} | dict.fromkeys(FAULTS, "FAIL"), ran.output
    assert not (await site.digests())


async def test_a_failing_test_stops_it_and_people_hear_of_it(site: Site) -> None:
    test = site.project.folder / "test_price.py"
    test.write_text(TEST.replace("42", "43"))
    await asyncio.to_thread(site.project.commit, "Raise the price")
    ran = await site.run("--manual", "production")
    assert ran.code != 0
    assert ran.jobs["unit"] == "FAIL", ran.output
    assert not set(ran.jobs) & (DELIVERED | {"production"})
    # GitLab skips the jobs between and runs this one; what runs it here waits for them for ever.
    ran = await site.run("unit", "failure")
    assert ran.jobs == {"unit": "FAIL", "failure": "PASS"}, ran.output
    assert [(each["outcome"], each["what"]) for each in site.hook.heard] == [("failed", "pipeline")]


async def test_a_failing_acceptance_keeps_it_out_of_pre(site: Site) -> None:
    pipeline = site.project.folder / ".gitlab-ci.yml"
    pipeline.write_text(
        GITLAB.replace("ci/probe shop.test build/reports/acc", "ci/probe no.test build/reports/acc")
    )
    await asyncio.to_thread(site.project.commit, "Ask another shop")
    ran = await site.run("smoke", "--needs")
    assert ran.code != 0
    assert ran.jobs["acceptance"] == "FAIL", ran.output
    assert set(await site.digests()) == {"integration"}
    # Nor by hand: what it found is kept at the digest.
    said = await site.release.deploy("promote", "integration", "pre", code=69)
    assert "integration.acceptance" in said.err
    assert set(await site.digests()) == {"integration"}
