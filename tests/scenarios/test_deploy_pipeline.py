"""The GitLab pipeline, run: from a commit to production in one digest, and all that stops it."""

import asyncio
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.stack.discovery import DiscoveryStack
from tests.stack.gitlabci import TREE, Project, Ran
from tests.stack.registrar import RegistrarStack
from tests.stack.registry import RegistryServer
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

    def __init__(
        self,
        folder: Path,
        registrar: RegistrarStack,
        edge: DiscoveryStack,
        registry: RegistryServer,
        hook: Webhook,
    ) -> None:
        self.docker = registrar.docker
        self.registry = registry
        self.hook = hook
        config = folder / "deploy.toml"
        config.write_text(
            f"[host]\nstate_dir = {json.dumps(str(folder / 'state'))}\n"
            f"[etcd]\nendpoints = [{json.dumps(registrar.etcd_server.endpoint)}]\n"
            f"[docker]\nurl = {json.dumps(self.docker.url)}\n"
            f"[deploy.notify]\nwebhook_url_file = {json.dumps(str(hook.file))}\n"
        )
        environment = {
            "WHARFINGER_CONFIG": str(config),
            "DOCKER_HOST": self.docker.url,
            "EDGE": f"http://127.0.0.1:{edge.nginx.port}",
        }
        self.project = Project(folder / "shop", environment)

    async def deploy(self, *words: str, code: int = 0) -> Any:
        """The command itself, in the working copy; gives its last word."""
        command = (Path(sys.executable).parent / "deploy", *words, "--json")
        environment = {**os.environ, **self.project.environment}
        done = await asyncio.to_thread(
            subprocess.run,
            command,
            cwd=self.project.folder,
            env=environment,
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == code, done.stdout + done.stderr
        return json.loads(done.stdout.splitlines()[-1])

    async def begin(self) -> None:
        """Writes the repository of a shop, its layer locked, and commits it."""
        folder = self.project.folder
        (folder / "ci").mkdir(parents=True)
        layer = "wharfinger/small"
        script = TREE / "deploy" / "images" / "small" / "image"
        environment = {**os.environ, **self.project.environment}
        await output(script, layer, environment=environment)
        shutil.copy(TREE / "deploy" / "ci" / "gitlab-ci.yml", folder / "ci" / "wharfinger.yml")
        for name in ("shop", "answer"):
            shutil.copy(TREE / "deploy" / "images" / "demo" / name, folder / name)
            (folder / name).chmod(0o755)
        for name, text in {
            "wharf.yaml": WHARF.format(registry=self.registry.address, layer=layer),
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
        await self.deploy("build", "--update-lock")
        await asyncio.to_thread(self.project.commit, "Open the shop")

    async def run(self, *jobs: str) -> Ran:
        return await asyncio.to_thread(self.project.run, *jobs)

    async def digests(self) -> dict[str, set[str]]:
        """What runs in each environment, as the engine knows it."""
        found: dict[str, set[str]] = {}
        for line in (await self.docker.run("ps", "--quiet")).split():
            words = (
                "inspect",
                '--format={{index .Config.Labels "wharfinger.env"}} {{.Config.Image}}',
            )
            environment, image = (await self.docker.run(*words, line)).split()
            found.setdefault(environment, set()).add(image)
        return found


@pytest.fixture
async def site(
    tmp_path: Path,
    registrar_stack: RegistrarStack,
    edge: DiscoveryStack,
    registry: RegistryServer,
) -> Any:
    async with listening(tmp_path) as hook:
        made = Site(tmp_path, registrar_stack, edge, registry, hook)
        await made.begin()
        yield made
        await made.docker.remove_containers()


async def test_a_commit_reaches_production_in_one_digest(
    site: Site, record_property: Callable[[str, object], None]
) -> None:
    ran = await site.run("smoke", "--needs")
    assert ran.code == 0, ran.output
    assert ran.jobs == dict.fromkeys(GATING | DELIVERED, "PASS"), ran.output
    running = await site.digests()
    assert set(running) == {"integration", "pre"}
    (image,) = running["integration"]
    assert running["pre"] == {image}
    assert "@sha256:" in image

    ran = await site.run("production")
    assert ran.code == 0, ran.output
    assert await site.digests() == {name: {image} for name in ENVIRONMENTS}
    ran = await site.run("report")
    assert ran.code == 0, ran.output
    (record,) = (await site.deploy("history", "production"))["releases"]
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
    record_property("image", image)


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
    said = await site.deploy("promote", "integration", "pre", code=69)
    assert "integration.acceptance" in said["error"]
    assert set(await site.digests()) == {"integration"}
