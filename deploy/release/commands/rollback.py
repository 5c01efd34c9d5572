"""`deploy rollback ENV [rN]`: back to a release that has succeeded there, in the same order."""

import argparse
from typing import Final

from deploy.release.commands import changing, flags
from deploy.release.commands.opening import opened
from deploy.release.commands.rollout import AGAIN, History, Wanted
from deploy.release.commands.site import environment_of
from deploy.release.records import choice
from deploy.release.records.standing import digest_of
from wharfinger.errors import Exit, Rejected, Unavailable
from wharfinger.operator.verbs import Verbs

INTERRUPTED: Final = f"interrupted; {AGAIN}"


def add_to(verbs: Verbs) -> None:
    """Adds `rollback` to the command."""
    what = "go back to the release before, or to one that is named; nothing is built again"
    parser = verbs.add("rollback", _rollback, what, interrupted=INTERRUPTED)
    flags.add_environment(parser)
    parser.add_argument(
        "release",
        nargs="?",
        default="",
        type=flags.release,
        metavar="rN",
        help="one that has succeeded there",
    )
    flags.add_app(parser)
    flags.add_lock(parser)


async def _rollback(parsed: argparse.Namespace) -> Exit:
    async with opened(parsed) as (site, app):
        environment = environment_of(app, parsed.environment)

        async def choose(history: History) -> Wanted:
            replicas = await site.engine_of(app, environment).running()
            try:
                found = choice.target(history, {digest_of(r) for r in replicas}, parsed.release)
            except Rejected as error:
                raise Unavailable(f"{environment.name}: {error}") from error
            return Wanted(release=found.release, image=found.runnable)

        wanted = changing.rollout(parsed, site, app, environment, "rollback")
        done = await changing.change(wanted, choose)
    changing.show(done, environment, as_json=parsed.json)
    return Exit.OK
