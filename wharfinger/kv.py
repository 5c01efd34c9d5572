"""etcd's terms as plain values, for decisions that import no I/O: keys, ranges, events."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Final, Literal, Self, TypeVar

# etcd refuses a transaction of more than 128 operations (--max-txn-ops).
TRANSACTION_OPERATIONS: Final = 100


@dataclass(frozen=True, slots=True)
class KeyValue:
    """One key as it stood at one revision.

    Attributes:
        key: UTF-8; bytes that are not come as lone surrogates (PEP 383) and go back unharmed.
        value: as it was put.
        create_revision: of the put that made the key.
        mod_revision: of the latest put.
        version: number of puts since the key was made.
        lease: id of the lease that it hangs on; 0 for none.
    """

    key: str
    value: bytes
    create_revision: int
    mod_revision: int
    version: int
    lease: int


@dataclass(frozen=True, slots=True)
class Snapshot:
    """All keys of a range at one revision."""

    revision: int
    items: Mapping[str, KeyValue]


@dataclass(frozen=True, slots=True)
class Event:
    """One change of one key; `kv` is None where the key was deleted or its lease ended."""

    key: str
    revision: int
    kv: KeyValue | None


@dataclass(frozen=True, slots=True)
class Listed:
    """The whole truth: whatever it does not contain does not exist."""

    snapshot: Snapshot


@dataclass(frozen=True, slots=True)
class Changed:
    """What changed since the update before, in order, up to and including `revision`.

    All events of one revision, that is of one transaction, are in the same update.
    """

    revision: int
    events: tuple[Event, ...]


Update = Listed | Changed


@dataclass(frozen=True, slots=True)
class KeyRange:
    """The keys from `start` up to, without, `end` in the order of their bytes.

    An `end` of None is the end of all keys.
    """

    start: str
    end: str | None

    @classmethod
    def of_prefix(cls, prefix: str) -> Self:
        """The keys that begin with `prefix`; with an empty one, all keys."""
        return cls(prefix, prefix_end(prefix))


@dataclass(frozen=True, slots=True)
class Permission:
    """What a role may do with the keys of a range; these keys are etcd's own, prefix and all."""

    kind: Literal["read", "write", "readwrite"]
    keys: KeyRange


def key_to_bytes(key: str) -> bytes:
    """A key as etcd has it."""
    return key.encode("utf-8", "surrogateescape")


def key_from_bytes(key: bytes) -> str:
    """A key as we have it; anything that is not UTF-8 survives the way back."""
    return key.decode("utf-8", "surrogateescape")


def prefix_end(prefix: str) -> str | None:
    """The first key after all those that begin with `prefix`; None where there is none."""
    raw = key_to_bytes(prefix).rstrip(b"\xff")
    return key_from_bytes(raw[:-1] + bytes((raw[-1] + 1,))) if raw else None


def ranges_of(prefixes: Iterable[str], without: Iterable[str] = ()) -> tuple[KeyRange, ...]:
    """The fewest ranges that hold the keys below `prefixes` and none of those below `without`.

    >>> ranges_of(["/"], without=["/b"])
    (KeyRange(start='/', end='/b'), KeyRange(start='/c', end='0'))
    """
    spans = _merged(_span(prefix) for prefix in prefixes)
    for hole_start, hole_end in _merged(_span(prefix) for prefix in without):
        spans = [part for span in spans for part in _cut(span, hole_start, hole_end)]
    return tuple(
        KeyRange(key_from_bytes(start), None if end is None else key_from_bytes(end))
        for start, end in spans
    )


_Span = tuple[bytes, bytes | None]


def _span(prefix: str) -> _Span:
    end = prefix_end(prefix)
    return key_to_bytes(prefix), None if end is None else key_to_bytes(end)


def _merged(spans: Iterable[_Span]) -> list[_Span]:
    merged: list[_Span] = []
    for start, end in sorted(spans, key=lambda span: span[0]):
        if merged:
            before_start, before_end = merged[-1]
            if before_end is None or start <= before_end:
                later = None if before_end is None or end is None else max(before_end, end)
                merged[-1] = (before_start, later)
                continue
        merged.append((start, end))
    return merged


def _cut(span: _Span, hole_start: bytes, hole_end: bytes | None) -> Iterator[_Span]:
    start, end = span
    if (end is not None and hole_start >= end) or (hole_end is not None and hole_end <= start):
        yield span
        return
    if start < hole_start:
        yield start, hole_start
    if hole_end is not None and (end is None or hole_end < end):
        yield hole_end, end


@dataclass(frozen=True, slots=True)
class Compare:
    """A condition of a transaction; see `absent`, `present`, `unchanged`, `held_by`.

    A key that does not exist compares as version, revisions and lease 0.
    """

    key: str
    target: Literal["version", "create_revision", "mod_revision", "value", "lease"]
    operator: Literal["==", "!=", ">", "<"]
    operand: int | bytes


def absent(key: str) -> Compare:
    """The key does not exist."""
    return Compare(key, "create_revision", "==", 0)


def present(key: str) -> Compare:
    """The key exists."""
    return Compare(key, "create_revision", ">", 0)


def unchanged(kv: KeyValue) -> Compare:
    """Nobody has put or deleted the key since it was read."""
    return Compare(kv.key, "mod_revision", "==", kv.mod_revision)


def held_by(key: str, lease: int) -> Compare:
    """The key exists and hangs on that lease."""
    return Compare(key, "lease", "==", lease)


@dataclass(frozen=True, slots=True)
class Put:
    """Sets a key; with a lease, the key goes when the lease ends."""

    key: str
    value: bytes
    lease: int = 0


@dataclass(frozen=True, slots=True)
class Delete:
    """Deletes a key; its result is the number of keys deleted."""

    key: str


@dataclass(frozen=True, slots=True)
class DeletePrefix:
    """Deletes all keys that begin with `prefix`; its result is their number."""

    prefix: str


@dataclass(frozen=True, slots=True)
class Get:
    """Reads a key, now or as it stood at `revision`; its result is a KeyValue or None."""

    key: str
    revision: int = 0


@dataclass(frozen=True, slots=True)
class Count:
    """Counts the keys of a range, now or at `revision`; its result is the number."""

    keys: KeyRange
    revision: int = 0


Operation = Put | Delete | DeletePrefix | Get | Count
Result = KeyValue | int | None


@dataclass(frozen=True, slots=True)
class Transacted:
    """The outcome of a transaction.

    Attributes:
        succeeded: whether all conditions held.
        revision: of the store after it; where it wrote, that of its writes.
        results: one for each operation of the branch that was taken; a Put's is None.
    """

    succeeded: bool
    revision: int
    results: tuple[Result, ...]


@dataclass(frozen=True, slots=True)
class Lease:
    """A lease as granted; etcd raises a time to live that it finds too short."""

    id: int
    ttl_seconds: int


@dataclass(frozen=True, slots=True)
class LeaseLife:
    """What etcd knows of a lease that lives."""

    remaining_seconds: int
    granted_seconds: int
    keys: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class EndpointStatus:
    """One endpoint as seen from here, for `check` and `doctor`.

    Attributes:
        endpoint: HOST:PORT.
        reachable: whether it answered.
        why: what is wrong, with the fix where one is known; empty when nothing is.
        version: of etcd.
        has_leader: whether it knows a leader.
        is_leader: whether it is the leader.
        revision: of its store; it may lag behind the leader's.
        latency_seconds: from the question to the answer, connecting included.
    """

    endpoint: str
    reachable: bool
    why: str = ""
    version: str = ""
    has_leader: bool = False
    is_leader: bool = False
    revision: int = 0
    latency_seconds: float = 0.0


@dataclass(frozen=True, slots=True)
class WatchAnswer:
    """One message of a watch stream (etcd: `WatchResponse`).

    Attributes:
        watch_id: of the range that it is about; negative when it is about all of them.
        revision: of the store when it was sent; with events, of the latest of them at least.
        created: it confirms the watch of a range.
        canceled: the watch of that range has ended, and `reason` may say why.
        compact_revision: set where it ended because its history is compacted up to there.
        reason: etcd's words.
        events: what changed, in order.
    """

    watch_id: int
    revision: int
    created: bool = False
    canceled: bool = False
    compact_revision: int = 0
    reason: str = ""
    events: tuple[Event, ...] = ()


T = TypeVar("T")


def chunks(items: Sequence[T], size: int = TRANSACTION_OPERATIONS) -> Iterator[Sequence[T]]:
    """Parts of at most `size`, in order, for transactions that etcd takes."""
    for start in range(0, len(items), size):
        yield items[start : start + size]
