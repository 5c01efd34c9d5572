"""Keeps the kernel from giving away the registrar's ports to outgoing connections."""

import asyncio
from pathlib import Path
from typing import Final

from registrar.porttable import PortRange, is_reserved, merge_reserved
from wharfinger.errors import Finding, Rejected, Unavailable
from wharfinger.events import Events

PROC: Final = Path("/proc")
# Documentation/networking/ip-sysctl; both are those of the network namespace we are in, whichever
# process file system shows them.
RESERVED: Final = Path("sys/net/ipv4/ip_local_reserved_ports")
EPHEMERAL: Final = Path("sys/net/ipv4/ip_local_port_range")


async def keep(ports: PortRange, events: Events, proc: Path = PROC) -> str:
    """Reserves the range and tells of it; gives what the operator should know, or nothing.

    Args:
        ports: the range.
        events: where it is told.
        proc: a process file system that may be written to; a container's own is read-only there.
    """
    try:
        changed = await asyncio.to_thread(reserve, ports, reserved=proc / RESERVED)
    except Unavailable as error:
        level = "warning" if overlap(ports, ephemeral=proc / EPHEMERAL) else "info"
        events.emit("ports not reserved", level, why=str(error))
        return str(error)
    if changed:
        events.emit("ports reserved", range=str(ports))
    return ""


def reserve(ports: PortRange, *, reserved: Path = PROC / RESERVED) -> bool:
    """Adds the range to `ip_local_reserved_ports`; whether that changed anything.

    Raises:
        Unavailable: it cannot be read or written; ports are given away all the same.
    """
    try:
        before = reserved.read_text()
        if is_reserved(before, ports):
            return False
        reserved.write_text(merge_reserved(before, ports) + "\n")
    except (OSError, Rejected) as error:
        why = error.strerror if isinstance(error, OSError) else str(error)
        raise Unavailable(
            f"ports {ports} cannot be reserved in {reserved}: {why}; an outgoing connection may "
            "take one of them, unless they lie outside the ephemeral range; root can: "
            "`registrar reserve`"
        ) from error
    return True


def overlap(ports: PortRange, *, ephemeral: Path = PROC / EPHEMERAL) -> Finding | None:
    """What is wrong with a range that the kernel takes the ports of outgoing connections from."""
    try:
        first, last = map(int, ephemeral.read_text().split())
    except (OSError, ValueError):
        return None
    if not ports.overlaps(PortRange(first, last)):
        return None
    return Finding(
        "registrar.port_range",
        f"{ports} overlaps the kernel's ephemeral range {first}-{last}: an outgoing connection "
        "may take a port before its container binds it",
        f"choose a range below {first}, or change net.ipv4.ip_local_port_range",
    )
