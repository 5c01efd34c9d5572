"""Images made from nothing but this machine's static busybox: no registry is needed."""

import asyncio
import shutil
from pathlib import Path
from typing import Final

import wharfinger
from wharfinger.errors import Unavailable
from wharfinger.operator.parts.command import output
from wharfinger.operator.parts.dockerd import DockerCommand, DockerDaemon

SOURCES: Final = Path(wharfinger.__file__).parent.parent / "deploy" / "images"
USERS: Final = "root:x:0:0:root:/:/bin/sh\napp:x:1000:1000:app:/:/bin/sh\n"
BUSYBOX_DOCKERFILE: Final = 'FROM scratch\nCOPY root /\nENV PATH=/bin\nCMD ["sh"]\n'
WORLD_WRITABLE: Final = 0o1777

Engine = DockerDaemon | DockerCommand


async def build_shop(docker: Engine, folder: Path, *, tag: str = "shop") -> str:
    """Builds the demo's application from `deploy/images`; gives the image's id.

    Args:
        docker: the engine to build on.
        folder: is made, and keeps what the image was built from.
        tag: the image's name.

    Raises:
        Unavailable: no static busybox is installed, or the build failed.
    """
    root = await _root(folder)
    for source in (SOURCES / "with-port", SOURCES / "demo" / "shop", SOURCES / "demo" / "answer"):
        shutil.copy(source, root / "bin" / source.name)
        (root / "bin" / source.name).chmod(0o755)
    dockerfile = (SOURCES / "demo" / "Dockerfile").read_text(encoding="utf-8")
    return await _build(docker, folder, dockerfile, tag)


async def build_busybox(docker: Engine, folder: Path, *, tag: str = "busybox") -> str:
    """Builds an image of busybox and `with-port`, run as root; gives the image's id.

    Raises:
        Unavailable: no static busybox is installed, or the build failed.
    """
    root = await _root(folder)
    shutil.copy(SOURCES / "with-port", root / "bin" / "with-port")
    return await _build(docker, folder, BUSYBOX_DOCKERFILE, tag)


async def _root(folder: Path) -> Path:
    """Makes the image's file system: busybox under all its names, users, and /tmp."""
    busybox = shutil.which("busybox")
    if busybox is None:
        raise Unavailable("busybox is not installed: apt-get install busybox-static")
    names = (await output(busybox, "--list")).split()
    root = folder / "root"
    await asyncio.to_thread(_populate, root, busybox, names)
    return root


def _populate(root: Path, busybox: str, names: list[str]) -> None:
    for name in ("bin", "etc", "tmp"):
        (root / name).mkdir(parents=True)
    (root / "tmp").chmod(WORLD_WRITABLE)
    (root / "etc" / "passwd").write_text(USERS, encoding="ascii")
    shutil.copy(busybox, root / "bin" / "busybox")
    for name in names:
        if name != "busybox":
            (root / "bin" / name).symlink_to("busybox")


async def _build(docker: Engine, folder: Path, dockerfile: str, tag: str) -> str:
    (folder / "Dockerfile").write_text(dockerfile, encoding="utf-8")
    return await docker.run("build", "--quiet", "--tag", tag, folder)
