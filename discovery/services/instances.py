"""The children of one `/<APP>_<ENV>/`: instances, refused values, or the user's own keys."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

from discovery.model import Instance, Rejection, Route, Service
from wharfinger import keys, kv, metadata
from wharfinger.errors import Rejected

Keys = dict[str, kv.KeyValue]


@dataclass(frozen=True, slots=True)
class Child:
    """One key `/<NAME>/<CHILD>` that has the shape of an instance's, read."""

    entry: kv.KeyValue
    described: kv.KeyValue | None
    at: keys.InstanceKey
    instance: Instance | None
    rejected: Rejection | None
    order: tuple[bool, tuple[int, ...], str, int]


@dataclass(frozen=True, slots=True)
class Group:
    """The children of one `/<NAME>/`, read."""

    service: Service | None
    rejected: tuple[Rejection, ...] = ()
    plain: tuple[str, ...] = ()
    since_revision: int = 0


def read_child(entry: kv.KeyValue, described: Keys) -> Child | None:
    """Reads what may be an instance; None when its key says that it is none."""
    try:
        at = keys.InstanceKey.parse(entry.key)
    except Rejected:
        return None
    about = described.get(at.metadata)
    instance, rejected = None, None
    try:
        instance = _instance(at, entry.value)
        instance = _described(instance, about)
    except Rejected as error:
        # An instance whose metadata is bad still serves, as one that has none.
        rejected = Rejection(at.metadata if instance else entry.key, str(error))
    ip = at.endpoint.ip
    numbers = () if ":" in ip else tuple(map(int, ip.split(".")))
    return Child(entry, about, at, instance, rejected, (":" in ip, numbers, ip, at.endpoint.port))


def read_group(name: str, children: Keys, described: Keys, shaped: list[Child]) -> Group:
    """Reads the children of `/<NAME>/`: instances of a service, or the user's own keys.

    They are a service's when one of them has the shape of an instance's key, or when metadata
    of its instances stands in etcd; then whatever else is among them is refused.
    """
    try:
        service = keys.Service.parse(name)
    except Rejected as error:
        looks = [key for key in children if "_" in name and _endpoint_key(key)]
        refused = tuple(Rejection(key, str(error)) for key in (*looks, *described))
        return Group(None, refused, tuple(key for key in children if key not in looks))
    if not shaped and not described:
        return Group(None, (), tuple(children))
    rejected = [
        Rejection(key, "is no IP-PORT, but stands beside instances")
        for key in children.keys() - {child.entry.key for child in shaped}
    ]
    orphans = described.keys() - {child.at.metadata for child in shaped}
    rejected += [Rejection(key, "is no IP-PORT") for key in orphans if not instance_key(key)]
    rejected += [child.rejected for child in shaped if child.rejected]
    if not shaped:
        return Group(None, tuple(rejected))
    ordered = sorted(shaped, key=lambda child: child.order)
    instances = [child.instance for child in ordered if child.instance]
    routes = sorted({Route(i.http_host, i.http_path) for i in instances if i.http and i.http_host})
    return Group(
        Service(service.name, service.app, service.env, tuple(instances), tuple(routes)),
        tuple(rejected),
        since_revision=min(child.entry.create_revision for child in shaped),
    )


def _instance(at: keys.InstanceKey, value: bytes) -> Instance:
    try:
        endpoint = keys.Endpoint.parse(value.decode("ascii"))
    except UnicodeDecodeError:
        raise Rejected(f"value {value[:64]!r} is not IP:PORT") from None
    if endpoint != at.endpoint:
        raise Rejected(f"value {endpoint.value} does not agree with its key")
    return Instance(endpoint.ip, endpoint.port)


def _described(instance: Instance, entry: kv.KeyValue | None) -> Instance:
    if entry is None:
        return instance
    read = metadata.parse(entry.value)
    return replace(
        instance,
        weight=read.weight,
        host=read.host,
        tags=read.tags,
        http_host=read.http_host,
        http_path=read.http_path or "/",
        id=read.id,
        name=read.name,
        image=read.image,
        version=read.version,
        protocol=read.protocol,
        attributes=read.attributes,
        state=read.state,
    )


def _endpoint_key(key: str) -> keys.Endpoint | None:
    try:
        return keys.Endpoint.parse_key(key.rpartition("/")[2])
    except Rejected:
        return None


def instance_key(key: str) -> keys.InstanceKey | None:
    """The key read as one of an instance or of its metadata; None when it is neither."""
    try:
        return keys.InstanceKey.parse(key)
    except Rejected:
        return None


def paired(events: Sequence[kv.Event]) -> bool:
    """Whether these are instances that were put, each with what describes it.

    That is how a registrar writes, both in one transaction, and nothing else in it. Deletions
    are left out: a lease's end may take anything with it.
    """
    found = {event.key for event in events}
    return bool(found) and all(
        event.kv is not None and _partner(event.key) in found for event in events
    )


def _partner(key: str) -> str:
    if key.startswith(keys.INSTANCES):
        return key[len(keys.INSTANCES) - 1 :]
    return f"{keys.INSTANCES[:-1]}{key}"
