"""Where a container's own ports can be reached: published, exposed, or on the host's network."""

import ipaddress
from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Final

from wharfinger.container import Container, ExposedPort
from wharfinger.errors import Rejected
from wharfinger.metadata import TCP

HOST: Final = "host"
SHARED: Final = "container:"


@dataclass(frozen=True, slots=True)
class ServicePort:
    """One port of a container, and one way to reach it.

    Attributes:
        container_port: its number inside the container; None where one is to be assigned.
        port: its number where it is reached; None where one is to be assigned.
        ip: where it is reached; None for the host's address.
    """

    container_port: int | None = None
    port: int | None = None
    protocol: str = TCP
    ip: str | None = None

    @property
    def order(self) -> tuple[int, bool, str, str, int]:
        """By number, tcp first."""
        number, port = self.container_port or 0, self.port or 0
        return (number, self.protocol != TCP, self.protocol, self.ip or "", port)


def on_its_network(container: Container, network: Container | None) -> Container:
    """The container with the addresses and published ports of the one whose network it shares.

    Of the other's published ports those count that it exposes itself; all where it exposes none.

    Raises:
        Rejected: it shares a network of which nothing is known.
    """
    if not container.network_mode.startswith(SHARED):
        return container
    other = container.network_mode.removeprefix(SHARED)[:12]
    if network is None:
        raise Rejected(f"shares the network of container {other!a}, of which nothing is known")
    if network.network_mode.startswith(SHARED):
        raise Rejected(f"shares the network of container {other!a}, which has none of its own")
    exposed = {(each.port, each.protocol) for each in container.exposed_ports}
    return replace(
        container,
        network_mode=network.network_mode,
        ip_addresses=network.ip_addresses,
        published_ports=tuple(
            each
            for each in network.published_ports
            if not exposed or (each.container_port, each.protocol) in exposed
        ),
    )


def registrators(
    container: Container, *, internal: bool, shared: bool = False
) -> tuple[ServicePort, ...]:
    """The ports that registrator would see, sorted.

    Args:
        container: on its network.
        internal: exposed ports at its own address, instead of published ones.
        shared: its network is another's, so that what it exposes could not be published by it.

    Raises:
        Rejected: it exposes ports, but has no address.
    """
    if container.network_mode == HOST:
        found = [ServicePort(e.port, e.port, e.protocol) for e in container.exposed_ports]
        return tuple(sorted(found, key=lambda each: each.order))
    if internal:
        return own(container)
    found = list(published(container))
    if shared:
        known = {(each.container_port, each.protocol) for each in found}
        exposed = [e for e in container.exposed_ports if (e.port, e.protocol) not in known]
        found += _at_own_address(container, exposed)
    return tuple(sorted(found, key=lambda each: each.order))


def published(container: Container) -> tuple[ServicePort, ...]:
    """Each port of the host that leads to one of the container's, sorted; IPv4 and v6 are one."""
    found = {
        ServicePort(each.container_port, each.host_port, each.protocol, _bound(each.host_ip))
        for each in container.published_ports
    }
    return tuple(sorted(found, key=lambda each: each.order))


def own(container: Container) -> tuple[ServicePort, ...]:
    """Each exposed port at the container's own address (on the host's network the host's), sorted.

    Raises:
        Rejected: it exposes ports, but has no address.
    """
    exposed = {
        *container.exposed_ports,
        *(ExposedPort(each.container_port, each.protocol) for each in container.published_ports),
    }
    return _at_own_address(container, exposed)


def _at_own_address(
    container: Container, exposed: Iterable[ExposedPort]
) -> tuple[ServicePort, ...]:
    ports = tuple(exposed)
    ip = None
    if ports and container.network_mode != HOST:
        if not container.ip_addresses:
            raise Rejected("is to be reached at its own address, but has no address")
        ip = container.ip_addresses[0]
    found = [ServicePort(each.port, each.port, each.protocol, ip) for each in ports]
    return tuple(sorted(found, key=lambda each: each.order))


def _bound(host_ip: str) -> str | None:
    """The address that a port is published on; None for every address of the host."""
    try:
        return None if ipaddress.ip_address(host_ip).is_unspecified else host_ip
    except ValueError:
        return host_ip or None
