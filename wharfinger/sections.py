"""The sections of the configuration file that every daemon reads."""

import grp
import ipaddress
import re
import socket
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Literal

from wharfinger.address import address_problem
from wharfinger.errors import Finding
from wharfinger.schema import Section, doc

Level = Literal["debug", "info", "warning", "error"]
HOST_PATTERN = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,127}", re.ASCII)


def _ip_problem(text: str) -> str:
    try:
        address = ipaddress.ip_address(text)
    except ValueError:
        return f"{text[:80]!r} is no IP address"
    if "%" in text:
        return "a zone means something on this host only"
    # One address has one spelling in etcd, or two hosts would not see that they share it.
    return "" if str(address) == text else f"is written {address}"


def _network_problem(text: str) -> str:
    try:
        ipaddress.ip_network(text)
    except ValueError as error:
        return f"{text[:80]!r} is no network: {error}"
    return ""


def _group_problem(name: str) -> str:
    try:
        grp.getgrnam(name)
    except (KeyError, ValueError):
        return f"there is no group {name[:80]!r} on this host: make it (groupadd), or unset the key"
    return ""


class HostConfig(Section, frozen=True, kw_only=True):
    """This host, as the others see it."""

    # Asked once: a hostname that changes later must not rename a host with a lease.
    name: Annotated[
        str, doc("Name of this host in etcd and in logs.", shown="(hostname)", restart=True)
    ] = socket.gethostname()
    ip: Annotated[
        str | None,
        doc(
            "Address that others reach this host at.",
            shown="(that of the default route)",
            restart=True,
            check=_ip_problem,
        ),
    ] = None
    interface: Annotated[
        str | None,
        doc("Take the address of this interface instead.", shown='"eth0"', restart=True),
    ] = None
    cidr: Annotated[
        str | None,
        doc(
            "Take the address inside this network instead.",
            shown='"10.0.0.0/8"',
            restart=True,
            check=_network_problem,
        ),
    ] = None
    state_dir: Annotated[
        Path, doc("What must survive a restart; one folder a daemon.", restart=True)
    ] = Path("/var/lib/wharfinger")
    runtime_dir: Annotated[
        Path, doc("Unix sockets for commands that change something.", restart=True)
    ] = Path("/run/wharfinger")
    proc_dir: Annotated[
        Path,
        doc(
            "Where the host's processes are shown; a container is given them elsewhere.",
            restart=True,
        ),
    ] = Path("/proc")
    control_group: Annotated[
        str | None,
        doc(
            "Group that may use those sockets beside root.",
            shown='"wharfinger"',
            restart=True,
            check=_group_problem,
        ),
    ] = None

    def problems(self) -> Iterator[Finding]:
        """Says what is wrong in more than one field at once."""
        if not HOST_PATTERN.fullmatch(self.name):
            yield Finding(
                "name",
                f"{self.name[:64]!r} cannot be a key in etcd",
                "use letters, digits, '.', '-' and '_', at most 128 characters",
            )
        given = [key for key in ("ip", "interface", "cidr") if getattr(self, key) is not None]
        if len(given) > 1:
            yield Finding(given[1], f"{' and '.join(given)} are set together", "keep one of them")


class EtcdConfig(Section, frozen=True, kw_only=True):
    """The etcd v3 cluster."""

    endpoints: Annotated[
        tuple[str, ...], doc("HOST:PORT of each member; all are tried.", restart=True)
    ] = ("127.0.0.1:2379",)
    prefix: Annotated[
        str, doc("Put before every key, where several sites share a cluster.", restart=True)
    ] = ""
    username: Annotated[str | None, doc("etcd user.", shown='"wharfinger"', restart=True)] = None
    password_file: Annotated[
        Path | None,
        doc(
            "File that holds the password, alone on its first line.", shown='"/path"', restart=True
        ),
    ] = None
    ca_file: Annotated[
        Path | None,
        doc(
            "CA that signed the members' certificates; turns TLS on.", shown='"/path"', restart=True
        ),
    ] = None
    cert_file: Annotated[
        Path | None, doc("Client certificate, for mutual TLS.", shown='"/path"', restart=True)
    ] = None
    key_file: Annotated[
        Path | None, doc("Key of the client certificate.", shown='"/path"', restart=True)
    ] = None

    def problems(self) -> Iterator[Finding]:
        """Says what is wrong in more than one field at once."""
        if not self.endpoints:
            yield Finding("endpoints", "is empty", 'write at least one "HOST:PORT"')
        for endpoint in self.endpoints:
            if problem := address_problem(endpoint):
                fix = "write it without a scheme; TLS is turned on by ca_file"
                yield Finding("endpoints", problem, fix)
        if self.prefix and not re.fullmatch(r"(/[A-Za-z0-9._-]+)+", self.prefix):
            yield Finding("prefix", f"{self.prefix[:80]!r} is no key prefix", 'write it "/site"')
        if (self.username is None) != (self.password_file is None):
            yield Finding("username", "username and password_file go together", "set both")
        if (self.cert_file is None) != (self.key_file is None):
            yield Finding("cert_file", "cert_file and key_file go together", "set both")
        if self.cert_file is not None and self.ca_file is None:
            yield Finding("ca_file", "a client certificate needs ca_file", "name the CA's file")


class DockerConfig(Section, frozen=True, kw_only=True):
    """The Docker Engine on this host."""

    url: Annotated[str, doc("unix:// or tcp:// address of the engine.", restart=True)] = (
        "unix:///var/run/docker.sock"
    )

    def problems(self) -> Iterator[Finding]:
        """Says what is wrong in more than one field at once."""
        if self.url.startswith("tcp://") and not address_problem(self.url.removeprefix("tcp://")):
            return
        if not re.fullmatch(r"unix:///[^\0]+", self.url):
            yield Finding("url", f"{self.url[:80]!r} is no address", 'write "unix:///path"')


class LogConfig(Section, frozen=True, kw_only=True):
    """What the daemons say of themselves, on stderr."""

    level: Annotated[Level, doc("debug, info, warning or error.")] = "info"
    format: Annotated[Literal["logfmt", "json"], doc("logfmt or json.")] = "logfmt"
