"""Addresses as they are written in the configuration: HOST:PORT, IPv6 in brackets."""

import ipaddress
import re
from typing import Final

# ASCII by name: int() and \d would take the digits of every script.
_ADDRESS: Final = re.compile(
    r"(?:\[(?P<ipv6>[0-9A-Fa-f:.]+)\]|(?P<host>[A-Za-z0-9._-]{1,253})):(?P<port>[1-9][0-9]{0,4})"
)

# What listens on every address is asked on the host's own.
_EVERYWHERE: Final = {"0.0.0.0": "127.0.0.1", "::": "::1"}  # noqa: S104 - nothing is bound here


def parse_address(text: str) -> tuple[str, int]:
    """Splits HOST:PORT or [IPv6]:PORT.

    Raises:
        ValueError: it is neither.
    """
    match = _ADDRESS.fullmatch(text)
    if match is None or int(match["port"]) >= 2**16:
        message = f"{text[:80]!r} is not HOST:PORT"
        raise ValueError(message)
    if match["ipv6"] is not None:
        try:
            ipaddress.IPv6Address(match["ipv6"])
        except ValueError:
            message = f"{text[:80]!r} is not [IPv6]:PORT"
            raise ValueError(message) from None
    return match["ipv6"] or match["host"], int(match["port"])


def own_address(text: str) -> tuple[str, int]:
    """Host and port by which whoever is on the same host asks what listens there.

    Raises:
        ValueError: it is not HOST:PORT.
    """
    host, port = parse_address(text)
    return _EVERYWHERE.get(host, host), port


def own_url(text: str, *, tls: bool) -> str:
    """The same as a URL.

    Raises:
        ValueError: it is not HOST:PORT.
    """
    host, port = own_address(text)
    return f"{'https' if tls else 'http'}://{f'[{host}]' if ':' in host else host}:{port}"


def address_problem(text: str) -> str:
    """What is wrong with HOST:PORT, for `doc(check=...)`; empty when nothing is."""
    try:
        parse_address(text)
    except ValueError as error:
        return str(error)
    return ""


def loopback(text: str) -> bool:
    """Whether HOST:PORT can be reached from this host only; a name other than localhost cannot.

    Raises:
        ValueError: it is not HOST:PORT.
    """
    host, _ = parse_address(text)
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
