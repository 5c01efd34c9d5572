"""Whether a container runs, by its processes: what can be known of it without Docker."""

from pathlib import Path
from typing import Final

from registrar.sockets import of_container

# proc(5), /proc/PID/stat: it has ended, and its parent has not yet asked how.
ENDED: Final = frozenset("ZXx")


def runs(container_id: str, pid: int, *, proc: Path = Path("/proc")) -> bool:
    """Whether a container's first process lives.

    Args:
        container_id: whose it must be: ids of processes are given again.
        pid: of that process, as Docker last told; 0 for none.
        proc: where the process file system is.
    """
    folder = proc / str(pid)
    try:
        # A group's name and a program's are any bytes.
        cgroup = (folder / "cgroup").read_bytes().decode(errors="surrogateescape")
        told = (folder / "stat").read_bytes().decode(errors="surrogateescape")
    except OSError:
        return False
    # The name stands in parentheses, and may hold some.
    state = told.rpartition(")")[2].strip()[:1]
    return pid > 0 and of_container(container_id, cgroup) and state not in ENDED
