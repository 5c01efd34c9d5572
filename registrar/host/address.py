"""The address that others reach this host at: as written down, or that of the default route."""

import ipaddress
import socket
from collections.abc import Iterator, Mapping, Sequence
from typing import Final

import psutil

from wharfinger.errors import Unavailable
from wharfinger.sections import HostConfig

Interfaces = Mapping[str, Sequence[str]]

# Never sent anything: connect(2) on a datagram socket only chooses the route (RFC 5737, RFC 3849).
ANYWHERE: Final = ((socket.AF_INET, "192.0.2.1"), (socket.AF_INET6, "2001:db8::1"))
DISCARD_PORT: Final = 9
FIX: Final = "write host.ip, host.interface or host.cidr down"


def find(config: HostConfig) -> str:
    """The address, canonically written; one that is written down is taken as it is.

    Raises:
        Unavailable: there is none now; an interface or a route may still come up.
    """
    return choose(config, interfaces(), tuple(routed()))


def choose(config: HostConfig, found: Interfaces, routes: Sequence[str]) -> str:
    """Decides between what was found.

    Args:
        config: what is written down.
        found: the addresses of each interface.
        routes: the addresses that packets to far away leave with, IPv4 first.

    Raises:
        Unavailable: nothing fits; the message says what to write down.
    """
    if config.ip is not None:
        return config.ip
    if config.interface is not None:
        own = [each for each in found.get(config.interface, ()) if not _is_link_local(each)]
        if not own:
            raise Unavailable(f"host.interface {config.interface!r} has no address now")
        return own[0]
    if config.cidr is not None:
        network = ipaddress.ip_network(config.cidr)
        for each in (each for several in found.values() for each in several):
            if ipaddress.ip_address(each) in network:
                return each
        raise Unavailable(f"no interface has an address in host.cidr {config.cidr}")
    docker = found.get("docker0", ())
    for each in routes:
        if not ipaddress.ip_address(each).is_loopback and each not in docker:
            return each
    raise Unavailable(f"no default route tells the address of this host: {FIX}")


def interfaces() -> dict[str, tuple[str, ...]]:
    """The addresses of each interface, IPv4 first."""
    families = (socket.AF_INET, socket.AF_INET6)
    return {
        name: tuple(
            str(ipaddress.ip_address(each.address.partition("%")[0]))
            for family in families
            for each in addresses
            if each.family == family
        )
        for name, addresses in psutil.net_if_addrs().items()
    }


def routed() -> Iterator[str]:
    """The addresses that packets to far away leave with, as the kernel's routes say."""
    for family, far_away in ANYWHERE:
        try:
            with socket.socket(family, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as probe:
                probe.connect((far_away, DISCARD_PORT))
                yield str(probe.getsockname()[0])
        except OSError:  # no such family, or no route
            continue


def _is_link_local(ip: str) -> bool:
    return ipaddress.ip_address(ip).is_link_local
