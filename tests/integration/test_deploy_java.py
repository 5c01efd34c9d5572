"""The host's JDK in a container that has none: with its home alone it does not start."""

import shutil
from pathlib import Path

import pytest

from deploy.release.render.java.host import resolve
from wharfinger.errors import ConfigError, Unavailable
from wharfinger.operator.parts.dockerd import DockerDaemon

pytestmark = pytest.mark.real

# What a JVM asks of an image: glibc with its loader, zlib, libstdc++.
LIBRARIES = (
    *("libc.so.6", "libm.so.6", "libdl.so.2", "libpthread.so.0", "librt.so.1"),
    *("libz.so.1", "libstdc++.so.6", "libgcc_s.so.1"),
)
DOCKERFILE = "FROM busybox\nCOPY root /\n"


def filled(root: Path) -> bool:
    """Whether this machine has them all, which are in `root` then."""
    found = {
        path.name: path
        for folder in Path("/lib").glob("*-linux-gnu")
        for path in folder.iterdir()
        if path.name in LIBRARIES
    }
    loaders = [*Path("/lib64").glob("ld-linux-*"), *Path("/lib").glob("ld-linux-*")]
    for path in (*found.values(), *loaders):
        place = root / path.relative_to("/")
        place.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(path.resolve(), place)
    return bool(loaders) and found.keys() >= {"libc.so.6", "libz.so.1", "libstdc++.so.6"}


@pytest.fixture
async def glibc(docker_daemon: DockerDaemon, tmp_path: Path) -> str:
    """An image of busybox and glibc."""
    if not filled(tmp_path / "root"):
        pytest.skip("this machine has no glibc, zlib and libstdc++ to put into an image")
    (tmp_path / "Dockerfile").write_text(DOCKERFILE)
    await docker_daemon.run("build", "--quiet", "--tag", "glibc", tmp_path)
    return "glibc"


async def test_a_jvm_finds_its_settings_and_certificates(
    docker_daemon: DockerDaemon, glibc: str
) -> None:
    try:
        java = resolve()
    except ConfigError as error:
        pytest.skip(str(error))

    async def certificates(*paths: str) -> str:
        mounts = [f"--volume={path}:{path}:ro" for path in paths]
        tool = f"{java.home}/bin/keytool"
        words = (tool, "-list", "-cacerts", "-storepass", "changeit")
        return await docker_daemon.run("run", "--rm", "--network=none", *mounts, glibc, *words)

    assert "Your keystore contains" in await certificates(*java.paths)
    if len(java.paths) > 1:
        with pytest.raises(Unavailable, match=r"Error loading java\.security file"):
            await certificates(java.home)
