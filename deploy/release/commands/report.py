"""`deploy report CHECK FILE`: what a tool found, kept as evidence at the image's digest."""

import argparse
from pathlib import Path

import msgspec

from deploy.release import showing
from deploy.release.app.model import App
from deploy.release.commands import flags, opening
from deploy.release.commands.site import Site, service_of, timestamp
from deploy.release.config import asker
from deploy.release.evidence.judging import Reporter
from deploy.release.evidence.model import Evidence
from deploy.release.records import choice
from deploy.release.records.pushes import Pushes
from deploy.release.records.releases import Releases
from deploy.release.reporting import digest_of, judged, report
from deploy.release.workingcopy import WorkingCopy
from wharfinger.errors import Exit, Rejected
from wharfinger.operator.verbs import Verbs


def add_to(verbs: Verbs) -> None:
    """Adds `report` to the command."""
    what = "keep a tool's report as evidence at an image's digest; 1 where it is no pass"
    parser = verbs.add("report", _report, what)
    parser.add_argument("check", metavar="CHECK", help="as wharf.yaml names it")
    parser.add_argument("report", type=Path, metavar="REPORT", help="JUnit's XML, or a tool's JSON")
    flags.add_digest(parser)
    flags.add_app(parser)
    flags.add_asker(parser)
    parser.add_argument("--tool", default="", metavar="NAME", help="where the report does not say")
    parser.add_argument("--tool-version", default="", metavar="VERSION", help="likewise")
    parser.add_argument("--dry-run", action="store_true", help="read it, keep nothing")


async def _report(parsed: argparse.Namespace) -> Exit:
    config = opening.configuration(parsed)
    reporter = Reporter(
        by=asker(config.deploy),
        at=timestamp(),
        tool=parsed.tool,
        tool_version=parsed.tool_version,
    )
    if parsed.dry_run:
        found, _data = await judged(parsed.check, parsed.report, reporter)
        return _shown(parsed, found, "")
    async with opening.opened(parsed) as (site, app), site.registry() as registry:
        given = parsed.digest or await _of_environment(site, app, parsed.check)
        digest = await digest_of(
            app,
            given or None,
            copy=WorkingCopy(opening.folder(parsed)),
            pushes=Pushes(site.etcd, app.name),
        )
        found = await report(
            app,
            parsed.check,
            parsed.report,
            reporter,
            digest=digest,
            registry=registry,
            progress=site.progress,
        )
    return _shown(parsed, found, digest)


async def _of_environment(site: Site, app: App, check: str) -> str:
    """What an environment's own check has looked at: what should run there, whatever came later."""
    names = [each for each in app.environments if check.startswith(f"{each}.")]
    if not names:
        return ""
    environment = app.environments[max(names, key=len)]
    history = await Releases(site.etcd, service_of(app, environment)).history()
    if (record := choice.serving(history)) is None:
        name = environment.name
        why = f"nothing was released to {name} yet"
        if (down := choice.taken_down(history)) is not None:
            why = f"{name} {choice.how_far(down)}"
        raise Rejected(f"{why}: deploy up {name}, or name what was checked by --digest")
    site.progress.step(f"{check} is of what {environment.name} runs: {record.release}")
    return record.digest


def _shown(parsed: argparse.Namespace, found: Evidence, digest: str) -> Exit:
    told = {"ok": found.holds, "digest": digest, **msgspec.to_builtins(found)}
    passed = "passed" if found.holds else "did not pass"
    note = f": {found.note}" if found.note else ""
    text = f"{found.check} {passed}: {found.figures}{note}"
    showing.result(told, as_json=parsed.json, text=text)
    return Exit.OK if found.holds else Exit.EMPTY
