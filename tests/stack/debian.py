"""A Debian root folder with the packages that a test asks for: made once, copied for each test."""

import contextlib
import fcntl
import hashlib
import os
import shutil
import subprocess
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Final

SUITE: Final = "bookworm"
KEPT: Final = Path(__file__).resolve().parents[2] / "build" / "debian"
PATH: Final = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
# Raised when a folder that was made before must not be taken for one that is made as it is now.
RECIPE: Final = 1
LIMIT_SECONDS: Final = 600


class DebianError(Exception):
    """A root folder cannot be made, or a program in it failed; with the end of what it wrote."""


def debian_root(packages: Sequence[str] = ()) -> Path:
    """A root folder with Debian's minimal system and `packages`, to be read and copied only.

    Made at the first call, for all processes and runs; `make clean` removes it. It has no lists of
    packages: `apt-get update` comes before installing more into a copy.

    Raises:
        DebianError: debootstrap is missing, the packages cannot be had, or we are not root.
    """
    if os.geteuid() != 0:
        raise DebianError("root is needed to make a Debian root folder")
    if shutil.which("debootstrap", path=PATH) is None:
        raise DebianError("debootstrap is missing: .ci/setup installs it")
    minimal = kept("minimal", _bootstrap)
    if not packages:
        return minimal
    words = sorted(set(packages))
    return kept(" ".join(words), lambda place: _with_packages(minimal, words, place))


def copied(root: Path, place: Path) -> Path:
    """Copies a root folder to `place`, which must not exist; the copy may be changed.

    Raises:
        DebianError: it cannot be copied.
    """
    # Where the file system can, both share their blocks.
    _run("cp", "--archive", "--reflink=auto", "--no-target-directory", root, place)
    return place


def run_inside(
    root: Path, *command: str, environment: Mapping[str, str] | None = None
) -> subprocess.CompletedProcess[str]:
    """Runs a program in a root folder that is not booted, on the machine's own network.

    It gets a /proc and process ids of its own, and everything that it leaves running ends with it.

    Raises:
        DebianError: it failed.
    """
    own = {"PATH": PATH, "LC_ALL": "C", "HOME": "/root", "DEBIAN_FRONTEND": "noninteractive"}
    proxies = {name: os.environ[name] for name in os.environ if name.lower().endswith("_proxy")}
    return _run(
        *("unshare", "--mount", "--pid", "--fork", "--kill-child", f"--mount-proc={root}/proc"),
        *("chroot", root, *command),
        environment={**proxies, **own, **(environment or {})},
    )


def kept(what: str, make: Callable[[Path], None]) -> Path:
    """A folder that is kept under this description, made by the first of all processes that ask.

    Args:
        what: all that decides what is in it.
        make: makes it at the path that it is given.
    """
    digest = hashlib.sha256(f"{RECIPE} {SUITE} {what}".encode()).hexdigest()[:16]
    place = KEPT / digest
    if place.is_dir():
        return place
    KEPT.mkdir(parents=True, exist_ok=True)
    with _locked(KEPT / f"{digest}.lock"):
        if not place.is_dir():
            unfinished = KEPT / f"{digest}.unfinished"
            # Nothing is mounted in one that a killed run has left: that went with its namespace.
            shutil.rmtree(unfinished, ignore_errors=True)
            make(unfinished)
            unfinished.rename(place)
    return place


@contextlib.contextmanager
def _locked(path: Path) -> Iterator[None]:
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)


def _bootstrap(place: Path) -> None:
    _run("debootstrap", "--variant=minbase", SUITE, place, *_mirror())


def _mirror() -> list[str]:
    """Where this machine has the suite from; nothing for debootstrap's own choice."""
    targets = ("apt-get", "indextargets", "--format", "$(REPO_URI) $(RELEASE) $(COMPONENT)")
    told = subprocess.run(
        [*targets, "Created-By: Packages"], check=False, capture_output=True, text=True
    )
    fields = [line.split() for line in told.stdout.splitlines()]
    return [uri for uri, release, component in fields if (release, component) == (SUITE, "main")][
        :1
    ]


def _with_packages(minimal: Path, packages: Sequence[str], place: Path) -> None:
    copied(minimal, place)
    # No service is started in a folder that is not booted (invoke-rc.d(8)).
    policy = place / "usr/sbin/policy-rc.d"
    policy.write_text("#!/bin/sh\nexit 101\n", encoding="ascii")
    policy.chmod(0o755)
    shutil.copyfile("/etc/resolv.conf", place / "etc/resolv.conf")
    run_inside(place, "apt-get", "update", "-qq")
    run_inside(place, "apt-get", "install", "-qq", "--no-install-recommends", *packages)
    run_inside(place, "apt-get", "clean")
    policy.unlink()
    for file in (place / "var/lib/apt/lists").iterdir():
        shutil.rmtree(file) if file.is_dir() else file.unlink()


def _run(
    *command: str | Path, environment: Mapping[str, str] | None = None
) -> subprocess.CompletedProcess[str]:
    try:
        done = subprocess.run(
            [os.fspath(word) for word in command],
            check=False,
            capture_output=True,
            text=True,
            stdin=subprocess.DEVNULL,
            timeout=LIMIT_SECONDS,
            env=environment,
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise DebianError(f"{command[0]}: {error}") from error
    if done.returncode != 0:
        words = " ".join(map(str, command))
        raise DebianError(
            f"{words}: ended with {done.returncode}\n{(done.stdout + done.stderr)[-3000:]}"
        )
    return done
