"""Which port is meant by our labels: declared, published, exposed, or one that is assigned."""

from typing import Final

from registrar.labels import serviceports
from registrar.labels.serviceports import HOST, ServicePort
from registrar.labels.settings import Statement, port_number
from wharfinger.errors import Rejected
from wharfinger.metadata import TCP

INTERNAL: Final = "internal"


def fixed_port(said: Statement) -> str:
    """The number that the label wharfinger.port declares; empty for none."""
    text = said.own.general.get("port", "")
    return "" if text == INTERNAL else text


def internal(said: Statement, port: int | None = None) -> bool:
    """Whether it is to be reached at its own address."""
    text = said.own.get("port", port)
    on_host = said.container.network_mode == HOST
    return text == INTERNAL or (not text and said.ways.internal and not on_host)


def the_one(said: Statement) -> ServicePort:
    """The one port that the whole container is about; none where one of ours is to be assigned.

    Raises:
        Rejected: it is not clear which.
    """
    container = said.container
    if internal(said):
        return _the_internal(said)
    if fixed := fixed_port(said):
        port = port_number(fixed, "wharfinger.port")
        leads = [p for p in serviceports.published(container) if p.container_port == port]
        return next((p for p in leads if p.protocol == TCP), ServicePort(port, port))
    if container.network_mode == HOST:
        # What it was started with is what it will listen on; the start script obeys it, too.
        given = container.env.get("PORT", "")
        started_with = port_number(given, "the variable PORT") if given else None
        return ServicePort(started_with, started_with)
    return _the_published(said)


def of_port(said: Statement, port: int) -> tuple[ServicePort, ...]:
    """The ways to one of its ports that labels name.

    Raises:
        Rejected: there is none.
    """
    port_number(str(port), f"the label wharfinger.{port}.*:")
    container = said.container
    if internal(said, port):
        found, missing = serviceports.own(container), "exposed"
    elif (fixed := said.own.get("port", port)) or container.network_mode == HOST:
        number = port_number(fixed, f"wharfinger.{port}.port") if fixed else port
        protocols = {each.protocol for each in container.exposed_ports if each.port == port}
        protocol = TCP if TCP in protocols or not protocols else min(protocols)
        return (ServicePort(port, number, protocol),)
    else:
        found, missing = serviceports.published(container), "published"
    if ways := tuple(each for each in found if each.container_port == port):
        return ways
    raise Rejected(f"has labels wharfinger.{port}.*, but does not have the port {missing}")


def _the_published(said: Statement) -> ServicePort:
    ports = _counting(said, serviceports.published(said.container))
    numbers = {each.port for each in ports}
    if len(numbers) == 1:
        # Of several addresses of this host, the one that answers wherever the host does.
        return next((each for each in ports if each.ip is None), ports[0])
    if ports:
        raise Rejected(
            f"publishes {len(numbers)} ports: name one with the label wharfinger.port, or "
            f"each with a label of its own, such as wharfinger.{ports[0].container_port}.app"
        )
    mode = said.container.network_mode[:40]
    raise Rejected(
        f"publishes no port on network {mode!r}: use --network=host to be assigned one, "
        "publish one, or set the label wharfinger.port"
    )


def _the_internal(said: Statement) -> ServicePort:
    ports = _counting(said, serviceports.own(said.container))
    if len(ports) == 1:
        return ports[0]
    also = f", or labels such as wharfinger.{ports[0].container_port}.app" if ports else ""
    raise Rejected(
        f"wharfinger.port is internal, but {len(ports)} ports are exposed, not one: "
        f"set it to the one that is meant{also}"
    )


def _counting(said: Statement, ports: tuple[ServicePort, ...]) -> tuple[ServicePort, ...]:
    """Those that come in question for the one: not ignored; of tcp, if any is."""
    kept = [each for each in ports if not said.own.alone("ignore", each.container_port)]
    return tuple([each for each in kept if each.protocol == TCP] or kept)
