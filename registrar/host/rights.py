"""What the registrar needs of the kernel, where it does not run as root."""

import grp
import os
from typing import Final

from wharfinger.capabilities import missing
from wharfinger.errors import Finding
from wharfinger.sections import HostConfig

# What each is for, in the words of whoever misses it.
NEEDED: Final = {
    "CAP_SYS_PTRACE": "containers cannot be told their ports, nor be seen to own their sockets",
    "CAP_DAC_READ_SEARCH": "sockets of other users' processes cannot be seen",
}
FIX: Final = "give it by AmbientCapabilities= and CapabilityBoundingSet=, or run as root"


def findings(host: HostConfig) -> list[Finding]:
    """What this process may not do and has to."""
    found = [Finding(name, f"is missing: {NEEDED[name]}", FIX) for name in missing(*NEEDED)]
    if host.control_group is not None and not _may_give_to(host.control_group):
        fix = f"make it a member: usermod --append --groups {host.control_group} USER"
        why = f"the user that this runs as is not in the group {host.control_group!a}"
        found.append(Finding("host.control_group", f"{why}, and cannot give it the socket", fix))
    return found


def _may_give_to(group: str) -> bool:
    try:
        wanted = grp.getgrnam(group).gr_gid
    except KeyError:
        return False
    return not missing("CAP_CHOWN") or wanted in {os.getegid(), *os.getgroups()}
