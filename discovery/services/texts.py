"""The keys of etcd as text, for templates; joined only when one of them asks."""

from collections.abc import Iterator, Mapping, Sequence, ValuesView
from typing import TypeVar

from discovery.services.instances import Group, Keys
from wharfinger import kv

Value = TypeVar("Value")


class Joined(Mapping[str, Value]):
    """Several mappings as one; a pushed change never looks at them, and must not wait for them.

    Args:
        parts: what will not change any more; no key is in two of them.
    """

    def __init__(self, parts: Sequence[Mapping[str, Value]]) -> None:
        self._parts = parts
        self._whole: dict[str, Value] | None = None

    def __getitem__(self, key: str) -> Value:
        return self._joined()[key]

    def __iter__(self) -> Iterator[str]:
        return iter(self._joined())

    def __len__(self) -> int:
        return sum(map(len, self._parts))

    @property
    def parts(self) -> tuple[Mapping[str, Value], ...]:
        """What it is made of."""
        return tuple(self._parts)

    def values(self) -> ValuesView[Value]:
        """All values."""
        return self._joined().values()

    def _joined(self) -> dict[str, Value]:
        if self._whole is None:
            self._whole = {key: text for part in self._parts for key, text in part.items()}
        return self._whole


class Texts:
    """The user's own keys, and what stands at those of instances, by the names they are below."""

    def __init__(self) -> None:
        self._others: dict[str, str] = {}
        self._plain: dict[str, dict[str, str]] = {}
        self._raw: dict[str, dict[str, str]] = {}
        self._others_told: dict[str, str] | None = None

    def take(self, name: str, group: Group | None, children: Keys, described: Keys) -> None:
        """Takes in all that is below a name; None when nothing is any more."""
        plain = set(group.plain) if group else set()
        _keep(self._plain, name, {key: _text(children[key]) for key in plain})
        raw = {key: _text(entry) for key, entry in children.items() if key not in plain}
        raw.update((key, _text(entry)) for key, entry in described.items())
        _keep(self._raw, name, raw)

    def take_other(self, key: str, entry: kv.KeyValue | None) -> None:
        """Takes in a key that is below no such name; None when it is gone."""
        self._others_told = None
        if entry is None:
            self._others.pop(key, None)
        else:
            self._others[key] = _text(entry)

    def told(self) -> tuple[Mapping[str, str], Mapping[str, str]]:
        """The user's own, and the instances'."""
        if self._others_told is None:
            self._others_told = dict(self._others)
        return Joined((self._others_told, *self._plain.values())), Joined((*self._raw.values(),))


def differing(before: Mapping[str, str], after: Mapping[str, str]) -> set[str]:
    """The keys whose text is not the same in both, or that are in one only."""
    first, second = _parts(before), _parts(after)
    # What did not change is the very same part, which need not be looked at.
    kept = {id(part) for part in first} & {id(part) for part in second}
    was = {key: text for part in first if id(part) not in kept for key, text in part.items()}
    now = {key: text for part in second if id(part) not in kept for key, text in part.items()}
    return {key for key in was.keys() | now.keys() if was.get(key) != now.get(key)}


def _parts(texts: Mapping[str, str]) -> tuple[Mapping[str, str], ...]:
    return texts.parts if isinstance(texts, Joined) else (texts,)


def _keep(held: dict[str, dict[str, str]], name: str, texts: dict[str, str]) -> None:
    if texts:
        held[name] = texts
    else:
        held.pop(name, None)


def _text(entry: kv.KeyValue) -> str:
    # Bytes that are no UTF-8 pass through templates and come out as they were (PEP 383).
    return entry.value.decode("utf-8", "surrogateescape")
