"""`deploy scale ENV N`: more or fewer instances of what runs; a drain before each that goes."""

import argparse
from collections.abc import Awaitable, Callable
from typing import Final

from deploy.release.app.model import App, Environment
from deploy.release.commands import changing, flags
from deploy.release.commands.opening import opened
from deploy.release.commands.rollout import AGAIN, History, Wanted
from deploy.release.commands.site import Site, environment_of
from deploy.release.records import choice
from deploy.release.records.record import Record
from deploy.release.records.standing import digest_of
from wharfinger.errors import Exit, Rejected, Unavailable
from wharfinger.operator.verbs import Verbs

INTERRUPTED: Final = f"interrupted; {AGAIN}"


def add_to(verbs: Verbs) -> None:
    """Adds `scale` to the command."""
    what = "run more or fewer instances, until wharf.yaml asks for another number"
    parser = verbs.add("scale", _scale, what, interrupted=INTERRUPTED)
    flags.add_environment(parser)
    parser.add_argument("replicas", type=flags.count, metavar="N", help="how many")
    flags.add_app(parser)
    flags.add_lock(parser)


async def _scale(parsed: argparse.Namespace) -> Exit:
    async with opened(parsed) as (site, app):
        environment = environment_of(app, parsed.environment)
        _require_within(environment, parsed.replicas)
        choose = choosing(site, app, environment, parsed.replicas)
        wanted = changing.rollout(parsed, site, app, environment, "scale")
        done = await changing.change(wanted, choose)
    changing.show(done, environment, as_json=parsed.json)
    return Exit.OK


def choosing(
    site: Site, app: App, environment: Environment, replicas: int, *, reason: str = ""
) -> Callable[[History], Awaitable[Wanted]]:
    """Says under the lock what shall run: what runs, so many times.

    Args:
        site: whatever is outside.
        app: of wharf.yaml.
        environment: one of its.
        replicas: how many.
        reason: why, for the record.
    """

    async def choose(history: History) -> Wanted:
        found = to_scale(history, environment)
        running = await site.engine_of(app, environment).running()
        if {digest_of(each) for each in running} - {found.digest}:
            fix = "end that with `deploy up`, or go back with `deploy rollback`"
            raise Unavailable(f"{environment.name} runs more than {found.release}; {fix}")
        return Wanted(release=found.release, image=found.runnable, replicas=replicas, reason=reason)

    return choose


def to_scale(history: History, environment: Environment) -> Record:
    """What is run more or less often: the release that should run.

    Raises:
        Unavailable: none should: nothing has succeeded yet, or it was taken down.
    """
    if (down := choice.taken_down(history)) is not None:
        since = f"by {down.by or 'somebody'} at {down.at}"
        back = f"`{choice.way_back(history, environment.name)}` brings it back"
        raise Unavailable(
            f"{environment.name} {choice.how_far(down)} {since}: nothing is scaled there; {back}"
        )
    if (found := choice.serving(history)) is None:
        fix = f"deploy up {environment.name}"
        raise Unavailable(f"nothing has succeeded in {environment.name} yet; {fix}")
    return found


def _require_within(environment: Environment, replicas: int) -> None:
    if environment.everywhere:
        raise Rejected(f"{environment.name} runs one instance on each host: add or remove hosts")
    rule = environment.autoscale
    if rule is not None and not rule.least <= replicas <= rule.most:
        limits = f"from {rule.least} to {rule.most}"
        raise Rejected(f"{environment.name} scales {limits} by its autoscale rule in wharf.yaml")
