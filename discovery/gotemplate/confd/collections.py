"""map, reverse, sortByLength and sortKVByLength; the last three reorder what they are given."""

from typing import Final

from discovery.gotemplate.confd.ordering import sort
from discovery.gotemplate.confd.pairs import PAIR_LIST, PAIRS
from discovery.gotemplate.errors import FunctionError
from discovery.gotemplate.functions import ANYTHING, STRING_LIST, Function, FunctionMap, Type
from discovery.gotemplate.limits import Budget
from discovery.gotemplate.text import encoded
from discovery.gotemplate.values import STRINGS, Kind, List, Struct, Value

_ELEMENT_SIZE: Final = 64
_SORTING_STEPS: Final = 16
_PAIR_LISTS: Final = Type("[]memkv.KVPair", Kind.LIST, (PAIR_LIST, PAIRS))


def _map(budget: Budget, *values: Value) -> dict[str, Value]:
    budget.hold(_ELEMENT_SIZE * (len(values) + 1))
    if len(values) % 2:
        raise FunctionError("invalid map call")
    names, elements = values[::2], values[1::2]
    if not all(type(name) is str for name in names):
        raise FunctionError("map keys must be strings")
    return dict(zip(names, elements, strict=True))


def _reverse(budget: Budget, values: Value) -> Value:
    """Of strings and of what sortKVByLength gives; all else it gives back as it is, as confd does.

    What `gets` gives is of a type of its own, which confd forgot.
    """
    if isinstance(values, List) and values.type in {STRINGS, PAIR_LIST}:
        budget.spend(len(values.items))
        values.items.reverse()
    return values


def _sort_by_length(budget: Budget, values: List) -> List:
    budget.spend(_SORTING_STEPS * len(values.items))
    sort(values.items, [_length(text) for text in values.items])
    return values


def _sort_pairs_by_length(budget: Budget, values: List) -> List:
    budget.spend(_SORTING_STEPS * len(values.items))
    sort(values.items, [_key_length(pair) for pair in values.items])
    return List(PAIR_LIST, values.items, nil=values.nil)


def _length(text: str) -> int:
    return len(encoded(text))


def _key_length(pair: Struct) -> int:
    return _length(pair.values[0])


COLLECTIONS: Final[FunctionMap] = {
    "map": Function(_map, variadic=ANYTHING),
    "reverse": Function(_reverse, (ANYTHING,)),
    "sortByLength": Function(_sort_by_length, (STRING_LIST,)),
    "sortKVByLength": Function(_sort_pairs_by_length, (_PAIR_LISTS,)),
}
