"""What etcd says of a service's instances and of the hosts' daemons, for whoever deploys; pure."""

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Final

from wharfinger import hostrecord, metadata
from wharfinger.errors import Rejected
from wharfinger.hostrecord import Told
from wharfinger.keys import INSTANCES, HostKey, InstanceKey, Service
from wharfinger.kv import KeyValue
from wharfinger.orders import REGISTRAR

DISCOVERY: Final = "discovery"


@dataclass(frozen=True, slots=True, order=True)
class Instance:
    """An instance that traffic may be sent to.

    Attributes:
        key: where it stands.
        container: id of its container.
        name: of its container.
        host: whose registrar has put it there.
        image: as the container was asked for.
        revision: of etcd, at which all of it stood there as it is.
    """

    key: InstanceKey
    container: str
    name: str
    host: str
    image: str
    revision: int


@dataclass(frozen=True, slots=True)
class Hosts:
    """The hosts' daemons.

    Attributes:
        registrars: what each says of its host, by the host's name.
        discoveries: the hosts that have one.
        ips: the address of each host that tells one.
    """

    registrars: Mapping[str, Told]
    discoveries: frozenset[str]
    ips: Mapping[str, str] = field(default_factory=dict)

    def reason(self, name: str) -> str:
        """Why the container of this name is not in etcd; empty where no registrar says that."""
        registrars = sorted(self.registrars.items())
        said = [
            f"{each.reason} (registrar on {host})"
            for host, told in registrars
            for each in told.unregistered
            if each.name == name
        ]
        said += [
            f"drained by {each.by or 'somebody'} since {each.since} (registrar on {host})"
            for host, told in registrars
            for each in told.drains
            if each.name == name
        ]
        return "; ".join(said)

    @property
    def silence(self) -> str:
        """What is to be said where no registrar says why; on a drained host none does."""
        drained = [host for host, told in sorted(self.registrars.items()) if told.drained]
        said = "no registrar says why"
        return (
            f"{said}; drained, so that nobody serves there: {', '.join(drained)}"
            if drained
            else said
        )

    def drained(self, names: Collection[str]) -> dict[str, tuple[str, InstanceKey]]:
        """Of these containers those that are kept out of etcd: host and key, by name."""
        found = {}
        for host, told in self.registrars.items():
            for each in told.drains:
                if each.name in names and (key := _key(each.key)) is not None:
                    found[each.name] = host, key
        return found

    def kept_out(self, service: Service) -> dict[str, tuple[str, str]]:
        """A service's instances that are drained: name and host, by address."""
        found = {}
        for host, told in self.registrars.items():
            for each in told.drains:
                if (key := _key(each.key)) is not None and key.service == service:
                    found[key.endpoint.value] = each.name, host
        return found


def prefixes(service: Service) -> tuple[str, str]:
    """Below which all that is of a service stands."""
    return service.prefix, f"{INSTANCES}{service.name}/"


def instances(service: Service, items: Mapping[str, KeyValue]) -> tuple[Instance, ...]:
    """The instances that are whole: their address, and a registrar's word for whose it is."""
    found = []
    for at, described in items.items():
        key = _key(at) if at.startswith(INSTANCES) else None
        address = items.get(key.address) if key is not None else None
        if key is None or key.service != service or address is None:
            continue
        try:
            told = metadata.parse(described.value)
        except Rejected:
            continue
        if address.value == key.endpoint.value.encode():
            revision = max(address.mod_revision, described.mod_revision)
            found.append(Instance(key, told.id, told.name, told.host, told.image, revision))
    return tuple(sorted(found))


def elsewhere(
    app: str, environments: Collection[str], items: Mapping[str, KeyValue]
) -> dict[str, tuple[str, ...]]:
    """An application's instances that are of none of these environments: who, by environment.

    Args:
        app: the application.
        environments: that it has.
        items: what stands below /wharfinger/instances/.
    """
    found: dict[str, list[str]] = {}
    for at, described in sorted(items.items()):
        key = _key(at)
        if key is None or key.service.app != app or key.service.env in environments:
            continue
        try:
            told = metadata.parse(described.value)
        except Rejected:
            continue
        found.setdefault(key.service.env, []).append(f"{told.name} on {told.host}")
    return {environment: tuple(names) for environment, names in found.items()}


def addresses(service: Service, items: Mapping[str, KeyValue]) -> dict[str, str]:
    """All addresses of a service that requests are sent to, whoever has put them there.

    Returns:
        By address what is known of it: a container and its host, or that nobody tells.
    """
    known = {each.key: f"{each.name} on {each.host}" for each in instances(service, items)}
    found = {}
    for at in items:
        key = None if at.startswith(INSTANCES) else _key(at)
        if key is not None and key.service == service:
            found[key.endpoint.value] = known.get(key, "whose, no registrar tells")
    return found


def by_container(found: Iterable[Instance]) -> dict[str, tuple[Instance, ...]]:
    """The same by container; one may listen on several ports."""
    held: dict[str, tuple[Instance, ...]] = {}
    for each in found:
        held[each.container] = (*held.get(each.container, ()), each)
    return held


def hosts(items: Mapping[str, KeyValue]) -> Hosts:
    """What stands below /wharfinger/hosts/; a registrar whose record cannot be read is one."""
    registrars, discoveries, ips = {}, set(), {}
    for at, kv in items.items():
        try:
            key = HostKey.parse(at)
        except Rejected:
            continue
        told = _told(kv.value)
        if key.daemon == DISCOVERY:
            discoveries.add(key.host)
        elif key.daemon == REGISTRAR:
            registrars[key.host] = told
        if told.ip:
            ips[key.host] = told.ip
    return Hosts(registrars, frozenset(discoveries), ips)


def _told(value: bytes) -> Told:
    try:
        return hostrecord.parse(value)
    except Rejected:
        return Told()


def _key(text: str) -> InstanceKey | None:
    try:
        return InstanceKey.parse(text)
    except Rejected:
        return None
