"""The agents' image with Nginx in it, built once from this tree, as an archive to load."""

import asyncio
import fcntl
import hashlib
import tempfile
from pathlib import Path
from typing import Final

from tests.stack.agents import build
from tests.stack.package import built
from wharfinger import __version__
from wharfinger.operator.parts.dockerd import DockerDaemon

TREE: Final = Path(__file__).resolve().parents[2]
KEPT: Final = TREE / "build" / "images"
# The daemons are those of the image without Nginx: one of both is enough to load everywhere.
EDGE: Final = f"wharfinger-edge:{__version__}"
# What ends up in the images, or decides what does.
SOURCES: Final = (
    *("wharfinger", "registrar", "discovery", "logshipper", "deploy"),
    *("pyproject.toml", "requirements.lock", "tests/stack/debian.py"),
)


async def archive(folder: Path) -> Path:
    """The archive of the image; made by the first of all processes that ask.

    Args:
        folder: short, for an engine to build on, if need be.

    Raises:
        Unavailable: they cannot be built; with what the builder said last.
    """
    KEPT.mkdir(parents=True, exist_ok=True)
    place = KEPT / f"{_digest()}.tar"
    with (KEPT / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not place.exists():
            await _build(place, folder)
    return place


def _digest() -> str:
    digest = hashlib.sha256()
    for name in SOURCES:
        top = TREE / name
        files = sorted(top.rglob("*")) if top.is_dir() else [top]
        for file in files:
            if file.is_file() and "__pycache__" not in file.parts:
                digest.update(f"{file.relative_to(TREE)}\0".encode())
                digest.update(file.read_bytes())
    return digest.hexdigest()[:16]


async def _build(place: Path, folder: Path) -> None:
    docker = DockerDaemon(folder / "docker")
    await docker.start()
    try:
        (folder / "package").mkdir()
        await build(docker, await asyncio.to_thread(built, folder / "package"))
        with tempfile.TemporaryDirectory(dir=KEPT) as made:
            archived = Path(made) / "images.tar"
            await docker.run("save", "--output", archived, EDGE, timeout_seconds=300)
            for former in KEPT.glob("*.tar"):
                former.unlink()  # of hundreds of megabytes each, and of another tree
            archived.rename(place)
    finally:
        await docker.stop()
