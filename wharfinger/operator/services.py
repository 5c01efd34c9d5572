"""`wharfinger services`: every instance that stands in etcd, and what is wrong with it."""

import argparse
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

import msgspec

from wharfinger import metadata
from wharfinger.errors import Exit, Rejected
from wharfinger.etcd import Etcd
from wharfinger.keys import DEPLOY, HOSTS, INSTANCES, InstanceKey
from wharfinger.kv import KeyValue, ranges_of
from wharfinger.metadata import Metadata
from wharfinger.operator import settings, terminal
from wharfinger.operator.verbs import Verbs, add_shown
from wharfinger.sections import EtcdConfig

TITLES: Final = ("SERVICE", "ENDPOINT", "HOST", "CONTAINER", "IMAGE", "STATE")
SHOWN_CHARACTERS: Final = 200
MIN_ID_DIGITS: Final = 4


class Entry(msgspec.Struct, frozen=True, kw_only=True):
    """One instance, or one key among instances that is none.

    Attributes:
        service: `<APP>_<ENV>`, or what stands in its place.
        endpoint: `IP:PORT`, or what stands in its place.
        host: that its registrar gave.
        container: its name.
        container_id: its id.
        image: that it runs.
        state: as registered, or what is wrong.
        lease: that its key hangs on, in hexadecimal; empty for none.
    """

    service: str
    endpoint: str
    host: str = ""
    container: str = ""
    container_id: str = ""
    image: str = ""
    state: str
    lease: str = ""


@dataclass(frozen=True, slots=True)
class Chosen:
    """What shall be listed; an empty text chooses all.

    Attributes:
        host: instances that this host has registered.
        app: instances of this application, in any environment.
    """

    host: str = ""
    app: str = ""

    def takes(self, entry: Entry) -> bool:
        """Whether it is to be listed."""
        app = entry.service.rpartition("_")[0]
        return self.host in ("", entry.host) and self.app in ("", app)


EVERYTHING: Final = Chosen()


def named(name: str, found: Iterable[Entry]) -> Iterator[Entry]:
    """Those that somebody may mean: by container, by four digits of its id, IP:PORT, or key."""
    try:
        endpoint = InstanceKey.parse(name).endpoint.value
    except Rejected:
        endpoint = name
    for each in found:
        by_id = len(name) >= MIN_ID_DIGITS and each.container_id.startswith(name)
        if name and (each.container == name or each.endpoint == endpoint or by_id):
            yield each


def add_to(verbs: Verbs) -> None:
    """Adds `services` to the command."""
    parser = verbs.add("services", _services, "what is registered in etcd")
    add_shown(parser)
    parser.add_argument("--host", default="", help="of this host alone")
    parser.add_argument("--app", default="", help="of this application alone")


async def _services(parsed: argparse.Namespace) -> Exit:
    chosen = Chosen(host=parsed.host, app=parsed.app)
    return await services(settings.etcd(parsed.config), chosen, as_json=parsed.json)


async def services(config: EtcdConfig, chosen: Chosen = EVERYTHING, *, as_json: bool) -> Exit:
    """Lists what is registered.

    Raises:
        Unavailable: no endpoint of etcd serves.
        Rejected: etcd refuses us.
    """
    async with Etcd(config) as etcd:
        snapshot = await etcd.list_ranges(ranges_of(["/"], without=[HOSTS, DEPLOY]))
    found = list(filter(chosen.takes, entries(snapshot.items)))
    if as_json:
        terminal.show_page({"revision": snapshot.revision, "instances": found})
    elif found:
        terminal.show_table(TITLES, map(_row, found))
    else:
        such = "nothing" if chosen == EVERYTHING else "nothing of that"
        terminal.write(f"{such} is registered (etcd revision {snapshot.revision})\n")
    return Exit.OK


def entries(items: Mapping[str, KeyValue]) -> list[Entry]:
    """The instances among keys and values of anybody; sorted, each told once."""
    instances: set[InstanceKey] = set()
    others: list[tuple[str, str, str]] = []
    for key in items:
        rest = key.removeprefix(INSTANCES) if key.startswith(INSTANCES) else key.removeprefix("/")
        try:
            instances.add(InstanceKey.parse(key))
        except Rejected as error:
            service, _, child = rest.partition("/")
            others.append((service, child, f"refused: {error}"))
    known = {instance.service.name for instance in instances}
    entries = [_entry(instance, items) for instance in sorted(instances)]
    # Whatever stands elsewhere is the user's own, and none of our business.
    strangers = (
        Entry(service=service, endpoint=child[:SHOWN_CHARACTERS], state=why)
        for service, child, why in sorted(others)
        if service in known
    )
    return [*entries, *strangers]


def _entry(instance: InstanceKey, items: Mapping[str, KeyValue]) -> Entry:
    address, described = items.get(instance.address), items.get(instance.metadata)
    told, problem = _metadata(described)
    if address is None:
        problem = "its key is missing: nobody is sent there"
    elif address.value != instance.endpoint.value.encode():
        shown = ascii(address.value[:SHOWN_CHARACTERS].decode(errors="replace"))
        problem = f"refused: its value is {shown}"
    return Entry(
        service=instance.service.name,
        endpoint=instance.endpoint.value,
        host=told.host,
        container=told.name,
        container_id=told.id,
        image=told.image,
        state=problem or told.state,
        lease=f"{address.lease:x}" if address and address.lease else "",
    )


def _metadata(described: KeyValue | None) -> tuple[Metadata, str]:
    if described is None:
        return Metadata(), "by hand: no registrar describes it"
    try:
        return metadata.parse(described.value), ""
    except Rejected as error:
        return Metadata(), f"its metadata cannot be read: {error}"


def _row(entry: Entry) -> Sequence[str]:
    row = (entry.service, entry.endpoint, entry.host, entry.container, entry.image, entry.state)
    return tuple(text[:SHOWN_CHARACTERS] for text in row)
