"""The second half of the demo: a release from its build to production, taken back, rolled back."""

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, Final

from wharfinger.errors import Exit
from wharfinger.operator.demo.console import Show, Step, StepFailedError
from wharfinger.operator.demo.stage import Stage, program
from wharfinger.operator.demo.traffic import posting
from wharfinger.operator.parts.command import ran

_SITE: Final = "kiosk.example"
_REQUESTS: Final = 100
_DIGEST_SHOWN: Final = len("sha256:") + 12
_TIMEOUT_SECONDS: Final = 120.0
_WHARF: Final = """\
app: kiosk
image: {registry}/kiosk
build: {{layer: "shop:latest"}}
health: {{every: 200ms, timeout: 1s, healthy: 1, start: 20s}}
drain: 1s
serve: {{host: {site}}}
checks: [unit]
environments:
  integration: {{engine: compose, rollout: {{monitor: 1s}}}}
  production: {{engine: compose, replicas: 2, needs: [checks], rollout: {{monitor: 1s}}}}
"""
_DOCKERFILE: Final = """\
ARG LAYER
FROM ${LAYER}
COPY version /etc/version
"""
_BROKEN: Final = 'CMD ["sh", "-c", "echo no berth for version $(cat /etc/version); exit 3"]'
_REPORT: Final = '<testsuite tests="1"><testcase name="it floats"/></testsuite>\n'


class Release:
    """An application's working copy, and the command `deploy` in it."""

    def __init__(self, show: Show, stage: Stage) -> None:
        """The stage's daemons run, and its image `shop` is there: the layer of the application."""
        self._show = show
        self._stage = stage
        self._folder = stage.folder / "kiosk"
        self._number = 0

    async def tell(self) -> None:
        """Runs every step.

        Raises:
            WharfingerError: the first that did not hold.
        """
        await self._push_one()
        await self._promote_what_is_proved()
        await self._replace()
        await self._take_back()
        await self._roll_back()

    async def _push_one(self) -> None:
        what = "deploy build, deploy push: the application is a release with a digest"
        async with self._show.step(what) as step:
            await self._stage.registry.start()
            pushed = await self._pushed()
            step.tell(f"{pushed['release']} = {pushed['image']}@{pushed['digest'][:_DIGEST_SHOWN]}")

    async def _promote_what_is_proved(self) -> None:
        what = "deploy up, report, promote: what passed its test is what runs"
        async with self._show.step(what) as step:
            await self._done("up", "integration")
            refused = await self._refused("promote", "integration", "production")
            missing = refused.splitlines()[-1].strip(" -").partition(";")[0]
            step.tell(f"without its test's report: {missing}")
            await self._report()
            done = await self._done("promote", "integration", "production")
            step.tell(f"with it: production runs {done['release']}, {done['replicas']} of it")

    async def _replace(self) -> None:
        what = "the next release, under POST requests, proxy_next_upstream off"
        async with self._show.step(what) as step:
            await self._pushed()
            await self._done("up", "integration")
            await self._report()
            async with self._under_load(step):
                done = await self._done("promote", "integration", "production")
            step.tell(f"production runs {done['release']}, {done['replicas']} of it")

    async def _take_back(self) -> None:
        what = "a release that ends as soon as it has started, under the same"
        async with self._show.step(what) as step:
            await self._pushed(_BROKEN)
            reason = ("--without-evidence", "to see it taken back")
            async with self._under_load(step):
                refused = await self._refused("up", "production", *reason)
            for line in refused.splitlines():
                step.tell(line)

    async def _roll_back(self) -> None:
        what = "deploy rollback production, under the same"
        async with self._show.step(what) as step:
            async with self._under_load(step):
                done = await self._done("rollback", "production")
            step.require(done["release"] == "r1", f"it went back to {done['release']}")
            step.tell(f"production runs {done['release']}, {done['replicas']} of it")

    @asynccontextmanager
    async def _under_load(self, step: Step) -> AsyncIterator[None]:
        """Orders are posted through Nginx meanwhile; not one may fail."""
        async with posting(f"{self._stage.url('nginx')}/order", _SITE) as traffic:
            await traffic.more(_REQUESTS)
            yield
            await traffic.more(_REQUESTS)
        failed = traffic.failures.total()
        step.tell(f"{traffic.answered} requests answered, {failed} failed")
        step.require(failed == 0, f"requests failed: {dict(traffic.failures)}")

    async def _pushed(self, command: str = "") -> dict[str, Any]:
        """Another version of the application: built, and in the registry."""
        self._number += 1
        self._folder.mkdir(exist_ok=True)
        wharf = _WHARF.format(registry=self._stage.registry.address, site=_SITE)
        files = {"wharf.yaml": wharf, "Dockerfile": _DOCKERFILE + command}
        for name, text in {**files, "version": str(self._number), "unit.xml": _REPORT}.items():
            (self._folder / name).write_text(text, encoding="utf-8")
        await self._done("build", *(() if self._number > 1 else ("--update-lock",)))
        return await self._done("push")

    async def _report(self) -> None:
        await self._done("report", "unit", "unit.xml")

    async def _done(self, *words: str) -> dict[str, Any]:
        """What `deploy` says came of it.

        Raises:
            StepFailedError: it failed.
        """
        told = await self._deploy(*words)
        if not told["ok"]:
            raise StepFailedError(f"deploy {' '.join(words)}: {told['error']}")
        return told

    async def _refused(self, *words: str) -> str:
        """Why `deploy` did not do it.

        Raises:
            StepFailedError: it did.
        """
        told = await self._deploy(*words)
        if told["ok"] or told["exit"] != Exit.UNAVAILABLE:
            raise StepFailedError(f"deploy {' '.join(words)}: {told}")
        return str(told["error"])

    async def _deploy(self, *words: str) -> dict[str, Any]:
        flags = ("--json", "--config", self._stage.config)
        command: tuple[str | Path, ...] = (program("deploy"), *words, *flags)
        done = await ran(
            *command,
            environment={**self._stage.environment, "WHARFINGER_DEPLOY__BY": "demo"},
            folder=self._folder,
            timeout_seconds=_TIMEOUT_SECONDS,
        )
        try:
            told: dict[str, Any] = json.loads(done.printed.splitlines()[-1])
        except (IndexError, ValueError) as error:
            what = f"deploy {' '.join(words)}: exit code {done.code}: {done.complaint}"
            raise StepFailedError(what) from error
        return told
