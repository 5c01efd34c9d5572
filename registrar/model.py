"""What the registrar knows and decides: plain values, no behaviour that touches the world."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Final, Literal

from registrar.checks.model import Check, Outcome, Target
from wharfinger.container import Container
from wharfinger.keys import InstanceKey, Service
from wharfinger.metadata import TCP, Metadata

Deregistration = Literal["always", "on-success", "never"]
"""When an instance whose container has ended leaves etcd."""

Spelling = Literal["wharfinger", "registrator"]
"""Whose words a setting is written in."""


BY_LISTENER: Final = Check()


@dataclass(frozen=True, slots=True)
class Ways:
    """How this host reads what its containers say; registrator's options, under our names.

    Attributes:
        explicit: only what names itself is registered; else all that has a port, under the name
            of its Compose or Swarm service, or of its image.
        internal: the container's own address and exposed ports, instead of published ones.
        default_env: the environment of containers that name none; empty: they are refused.
        ip_label: the label that holds a container's address; empty for none.
        tags: of every instance of this host, after its own.
        deregister: when an instance whose container has ended leaves etcd.
    """

    explicit: bool = True
    internal: bool = False
    default_env: str = ""
    ip_label: str = ""
    tags: tuple[str, ...] = ()
    deregister: Deregistration = "always"


@dataclass(frozen=True, slots=True)
class Wanted:
    """One instance that a container asks for, after every value was checked.

    Attributes:
        service: under whose name it is registered.
        port: the port that it declares; None to be given one of the registrar's range.
        ip: the address that it declares; None for the host's.
        check: when it counts as ready.
        weight: share of the traffic, relative to its peers.
        drain_seconds: how long it is kept serving after it was told to stop.
        http_host: virtual host of the shipped template; empty for none.
        http_path: path prefix of that virtual host; empty for none.
        version: of the image, or as labelled.
        protocol: `tcp`, `udp` or `sctp`.
        container_port: which of the container's own ports it is about; None where it is to be
            assigned one.
        attributes: whatever else was said of it, sorted by name.
        on_host_network: its listeners can be seen from here.
        deregister: when it leaves etcd after its container has ended.
        pool: first and last port that it may be given; None for all of the registrar's range.
    """

    service: Service
    port: int | None = None
    ip: str | None = None
    check: Check = BY_LISTENER
    weight: int = 1
    tags: tuple[str, ...] = ()
    drain_seconds: int = 1
    http_host: str = ""
    http_path: str = ""
    version: str = ""
    protocol: str = TCP
    container_port: int | None = None
    attributes: tuple[tuple[str, str], ...] = ()
    on_host_network: bool = True
    deregister: Deregistration = "always"
    pool: tuple[int, int] | None = None


@dataclass(frozen=True, slots=True)
class Refused:
    """A container that asks for something it cannot have; `why` is for its owner to read."""

    why: str


Ask = Wanted | Refused


@dataclass(frozen=True, slots=True)
class Listener:
    """A TCP socket in state LISTEN in the registrar's network namespace.

    Attributes:
        ip: canonical; `0.0.0.0` or `::` for every address.
        inode: identifies the socket, as in `/proc/<pid>/fd`.
        uid: of the process that made it.
        v6only: an IPv6 socket that takes no IPv4.
    """

    ip: str
    port: int
    inode: int
    uid: int
    v6only: bool = False


@dataclass(frozen=True, slots=True)
class Seen:
    """One container, as it was last looked at.

    Attributes:
        container: as Docker describes it.
        asks: what it wants, one entry for each instance; empty when it is none of ours.
        stopping: Unix time in nanoseconds at which it was told to stop; None while it was not.
        told: the port that this run of it was told.
        trouble: why it could not be told; empty when it could.
    """

    container: Container
    asks: tuple[Ask, ...]
    stopping: int | None = None
    told: int | None = None
    trouble: str = ""


@dataclass(frozen=True, slots=True)
class Holder:
    """Whose an instance is, as it stands in etcd.

    Attributes:
        container_id: empty where nobody can read it.
        started: when that run of it began, as in the metadata.
    """

    container_id: str
    started: str


@dataclass(frozen=True, slots=True)
class Observed:
    """Everything that a plan is made from.

    Attributes:
        host: name of this host.
        ip: address that others reach this host at.
        containers: by id.
        ports: the assigned port by container id.
        listeners: by port.
        owners: whether a socket is a container's own, by the container's id and the inode;
            absent where nobody has looked yet.
        unknown: ids of containers that exist, and of which nothing can be learnt now.
        in_environment: ids of containers that have their port in their environment.
        drained: why a container is to be out, by its id, though it may serve.
        registered: what this host had registered until now, and whose that is.
        outcomes: where each check stands.
    """

    host: str
    ip: str
    containers: Mapping[str, Seen]
    ports: Mapping[str, int]
    listeners: Mapping[int, tuple[Listener, ...]]
    owners: Mapping[tuple[str, int], bool] = field(default_factory=dict)
    unknown: frozenset[str] = frozenset()
    in_environment: frozenset[str] = frozenset()
    drained: Mapping[str, str] = field(default_factory=dict)
    registered: Mapping[InstanceKey, Holder] = field(default_factory=dict)
    outcomes: Mapping[Target, Outcome] = field(default_factory=dict)


@dataclass(frozen=True)  # without slots: what is cached needs a place
class Instance:
    """What stands in etcd for one endpoint of a container; equal means nothing to write."""

    key: InstanceKey
    metadata: Metadata

    @cached_property
    def holder(self) -> Holder:
        """Whose it is."""
        return Holder(self.metadata.id, self.metadata.started)


@dataclass(frozen=True, slots=True)
class Ready:
    """Registered, or about to be; `why` where that is not because it serves."""

    instance: Instance
    why: str = ""


@dataclass(frozen=True, slots=True)
class Waiting:
    """Not yet, for a reason that can pass within moments: look often."""

    why: str


@dataclass(frozen=True, slots=True)
class Out:
    """Not registered, and rightly so, until something happens to the container."""

    why: str


Verdict = Ready | Waiting | Out | Refused


@dataclass(frozen=True, slots=True)
class Assign:
    """Give a container a port of its own."""

    container_id: str


@dataclass(frozen=True, slots=True)
class Reassign:
    """Give a container another port: a foreign process listens on its own."""

    container_id: str


@dataclass(frozen=True, slots=True)
class Tell:
    """Write the assigned port into the container."""

    container_id: str
    port: int
    drain_seconds: int


@dataclass(frozen=True, slots=True)
class Release:
    """Take the port back from a container that is gone for good."""

    container_id: str


@dataclass(frozen=True, slots=True)
class Identify:
    """Find out whether these sockets are the container's own."""

    container_id: str
    inodes: tuple[int, ...]


Action = Assign | Reassign | Tell | Release | Identify


@dataclass(frozen=True, slots=True)
class Plan:
    """What to do now on this host, and what etcd shall hold.

    Attributes:
        actions: to apply in this order; then look again.
        verdicts: by container id, one on each thing that it asks for, in the same order.
        instances: what etcd shall hold of this host.
        targets: all that is to be checked from now on.
        standing: those of them that passed before, by what stands in etcd.
    """

    actions: tuple[Action, ...]
    verdicts: Mapping[str, tuple[Verdict, ...]]
    instances: Mapping[InstanceKey, Instance]
    targets: tuple[Target, ...] = ()
    standing: frozenset[Target] = frozenset()


@dataclass(frozen=True, slots=True)
class Register:
    """Put both keys of an instance, or repair them."""

    instance: Instance


@dataclass(frozen=True, slots=True)
class Deregister:
    """Delete both keys of an instance."""

    key: InstanceKey
    container_id: str


@dataclass(frozen=True, slots=True)
class Contested:
    """Another host holds the key: it is left alone, and told."""

    instance: Instance
    host: str


Change = Register | Deregister | Contested
