"""`deploy init`: the first wharf.yaml of an application, guessed from what is in its folder."""

import argparse
import asyncio
from pathlib import Path

from deploy.release import showing
from deploy.release.app.beginning import begin
from wharfinger.errors import Exit
from wharfinger.operator.verbs import Verbs


def add_to(verbs: Verbs) -> None:
    """Adds `init` to the command."""
    what = "write a wharf.yaml to begin with, and what else is missing; nothing is overwritten"
    parser = verbs.add("init", _init, what)
    parser.add_argument(
        "folder", nargs="?", type=Path, default=Path(), metavar="DIR", help="of the application (.)"
    )
    parser.add_argument("--name", metavar="APP", help="of the application (the folder's)")
    parser.add_argument("--image", metavar="REPOSITORY", help="where it is pushed to")
    parser.add_argument("--layer", metavar="LAYER", help="the image below (a guess)")
    parser.add_argument("--json", action="store_true", help="for programs")


async def _init(parsed: argparse.Namespace) -> Exit:
    written = await asyncio.to_thread(
        begin, parsed.folder, name=parsed.name, image=parsed.image, layer=parsed.layer
    )
    names = [str(each) for each in written]
    showing.result({"ok": True, "written": names}, as_json=parsed.json, text="\n".join(names))
    return Exit.OK
