"""The Debian package of this tree, built once for a run, and Debian roots that it is tried in."""

import os
import shutil
import subprocess
from collections.abc import Sequence
from pathlib import Path
from typing import Final

import pytest

from tests.stack.debian import copied, debian_root

ROOT: Final = Path(__file__).resolve().parents[2]
BUILD: Final = ROOT / "deploy" / "debian" / "build"
# What the package depends on and recommends, as deploy/images/agent/build has it.
NEEDED: Final = (
    "ca-certificates",
    "python3",
    "systemd-standalone-sysusers",
    "systemd-standalone-tmpfiles",
    "tzdata",
)
EDGE: Final = ("libnginx-mod-http-lua", "nginx-light")


def built(folder: Path) -> Path:
    """The package, in a folder; packed less tightly than one that is given away, for speed."""
    done = subprocess.run(
        [BUILD, folder],
        env={**os.environ, "DEB_COMPRESSION": "xz -z1"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    [package] = folder.glob("wharfinger_*.deb")
    return package


@pytest.fixture(scope="session")
def package(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The package of this tree."""
    return built(tmp_path_factory.mktemp("package"))


@pytest.fixture
def debian(folder: Path) -> Path:
    """A Debian root with what the package depends on, to be changed."""
    return prepared(debian_root(NEEDED), folder / "root")


def prepared(root: Path, place: Path) -> Path:
    """A copy that is thrown away after the test: dpkg need not wait for the disk."""
    copied(root, place)
    (place / "etc/dpkg/dpkg.cfg.d/test").write_text("force-unsafe-io\n")
    return place


def inside(
    root: Path, *command: str | Path, check: bool = True, environment: Sequence[str] = ()
) -> subprocess.CompletedProcess[str]:
    """Runs a command in a root that is not booted, without any network."""
    done = subprocess.run(
        [
            *("unshare", "--net", "--mount", "--pid", "--fork", "--kill-child"),
            f"--mount-proc={root}/proc",
            *("chroot", root, "/usr/bin/env", "-i", "PATH=/usr/sbin:/usr/bin:/sbin:/bin"),
            *("LC_ALL=C.UTF-8", "DEBIAN_FRONTEND=noninteractive", *environment, *command),
        ],
        capture_output=True,
        text=True,
        check=False,
        stdin=subprocess.DEVNULL,
    )
    if check:
        assert done.returncode == 0, f"{command}: {done.stdout[-2000:]}{done.stderr[-2000:]}"
    return done


@pytest.fixture(scope="session")
def thin(package: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An older version, with the same scripts and units and no library: installed in no time."""
    return repacked(package, tmp_path_factory.mktemp("thin"), "0.0.9")


def repacked(package: Path, folder: Path, version: str) -> Path:
    """The package under another version, without libraries, with a file that only that one has."""
    tree = folder / version
    subprocess.run(["dpkg-deb", "-R", package, tree], check=True)
    control = tree / "DEBIAN" / "control"
    lines = control.read_text().splitlines(keepends=True)
    control.write_text(
        "".join(f"Version: {version}\n" if line.startswith("Version:") else line for line in lines)
    )
    shutil.rmtree(tree / "usr/lib/wharfinger/lib")
    (tree / "usr/lib/wharfinger/only-of").write_text(version)
    file = folder / f"{version}.deb"
    words = ["dpkg-deb", "--root-owner-group", "-Znone", "-b", tree, file]
    subprocess.run(words, check=True, capture_output=True)
    return file
