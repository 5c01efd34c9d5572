"""The layers below applications: `deploy/images/build [NAME...]` makes them from their recipes."""

import asyncio
import hashlib
import os
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import deploy
from deploy.release import programs
from deploy.release.images import archive, reproducible, rules
from deploy.release.images.docker import PACKAGES, RECIPE, Docker
from deploy.release.images.lock import Locked
from deploy.release.images.model import Image
from deploy.release.images.programtime import STARTERS, newest_program
from deploy.release.images.tree import Tree
from deploy.release.progress import Progress
from wharfinger.errors import ConfigError, Exit, Finding, WharfingerError

SOURCES: Final = Path(deploy.__file__).parent / "images"
# What a layer takes of the folder that all recipes stand in.
SHARED: Final = (*STARTERS, "agent/base")
_MAKING_SECONDS: Final = 1800.0


@dataclass(frozen=True, slots=True)
class Recipe:
    """How a layer is made.

    Attributes:
        name: of its folder, and of its image.
        below: name of the layer that it stands on; None for an operating system's.
        lists: the command in it that prints its packages; empty for none.
    """

    name: str
    below: str | None
    lists: str = "list-packages"


RECIPES: Final = (
    Recipe("small", None, lists=""),
    Recipe("debian", None),
    Recipe("nginx", "debian"),
    Recipe("java", "debian"),
    Recipe("tomcat", "java"),
    Recipe("python", "debian"),
)


def wanted(names: Sequence[str]) -> tuple[Recipe, ...]:
    """The recipes of these names and of all below them, from the lowest; all for no name.

    Raises:
        ConfigError: there is no such recipe.
    """
    known = {recipe.name: recipe for recipe in RECIPES}
    if unknown := [name for name in names if name not in known]:
        fix = f"there are {', '.join(known)}"
        raise ConfigError([Finding("NAME", f"there is no layer {unknown[0]!r:.80}", fix)])
    needed: set[str] = set()
    for name in names or known:
        at: str | None = name
        while at is not None:
            needed.add(at)
            at = known[at].below
    return tuple(recipe for recipe in RECIPES if recipe.name in needed)


def digest_of(recipe: Recipe) -> str:
    """Of everything in this tree that decides what is in a layer."""
    digest = hashlib.sha256()
    below = next((each for each in RECIPES if each.name == recipe.below), None)
    if below is not None:
        digest.update(digest_of(below).encode())
    files = sorted(each for each in (SOURCES / recipe.name).rglob("*") if each.is_file())
    for file in (*files, *(SOURCES / name for name in SHARED if below is None)):
        content = hashlib.sha256(file.read_bytes()).hexdigest()
        digest.update(
            f"{file.relative_to(SOURCES)} {file.stat().st_mode & 0o111:o} {content}\n".encode()
        )
    return f"sha256:{digest.hexdigest()}"


async def make(
    recipe: Recipe,
    repository: str,
    progress: Progress,
    docker_url: str | None = None,
    *,
    arguments: Sequence[str | Path] = (),
) -> Image:
    """Makes a layer, holds the rules against it, and names it `REPOSITORY/NAME`.

    Args:
        recipe: of it; the layer below is there already.
        repository: what comes before the names.
        progress: is told.
        docker_url: address of the engine; None for docker's own choice.
        arguments: for the script of an operating system's layer.

    Raises:
        ConfigError: it breaks a rule.
        Unavailable: docker, or a program of the recipe, failed.
        Rejected: what docker gave cannot be read.
    """
    docker = Docker(docker_url, progress)
    tag = f"{repository}/{recipe.name}:latest"
    raw = f"{repository}/{recipe.name}:unfinished"
    progress.step(f"making {tag}")
    below = 0
    if recipe.below is None:
        script = SOURCES / recipe.name / "image"
        address = {"DOCKER_HOST": docker_url} if docker_url else {}
        await programs.run(
            script, raw, *arguments, environment=address, timeout_seconds=_MAKING_SECONDS
        )
    else:
        layer = await docker.layer(recipe.below, f"{repository}/{recipe.below}:latest")
        below = len(layer.diff_ids)
        await _built(recipe, layer, docker, raw)
    labels = {RECIPE: await asyncio.to_thread(digest_of, recipe), PACKAGES: ""}
    if recipe.lists:
        words = ("run", "--rm", "--network", "none", "--user", "0", "--entrypoint", recipe.lists)
        labels[PACKAGES] = " ".join((await docker.run(*words, raw)).split())
    with tempfile.TemporaryDirectory(prefix="wharf-") as name:
        place_of = Path(name)
        await docker.run("save", "--output", place_of / "saved.tar", raw)
        image = await asyncio.to_thread(_finished, place_of, below, labels, tag, progress)
        await docker.run("load", "--quiet", "--input", place_of / "written.tar")
    await docker.run("image", "rm", raw)
    size = sum(layer.size for layer in image.layers)
    progress.step(f"made {tag}: {image.id[7:19]}, {rules.size_text(size)}")
    return image


async def _built(recipe: Recipe, layer: Locked, docker: Docker, tag: str) -> None:
    """Builds what a recipe adds to the layer below."""
    # The host's network, since a bridge is not everywhere; no cache: packages have moved on.
    options = ["--network", "host", "--no-cache", "--tag", tag, "--build-arg", f"LAYER={layer.id}"]
    context = SOURCES / recipe.name
    with tempfile.TemporaryDirectory() as place:
        await docker.build(context, context / "Dockerfile", options, Path(place) / "id")


def _finished(
    place: Path, below: int, labels: dict[str, str], tag: str, progress: Progress
) -> Image:
    with archive.Archive(place / "saved.tar") as saved:
        image = archive.read(saved, "")
        tree = Tree(image.layers)
        if findings := rules.faults(tree, below=below, host_java=False):
            raise ConfigError(findings)
        for remark in rules.remarks(image, tree, below=below):
            progress.step(f"remark: {remark}")
        time = reproducible.Time(newest_program(tree), keep_older=True)
        made = reproducible.written(
            saved,
            place / "written.tar",
            below=below,
            epoch=time.epoch,
            time_of=lambda _number: time,
            tags=[tag],
            labels=labels,
        )
    return Image(id=made.id, layers=image.layers, user=image.user, labels=labels)


class _Lines:
    """Tells on stdout what is done, line by line."""

    def step(self, text: str) -> None:
        print(text, flush=True)  # noqa: T201

    def waiting(self, what: str, done: int, of: int) -> None:
        print(f"{what}: {done} of {of}", flush=True)  # noqa: T201

    def output(self, line: str) -> None:
        print(f"  {line}", flush=True)  # noqa: T201


async def make_all(names: Sequence[str], progress: Progress) -> None:
    """Makes the layers of these names and those below; all for no name.

    The environment says the rest: REPOSITORY is what comes before their names (`wharfinger`), and
    ROOT a folder with Debian's minimal system, in place of what debootstrap makes.

    Raises:
        WharfingerError: as of `make`.
    """
    root = os.environ.get("ROOT")
    for recipe in wanted(names):
        arguments = ("--root", root) if root and recipe.name == "debian" else ()
        repository = os.environ.get("REPOSITORY") or "wharfinger"
        await make(recipe, repository, progress, arguments=arguments)


def main() -> int:
    """Makes the layers named as arguments; gives the exit code."""
    try:
        asyncio.run(make_all(sys.argv[1:], _Lines()))
    except WharfingerError as error:
        print(f"layers: {error}", file=sys.stderr)  # noqa: T201
        return error.exit_code
    return Exit.OK


if __name__ == "__main__":
    sys.exit(main())
