"""What the registrar needs of the kernel, where it does not run as root."""

import grp
import stat
from pathlib import Path
from typing import Final

from registrar.descriptors import are_told
from wharfinger import control
from wharfinger.capabilities import missing
from wharfinger.errors import Finding
from wharfinger.sections import HostConfig

# What each is for, in the words of whoever misses it.
NEEDED: Final = {
    "CAP_SYS_PTRACE": "containers cannot be told their ports, nor be seen to own their sockets",
}
# Where the kernel tells of descriptors to their users alone (Linux before 5.14).
NEEDED_OF_OLD: Final = {"CAP_DAC_READ_SEARCH": "sockets of other users' processes cannot be seen"}
FIX: Final = "give it by AmbientCapabilities= and CapabilityBoundingSet=, or run as root"


def findings(host: HostConfig) -> list[Finding]:
    """What this process may not do and has to."""
    needed = NEEDED if are_told() else NEEDED | NEEDED_OF_OLD
    found = [Finding(name, f"is missing: {needed[name]}", FIX) for name in missing(*needed)]
    folder = control.place(control.socket_path(host, "registrar")).parent
    if host.control_group is not None and not _may_give_to(host.control_group, folder):
        why = f"this process may not give its socket to the group {host.control_group!a}"
        fix = f"chgrp {host.control_group} {folder} && chmod 2755 {folder}"
        found.append(Finding("host.control_group", why, fix))
    return found


def _may_give_to(group: str, folder: Path) -> bool:
    if not missing("CAP_CHOWN"):
        return True
    try:
        # What is made in such a folder has its group (inode(7), S_ISGID).
        wanted, found = grp.getgrnam(group).gr_gid, folder.stat()
    except (KeyError, OSError):
        return False
    return found.st_gid == wanted and bool(found.st_mode & stat.S_ISGID)
