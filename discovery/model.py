"""What discovery knows: services, their instances, and what was refused; all of it typed."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from wharfinger.metadata import TCP


@dataclass(frozen=True, slots=True)
class Instance:
    """One instance of a service, as templates see it; every field has passed its grammar.

    Attributes:
        ip: canonical, without brackets.
        port: 1 to 65535.
        weight: share of the traffic beside the others'; 0 gets none.
        host: the host that registered it; empty when it registered without metadata.
        tags: as labelled; printable, without blanks or quotes.
        http_host: lower-case DNS name, perhaps with a leading `*.`; empty for none.
        http_path: `/` or `/a/b` without a final slash; means something with `http_host` only.
        id: of the container.
        name: of the container.
        image: as it was asked for.
        version: as labelled.
        protocol: `tcp`, `udp`, `sctp`; only tcp is served by the built-in resource.
        attributes: whatever else its labels say, by name; hostile but printable text.
        state: `up`, or `draining` when it shall get no new clients.
        kept: gone from etcd with a lost lease, but still answering (see `discovery.guard`).
    """

    ip: str
    port: int
    weight: int = 1
    host: str = ""
    tags: tuple[str, ...] = ()
    http_host: str = ""
    http_path: str = "/"
    id: str = ""
    name: str = ""
    image: str = ""
    version: str = ""
    protocol: str = TCP
    attributes: Mapping[str, str] = field(default_factory=dict, hash=False)
    state: str = "up"
    kept: bool = False

    @property
    def address(self) -> str:
        """`IP:PORT`, an IPv6 address in brackets."""
        return f"[{self.ip}]:{self.port}" if ":" in self.ip else f"{self.ip}:{self.port}"

    @property
    def key(self) -> str:
        """`IP-PORT`, the last part of its key in etcd."""
        return f"[{self.ip}]-{self.port}" if ":" in self.ip else f"{self.ip}-{self.port}"

    @property
    def http(self) -> bool:
        """Whether HTTP could be spoken with it: an upstream of Nginx's http block takes no udp."""
        return self.protocol == TCP


@dataclass(frozen=True, slots=True, order=True)
class Route:
    """A host and a path, `/` or `/a/b`, that a service answers below."""

    host: str
    path: str


@dataclass(frozen=True, slots=True)
class Service:
    """An application in an environment, and its instances sorted by address.

    Attributes:
        name: `<APP>_<ENV>`, the name of its upstream.
        app: APP.
        env: ENV.
        instances: may be empty: a service that was seen before keeps its upstream.
        routes: what its instances' metadata claim, sorted; those of old when it has none.
    """

    name: str
    app: str
    env: str
    instances: tuple[Instance, ...] = ()
    routes: tuple[Route, ...] = ()


def others(before: Iterable[Service], after: Iterable[Service]) -> list[Service]:
    """Those after that are not the very same objects as any before, which is quick to see.

    Of a thousand services one changes: to look into each would take longer than to serve it.
    """
    same = set(map(id, before))
    return [service for service in after if id(service) not in same]


@dataclass(frozen=True, slots=True, order=True)
class Rejection:
    """A value that was left out alone, and why; both are hostile text."""

    key: str
    reason: str


@dataclass(frozen=True, slots=True)
class Snapshot:
    """Everything that templates may see, at one revision of etcd.

    Attributes:
        revision: of etcd.
        services: sorted by name.
        values: the user's own keys, as they are.
        raw: what stands at the keys of instances and of their metadata, good or bad; for
            resources that ask for it.
        rejected: what was left out, sorted by key.
        listing: which of etcd's lists it builds on.
    """

    revision: int = 0
    services: tuple[Service, ...] = ()
    values: Mapping[str, str] = field(default_factory=dict)
    raw: Mapping[str, str] = field(default_factory=dict)
    rejected: tuple[Rejection, ...] = ()
    listing: int = 0
