"""What is said of one port of a container, made into an instance; every value is checked."""

import ipaddress
import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final, get_args

from registrar.checks import grammar
from registrar.checks.model import OVER_TCP, Check, CheckKind
from registrar.labels.portlabels import Labels
from registrar.labels.registrator import Spelled
from registrar.labels.serviceports import HOST, ServicePort
from registrar.model import Deregistration, Spelling, Wanted, Ways
from wharfinger.container import Container
from wharfinger.errors import Rejected
from wharfinger.keys import Service
from wharfinger.metadata import MAX_TAGS, MAX_WEIGHT, TCP, http_host, http_path, tag

MAX_DRAIN_SECONDS: Final = 3_600
MAX_TEXT: Final = 255
MAX_TAGS_TEXT: Final = 32_768
MAX_CHECK_SETTINGS: Final = 32
DEFAULT_DRAIN_SECONDS: Final = 1
UDP: Final = "udp"

_NUMBER = re.compile(r"[0-9]{1,9}", re.ASCII)
_POOL = re.compile(r"([0-9]{1,5})-([0-9]{1,5})", re.ASCII)
_VERSION = re.compile(r"[A-Za-z0-9._:+-]{1,128}", re.ASCII)


@dataclass(frozen=True, slots=True)
class Statement:
    """All that is said of one container.

    Attributes:
        container: on the network that it is in, be it another's.
        own: our labels.
        spelled: registrator's.
        ways: how this host reads them.
        shared: the network is another container's.
    """

    container: Container
    own: Labels
    spelled: Spelled
    ways: Ways
    shared: bool = False


def wanted(said: Statement, service: Service, at: ServicePort, spelling: Spelling) -> Wanted:
    """The instance at one port.

    Args:
        said: of the container.
        service: that it is an instance of.
        at: its port, which is None when it is to be assigned.
        spelling: whose way of naming made it one: only registrator's makes attributes and a check
            of SERVICE_*, which are often an application's own variables.

    Raises:
        Rejected: a value cannot be used; it is named.
    """
    number = at.container_port
    return Wanted(
        service=service,
        port=at.port,
        ip=_address(said, at),
        check=_check(said, at, spelling),
        weight=_number(said, "weight", number, 1, MAX_WEIGHT),
        tags=_tags(said, at),
        drain_seconds=_number(said, "drain", number, DEFAULT_DRAIN_SECONDS, MAX_DRAIN_SECONDS),
        http_host=_named("wharfinger.host", http_host, said.own.get("host", number)),
        http_path=_named("wharfinger.path", http_path, said.own.get("path", number)),
        version=_version(said.container),
        protocol=at.protocol,
        container_port=number,
        on_host_network=said.container.network_mode == HOST,
        attributes=said.spelled.attributes(number) if spelling == "registrator" else (),
        deregister=_deregister(said, number),
        pool=_pool(said),
    )


def port_number(text: str, where: str) -> int:
    """A port as it is declared.

    Raises:
        Rejected: it is none.
    """
    if not _NUMBER.fullmatch(text) or not 0 < int(text) < 2**16:
        raise Rejected(f"{where} {_shown(text)} is no port")
    return int(text)


def _address(said: Statement, at: ServicePort) -> str | None:
    """The address that is declared, else that at which the port is; None for the host's."""
    if text := said.own.get("ip", at.container_port):
        return _ip(text, "wharfinger.ip")
    if label := said.ways.ip_label:
        # registrator takes what stands before a slash, as in an address with its network.
        given = said.container.labels.get(label, "")
        address = given.rpartition("/")[0] if "/" in given else given
        if address:
            return _ip(address, f"the label {_shown(label)}")
    if at.ip is None:
        return None
    ip = _ip(at.ip, "the address of its port")
    if ipaddress.ip_address(ip).is_loopback:
        raise Rejected(
            f"is published on {ip} only, where no other host reaches it: publish it on another "
            f"address, or set the label wharfinger.ip (to {ip}, if all is on this one host)"
        )
    return ip


def _ip(text: str, where: str) -> str:
    try:
        address = ipaddress.ip_address(text)
    except ValueError:
        raise Rejected(f"{where} {_shown(text)} is no IP address") from None
    if "%" in text or address.is_unspecified or address.is_multicast:
        raise Rejected(f"{where} {_shown(text)} is no address that others can reach")
    return str(address)


def _check(said: Statement, at: ServicePort, spelling: Spelling) -> Check:
    own = said.own.check(at.container_port)
    if at.protocol != TCP and "" not in own:
        # How a check is to be timed says nothing of a port that none is asked for.
        own = {}
    # In a network namespace of its own, its listener cannot be seen from here: it is asked, if
    # anything is said of asking.
    asked = bool(own) or at.port is None or said.container.network_mode == HOST
    default = CheckKind.TCP if asked and at.protocol == TCP else CheckKind.NONE
    if own:
        check = grammar.parse(_bounded(own), default=default)
    else:
        check = (spelling == "registrator" and _registrators_check(said, at)) or Check(default)
    if check.kind is CheckKind.DOCKER and not said.container.health:
        raise Rejected("wharfinger.check is docker, but the image has no HEALTHCHECK")
    if check.kind in OVER_TCP and at.protocol != TCP:
        raise Rejected(f"wharfinger.check {check.kind.value} cannot be asked of {at.protocol}")
    return check


def _registrators_check(said: Statement, at: ServicePort) -> Check | None:
    spelled = _bounded(said.spelled.check(at.container_port))
    named = {f"CHECK_{name.upper()}": text for name, text in spelled.items()}
    check = grammar.from_registrator(named, exposed_port=at.container_port)
    # One word for all ports: it means those that it can be asked of.
    return None if check and check.kind in OVER_TCP and at.protocol != TCP else check


def _bounded(settings: dict[str, str]) -> dict[str, str]:
    if len(settings) > MAX_CHECK_SETTINGS:
        raise Rejected(
            f"has {len(settings)} settings of its check; {MAX_CHECK_SETTINGS} are allowed"
        )
    return settings


def _number(said: Statement, name: str, port: int | None, default: int, high: int) -> int:
    text = said.own.get(name, port)
    if not text:
        return default
    if not _NUMBER.fullmatch(text) or not int(text) <= high:
        raise Rejected(f"wharfinger.{name} {_shown(text)} is not a whole number from 0 to {high}")
    return int(text)


def _pool(said: Statement) -> tuple[int, int] | None:
    text = said.own.general.get("port.pool", "")
    if not text:
        return None
    match = _POOL.fullmatch(text)
    first, last = (int(match[1]), int(match[2])) if match else (0, 0)
    if not 0 < first <= last < 2**16:
        raise Rejected(f"wharfinger.port.pool {_shown(text)} is no range of ports FIRST-LAST")
    return first, last


def _deregister(said: Statement, port: int | None) -> Deregistration:
    text = said.own.get("deregister", port)
    if not text:
        return said.ways.deregister
    for known in get_args(Deregistration):
        if text == known:
            return known  # type: ignore[no-any-return]
    known = ", ".join(get_args(Deregistration))
    raise Rejected(f"wharfinger.deregister {_shown(text)} is not one of {known}")


def _named(label: str, grammar: Callable[[str], str], text: str) -> str:
    try:
        return grammar(text)
    except Rejected as refusal:
        raise Rejected(f"{label}: {refusal}") from None


def _tags(said: Statement, at: ServicePort) -> tuple[str, ...]:
    r"""Divides at commas, as registrator does, where `\,` is a comma inside a tag."""
    where, text = "wharfinger.tags", said.own.get("tags", at.container_port)
    if not text:
        where, text = "SERVICE_TAGS", said.spelled.get("tags", at.container_port)
    if len(text) > MAX_TAGS_TEXT:
        raise Rejected(f"{where} has {len(text)} characters; {MAX_TAGS_TEXT} are allowed")
    found = [part.replace("\\,", ",").strip() for part in re.split(r"(?<!\\),", text)]
    udp = (UDP,) if at.protocol == UDP else ()
    tags = tuple(dict.fromkeys(filter(None, (*found, *said.ways.tags, *udp))))
    if len(tags) > MAX_TAGS:
        raise Rejected(f"{where} holds {len(tags)} tags; {MAX_TAGS} are allowed")
    return tuple(_named(where, tag, each) for each in tags)


def _version(container: Container) -> str:
    """The image's own word, else its tag or digest; a version is never worth a refusal."""
    labelled = container.labels.get("org.opencontainers.image.version", "")
    repository, _, tag = container.image.rpartition(":")
    # In "registry:5000/shop" the colon stands before a port, and there is no tag.
    named = tag if repository and "/" not in tag else ""
    return next((each for each in (labelled, named) if _VERSION.fullmatch(each)), "")


def _shown(text: str) -> str:
    return ascii(text if len(text) <= MAX_TEXT else text[:60] + "...")
