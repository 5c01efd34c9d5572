"""`deploy promote FROM TO`: the image that runs in one environment, and no other, to the next."""

import argparse
import asyncio
from typing import Final

from deploy.release.app.model import App, Environment
from deploy.release.commands import changing, flags
from deploy.release.commands.admission import Source, admit, source
from deploy.release.commands.engines import java
from deploy.release.commands.opening import opened
from deploy.release.commands.rollout import OR_BACK, History, Wanted
from deploy.release.commands.site import environment_of
from deploy.release.render.difference import differences
from wharfinger.errors import Exit, Rejected
from wharfinger.operator.verbs import Verbs

INTERRUPTED: Final = f"interrupted; {OR_BACK}"


def add_to(verbs: Verbs) -> None:
    """Adds `promote` to the command."""
    what = "bring what runs in one environment to another, if all that was asked for is proved"
    parser = verbs.add("promote", _promote, what, interrupted=INTERRUPTED)
    flags.add_environment(parser, "source", "the environment that runs it", shown="FROM")
    flags.add_environment(parser, "environment", "the environment that it goes to", shown="TO")
    flags.add_digest(parser)
    flags.add_app(parser)
    flags.add_lock(parser)
    parser.add_argument("--approve", default="", metavar="WORDS", help="why it may go there")


async def _promote(parsed: argparse.Namespace) -> Exit:
    if parsed.source == parsed.environment:
        raise Rejected(f"{parsed.source} cannot be promoted to itself")
    async with opened(parsed) as (site, app):
        environment = environment_of(app, parsed.environment)
        origin = environment_of(app, parsed.source)

        async def choose(_history: History) -> Wanted:
            found = await source(site, app, origin)
            digest = parsed.digest or found.digest
            faults = [*found.faults, *_other(found, parsed.source, digest)]
            faults += await asyncio.to_thread(_unlike, app, origin, environment)
            words = await admit(site, app, environment, digest, words=parsed.approve, faults=faults)
            image = f"{app.image}@{digest}"
            return Wanted(release=found.release, image=image, source=parsed.source, approval=words)

        wanted = changing.rollout(parsed, site, app, environment, "promote")
        done = await changing.change(wanted, choose)
    changing.show(done, environment, as_json=parsed.json)
    return Exit.OK


def _other(found: Source, name: str, digest: str) -> list[str]:
    """A later pipeline must not promote what another one has tested."""
    if not found.digest or digest == found.digest:
        return []
    return [f"{name} runs {found.digest[:19]} ({found.release}), not {digest[:19]}"]


def _unlike(app: App, origin: Environment, environment: Environment) -> list[str]:
    """Where one environment mirrors the other, what was tried there must hold here."""
    if origin.mirrors != environment.name:
        return []
    found = differences(app, origin, environment, java=java(app))
    names = ", ".join(each.where for each in found if not each.allowed)
    show = f"deploy diff {origin.name} {environment.name}"
    return [f"{origin.name} does not mirror {environment.name} in {names}; {show}"] if names else []
