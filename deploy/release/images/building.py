"""`deploy build`: docker builds on the locked layer, the rules are held, the hour is taken out."""

import asyncio
import functools
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

from deploy.release.app.model import App
from deploy.release.images import archive, lock, reproducible, revision, rules
from deploy.release.images.docker import PACKAGES, RECIPE, Docker
from deploy.release.images.lock import Locked
from deploy.release.images.model import Image
from deploy.release.images.programtime import newest_program
from deploy.release.images.reproducible import Time, Written
from deploy.release.images.tree import Tree
from deploy.release.progress import Progress
from deploy.release.workingcopy import WorkingCopy
from wharfinger.errors import ConfigError, Finding
from wharfinger.files import write_atomically

# What the working copy remembers it as.
BUILT: Final = "built"
# Where deploy/images/build puts what it makes.
OWN_LAYERS: Final = "wharfinger"
LAYERS: Final = "wharfinger.layers"
_START: Final = "with-port"


@dataclass(frozen=True, slots=True)
class LayerSize:
    """One layer of what was built.

    Attributes:
        diff_id: `sha256:...` of its tar.
        size: of its tar, in bytes.
        own: whether the application brought it; the others are the locked layer's.
        packed_size: what a push of it sends, about, in bytes; None for the locked layer's, which
            are in the registry.
    """

    diff_id: str
    size: int
    own: bool
    packed_size: int | None


@dataclass(frozen=True, slots=True)
class Built:
    """What was built.

    Attributes:
        image_id: `sha256:...` of its configuration.
        labels: of the image.
        sizes: of its layers, from the lowest.
    """

    image_id: str
    labels: Mapping[str, str]
    sizes: tuple[LayerSize, ...]


async def build(
    app: App,
    folder: Path,
    progress: Progress,
    docker_url: str | None = None,
    *,
    update_lock: bool = False,
) -> Built:
    """Builds an application's image, names it `IMAGE:built`, and writes .wharf/built.json.

    Built again from the same commit on the same layer it is the same image, byte by byte, as far
    as its Dockerfile's own commands make the same files.

    Args:
        app: of wharf.yaml.
        folder: where that is.
        progress: is told.
        docker_url: address of the engine; None for docker's own choice.
        update_lock: takes the layer as it is now and writes that into layers.lock.

    Raises:
        ConfigError: the image breaks a rule, or the layer is not the locked one.
        Unavailable: docker failed; with what it said last.
        Rejected: what docker gave cannot be read.
    """
    docker = Docker(docker_url, progress)
    layer = await _layer(app, folder, docker, update=update_lock)
    progress.step(f"building on {layer.image}")
    now = await revision.of(folder)
    if not now.commit:
        progress.step("remark: git tells no commit here: the image does not say of which it is")
    labels = _labels(layer, now)
    with tempfile.TemporaryDirectory(prefix="wharf-") as name:
        place = Path(name)
        options = _options(app, layer, labels)
        context = folder / app.build.context
        await docker.build(context, context / app.build.dockerfile, options, place / "id")
        built_id = await asyncio.to_thread((place / "id").read_text)
        await docker.run("save", "--output", place / "saved.tar", built_id.strip())
        image, remarks = await asyncio.to_thread(_judged, place, layer, app)
        for remark in remarks:
            progress.step(f"remark: {remark}")
        base = Tree(image.layers[: len(layer.diff_ids)])
        write = functools.partial(
            _write, place, layer, app, epoch=now.epoch, programs_epoch=newest_program(base)
        )
        made = await docker.load(write, place / "written.tar")
    built = Built(made.id, image.labels, _sizes(image, made))
    await asyncio.to_thread(WorkingCopy(folder).write, BUILT, built)
    sent = sum(each.packed_size or 0 for each in built.sizes)
    progress.step(
        f"built {made.id[7:19]}: {rules.size_text(sum(each.size for each in built.sizes))}, "
        f"of which a push sends {rules.size_text(sent)}"
    )
    return built


async def _layer(app: App, folder: Path, docker: Docker, *, update: bool) -> Locked:
    """The layer to build on, held against the lock, or written into it."""
    file = folder / lock.FILE
    text = await asyncio.to_thread(lambda: file.read_text("utf-8") if file.exists() else "")
    locked = lock.read(text)
    name = app.build.layer
    known = locked.get(name)
    if known is None and not update:
        fix = f"look whether it is the one that you want, and run {lock.UPDATE}"
        raise ConfigError([Finding(lock.FILE, f"does not name the layer {name!r}", fix)])
    if known is None:
        reference = name if set(name) & set("/:@") else f"{OWN_LAYERS}/{name}"
    else:
        reference = known.image.partition("@")[0] if update else known.image
    found = await docker.layer(name, reference)
    if update:
        data = lock.written((locked | {name: found}).values()).encode()
        await asyncio.to_thread(write_atomically, file, data)
    elif known is not None and (findings := lock.difference(known, found)):
        raise ConfigError(findings)
    return found


def _labels(layer: Locked, now: revision.Revision) -> dict[str, str]:
    created = datetime.fromtimestamp(now.epoch, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    return {
        "org.opencontainers.image.created": created,
        "org.opencontainers.image.revision": now.commit,
        "org.opencontainers.image.source": now.source,
        LAYERS: " ".join((layer.image, *layer.diff_ids)),
        # The layer's own, which its children would inherit.
        RECIPE: "",
        PACKAGES: "",
    }


def _options(app: App, layer: Locked, labels: Mapping[str, str]) -> list[str]:
    # By its id where no registry has named it: its name may be another image's by now.
    handed = layer.image if "@" in layer.image else layer.id
    arguments = {**app.build.arguments, "LAYER": handed}
    return [
        *(word for pair in arguments.items() for word in ("--build-arg", "=".join(pair))),
        *(word for pair in labels.items() for word in ("--label", "=".join(pair))),
    ]


def _judged(place: Path, layer: Locked, app: App) -> tuple[Image, tuple[Finding, ...]]:
    """What was saved, and remarks on it; it keeps the rules."""
    below = len(layer.diff_ids)
    with archive.Archive(place / "saved.tar") as saved:
        if findings := rules.changed_below(saved.diff_ids, layer.image, layer.diff_ids):
            raise ConfigError(findings)
        image = archive.read(saved, "")
    tree = Tree(image.layers)
    if findings := rules.faults(tree, below=below, host_java=app.build.java):
        raise ConfigError(findings)
    return image, (*rules.remarks(image, tree, below=below), *_unported(app, image))


def _write(
    place: Path,
    layer: Locked,
    app: App,
    whole: bool,  # noqa: FBT001 (what `load` asks for)
    *,
    epoch: int,
    programs_epoch: int,
) -> Written:
    """Writes what was saved anew, for the engine to load.

    What is copied gets the release's time: with one for all, Nginx would give two of them the same
    ETag. What a RUN makes is as old as the programs below, and so the same for all releases.
    """
    copied, made = Time(epoch), Time(programs_epoch, keep_older=True)
    with archive.Archive(place / "saved.tar") as saved:
        return reproducible.written(
            saved,
            place / "written.tar",
            below=len(layer.diff_ids),
            epoch=epoch,
            time_of=lambda number: copied if saved.copied(number) else made,
            tags=[f"{app.image}:built"],
            whole=whole,
        )


def _sizes(image: Image, made: Written) -> tuple[LayerSize, ...]:
    return tuple(
        LayerSize(diff_id, each.size, diff_id in made.packed_sizes, made.packed_sizes.get(diff_id))
        for diff_id, each in zip(made.diff_ids, image.layers, strict=True)
    )


def _unported(app: App, image: Image) -> tuple[Finding, ...]:
    """Whether nothing in the image would wait for the registrar's port and hold back a stop."""
    started = image.entrypoint[0].rpartition("/")[2] if image.entrypoint else ""
    if app.port.fixed is not None or started == _START:
        return ()
    what = "does not start by with-port, which waits for the registrar's port"
    fix = "keep the layer's ENTRYPOINT, or have the registrar's runtime on every host"
    return (Finding("ENTRYPOINT", what, fix),)
