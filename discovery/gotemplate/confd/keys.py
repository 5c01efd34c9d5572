"""exists, get, gets, getv, getvs, ls and lsdir, over the keys of one resource."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Final, Protocol, TypeAlias, TypeVar

from discovery.confd import paths
from discovery.gotemplate.confd.pairs import PAIRS, pair
from discovery.gotemplate.errors import FunctionError
from discovery.gotemplate.functions import STRING, Function, FunctionMap
from discovery.gotemplate.limits import Budget
from discovery.gotemplate.text import order
from discovery.gotemplate.values import STRINGS, List, Struct
from wharfinger.errors import Rejected

_ELEMENT_SIZE: Final = 64
_Told = TypeVar("_Told")


class Pair(Protocol):
    """A key and its value."""

    @property
    def key(self) -> str:
        """The key."""

    @property
    def value(self) -> str:
        """The value."""


class Store(Protocol):
    """The keys that a template sees; its methods raise Rejected."""

    def __iter__(self) -> Iterator[str]: ...

    def count(self, start: str) -> int:
        """How many keys begin so."""

    def exists(self, key: str) -> bool:
        """Whether exactly this key is there."""

    def get(self, key: str) -> Pair:
        """The pair at exactly this key."""

    def gets(self, pattern: str) -> Sequence[Pair]:
        """The pairs whose keys match."""

    def getvs(self, pattern: str) -> list[str]:
        """The values whose keys match."""

    def ls(self, path: str) -> list[str]:
        """The names directly below."""

    def lsdir(self, path: str) -> list[str]:
        """The names directly below that have keys below themselves."""


Keys: TypeAlias = Callable[[], Store]


def store_functions(keys: Keys) -> FunctionMap:
    """The functions.

    Args:
        keys: gives the store; called at each call of a function.
    """
    functions = _Functions(keys)
    return {
        "exists": Function(functions.exists, (STRING,)),
        "get": Function(functions.get, (STRING,)),
        "gets": Function(functions.gets, (STRING,)),
        "getv": Function(functions.getv, (STRING,), STRING),
        "getvs": Function(functions.getvs, (STRING,)),
        "ls": Function(functions.ls, (STRING,)),
        "lsdir": Function(functions.lsdir, (STRING,)),
    }


@dataclass(frozen=True, slots=True)
class _Functions:
    keys: Keys

    def exists(self, _budget: Budget, key: str) -> bool:
        return self.keys().exists(key)

    def get(self, _budget: Budget, key: str) -> Struct:
        return pair(key, _value(self.keys(), key))

    def getv(self, _budget: Budget, key: str, *default: str) -> str:
        store = self.keys()
        return default[0] if default and not store.exists(key) else _value(store, key)

    def gets(self, budget: Budget, pattern: str) -> List:
        store = self.keys()
        budget.spend(store.count(paths.literal_start(pattern)))
        found = _told(lambda: store.gets(pattern))
        budget.hold(2 * _ELEMENT_SIZE * len(found))
        return List(PAIRS, [pair(one.key, one.value) for one in found])

    def getvs(self, budget: Budget, pattern: str) -> List:
        store = self.keys()
        budget.spend(store.count(paths.literal_start(pattern)))
        found = _told(lambda: store.getvs(pattern))
        budget.hold(_ELEMENT_SIZE * len(found))
        return List(STRINGS, list(found))

    def ls(self, budget: Budget, path: str) -> List:
        return _listed(budget, self.keys(), path, _names)

    def lsdir(self, budget: Budget, path: str) -> List:
        return _listed(budget, self.keys(), path, _folders)


def _value(store: Store, key: str) -> str:
    return _told(lambda: store.get(key).value)


def _told(ask: Callable[[], _Told]) -> _Told:
    try:
        return ask()
    except paths.BadPattern:
        raise FunctionError("syntax error in pattern") from None
    except Rejected as error:
        raise FunctionError(str(error)) from None


def _listed(budget: Budget, store: Store, path: str, odd: Callable[[Store, str], set[str]]) -> List:
    bare = path.removesuffix("/")
    if bare.startswith("/") and bare != "/" and bare == paths.clean(bare):
        budget.spend(store.count(bare))
        names = store.ls(path) if odd is _names else store.lsdir(path)
    else:
        budget.spend(4 * store.count(""))
        names = sorted(odd(store, path), key=order)
    budget.hold(_ELEMENT_SIZE * len(names))
    return List(STRINGS, list(names))


# A path that is not clean, and the root, where confd sees no folders: its rules, word by word.


def _names(store: Store, path: str) -> set[str]:
    prefix = paths.clean(path).split("/")
    names: set[str] = set()
    for key in store:
        if key == path:
            names.add(paths.base(key))
        elif _begins(paths.parent(key).split("/"), prefix):
            below = key.removeprefix(path).removeprefix("/")
            names.add(below.split("/")[0])
    return names


def _folders(store: Store, path: str) -> set[str]:
    prefix = paths.clean(path).split("/")
    parents = (paths.parent(key).split("/") for key in store if key.startswith(path))
    return {
        steps[len(prefix)]
        for steps in parents
        if _begins(steps, prefix) and len(steps) > len(prefix)
    }


def _begins(steps: list[str], prefix: list[str]) -> bool:
    return steps[: len(prefix)] == prefix
