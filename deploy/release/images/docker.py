"""The docker command as a build uses it: the classic builder, which every engine has."""

import asyncio
import json
import os
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Final, TypeVar

from deploy.release import programs
from deploy.release.images.lock import Locked
from deploy.release.progress import Progress
from deploy.release.reference import names_registry
from wharfinger.errors import ConfigError, Finding, Rejected, Unavailable

OURS: Final = "wharfinger"
RECIPE: Final = "wharfinger.recipe"
PACKAGES: Final = "wharfinger.packages"
_BUILD_SECONDS: Final = 3600.0
_LINES_AGAIN: Final = 3
_MISSING: Final = "No such image"

T = TypeVar("T")


def _recipe(reference: str) -> str:
    """How one of ours is made, wherever this is installed."""
    folder, _, name = reference.rpartition("/")
    known = folder == OURS and f" ({sys.executable} -m deploy.release.images.layers {name})"
    return known or ""


class Docker:
    """One engine."""

    def __init__(self, url: str | None, progress: Progress) -> None:
        """Prepares it.

        Args:
            url: the engine's address; None for what DOCKER_HOST or docker's context says.
            progress: is told what docker says.
        """
        # Debian 12 packages no buildx, without which BuildKit cannot be used.
        self._environment = {"DOCKER_BUILDKIT": "0"} | ({"DOCKER_HOST": url} if url else {})
        self._progress = progress

    async def run(self, *arguments: str | os.PathLike[str], loud: bool = False) -> str:
        """`docker ARGUMENTS...`; gives what it printed.

        Raises:
            Unavailable: it failed; with what it said.
        """
        return await programs.run(
            "docker",
            *arguments,
            environment=self._environment,
            timeout_seconds=_BUILD_SECONDS,
            on_line=self._progress.output if loud else lambda _line: None,
            # What was shown is not all said again; which of its two streams ends last, none tells.
            lines_kept=_LINES_AGAIN if loud else programs.LINES_KEPT,
        )

    async def layer(self, name: str, reference: str) -> Locked:
        """An image that others build on; pulled when it is not here and its registry is named.

        Raises:
            ConfigError: it is nowhere.
            Unavailable: it cannot be pulled.
        """
        found = await self._inspect(reference)
        if found is None and names_registry(reference):
            # Docker would ask a public one otherwise, for anybody's image.
            self._progress.step(f"pulling {reference}")
            await self.run("pull", reference, loud=True)
            found = await self._inspect(reference)
        if found is None:
            fix = f"make it{_recipe(reference)}, or name a registry"
            raise ConfigError([Finding("build.layer", f"there is no image {reference}", fix)])
        labels = (found.get("Config") or {}).get("Labels") or {}
        plain = reference.partition("@")[0]
        repository = plain.rpartition(":")[0] if ":" in plain.rpartition("/")[2] else plain
        digests = [
            each.partition("@")[2]
            for each in found.get("RepoDigests") or ()
            if each.partition("@")[0] == repository
        ]
        return Locked(
            name=name,
            image=f"{plain}@{digests[0]}" if digests and plain == reference else reference,
            id=str(found["Id"]),
            diff_ids=tuple(found["RootFS"]["Layers"]),
            recipe=labels.get(RECIPE, ""),
            packages=tuple(labels.get(PACKAGES, "").split()),
        )

    async def build(
        self, context: Path, dockerfile: Path, options: Sequence[str], id_file: Path
    ) -> None:
        """`docker build`; the image's id is in `id_file` then.

        Raises:
            Unavailable: it failed; with what it said last.
        """
        # Without --force-rm a step that fails leaves its container behind.
        words = ["build", "--force-rm", "--iidfile", str(id_file), "--file", str(dockerfile)]
        await self.run(*words, *options, context, loud=True)

    async def load(self, write: Callable[[bool], T], file: Path) -> T:
        """`docker load` of an image whose lower layers the engine has; gives what was written.

        Args:
            write: writes the archive to load, whole or without those layers.
            file: where.

        Raises:
            Unavailable: it failed; with what it said.
        """
        written = await asyncio.to_thread(write, False)  # noqa: FBT003 (the only thing it takes)
        try:
            await self.run("load", "--quiet", "--input", file)
        except Unavailable as error:
            # An engine that keeps its images in containerd wants all of them.
            self._progress.step(f"loading it whole ({error})")
            written = await asyncio.to_thread(write, True)  # noqa: FBT003
            await self.run("load", "--quiet", "--input", file)
        return written

    async def _inspect(self, reference: str) -> dict[str, Any] | None:
        try:
            told = await self.run("image", "inspect", reference)
            found: list[dict[str, Any]] = json.loads(told)
        except Unavailable as error:
            if _MISSING in str(error):
                return None
            raise
        except ValueError as error:
            raise Rejected(f"docker image inspect {reference}: no JSON") from error
        return found[0]
