"""The registrar's own section of the configuration, and the whole that it reads."""

from typing import Annotated, Literal

from registrar.model import Deregistration, Ways
from registrar.porttable import PortRange
from wharfinger.address import address_problem
from wharfinger.config import Section, doc
from wharfinger.errors import Rejected
from wharfinger.keys import Service
from wharfinger.metadata import MAX_TAGS, tag
from wharfinger.sections import DockerConfig, EtcdConfig, HostConfig, LogConfig


def _range_problem(text: str) -> str:
    try:
        PortRange.parse(text)
    except Rejected as error:
        return str(error)
    return ""


def _env_problem(text: str) -> str:
    try:
        Service("app", text or "none")
    except Rejected as error:
        return str(error)
    return ""


def _tags_problem(tags: tuple[str, ...]) -> str:
    if len(tags) > MAX_TAGS:
        return f"{len(tags)} tags; {MAX_TAGS} are allowed"
    try:
        for each in tags:
            tag(each)
    except Rejected as error:
        return str(error)
    return ""


class RegistrarConfig(Section, frozen=True, kw_only=True):
    """Gives each container a port of its own and keeps it true in etcd."""

    listen: Annotated[
        str,
        doc("HOST:PORT of health, metrics and status.", restart=True, check=address_problem),
    ] = "127.0.0.1:7201"
    lease_ttl_seconds: Annotated[
        int,
        doc(
            "How long this host's keys outlive it, in seconds; a restart must be faster.",
            restart=True,
            ge=5,
            le=3_600,
        ),
    ] = 15
    port_range: Annotated[
        str,
        doc(
            "Ports that containers are given, FIRST-LAST; no part of the kernel's ephemeral range.",
            check=_range_problem,
        ),
    ] = "20000-29999"
    on_stop: Annotated[
        Literal["keep", "revoke"],
        doc("What a stop does with this host's keys: keep them for the lease's time, or revoke."),
    ] = "keep"
    linger_seconds: Annotated[
        float,
        doc(
            "How long a stop waits for containers that are told to stop with it, as on a node that "
            "is drained; those are seen off first. For a registrar that is a container itself.",
            ge=0,
            le=15,
        ),
    ] = 0.0
    explicit: Annotated[
        bool,
        doc(
            "Only containers that name an app are registered; else all that have a port, by the "
            "name of their Compose or Swarm service or of their image."
        ),
    ] = True
    internal: Annotated[
        bool,
        doc(
            "Containers are registered at their own address and exposed port, not a published one."
        ),
    ] = False
    default_env: Annotated[
        str,
        doc(
            "The environment of containers that name none; without one they are refused.",
            check=_env_problem,
        ),
    ] = ""
    ip_label: Annotated[
        str, doc("A label of containers that holds the address they are to be registered with.")
    ] = ""
    tags: Annotated[
        tuple[str, ...], doc("Tags that every instance of this host has.", check=_tags_problem)
    ] = ()
    deregister: Annotated[
        Deregistration,
        doc("Which ends of a container take its instances out: always, on-success or never."),
    ] = "always"

    orders: Annotated[
        bool,
        doc("Drains and undrains that etcd holds for this host are carried out.", restart=True),
    ] = True

    @property
    def ways(self) -> Ways:
        """How this host reads what containers say."""
        return Ways(
            explicit=self.explicit,
            internal=self.internal,
            default_env=self.default_env,
            ip_label=self.ip_label,
            tags=self.tags,
            deregister=self.deregister,
        )

    @property
    def ports(self) -> PortRange:
        """The ports that containers are given."""
        return PortRange.parse(self.port_range)


class Config(Section, frozen=True, kw_only=True):
    """Everything that the registrar reads."""

    host: HostConfig = HostConfig()
    etcd: EtcdConfig = EtcdConfig()
    docker: DockerConfig = DockerConfig()
    log: LogConfig = LogConfig()
    registrar: RegistrarConfig = RegistrarConfig()
