"""From an image that was built to a release: pushed, its digest read back, numbered, tagged."""

import asyncio
import secrets
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final

import msgspec

from deploy.release import programs
from deploy.release.app.model import App
from deploy.release.progress import Progress
from deploy.release.records.pushes import MAX_TEXT_LENGTH, Push, Pushes
from deploy.release.reference import (
    is_digest,
    release_number,
    release_tag,
    repository,
)
from deploy.release.registry import Registry
from wharfinger.errors import Conflict, Rejected, Unavailable

PUSHED: Final = "pushed"
# docker pushes by a tag alone. It is one for all pushes, each of which moves it: a registry keeps
# what it was given, and distribution 2.8 takes no tag away without the image and its other tags.
STAGED: Final = "build"
ATTEMPTS: Final = 10
PUSHES: Final = 5
# Tags of releases that etcd does not know, of which one may be this digest's.
LOOKED_AT: Final = 50
_SECONDS: Final = 1_800.0
# What docker hears of a registry that keeps files, where two upload the same at one moment: it
# writes them in place, and the other reads half of one (distribution 2.8, filesystem driver).
_UPLOADS_MET: Final = ("digest invalid", "blob unknown to registry", "unexpected HTTP status: 500")
_AGAIN_SECONDS: Final = 0.5
_CHANCES: Final = 1_000
# docker's words where it does not know us, or we may not; the rest of what it says is progress.
_REFUSALS: Final = ("no basic auth credentials", "unauthorized:", "denied:")


class Source(msgspec.Struct, frozen=True, kw_only=True):
    """What is pushed, and for whom.

    Attributes:
        image_id: `sha256:...`, as the engine calls what was built.
        docker_url: where that engine is.
        by: who pushes.
        at: when, RFC 3339, UTC.
        revision: of the source, as Git calls it; empty where there is none.
        docker_config: folder of the `docker` command's configuration; None for its own.
    """

    image_id: str
    docker_url: str
    by: str
    at: str
    revision: str = ""
    docker_config: Path | None = None


async def push(
    app: App, source: Source, *, registry: Registry, pushes: Pushes, progress: Progress
) -> Push:
    """Brings what was built to the registry, and gives the release that it is.

    What was pushed before is the release that it was. Broken off anywhere and done again, it
    comes to the same end: layers that are there are not sent again, and a digest has one number.

    Args:
        app: whose image it is.
        source: what was built.
        registry: where it goes.
        pushes: the numbers.
        progress: is told.

    Raises:
        Unavailable: engine, registry or etcd is away.
        Rejected: the registry will not, or holds something else than was built.
        Conflict: others push at the same time, again and again.
    """
    where = repository(app.image)
    if not is_digest(source.image_id):
        raise Rejected(f"{source.image_id[:80]!a} is no image's id: deploy build")
    progress.step(f"pushing {source.image_id[:19]} to {where}")
    digest = await _pushed(app.image, source, registry, progress)
    progress.step(f"the registry has it as {digest}")
    done = await _numbered(app.image, digest, source, registry, pushes)
    progress.step(f"it is release {done.release}")
    return done


async def _pushed(image: str, source: Source, registry: Registry, progress: Progress) -> str:
    """Pushes until the registry has what was built; gives its digest.

    Of two who push at once from one engine, one may push what the other has just named.
    """
    environment = {"DOCKER_HOST": source.docker_url}
    if source.docker_config is not None:
        environment["DOCKER_CONFIG"] = str(source.docker_config)
    name = f"{image}:{STAGED}"
    told: list[str] = []
    for remaining in reversed(range(ATTEMPTS)):
        await programs.run("docker", "tag", source.image_id, name, environment=environment)
        await _send(name, environment, progress)
        tagged = await registry.digest_of(image, STAGED)
        told = await _digests(image, source.image_id, environment)
        # What went in just now, before what an earlier push has made of the same image.
        told.sort(key=lambda each: each != tagged)
        if found := await read_back(image, told, source.image_id, registry):
            return found
        if remaining:
            await asyncio.sleep(_AGAIN_SECONDS * secrets.randbelow(_CHANCES) / _CHANCES)
    if told:
        raise Unavailable(f"{image}@{told[0]} was pushed, and the registry does not have it")
    raise Conflict(f"{image}: others push at the same time; push again")


async def _send(name: str, environment: Mapping[str, str], progress: Progress) -> None:
    for remaining in reversed(range(PUSHES)):
        try:
            await programs.run(
                "docker",
                "push",
                name,
                environment=environment,
                timeout_seconds=_SECONDS,
                on_line=progress.output,
            )
        except Unavailable as error:
            if any(each in str(error) for each in _REFUSALS):
                registry, last = name.partition("/")[0], str(error).splitlines()[-1]
                who = f"registry {registry} does not let us push"
                raise Rejected(f"{who}: {last}: docker login {registry}") from error
            if not remaining or not any(each in str(error) for each in _UPLOADS_MET):
                raise
            progress.step("the registry could not take it now; pushing again")
            await asyncio.sleep(_AGAIN_SECONDS)
        else:
            return


async def read_back(
    image: str, told: Sequence[str], image_id: str, registry: Registry
) -> str | None:
    """The digest of what the registry holds, once that is what was built.

    Never by the tag that it was pushed by: that may be another's by now.

    Args:
        image: the repository, with its registry.
        told: digests in it that docker says are of the image.
        image_id: as the engine calls it.
        registry: where it is.

    Returns:
        None where it has none of them.

    Raises:
        Rejected: the registry holds something else.
        Unavailable: it is away.
    """
    for digest in told:
        found = await registry.manifest(image, digest)
        if found is None:
            continue  # of a registry that was there before
        config = found.contents().config
        # Engines call an image by its config, those that keep images in containerd by its manifest.
        names = {found.digest, config.digest if config else ""}
        if image_id not in names:
            held = " ".join(sorted(names)).strip()
            raise Rejected(f"{image}: {image_id} was pushed, and the registry holds {held}")
        return found.digest
    return None


async def _digests(image: str, image_id: str, environment: Mapping[str, str]) -> list[str]:
    """What docker says that the image is in the repository."""
    told = await programs.run(
        "docker",
        "image",
        "inspect",
        "--format",
        "{{json .RepoDigests}}",
        image_id,
        environment=environment,
    )
    try:
        names = msgspec.json.decode(told, type=list[str] | None) or []
    except msgspec.MsgspecError as error:
        raise Unavailable(f"docker image inspect {image_id}: {error}") from error
    found = [name.partition("@")[2] for name in names if name.startswith(f"{image}@")]
    return [each for each in found if is_digest(each)]


async def _numbered(
    image: str, digest: str, source: Source, registry: Registry, pushes: Pushes
) -> Push:
    """The release that the digest is; a new one where it is none yet."""
    taken_by_others = False
    for _ in range(ATTEMPTS):
        # In this order: whose tag is here has a number there.
        tags = await registry.tags(image)
        held = await pushes.held()
        ours = [each for each in held.pushes if (each.image, each.digest) == (image, digest)]
        if ours and not taken_by_others:
            found = ours[-1]
        else:
            number = await _free_number(image, digest, tags, held.taken, registry)
            found = _release(image, digest, number, source)
            if not await pushes.add(found):
                continue  # somebody else was given the number
        try:
            await registry.put_tag(image, digest, found.release, fixed=True)
        except Conflict:
            # Put by hand to something else: a release's tag is not moved, and the number is spent.
            taken_by_others = True
        else:
            return found
    raise Conflict(f"{image}: others push at the same time; push again")


async def _free_number(
    image: str, digest: str, tags: Sequence[str], taken: int, registry: Registry
) -> int:
    """A number that nobody has; or the one that the digest has in the registry.

    The registry counts, too, since etcd may have been set up anew.
    """
    tagged = sorted(filter(None, map(release_number, tags)))
    for number in tagged[-LOOKED_AT:]:
        if number > taken and await registry.digest_of(image, release_tag(number)) == digest:
            return number
    return 1 + max(taken, *tagged, 0)


def _release(image: str, digest: str, number: int, source: Source) -> Push:
    return Push(
        release=release_tag(number),
        image=image,
        digest=digest,
        at=source.at,
        by=source.by[:MAX_TEXT_LENGTH],
        revision=source.revision[:MAX_TEXT_LENGTH],
        image_id=source.image_id,
    )
