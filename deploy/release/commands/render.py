"""`deploy render ENV --out DIR`: the files that the engine of an environment is given."""

import argparse
import asyncio
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from deploy.release import showing
from deploy.release.app.model import App, Environment
from deploy.release.commands import flags, opening
from deploy.release.commands.engines import rendered
from deploy.release.commands.site import declared, environment_of
from deploy.release.commands.which import chosen
from deploy.release.engine import Target
from wharfinger.errors import Exit, Unavailable
from wharfinger.files import write_atomically
from wharfinger.operator import terminal
from wharfinger.operator.verbs import Verbs

NO_RELEASE: Final = "r0"
NO_DIGEST: Final = "sha256:" + "0" * 64


def add_to(verbs: Verbs) -> None:
    """Adds `render` to the command."""
    what = "the files of an environment, as its engine is given them; changes nothing"
    parser = verbs.add("render", _render, what)
    flags.add_environment(parser)
    flags.add_digest(parser, named=True)
    flags.add_app(parser)
    parser.add_argument("--out", type=Path, metavar="DIR", help="into this folder, not on stdout")
    parser.add_argument(
        "--offline", action="store_true", help=f"ask nobody: release {NO_RELEASE} of no image"
    )


async def _render(parsed: argparse.Namespace) -> Exit:
    app = opening.application(parsed)
    environment = environment_of(app, parsed.environment)
    if parsed.offline:
        digest = parsed.digest or NO_DIGEST
        release, image = parsed.release or NO_RELEASE, f"{app.image}@{digest}"
    else:
        async with opening.opened(parsed) as (site, _):
            found = await chosen(
                site,
                app,
                opening.folder(parsed),
                release=parsed.release,
                digest=parsed.digest,
            )
        release, image = found.release, found.image
    texts = await asyncio.to_thread(_texts, app, environment, image, release)
    if parsed.out is not None:
        await asyncio.to_thread(_write, parsed.out, texts)
    told = {"ok": True, "environment": environment.name, "image": image, "files": dict(texts)}
    if parsed.json:
        showing.result(told, as_json=True)
    else:
        terminal.write(_shown(texts, parsed.out))
    return Exit.OK


def _texts(app: App, environment: Environment, image: str, release: str) -> Mapping[str, str]:
    count = declared(environment)
    return rendered(
        Target(app=app, environment=environment, image=image, release=release, replicas=count)
    )


def _shown(texts: Mapping[str, str], out: Path | None) -> str:
    if out is not None:
        return "".join(f"{out / name}\n" for name in texts)
    if len(texts) == 1:
        return "".join(texts.values())
    return "".join(f"# {name}\n{text}" for name, text in texts.items())


def _write(folder: Path, texts: Mapping[str, str]) -> None:
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for name, text in texts.items():
            write_atomically(folder / name, text.encode())
    except OSError as error:
        raise Unavailable(f"{error.filename or folder}: {error.strerror}") from error
