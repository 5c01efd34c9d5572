"""Whose word counts: the address a request comes from, and what a proxy in front says of it."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from ipaddress import IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network
from typing import Final

Network = IPv4Network | IPv6Network
USER_CHARACTERS: Final = 128


class TwoUsers(Exception):
    """A proxy names nobody in particular: two users, or what cannot be one's name."""


@dataclass(frozen=True, slots=True)
class Peer:
    """Who is at the other end.

    Attributes:
        address: of the client itself, as far as those say whose word counts.
        trusted: whether a trusted proxy stands in between, whose headers count.
    """

    address: str
    trusted: bool = False


@dataclass(frozen=True, slots=True)
class Proxies:
    """The proxies whose headers count.

    Attributes:
        networks: where they are.
        user_header: in which they name the user; empty if in none.
    """

    networks: tuple[Network, ...] = ()
    user_header: str = ""

    def peer(self, address: str, forwarded_for: Sequence[str]) -> Peer:
        """The client behind a connection.

        Args:
            address: that the connection comes from.
            forwarded_for: each `X-Forwarded-For` header; each proxy adds at the end whom it saw.
        """
        address = plain(address)
        if not self.holds(address):
            return Peer(address)
        hops = [hop.strip() for header in forwarded_for for hop in header.split(",")]
        for hop in reversed(hops):
            if _network(hop) is None:
                break  # who writes this may write anything before it as well
            address = plain(hop)
            if not self.holds(address):
                break
        return Peer(address, trusted=True)

    def user(self, values: Sequence[str]) -> str:
        """The user that a trusted proxy names; empty if none.

        Raises:
            TwoUsers: the header is there twice, or holds a list: then the proxy adds to what
                the client sent in place of replacing it, and anybody can be anybody.
        """
        if len(values) > 1:
            raise TwoUsers(f"{self.user_header} is there {len(values)} times")
        name = values[0].strip() if values else ""
        if "," in name or not name.isprintable() or len(name) > USER_CHARACTERS:
            raise TwoUsers(f"{self.user_header} does not hold one user's name")
        return name

    def holds(self, address: str) -> bool:
        """Whether a trusted proxy has this address."""
        if not self.networks:
            return False
        try:
            parsed = ip_address(address)
        except ValueError:
            return False
        return any(parsed in network for network in self.networks)


def networks(texts: Iterable[str]) -> tuple[Network, ...]:
    """Addresses and networks as they are written.

    Raises:
        ValueError: one of them is none.
    """
    return tuple(ip_network(text) for text in texts)


def plain(address: str) -> str:
    """An address without its zone, and of IPv4 as such: a socket of IPv6 says ::ffff:10.0.0.5."""
    try:
        parsed = ip_address(address.partition("%")[0])
    except ValueError:
        return address
    if isinstance(parsed, IPv6Address) and parsed.ipv4_mapped is not None:
        return str(parsed.ipv4_mapped)
    return str(parsed)


def is_loopback(address: str) -> bool:
    """Whether the address is this machine's own."""
    try:
        return ip_address(address).is_loopback
    except ValueError:
        return False


def is_address(text: str) -> bool:
    """Whether this is an address, and no name."""
    return _network(text) is not None


def _network(text: str) -> Network | None:
    try:
        return ip_network(text.partition("%")[0])
    except ValueError:
        return None
