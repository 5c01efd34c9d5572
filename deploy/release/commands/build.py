"""`deploy build`: the application's image, on the locked layer, by the rules."""

import argparse

import msgspec

from deploy.release import showing
from deploy.release.commands import flags, opening
from deploy.release.images.building import build
from deploy.release.images.rules import size_text
from wharfinger.errors import Exit
from wharfinger.operator.verbs import Verbs


def add_to(verbs: Verbs) -> None:
    """Adds `build` to the command."""
    what = "build the application's image on the locked layer, and hold it against the rules"
    parser = verbs.add("build", _build, what)
    flags.add_app(parser)
    parser.add_argument(
        "--update-lock", action="store_true", help="take the layer as it is now, into layers.lock"
    )


async def _build(parsed: argparse.Namespace) -> Exit:
    app, config = opening.application(parsed), opening.configuration(parsed)
    with showing.showing(as_json=parsed.json) as progress:
        built = await build(
            app,
            opening.folder(parsed),
            progress,
            config.docker.url,
            update_lock=parsed.update_lock,
        )
    whole = size_text(sum(each.size for each in built.sizes))
    told = {"ok": True, "app": app.name, **msgspec.to_builtins(built)}
    showing.result(told, as_json=parsed.json, text=f"{built.image_id} ({whole})")
    return Exit.OK
