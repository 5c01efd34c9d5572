"""What stands in etcd for an instance, and what must change there; only our own is touched."""

from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress
from functools import lru_cache
from typing import Final

import msgspec

from registrar.model import Change, Contested, Deregister, Holder, Instance, Register
from wharfinger.errors import Rejected
from wharfinger.keys import InstanceKey
from wharfinger.kv import Compare, Delete, Get, KeyValue, Operation, Put, absent, unchanged
from wharfinger.metadata import MAX_BYTES, encode

CACHED: Final = 16_384

Held = Mapping[str, KeyValue | None]
Write = Register | Deregister


class _Owner(msgspec.Struct, frozen=True):
    """What any version of a registrar says of itself in such a record."""

    host: str = ""
    id: str = ""
    started: str = ""
    imported: str = ""


def keys_of(held: Held) -> Iterator[InstanceKey]:
    """Each instance of which at least one key exists; what is no instance's key is left out."""
    parsed = (_parsed(key) for key, kv in held.items() if kv is not None)
    yield from sorted({key for key in parsed if key is not None}, key=both)


# Every tick of the plan asks for all of them again.
@lru_cache(maxsize=CACHED)
def _parsed(key: str) -> InstanceKey | None:
    with suppress(Rejected):
        return InstanceKey.parse(key)
    return None


def holder(metadata: KeyValue | None) -> Holder:
    """Whose an instance is by its metadata; of nobody where that cannot be read."""
    owner = _owner(metadata)
    return Holder(owner.id, owner.started)


def difference(
    desired: Mapping[InstanceKey, Instance],
    held: Held,
    *,
    lease: int,
    host: str,
    spare: frozenset[str] = frozenset(),
) -> tuple[Change, ...]:
    """What makes etcd hold what is desired; nothing where it does. Deregistrations come first.

    Args:
        desired: what this host shall have there.
        held: what is there, by key; None for a key that is known not to exist.
        lease: that of this host.
        host: this host's name; a key that names another is never touched.
        spare: ids of containers of which nothing is known now: theirs stays as it is.
    """
    changes: list[Change] = []
    wanted = {name for key in desired for name in both(key)}
    # Whatever is desired needs no second look; to read a key is the dearest part of this.
    for key in keys_of({name: held[name] for name in held.keys() - wanted}):
        metadata = held.get(key.metadata)
        owner = _owner(metadata)
        foreign = _foreign(metadata, owner, lease, host)
        if key not in desired and not foreign and owner.id not in spare:
            changes.append(Deregister(key, owner.id))
    for key, instance in desired.items():
        address, metadata = held.get(key.address), held.get(key.metadata)
        if _is(address, key.endpoint.value.encode(), lease) and _is(
            metadata, encode(instance.metadata), lease
        ):
            continue
        owner = _owner(metadata)
        if _foreign(metadata, owner, lease, host):
            changes.append(Contested(instance, owner.host))
        else:
            changes.append(Register(instance))
    return tuple(changes)


def doubtful(
    before: Mapping[InstanceKey, Instance],
    desired: Mapping[InstanceKey, Instance],
    touched: Iterable[str],
) -> frozenset[InstanceKey]:
    """The instances to look at again, where all was right but for what has changed since.

    Args:
        before: what was desired when all was right.
        desired: what is now; an instance that is the very same was not changed.
        touched: the keys that do not stand as they did then.
    """
    found = {key for key in map(_parsed, touched) if key is not None}
    if before is not desired:
        found.update(key for key, each in desired.items() if before.get(key) is not each)
        found.update(key for key in before if key not in desired)
    return frozenset(found)


def about(
    keys: Iterable[InstanceKey], desired: Mapping[InstanceKey, Instance], held: Held
) -> tuple[dict[InstanceKey, Instance], Held]:
    """What is desired of some instances, and what is held of them; in order."""
    these = sorted(keys, key=both)
    names = (name for key in these for name in both(key))
    return (
        {key: desired[key] for key in these if key in desired},
        {name: held[name] for name in names if name in held},
    )


def conditions(change: Write, held: Held) -> tuple[Compare, ...]:
    """That both keys are still as they were when the change was planned."""
    return tuple(
        absent(key) if (kv := held.get(key)) is None else unchanged(kv)
        for key in both(key_of(change))
    )


def operations(change: Write, held: Held, lease: int) -> tuple[Operation, ...]:
    """What carries the change out, for one transaction; a key that is right wakes no watcher."""
    match change:
        case Register(instance):
            values = (instance.key.endpoint.value.encode(), encode(instance.metadata))
            return tuple(
                Put(key, value, lease)
                for key, value in zip(both(instance.key), values, strict=True)
                if not _is(held.get(key), value, lease)
            )
        case Deregister(key):
            return tuple(Delete(each) for each in both(key))


def questions(change: Write) -> tuple[Get, ...]:
    """What to ask when its conditions do not hold."""
    return tuple(Get(each) for each in both(key_of(change)))


def puts_of(change: Write, containers: frozenset[str]) -> bool:
    """Whether it puts what is one of these containers'."""
    return isinstance(change, Register) and change.instance.metadata.id in containers


def name(change: Write) -> str:
    """The address key that it is about."""
    return key_of(change).address


def key_of(change: Change) -> InstanceKey:
    """What it is about."""
    return change.key if isinstance(change, Deregister) else change.instance.key


# To put a key together costs more than all else that is done with it.
@lru_cache(maxsize=CACHED)
def both(key: InstanceKey) -> tuple[str, str]:
    """The names of its two keys."""
    return key.address, key.metadata


def is_stale(metadata: KeyValue, lease: int, host: str) -> bool:
    """Whether it hangs on a lease that this host has had before; it goes when that ends."""
    on_another = metadata.lease not in (0, lease)
    return on_another and not _foreign(metadata, _owner(metadata), lease, host)


def _is(kv: KeyValue | None, value: bytes, lease: int) -> bool:
    return kv is not None and kv.value == value and kv.lease == lease


def _foreign(metadata: KeyValue | None, owner: _Owner, lease: int, host: str) -> bool:
    """Whether another host's registrar put it; what names no host was damaged by hand.

    What was imported waits for the registrar of its container, whatever registrator, perhaps in
    a container of its own, called the host.
    """
    if metadata is None or metadata.lease == lease or owner.imported:
        return False
    return owner.host not in ("", host)


def _owner(metadata: KeyValue | None) -> _Owner:
    if metadata is None or len(metadata.value) > MAX_BYTES:
        return _Owner()
    try:
        return msgspec.json.decode(metadata.value, type=_Owner)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        return _Owner()
