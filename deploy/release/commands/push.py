"""`deploy push`: what was built, to the registry; its digest and the release that it is."""

import argparse
from pathlib import Path
from typing import Final

import msgspec

from deploy.release import showing
from deploy.release.commands import flags
from deploy.release.commands.opening import folder, opened
from deploy.release.images.building import BUILT, Built
from deploy.release.records.pushes import Push, Pushes
from deploy.release.registry.push import PUSHED, Source, push
from deploy.release.workingcopy import WorkingCopy
from wharfinger.errors import Exit, Rejected, Unavailable
from wharfinger.operator.verbs import Verbs

# What was built, and not what the working copy has become since.
_REVISION: Final = "org.opencontainers.image.revision"
INTERRUPTED: Final = "interrupted; `deploy push` again sends what is missing"


def add_to(verbs: Verbs) -> None:
    """Adds `push` to the command."""
    what = "push what was built, as a release of its own; prints the image by its digest"
    parser = verbs.add("push", _push, what, interrupted=INTERRUPTED)
    flags.add_app(parser)
    flags.add_asker(parser)
    parser.add_argument(
        "--dotenv",
        type=Path,
        metavar="FILE",
        help="for later jobs: WHARF_IMAGE, WHARF_DIGEST, WHARF_RELEASE",
    )


async def _push(parsed: argparse.Namespace) -> Exit:
    copy = WorkingCopy(folder(parsed))
    built = copy.read(BUILT, Built)
    if built is None:
        raise Rejected("nothing was built here yet: run `deploy build`")
    async with opened(parsed) as (site, app), site.registry() as registry:
        done = await push(
            app,
            Source(
                image_id=built.image_id,
                docker_url=site.config.docker.url,
                by=site.by,
                at=site.now(),
                revision=built.labels.get(_REVISION, ""),
                docker_config=site.config.deploy.registry_config_dir,
            ),
            registry=registry,
            pushes=Pushes(site.etcd, app.name),
            progress=site.progress,
        )
    copy.write(PUSHED, done)
    if parsed.dotenv is not None:
        _write(parsed.dotenv, done)
    told = {"ok": True, "reference": done.reference, **msgspec.to_builtins(done)}
    showing.result(told, as_json=parsed.json, text=done.reference)
    return Exit.OK


def _write(path: Path, done: Push) -> None:
    said = {"IMAGE": done.reference, "DIGEST": done.digest, "RELEASE": done.release}
    try:
        path.write_text("".join(f"WHARF_{name}={value}\n" for name, value in said.items()))
    except OSError as error:
        raise Unavailable(f"{path}: {error.strerror}") from error
