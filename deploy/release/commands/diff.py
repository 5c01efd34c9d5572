"""`deploy diff ENV ENV`: where the files of two environments differ, and whether they may."""

import argparse
import asyncio
from typing import Final

import msgspec

from deploy.release import showing
from deploy.release.commands import flags
from deploy.release.commands.engines import java
from deploy.release.commands.opening import application
from deploy.release.commands.site import environment_of
from deploy.release.render.difference import differences
from wharfinger.errors import Exit
from wharfinger.operator.verbs import Verbs

NONE: Final = "-"


def add_to(verbs: Verbs) -> None:
    """Adds `diff` to the command."""
    what = "where the files of two environments differ; 1 where they may not"
    parser = verbs.add("diff", _diff, what)
    flags.add_environment(parser, "first")
    flags.add_environment(parser, "second")
    flags.add_app(parser)


async def _diff(parsed: argparse.Namespace) -> Exit:
    app = application(parsed)
    first, second = (environment_of(app, name) for name in (parsed.first, parsed.second))
    mounts = await asyncio.to_thread(java, app)
    found = differences(app, first, second, java=mounts)
    ok = all(each.allowed for each in found)
    rows = [
        (each.where, each.first or NONE, each.second or NONE, each.why or "may not differ")
        for each in found
    ]
    told = {"ok": ok, "differences": [msgspec.to_builtins(each) for each in found]}
    titles = ("WHAT", parsed.first.upper(), parsed.second.upper(), "WHY")
    showing.table(titles, rows, told, as_json=parsed.json)
    return Exit.OK if ok else Exit.EMPTY
