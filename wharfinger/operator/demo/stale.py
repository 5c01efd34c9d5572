"""What a demo that was killed left behind: whose it was, that it is dead, and its removal."""

import os
import shutil
import stat
import tempfile
from pathlib import Path
from typing import Final

import msgspec
import psutil

from wharfinger.errors import Unavailable
from wharfinger.operator.demo import reserved
from wharfinger.operator.parts import leftovers
from wharfinger.operator.parts.dockerd import DockerDaemon

PREFIX: Final = "wharf-"
# Short, since a Unix socket's path may have 107 bytes at most (unix(7)).
PARENT: Final = Path("/tmp")  # noqa: S108 - a folder of our own below it, made by mkdtemp
OWNER: Final = "owner.json"


class Owner(msgspec.Struct, frozen=True):
    """Who raised a stage, and what it takes to undo it.

    Attributes:
        pid: the demo's process.
        namespace: where that id means something.
        started: when that process began; another one may have its id by now.
        pool: first and last of the ports that its registrar reserves.
        reserved: those of them that were reserved before.
    """

    pid: int
    namespace: str
    started: float
    pool: tuple[int, int]
    reserved: tuple[int, ...]

    @property
    def lives(self) -> bool:
        """Whether that very process still runs; one that cannot be seen from here may."""
        if self.namespace != _namespace():
            return True
        try:
            return psutil.Process(self.pid).create_time() == self.started
        except psutil.NoSuchProcess:
            return False


def make_folder(pool: range) -> tuple[Path, Owner]:
    """Makes the folder of a stage, which says whose it is."""
    folder = Path(tempfile.mkdtemp(prefix=PREFIX, dir=PARENT))
    before = tuple(sorted(set(pool) & reserved.ports()))
    me = psutil.Process()
    owner = Owner(me.pid, _namespace(), me.create_time(), (pool[0], pool[-1]), before)
    (folder / OWNER).write_bytes(msgspec.json.encode(owner))
    return folder, owner


def found() -> list[tuple[Path, Owner]]:
    """The folders whose demo is dead; one that cannot prove that is not among them."""
    dead = []
    for folder in PARENT.glob(f"{PREFIX}*"):
        owner = _owner(folder)
        if owner is not None and not owner.lives:
            dead.append((folder, owner))
    return dead


def remove(folder: Path, owner: Owner) -> None:
    """Ends, unmounts and deletes all that belongs to a stage; blocks for some seconds at most.

    Raises:
        Unavailable: something of it cannot be got rid of.
    """
    docker = DockerDaemon(folder / "docker")
    sockets = leftovers.shim_sockets(docker.containerd_state)
    leftovers.end(_processes(folder))
    leftovers.end_containers(docker.containerd_socket, docker.cgroup)
    leftovers.unmount_below(folder)
    leftovers.remove_sockets(sockets)
    first, last = owner.pool
    reserved.give_back(set(range(first, last + 1)) - set(owner.reserved))
    try:
        shutil.rmtree(folder)
    except OSError as error:
        raise Unavailable(f"{folder} cannot be deleted: {error}") from error


def _namespace() -> str:
    """Of process ids (pid_namespaces(7)): containers may share /tmp without sharing those."""
    return str(Path("/proc/self/ns/pid").readlink())


def _owner(folder: Path) -> Owner | None:
    try:
        held = folder.lstat()
        # Closed to everybody else since it was made: what stands in it is our own word.
        if not stat.S_ISDIR(held.st_mode) or held.st_uid != os.geteuid() or held.st_mode & 0o077:
            return None
        return msgspec.json.decode((folder / OWNER).read_bytes(), type=Owner)
    except (OSError, msgspec.MsgspecError):
        return None


def _processes(folder: Path) -> list[psutil.Process]:
    """Whatever was told to work below the folder, and what that has started."""
    inside = f"{folder}/"
    named = [
        process
        for process in psutil.process_iter(["cmdline"])
        if inside in " ".join(process.info["cmdline"] or ()) and process.pid != os.getpid()
    ]
    return named + leftovers.children(named)
