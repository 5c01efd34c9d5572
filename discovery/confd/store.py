"""confd's key-value store as templates read it: get, gets, getv, getvs, ls, lsdir, exists."""

from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Final

from discovery.confd.paths import clean, glob, literal_start
from discovery.model import Snapshot
from discovery.services.difference import Sight
from wharfinger.errors import Rejected

_MISSING: Final = object()


@dataclass(frozen=True, slots=True, order=True)
class Pair:
    """A key and its value."""

    key: str
    value: str


class Store:
    """The keys that one resource sees, with its prefix taken off; behaves as confd's memkv.

    Args:
        values: key to value; every key begins with a slash.
    """

    def __init__(self, values: Mapping[str, str]) -> None:
        self._values = values

    def __iter__(self) -> Iterator[str]:
        return iter(self._values)

    def get(self, key: str) -> Pair:
        """The pair at exactly this key.

        Raises:
            Rejected: there is none; it fails the template, and with it the resource.
        """
        try:
            return Pair(key, self._values[key])
        except KeyError:
            raise Rejected(f"key does not exist: {key}") from None

    def gets(self, pattern: str) -> list[Pair]:
        """The pairs whose keys match the glob, by key; `*` does not cross a slash.

        Raises:
            Rejected: the glob is none.
        """
        return [Pair(key, self._values[key]) for key in sorted(self._matching(pattern), key=_bytes)]

    def getv(self, key: str, default: object = _MISSING) -> object:
        """The value at exactly this key, or the default where one is given.

        Raises:
            Rejected: there is neither.
        """
        if key not in self._values and default is not _MISSING:
            return default
        return self.get(key).value

    def getvs(self, pattern: str) -> list[str]:
        """The values whose keys match the glob, sorted by value.

        Raises:
            Rejected: the glob is none.
        """
        return sorted((self._values[key] for key in self._matching(pattern)), key=_bytes)

    def exists(self, key: str) -> bool:
        """Whether exactly this key is there."""
        return key in self._values

    def ls(self, path: str) -> list[str]:
        """The names directly below `path`, and its own last part where it is a key itself."""
        names = {steps[0] for steps in self._below(path)}
        if path in self._values:
            names.add(path.rstrip("/").rpartition("/")[2])
        return sorted(names, key=_bytes)

    def lsdir(self, path: str) -> list[str]:
        """Of the names directly below `path`, those that have keys below themselves."""
        return sorted({steps[0] for steps in self._below(path) if len(steps) > 1}, key=_bytes)

    def count(self, start: str) -> int:
        """How many keys begin so: those that `gets` and `ls` look at."""
        return len(self._beginning(start))

    def _below(self, path: str) -> Iterable[list[str]]:
        folder = path.rstrip("/") + "/"
        keys = self._keys
        for at in self._beginning(folder):
            yield keys[at].removeprefix(folder).split("/")

    def _matching(self, pattern: str) -> Iterable[str]:
        matches = glob(pattern).fullmatch
        keys = self._keys
        return [keys[at] for at in self._beginning(literal_start(pattern)) if matches(keys[at])]

    @cached_property
    def _keys(self) -> list[str]:
        return sorted(self._values)

    def _beginning(self, start: str) -> range:
        """Where the keys that begin so stand.

        A template asks for the instances of a thousand services one by one: to look at all keys
        for each would take seconds.
        """
        low = bisect_left(self._keys, start)
        return range(
            low, bisect_right(self._keys, start, lo=low, key=lambda key: key[: len(start)])
        )


def visible(
    snapshot: Snapshot, *, keys: Iterable[str], prefix: str = "", raw: bool = False
) -> dict[str, str]:
    """What a resource with these `keys` below `prefix` sees, the prefix taken off.

    A key is seen with all that is below it, and nothing beside it: `/app` is not `/app_prod`.
    It stays what it is in etcd: were `/app_prod/x/` to become `/app_prod/x`, as in confd, it
    would be an instance whose value nobody has read.

    The addresses of instances are those that are served: typed, and with those that the guard
    keeps. With `raw` whatever stands in etcd at instances' keys is there as well.
    """
    below = prefix.rstrip("/")
    wanted = watched(keys, prefix)
    exact, folders = frozenset(wanted), _folders(wanted)
    values = dict(snapshot.raw) if raw else {}
    values.update(snapshot.values)
    for service in snapshot.services:
        at = f"/{service.name}/"
        # Of a thousand services most resources see one.
        if at.startswith(folders) or any(one.startswith(at) for one in wanted):
            values.update((f"{at}{one.key}", one.address) for one in service.instances)
    return {
        key.removeprefix(below) or "/": value
        for key, value in values.items()
        if key.startswith(folders) or key in exact
    }


def watched(keys: Iterable[str], prefix: str = "") -> tuple[str, ...]:
    """The keys in etcd that a resource with these `keys` must hear of, and all below them.

    Of a prefix alone it is what is below it, which is all that a user of etcd's may be let read.
    """
    return tuple(
        clean(f"{prefix}/{key}") if key.strip("/") else clean(prefix or "/").rstrip("/") + "/"
        for key in keys
    )


def sight_of(
    *, keys: Iterable[str], prefix: str = "", raw: bool = False, services: frozenset[str] | None
) -> Sight:
    """What a resource that sees these keys, and has asked for these services, depends on."""
    wanted = watched(keys, prefix)
    return Sight(frozenset(wanted), _folders(wanted), raw, services)


def instances_below(snapshot: Snapshot, prefixes: Iterable[str]) -> int:
    """How many instances stand below any of these prefixes in etcd."""
    wanted = tuple(prefixes)
    exact, folders = frozenset(wanted), _folders(wanted)
    addresses = (f"/{s.name}/{i.key}" for s in snapshot.services for i in s.instances)
    return sum(one.startswith(folders) or one in exact for one in addresses)


def _folders(keys: Iterable[str]) -> tuple[str, ...]:
    return tuple(key.rstrip("/") + "/" for key in keys)


def _bytes(text: str) -> bytes:
    """A key that sorts as confd sorts: what is no UTF-8 is where its bytes are."""
    return text.encode("utf-8", "surrogateescape")
