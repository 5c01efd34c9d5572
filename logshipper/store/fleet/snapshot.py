"""The whole fleet as etcd holds it, kept event by event, and what of it has changed since; pure."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from functools import partial
from typing import Any, TypeVar

import msgspec

from logshipper.store.fleet import shown
from logshipper.store.fleet.orderbook import Lapsed, OrderBook
from logshipper.store.fleet.rejections import OWN, Rejections
from logshipper.store.fleet.shown import Release
from wharfinger.errors import Rejected
from wharfinger.hostrecord import Told
from wharfinger.keys import DEPLOY, HOSTS, INSTANCES, ORDERS, HostKey, InstanceKey, OrderKey
from wharfinger.kv import Event, KeyValue

Part = dict[str, Any]
T = TypeVar("T")


@dataclass(slots=True, eq=False)
class _Entry:
    """One instance: what stands in etcd, and how it is shown."""

    address: KeyValue | None = None
    described: KeyValue | None = None
    raw: msgspec.Raw = field(default_factory=lambda: msgspec.Raw(b"{}"))
    problem: str = ""


@dataclass(frozen=True, slots=True)
class Inheritance:
    """What is known of the fleet and does not stand in etcd.

    Attributes:
        own: host, daemon and record of who holds it.
        lapsed: orders that were gone before anybody took them, or may be.
    """

    own: tuple[str, str, Told] | None
    lapsed: Lapsed


@dataclass(slots=True)
class _Dirty:
    """What has changed since it was last told."""

    instances: dict[str, set[str]] = field(default_factory=dict)
    hosts: set[str] = field(default_factory=set)
    releases: set[str] = field(default_factory=set)


class Snapshot:
    """What etcd holds of the fleet.

    Attributes:
        revision: of etcd, that this is true of.
    """

    def __init__(self) -> None:
        self.revision = 0
        self._services: dict[str, dict[str, _Entry]] = {}
        self._hosts: dict[str, dict[str, Told]] = {}
        self._own: tuple[str, str, Told] | None = None
        self._orders = OrderBook()
        self._releases: dict[str, dict[int, Release]] = {}
        self._rejections = Rejections()
        self._dirty = _Dirty()

    @classmethod
    def of(cls, revision: int, items: Iterable[KeyValue]) -> "Snapshot":
        """What a list holds."""
        made = cls()
        made.apply(revision, (Event(kv.key, kv.mod_revision, kv) for kv in items), 0.0)
        made.change()
        return made

    @property
    def instances(self) -> int:
        """How many there are."""
        return sum(map(len, self._services.values()))

    @property
    def hosts(self) -> int:
        """How many tell of themselves."""
        return len(self._hosts)

    def left(self, now: float) -> "Inheritance":
        """What a snapshot that replaces this one cannot know from etcd."""
        return Inheritance(self._own, self._orders.left(now))

    def inherit(self, left: "Inheritance") -> None:
        """Takes over what etcd does not hold: the store's own record, orders that lapsed."""
        self._own = left.own
        self._orders.inherit(left.lapsed)

    def apply(self, revision: int, events: Iterable[Event], now: float) -> None:
        """Takes what has changed.

        Args:
            revision: of etcd after it.
            events: in order.
            now: seconds of a clock, for what lapses.
        """
        touched: dict[tuple[str, str], InstanceKey] = {}
        for event in events:
            key = event.key
            if key.startswith(HOSTS):
                self._take_host(key, event.kv)
            elif key.startswith(ORDERS):
                self._take_order(key, event.kv, now)
            elif key.startswith(DEPLOY):
                self._take_release(key, event.kv)
            elif not key.startswith(OWN) or key.startswith(INSTANCES):
                self._take_instance(key, event.kv, touched)
        for (service, endpoint), instance in touched.items():
            self._show(service, endpoint, instance)
        self.revision = max(self.revision, revision)

    def expire(self, now: float) -> None:
        """Forgets orders that lapsed long ago."""
        self._orders.expire(now)

    def set_own(self, host: str, daemon: str, told: Told) -> None:
        """Says how the daemon fares that holds this."""
        if self._own != (host, daemon, told):
            self._own = (host, daemon, told)
            self._dirty.hosts.add(host)

    def whole(self) -> Part:
        """All of it."""
        names = sorted({*self._hosts, *([self._own[0]] if self._own else [])})
        return {
            "services": {
                name: self._service(name, entries)
                for name, entries in sorted(self._services.items())
            },
            "hosts": {name: self._host(name) for name in names},
            "releases": {name: self._released(name) for name in sorted(self._releases)},
            "orders": {order_id: self._orders.told(order_id) for order_id in self._orders.ids()},
            "rejected": self._rejections.told(self._services),
        }

    def change(self) -> Part | None:
        """What has changed since the last call; None when nothing has."""
        dirty, self._dirty = self._dirty, _Dirty()
        change: Part = {}
        if dirty.instances:
            change["services"] = {
                name: self._service(name, self._services.get(name), endpoints)
                for name, endpoints in dirty.instances.items()
            }
        if dirty.hosts:
            change["hosts"] = {name: self._host(name) for name in dirty.hosts}
        if orders := self._orders.dirty:
            self._orders.dirty = set()
            change["orders"] = {order_id: self._orders.told(order_id) for order_id in orders}
        if dirty.releases:
            change["releases"] = {name: self._released(name) for name in dirty.releases}
        if self._rejections.changed:
            self._rejections.changed = False
            change["rejected"] = self._rejections.told(self._services)
        return change or None

    def host_of(self, instance: InstanceKey) -> str | None:
        """The host whose registrar has an instance, or keeps it out; None for neither."""
        entry = self._services.get(instance.service.name, {}).get(instance.endpoint.value)
        if entry is not None and (name := msgspec.json.decode(entry.raw)["host"]):
            return str(name)
        for host, records in self._hosts.items():
            own = records.get(shown.REGISTRAR)
            if own is not None and any(each.key == instance.address for each in own.drains):
                return host
        return None

    def has_registrar(self, host: str) -> bool:
        """Whether the registrar of a host is there to take an order."""
        return shown.REGISTRAR in self._hosts.get(host, {})

    def knows(self, host: str) -> bool:
        """Whether anything tells of a host."""
        return host in self._hosts

    def _take_instance(
        self, key: str, kv: KeyValue | None, touched: dict[tuple[str, str], InstanceKey]
    ) -> None:
        try:
            instance = InstanceKey.parse(key)
        except Rejected as error:
            self._rejections.note_odd(key, str(error) if kv is not None else "")
            return
        name, endpoint = instance.service.name, instance.endpoint.value
        entries = self._services.setdefault(name, {})
        entry = entries.setdefault(endpoint, _Entry())
        if key.startswith(INSTANCES):
            entry.described = kv
        else:
            entry.address = kv
        touched[name, endpoint] = instance

    def _show(self, name: str, endpoint: str, instance: InstanceKey) -> None:
        self._dirty.instances.setdefault(name, set()).add(endpoint)
        entry = self._services[name][endpoint]
        if entry.address is None and entry.described is None:
            del self._services[name][endpoint]
            if not self._services[name]:
                del self._services[name]
        else:
            entry.raw, problem = shown.instance(instance, entry.address, entry.described)
            self._rejections.note(instance.address, problem)

    def _take_host(self, key: str, kv: KeyValue | None) -> None:
        if (at := self._key(HostKey.parse, key, kv)) is None:
            return
        told = self._read(shown.read_host, key, kv)
        records = self._hosts.setdefault(at.host, {})
        if told is None:
            records.pop(at.daemon, None)
        else:
            records[at.daemon] = told
        if not records:
            del self._hosts[at.host]
        self._dirty.hosts.add(at.host)

    def _take_order(self, key: str, kv: KeyValue | None, now: float) -> None:
        if (at := self._key(OrderKey.parse, key, kv)) is None:
            return
        if self._orders.is_of_another(at):
            self._rejections.note(key, "another host's order has this id" if kv else "")
            return
        self._orders.take(at, self._read(partial(shown.read_order, at), key, kv), now)

    def _take_release(self, key: str, kv: KeyValue | None) -> None:
        if (found := self._key(shown.release_key, key, kv)) is None:
            return
        service, number = found
        release = self._read(shown.read_release, key, kv)
        known = self._releases.setdefault(service, {})
        if release is None:
            known.pop(number, None)
        else:
            known[number] = release
        while len(known) > shown.MAX_RELEASES:
            del known[min(known)]
        if not known:
            del self._releases[service]
        self._dirty.releases.add(service)

    def _key(self, parse: Callable[[str], T], key: str, kv: KeyValue | None) -> T | None:
        try:
            return parse(key)
        except Rejected as error:
            self._rejections.note(key, str(error) if kv is not None else "")
            return None

    def _read(self, parse: Callable[[bytes], T], key: str, kv: KeyValue | None) -> T | None:
        """What a key says; what cannot be read counts as gone, whatever was there before."""
        try:
            told = None if kv is None else parse(kv.value)
        except Rejected as error:
            self._rejections.note(key, str(error))
            return None
        self._rejections.note(key, "")
        return told

    def _service(
        self, name: str, entries: Mapping[str, _Entry] | None, only: Iterable[str] | None = None
    ) -> Part | None:
        if entries is None:
            return None
        app, _, env = name.rpartition("_")
        if only is None:
            return {
                "app": app,
                "env": env,
                "instances": {e: entries[e].raw for e in sorted(entries)},
            }
        found = {e: entries[e].raw if e in entries else None for e in only}
        return {"app": app, "env": env, "instances": found}

    def _host(self, name: str) -> msgspec.Raw | None:
        records = self._hosts.get(name, {})
        if self._own is not None and self._own[0] == name:
            records = {**records, self._own[1]: self._own[2]}
        return shown.host(records) if records else None

    def _released(self, name: str) -> list[Release] | None:
        known = self._releases.get(name)
        return None if known is None else list(shown.releases(known))
