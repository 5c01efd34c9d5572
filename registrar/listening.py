"""Whether a container listens where it is to be registered, and nobody else with it."""

from dataclasses import dataclass
from typing import Final

from registrar.model import Listener
from registrar.view import View

EVERY_IPV4: Final = "0.0.0.0"  # noqa: S104 - read from the kernel, never bound
EVERY_IPV6: Final = "::"


@dataclass(frozen=True, slots=True)
class Readiness:
    """What the listening sockets say of a container and a port.

    Attributes:
        ready: it listens there, and it alone.
        why: what is missing.
        foreign: a process of somebody else holds the port.
        unknown: sockets of which nobody knows yet whose they are.
    """

    ready: bool = False
    why: str = ""
    foreign: bool = False
    unknown: tuple[int, ...] = ()


def judge(container_id: str, ip: str, port: int, view: View) -> Readiness:
    """Looks whether a connection to `ip` and `port` reaches the container, and it alone."""
    anywhere = view.listeners(port)
    serving = [each for each in anywhere if _serves(each, ip)]
    owners = {each.inode: view.owner(container_id, each.inode) for each in anywhere}
    if unknown := tuple(inode for inode, own in owners.items() if own is None):
        return Readiness(why=f"somebody listens on port {port}", unknown=unknown)
    # A foreign socket beside its own shares the traffic (SO_REUSEPORT): all of them must be its.
    if not all(owners.values()):
        why = f"port {port} is held by a process that is not the container's"
        return Readiness(why=why, foreign=True)
    if not serving:
        where = ", ".join(sorted({each.ip for each in anywhere}))
        only = f", only on {where}" if anywhere else " yet"
        return Readiness(why=f"does not listen on {ip} port {port}{only}")
    return Readiness(ready=True)


def _serves(listener: Listener, ip: str) -> bool:
    """Whether a connection to `ip` reaches the listener."""
    if listener.ip == EVERY_IPV6:
        return ":" in ip or not listener.v6only
    return listener.ip == ip or (listener.ip == EVERY_IPV4 and ":" not in ip)
