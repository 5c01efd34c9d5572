"""The keys of etcd as discovery sees them: fed by updates, read as typed services and values."""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Final

from discovery.model import Instance, Snapshot
from discovery.services.instances import Child, Group, Keys, instance_key, read_child, read_group
from discovery.services.roll import Roll
from discovery.services.texts import Joined, Texts
from wharfinger import keys, kv

OWN: Final = "/wharfinger/"
# What every host writes about itself, and what releases write: no template reads them, and a
# discovery that heard its own report of a revision would report again, for ever.
# Ours, but none of discovery's: what lies between deploy/ and hosts/, as one gap. Of the two
# ranges beside it an instance's key and its metadata touch one each, and each says so at once
# (see `wharfinger.following`); a third one, which is always silent, would have to be asked.
UNHEARD: Final = tuple(f"{keys.DEPLOY[: keys.DEPLOY.index('/', 1)]}/{letter}" for letter in "defgh")
# A lease of one key is how others register: its end is how they say goodbye, too.
HOST_LEASE_KEYS: Final = 2


@dataclass(frozen=True, slots=True)
class Lost:
    """An instance that is gone from etcd although nobody seems to have deleted it."""

    key: keys.InstanceKey
    instance: Instance
    lease: int


@dataclass(frozen=True, slots=True)
class Heard:
    """What one update brought.

    Attributes:
        changed: whether anything stands otherwise now.
        backwards: the store's revision went back: it was restored or wiped.
        lost: instances that went with all that hung on their lease, or with the store's memory.
        put: each key that was put, though it may be gone again, with its lease.
    """

    changed: bool
    backwards: bool = False
    lost: tuple[Lost, ...] = ()
    put: Mapping[str, int] = field(default_factory=dict)


class Tree:
    """The latest state of all keys heard of; parses again only what an update touched."""

    def __init__(self) -> None:
        self._children: dict[str, Keys] = {}  # /<NAME>/<CHILD>, by NAME
        self._metadata: dict[str, Keys] = {}  # below /wharfinger/instances/, by NAME
        self._others: Keys = {}
        self._leases: dict[int, set[str]] = defaultdict(set)
        self._groups: dict[str, Group] = {}
        # Of a thousand services one changes: a snapshot must not take up all of them again.
        self._roll = Roll()
        self._texts = Texts()
        # A service of ten thousand is read in a tenth of the time when one of them changes.
        self._read_before: dict[str, Child] = {}
        # Of each name what a next life shall hear; never changed, but replaced.
        self._sound: dict[str, dict[str, kv.KeyValue]] = {}
        self._touched: set[str] = set()
        self._revision = 0
        self._store_revision = 0
        self._listings = 0

    @property
    def revision(self) -> int:
        """Of the latest list or event; progress that brought no event does not count.

        A report of it is written to etcd, and must not be a reason for the next report.
        """
        return self._revision

    def hear(self, update: kv.Update) -> Heard:
        """Takes in one update."""
        match update:
            case kv.Listed(snapshot):
                return self._replace(snapshot)
            case kv.Changed(revision, events):
                lost: list[Lost] = []
                put = {event.key: event.kv for event in events if event.kv is not None}
                for at, gone in _deletions(events):
                    lost += (_again(one, at, put) for one in self._lost_with_lease(gone))
                changed = [self._set(event.key, event.kv) for event in events]
                self._store_revision = revision
                self._revision = revision if events else self._revision
                still = tuple(one for one in lost if not self._holds(one.key))
                leases = {key: entry.lease for key, entry in put.items()}
                return Heard(changed=any(changed), lost=still, put=leases)

    def snapshot(self) -> Snapshot:
        """Everything, read and sorted; a new value that later updates do not touch."""
        for name in self._touched:
            children, described = self._children.get(name, {}), self._metadata.get(name, {})
            group = self._group(name) if children or described else None
            self._roll.take(name, group)
            self._texts.take(name, group, children, described)
        self._touched.clear()
        services, rejected = self._roll.told()
        values, raw = self._texts.told()
        return Snapshot(self._revision, services, values, raw, rejected, self._listings)

    def instances(self) -> kv.Snapshot:
        """What stands at the keys of instances and their metadata, to be heard in a next life.

        It is put together when it is read, which may be in a thread.
        """
        for name in (self._children.keys() | self._metadata.keys()) - self._sound.keys():
            self._sound[name] = dict(self._sound_below(name))
        return kv.Snapshot(self._store_revision, Joined((*self._sound.values(),)))

    def _sound_below(self, name: str) -> Iterator[tuple[str, kv.KeyValue]]:
        """Only what could be written as JSON, and is worth it: a refused key is refused again."""
        read = self._read_before
        for held in (self._children, self._metadata):
            for key, entry in held.get(name, {}).items():
                # Most have been read already, which is much quicker to see.
                instance = key if held is self._children else f"/{key[len(keys.INSTANCES) :]}"
                if instance in read or instance_key(key):
                    yield key, entry

    def _replace(self, snapshot: kv.Snapshot) -> Heard:
        before = {**self._others}
        for group in (self._children, self._metadata):
            for entries in group.values():
                before |= entries
        backwards = snapshot.revision < self._store_revision
        gone = before.keys() - snapshot.items.keys()
        lost = self._instances(gone) if backwards else self._lost_with_lease(gone)
        changed = [self._set(key, None) for key in gone]
        changed += [self._set(key, entry) for key, entry in snapshot.items.items()]
        self._revision = self._store_revision = snapshot.revision
        self._listings += 1
        return Heard(changed=any(changed), backwards=backwards, lost=tuple(lost))

    def _set(self, key: str, entry: kv.KeyValue | None) -> bool:
        if key.startswith(UNHEARD):
            return False
        name, holder = self._holder(key)
        if name is not None:
            self._sound.pop(name, None)
        before = holder.pop(key, None)
        if entry is None:
            self._read_before.pop(key, None)
        if before is not None:
            self._leases[before.lease].discard(key)
            if not self._leases[before.lease]:
                del self._leases[before.lease]
        if entry is not None:
            holder[key] = entry
            self._leases[entry.lease].add(key)
        if (before and before.value) == (entry and entry.value):
            return False
        if name is not None:
            self._groups.pop(name, None)
            self._touched.add(name)
            self._drop_empty(name)
        else:
            self._texts.take_other(key, entry)
        return True

    def _holder(self, key: str) -> tuple[str | None, Keys]:
        """Whose child it is, and where it is kept; a name may be empty, as that of `//x`."""
        if key.startswith(keys.INSTANCES):
            name = key.removeprefix(keys.INSTANCES).partition("/")[0]
            return name, self._metadata.setdefault(name, {})
        if not key.startswith(OWN) and key.startswith("/") and key.count("/") == len("//"):
            name = key[1:].partition("/")[0]
            return name, self._children.setdefault(name, {})
        return None, self._others

    def _drop_empty(self, name: str) -> None:
        for held in (self._children, self._metadata):
            if name in held and not held[name]:
                del held[name]

    def _holds(self, key: keys.InstanceKey) -> bool:
        return key.address in self._children.get(key.service.name, {})

    def _lost_with_lease(self, gone: Iterable[str]) -> list[Lost]:
        """Of these keys, deleted at one moment, the instances whose whole lease went."""
        by_lease: dict[int, set[str]] = defaultdict(set)
        for key in gone:
            entry = self._holder(key)[1].get(key)
            if entry is not None and entry.lease:
                by_lease[entry.lease].add(key)
        ended = [
            went
            for lease, went in by_lease.items()
            if len(went) >= HOST_LEASE_KEYS and went == self._leases[lease]
        ]
        return self._instances(key for went in ended for key in went)

    def _instances(self, gone: Iterable[str]) -> list[Lost]:
        lost: list[Lost] = []
        for key in gone:
            name, holder = self._holder(key)
            if key.startswith(OWN) or name is None or key not in holder:
                continue
            at = instance_key(key)
            service = self._group(name).service
            lost.extend(
                Lost(at, instance, holder[key].lease)
                for instance in (service.instances if service and at else ())
                if at and instance.key == at.endpoint.key
            )
        return lost

    def _group(self, name: str) -> Group:
        if name not in self._groups:
            self._groups[name] = self._read(name)
        return self._groups[name]

    def _read(self, name: str) -> Group:
        children, described = self._children.get(name, {}), self._metadata.get(name, {})
        shaped = []
        for entry in children.values():
            child = self._read_before.get(entry.key) or read_child(entry, described)
            if child is None:
                continue
            if child.entry is not entry or child.described is not described.get(child.at.metadata):
                child = read_child(entry, described) or child
            self._read_before[entry.key] = child
            shaped.append(child)
        return read_group(name, children, described, shaped)


def _again(lost: Lost, at: int, put: Mapping[str, kv.KeyValue]) -> Lost:
    """The same, of the lease that it had last: it may have come back after revision `at`."""
    back = put.get(lost.key.address, put.get(lost.key.metadata))
    return lost if back is None or back.mod_revision < at else replace(lost, lease=back.lease)


def _deletions(events: Iterable[kv.Event]) -> Iterable[tuple[int, set[str]]]:
    """The keys that went, together where one transaction (or one lease's end) took them."""
    by_revision: dict[int, set[str]] = defaultdict(set)
    for event in events:
        if event.kv is None:
            by_revision[event.revision].add(event.key)
    return by_revision.items()
