"""The keys of a host in etcd as they were last read or written, and what must be compared anew."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from types import MappingProxyType

from registrar.model import Change, Holder, Instance
from registrar.registry import records
from registrar.registry.records import Held
from wharfinger.keys import InstanceKey
from wharfinger.kv import KeyValue


@dataclass(frozen=True, slots=True)
class Wish:
    """What etcd shall hold of a host; see `records.difference`."""

    instances: Mapping[InstanceKey, Instance]
    lease: int
    spare: frozenset[str]


class Holdings:
    """What is there, by key, and since when.

    Attributes:
        keys: by name; None for one that is known not to exist.
    """

    def __init__(self) -> None:
        self._held: dict[str, KeyValue | None] = {}
        self.keys: Held = MappingProxyType(self._held)
        self._touched: set[str] = set()
        self._instances: tuple[InstanceKey, ...] | None = None
        self._holders: dict[InstanceKey, Holder] | None = None
        self._met: Wish | None = None
        self._unmet: frozenset[InstanceKey] = frozenset()

    @property
    def instances(self) -> tuple[InstanceKey, ...]:
        """Each of which at least one key exists, in order."""
        if self._instances is None:
            self._instances = tuple(records.keys_of(self._held))
        return self._instances

    @property
    def holders(self) -> Mapping[InstanceKey, Holder]:
        """Whose each instance is by its metadata, in the same order."""
        if self._holders is None:
            self._holders = {
                key: records.holder(self._held.get(key.metadata)) for key in self.instances
            }
        return self._holders

    def note(self, name: str, found: KeyValue | None) -> None:
        """Takes what stands there."""
        before = self._held.get(name)
        self._held[name] = found
        if before != found:
            self._touch(name, news=before is None or found is None)

    def drop(self, name: str) -> None:
        """Forgets a key."""
        if self._held.pop(name, None) is not None:
            self._touch(name, news=True)

    def keep(self, stays: Callable[[KeyValue], bool] = lambda _kv: True) -> None:
        """Forgets all that do not exist, or are not to stay."""
        for name in [each for each, kv in self._held.items() if kv is None or not stays(kv)]:
            self.drop(name)

    def to_compare(self, wish: Wish) -> tuple[Mapping[InstanceKey, Instance], Held]:
        """What is wished and what is there, of all that may differ; until `met` says otherwise.

        Whatever was right, and was touched by nobody since, is right.
        """
        met, self._met = self._met, None
        touched, self._touched = self._touched, set()
        if met is None or (met.lease, met.spare) != (wish.lease, wish.spare):
            return wish.instances, self.keys
        doubtful = records.doubtful(met.instances, wish.instances, touched)
        return records.about(doubtful | self._unmet, wish.instances, self.keys)

    def met(self, wish: Wish, changes: Iterable[Change]) -> None:
        """Notes that a wish was met as far as that can be; each of the changes is to be compared.

        Those that could be made are touched, and the others (another host holds the key, etcd's
        users do not let us) are no less wanted.
        """
        self._met = wish
        self._unmet = frozenset(records.key_of(change) for change in changes)

    def _touch(self, name: str, *, news: bool) -> None:
        self._touched.add(name)
        self._holders = None
        if news:
            self._instances = None
