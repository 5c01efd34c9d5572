"""What a container engine leaves behind when it dies, and how it is found and taken away."""

import contextlib
import itertools
import re
import signal
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import psutil

from wharfinger.errors import Unavailable

POLL_SECONDS: Final = 0.02
LIMIT_SECONDS: Final = 10.0
MOUNTS: Final = Path("/proc/self/mounts")
MOUNTINFO: Final = Path("/proc/self/mountinfo")
UMOUNT: Final = "/bin/umount"
# containerd's shims and dockerd's plugin lookup keep to these, whatever their flags say
# (containerd, runtime/v2/shim; moby, pkg/plugins): the folder, and all that it holds when empty.
SKELETONS: Final = ((Path("/run/containerd"), "s"), (Path("/run/docker"), "plugins"))


def mounts_below(folder: Path, table: Path = MOUNTINFO) -> list[Path]:
    """Where something is mounted at or below `folder`, innermost first (proc(5), mountinfo)."""
    points = [Path(_unescape(fields[4])) for fields in mounts(table)]
    return [point for point in reversed(points) if point.is_relative_to(folder)]


def mounts(table: Path = MOUNTS) -> Iterator[list[str]]:
    """The fields of each line of a table of mounts, escaped as they are (proc(5))."""
    text = table.read_bytes().decode(errors="surrogateescape")
    # The kernel escapes a newline in a name, but nothing else that may look like a line's end.
    return (line.split(" ") for line in text.split("\n") if line)


def shims(address: Path) -> list[psutil.Process]:
    """The shims that serve the containerd at `address`, and no other."""
    found = []
    for process in psutil.process_iter(["cmdline"]):
        words = process.info["cmdline"] or []
        if (
            words
            and "containerd-shim" in words[0]
            and ("-address", str(address)) in itertools.pairwise(words)
        ):
            found.append(process)
    return found


def shim_sockets(state: Path) -> list[Path]:
    """The sockets of the shims in containerd's `state`; read them before the shims are gone."""
    sockets = []
    for file in state.glob("io.containerd.runtime.v2.task/*/*/address"):
        with contextlib.suppress(OSError):
            sockets.append(Path(file.read_text(encoding="utf-8").removeprefix("unix://")))
    return [socket for socket in sockets if socket.is_relative_to("/run/containerd/s")]


def children(processes: list[psutil.Process]) -> list[psutil.Process]:
    """All that the processes have started and that still runs."""
    found = []
    for process in processes:
        with contextlib.suppress(psutil.NoSuchProcess):
            found.extend(process.children(recursive=True))
    return found


def end(processes: list[psutil.Process]) -> None:
    """Kills processes; psutil's check of the start time keeps a reused id from harm.

    Raises:
        Unavailable: one of them still runs after ten seconds.
    """
    deadline = time.monotonic() + LIMIT_SECONDS
    for process in processes:
        with contextlib.suppress(psutil.NoSuchProcess):
            process.send_signal(signal.SIGKILL)
    while left := [process for process in processes if _lives(process)]:
        if time.monotonic() > deadline:
            raise Unavailable(f"cannot be ended: processes {[process.pid for process in left]}")
        time.sleep(POLL_SECONDS)


def end_containers(address: Path, cgroup: str) -> None:
    """Kills the shims of the containerd at `address` and all that runs in or below `cgroup`.

    Raises:
        Unavailable: something still runs after ten seconds.
    """
    orphans = shims(address)
    end(orphans + children(orphans))
    end([process for folder in _cgroup_folders(cgroup) for process in _members(folder)])
    for folder in _cgroup_folders(cgroup):
        with contextlib.suppress(FileNotFoundError):
            folder.rmdir()


def unmount_below(folder: Path) -> None:
    """Unmounts everything at or below `folder`.

    Raises:
        Unavailable: something stays mounted.
    """
    for point in mounts_below(folder):
        # Lazily: a process in another mount namespace may still hold it, and will let go.
        subprocess.run([UMOUNT, "--lazy", "--", point], check=False, timeout=LIMIT_SECONDS)
    if left := mounts_below(folder):
        raise Unavailable(f"cannot be unmounted: {', '.join(map(str, left))}")


def remove_sockets(sockets: list[Path]) -> None:
    """Deletes sockets of shims, and the folders that were made for them if nobody uses them."""
    for socket in sockets:
        socket.unlink(missing_ok=True)
    for folder, child in SKELETONS:
        with contextlib.suppress(OSError):
            # Anything else in there belongs to an engine of the machine's own.
            if [entry.name for entry in folder.iterdir()] == [child]:
                (folder / child).rmdir()
                folder.rmdir()


def _unescape(text: str) -> str:
    return re.sub(r"\\([0-7]{3})", lambda match: chr(int(match[1], 8)), text)


def _cgroup_folders(cgroup: str) -> Iterator[Path]:
    """The folders of `cgroup` in every hierarchy, innermost first."""
    for _, point, kind, *_ in mounts(MOUNTS):
        top = Path(_unescape(point)) / cgroup
        if kind in {"cgroup", "cgroup2"} and top.is_dir():
            yield from sorted((p for p in top.rglob("*") if p.is_dir()), reverse=True)
            yield top


def _members(folder: Path) -> Iterator[psutil.Process]:
    with contextlib.suppress(OSError):
        for pid in (folder / "cgroup.procs").read_text(encoding="ascii").split():
            with contextlib.suppress(psutil.NoSuchProcess):
                yield psutil.Process(int(pid))


def _lives(process: psutil.Process) -> bool:
    try:
        return process.is_running() and process.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False
