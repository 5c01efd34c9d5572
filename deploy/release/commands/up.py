"""`deploy up ENV [rN]`: brings a release to an environment."""

import argparse
from typing import Final

from deploy.release.app.model import Environment
from deploy.release.commands import changing, flags
from deploy.release.commands.admission import admit
from deploy.release.commands.opening import folder, opened
from deploy.release.commands.rollout import OR_BACK, History, Wanted
from deploy.release.commands.site import environment_of
from deploy.release.commands.which import chosen
from wharfinger.errors import Exit, Rejected
from wharfinger.operator.verbs import Verbs

INTERRUPTED: Final = f"interrupted; {OR_BACK}"


def add_to(verbs: Verbs) -> None:
    """Adds `up` to the command."""
    parser = verbs.add("up", _up, "bring a release to an environment", interrupted=INTERRUPTED)
    flags.add_environment(parser)
    flags.add_digest(parser, named=True)
    flags.add_app(parser)
    flags.add_lock(parser)
    parser.add_argument("--approve", default="", metavar="WORDS", help="why it may go there")
    parser.add_argument(
        "--without-evidence",
        default="",
        metavar="REASON",
        help="though evidence or approval is missing; the reason is kept on record",
    )


async def _up(parsed: argparse.Namespace) -> Exit:
    if parsed.approve and parsed.without_evidence:
        raise Rejected("--approve and --without-evidence do not go together")
    async with opened(parsed) as (site, app):
        environment = environment_of(app, parsed.environment)
        waived = _is_waived(environment, parsed.without_evidence)

        async def choose(_history: History) -> Wanted:
            image = await chosen(
                site, app, folder(parsed), release=parsed.release, digest=parsed.digest
            )
            digest = image.image.rpartition("@")[2]
            if waived:
                site.progress.step(f"no evidence is asked for: {parsed.without_evidence}")
                words = ""
            else:
                words = await admit(site, app, environment, digest, words=parsed.approve)
            return Wanted(
                release=image.release,
                image=image.image,
                approval=words,
                waived=parsed.without_evidence,
            )

        wanted = changing.rollout(parsed, site, app, environment, "up")
        done = await changing.change(wanted, choose)
    changing.show(done, environment, as_json=parsed.json)
    return Exit.OK


def _is_waived(environment: Environment, reason: str) -> bool:
    if reason and not (environment.needs or environment.approve):
        raise Rejected(f"{environment.name} asks for no evidence: leave out --without-evidence")
    return bool(reason)
