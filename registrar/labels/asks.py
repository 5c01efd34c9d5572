"""What a container asks for, read from its labels and environment without trusting either."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from typing import Final, TypeVar

from registrar.labels import endpoints, naming, portlabels, registrator, serviceports
from registrar.labels.serviceports import ServicePort
from registrar.labels.settings import UDP, Statement, wanted
from registrar.model import Refused, Wanted, Ways
from wharfinger.container import Container
from wharfinger.errors import Rejected
from wharfinger.metadata import MAX_TAGS, TCP

MAX_INSTANCES: Final = 64
MAX_SETTINGS: Final = 512
SHOWN_PORTS: Final = 5
_DEFAULTS: Final = Ways()

Asks = tuple[Wanted | Refused, ...]
Port = TypeVar("Port", int, ServicePort)


def read(container: Container, ways: Ways = _DEFAULTS, *, network: Container | None = None) -> Asks:
    """Reads what a container asks for; nothing in the answer can harm a key or a template.

    Args:
        container: as Docker describes it.
        ways: how this host reads what containers say.
        network: the container whose network it shares, if it does and that one is known.

    Returns:
        Each instance that it wants, and why others are refused, by port; nothing for a container
        that is none of ours. No two have the same service, address and port.
    """
    labels, env = container.labels, container.env
    if any((labels.get("wharfinger.ignore"), *(s.get("SERVICE_IGNORE") for s in (labels, env)))):
        return ()
    said = Statement(container, portlabels.parse(labels), registrator.parse(labels, env), ways)
    by_us = naming.named_by_us(said)
    by_registrator = not by_us and said.spelled.names_itself
    asks = bool(said.own.asks)
    if ways.explicit and not (by_us or by_registrator or asks):
        return ()
    try:
        said = _joined_to_its_network(said, network)
        ours = by_us or (asks and not by_registrator)
        return _without_twins(_ours(said) if ours else _registrators(said))
    except Rejected as refusal:
        return (Refused(str(refusal)),)


def network_of(container: Container, others: Iterable[Container]) -> Container | None:
    """The container whose network this one shares; None where it shares none, or it is unknown."""
    if not container.network_mode.startswith(serviceports.SHARED):
        return None
    named = container.network_mode.removeprefix(serviceports.SHARED)
    return next((other for other in others if named in (other.id, other.name)), None)


def _joined_to_its_network(said: Statement, network: Container | None) -> Statement:
    # Beyond any use, and read once for each port.
    if (count := len(said.own) + len(said.spelled)) > MAX_SETTINGS:
        raise Rejected(f"has {count} labels and variables for us; {MAX_SETTINGS} are allowed")
    joined = serviceports.on_its_network(said.container, network)
    return replace(said, container=joined, shared=joined is not said.container)


def _ours(said: Statement) -> Asks:
    """One instance; or, where labels name ports, one of each."""
    ports = said.own.ports
    if ports and not endpoints.fixed_port(said):
        counting = [each for each in ports if not said.own.alone("ignore", each)]
        return _each(counting, lambda port: _labelled(said, port))
    at = endpoints.the_one(said)
    if others := [each for each in ports if each != at.container_port]:
        raise Rejected(f"wharfinger.port names one port, but wharfinger.{others[0]}.* another")
    return (wanted(said, naming.ours(said, at.container_port), at, "wharfinger"),)


def _labelled(said: Statement, port: int) -> Asks:
    ways = endpoints.of_port(said, port)
    service = naming.ours(said, port)
    return tuple(wanted(said, service, at, "wharfinger") for at in ways)


def _registrators(said: Statement) -> Asks:
    """What registrator would register, but for the port that is assigned where none is told."""
    named = said.spelled.names_itself
    ports = serviceports.registrators(
        said.container, internal=endpoints.internal(said), shared=said.shared
    )
    if named and (endpoints.fixed_port(said) or not ports):
        return _registered(said, endpoints.the_one(said), grouped=False)
    grouped = len({(each.container_port, each.protocol) for each in ports}) > 1
    counting = [each for each in ports if not naming.ignored(said, each.container_port)]
    meant = [each for each in counting if naming.registrators_app(said, each.container_port)]
    if counting and not meant:
        raise Rejected(f"names none of its ports {_numbers(counting)}: set SERVICE_NAME")
    return _each(meant, lambda at: _registered(said, at, grouped=grouped))


def _registered(said: Statement, at: ServicePort, *, grouped: bool) -> Asks:
    service = naming.registrators(said, at.container_port, grouped=grouped)
    return (wanted(said, service, at, "registrator"),)


def _each(ports: Sequence[Port], ask: Callable[[Port], Asks]) -> Asks:
    """Asks for each port; one that is refused takes no other with it."""
    found: list[Wanted | Refused] = []
    refusals: dict[str, list[Port]] = {}
    for port in ports[: MAX_INSTANCES + 1]:
        try:
            found.extend(ask(port))
        except Rejected as refusal:
            refusals.setdefault(str(refusal), []).append(port)
    if len(ports) > MAX_INSTANCES or len(found) > MAX_INSTANCES:
        count = max(len(ports), len(found))
        raise Rejected(
            f"asks for {count} instances; {MAX_INSTANCES} are allowed: give it labels such as "
            f"wharfinger.PORT.app for those that count, or SERVICE_PORT_IGNORE for the others"
        )
    for why, refused in refusals.items():
        # What is wrong with all of them is the container's trouble, not one port's.
        alone = len(ports) == len(refused)
        found.append(Refused(why if alone else f"port {_numbers(refused)}: {why}"))
    return tuple(found)


def _without_twins(asks: Asks) -> Asks:
    """Of several that would stand at one key, the first of tcp, tagged as udp if another is that.

    A key says nothing of the protocol: DNS on 53/tcp and 53/udp is one instance.
    """
    kept: dict[object, Wanted | Refused] = {}
    for each in asks:
        if isinstance(each, Refused) or each.port is None:
            kept[each] = each
            continue
        at = (each.service, each.ip, each.port)
        twin = kept.get(at)
        if isinstance(twin, Wanted):
            kept[at] = _joined(*sorted((twin, each), key=lambda one: one.protocol != TCP))
        else:
            kept[at] = each
    return tuple(kept.values())


def _joined(first: Wanted, second: Wanted) -> Wanted:
    if second.protocol == UDP and UDP not in first.tags:
        return replace(first, tags=(*first.tags, UDP)[:MAX_TAGS])
    return first


def _numbers(ports: Sequence[int] | Sequence[ServicePort]) -> str:
    several = dict.fromkeys(p if isinstance(p, int) else p.container_port for p in ports)
    shown = ", ".join(map(str, list(several)[:SHOWN_PORTS]))
    return shown if len(several) <= SHOWN_PORTS else f"{shown}, ..."
