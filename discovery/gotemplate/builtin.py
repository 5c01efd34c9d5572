"""The functions that every template of Go's has."""

from itertools import pairwise
from typing import Final

from discovery.gotemplate import comparison, escape, formats, sprint
from discovery.gotemplate.errors import FunctionError
from discovery.gotemplate.functions import ANYTHING, REFLECTED, STRING, Function, FunctionMap
from discovery.gotemplate.limits import Budget
from discovery.gotemplate.text import decoded, encoded
from discovery.gotemplate.values import (
    NIL,
    Kind,
    List,
    Struct,
    Uint8,
    Value,
    kind_of,
    truth,
    type_of,
)

_INDEXES: Final = 3


def _bare_type(value: Value) -> str:
    """The name of a type, of what is pointed at."""
    return value.type.name if isinstance(value, Struct) else type_of(value)


def _position(index: Value, longest: int) -> int:
    if index is None or index is NIL:
        raise FunctionError("cannot index slice/array with nil")
    if kind_of(index) not in {Kind.INT, Kind.UINT}:
        raise FunctionError(f"cannot index slice/array with type {type_of(index)}")
    if not 0 <= index <= longest:
        raise FunctionError(f"index out of range: {int(index)}")
    return int(index)


def _key(index: Value) -> str:
    if index is None or index is NIL:
        raise FunctionError("value is nil; should be of type string")
    if type(index) is not str:
        raise FunctionError(f"value has type {type_of(index)}; should be string")
    return index


def _element(item: Value, index: Value) -> Value:
    match item:
        case str():
            raw = encoded(item)
            at = _position(index, len(raw))
            if at == len(raw):
                raise FunctionError("reflect: string index out of range")
            return Uint8(raw[at])
        case List():
            at = _position(index, len(item.items))
            if at == len(item.items):
                raise FunctionError("reflect: slice index out of range")
            return item.items[at]
        case dict():
            return item.get(_key(index))
    raise FunctionError(f"can't index item of type {_bare_type(item)}")


def _index(budget: Budget, item: Value, *indexes: Value) -> Value:
    if item is None or item is NIL:
        raise FunctionError("index of untyped nil")
    for index in indexes:
        if item is None:
            raise FunctionError("index of nil pointer")
        if type(item) is str:
            budget.spend(len(item) >> 6)
        item = _element(item, index)
    return item


def _slice(budget: Budget, item: Value, *indexes: Value) -> Value:
    if item is None or item is NIL:
        raise FunctionError("slice of untyped nil")
    if len(indexes) > _INDEXES:
        raise FunctionError(f"too many slice indexes: {len(indexes)}")
    if not isinstance(item, str | List):
        raise FunctionError(f"can't slice item of type {_bare_type(item)}")
    if isinstance(item, str) and len(indexes) == _INDEXES:
        raise FunctionError("cannot 3-index slice a string")
    sequence = encoded(item) if isinstance(item, str) else item.items
    budget.hold(8 * len(sequence))
    bounds = [0, len(sequence)]
    given = [_position(index, len(sequence)) for index in indexes]
    bounds[: len(given)] = given
    for low, high in pairwise(bounds):
        if low > high:
            raise FunctionError(f"invalid slice index: {low} > {high}")
    if isinstance(item, List):
        return List(item.type, item.items[bounds[0] : bounds[1]])
    return decoded(encoded(item)[bounds[0] : bounds[1]])


def _length(budget: Budget, item: Value) -> int:
    match item:
        case None:
            raise FunctionError("reflect: call of reflect.Value.Type on zero Value")
        case str():
            budget.spend(len(item) >> 6)
            return len(item) if item.isascii() else len(encoded(item))
        case List():
            return len(item.items)
        case dict():
            return len(item)
    if item is NIL:
        raise FunctionError("len of nil pointer")
    raise FunctionError(f"len of type {_bare_type(item)}")


def _not(_budget: Budget, item: Value) -> bool:
    return not truth(item)


def _call(_budget: Budget, item: Value, *_arguments: Value) -> Value:
    """No value of ours is a function."""
    if item is None or item is NIL:
        raise FunctionError("call of nil")
    raise FunctionError(f"non-function %s of type {type_of(item)}")


def _unused(_budget: Budget, *_arguments: Value) -> Value:
    """`and` and `or` are the evaluator's: they stop at the first argument that decides."""
    return None


def _text_of(budget: Budget, values: tuple[Value, ...]) -> str:
    if len(values) == 1 and type(values[0]) is str:
        text: str = values[0]
    else:
        # Whatever prints without a value is a string here, and gets no blank beside it.
        text = sprint.printed(budget, [_indirect(value) for value in values])
    budget.hold(6 * len(text))
    return text


def _indirect(value: Value) -> Value:
    if value is None:
        return "<no value>"
    if isinstance(value, Struct) and value.type.pointer:
        return Struct(value.type.target, value.values)
    return value


def _html(budget: Budget, *values: Value) -> str:
    return escape.html(_text_of(budget, values))


def _js(budget: Budget, *values: Value) -> str:
    return escape.js(_text_of(budget, values))


def _urlquery(budget: Budget, *values: Value) -> str:
    return escape.urlquery(_text_of(budget, values))


def _print(budget: Budget, *values: Value) -> str:
    return sprint.printed(budget, values)


def _println(budget: Budget, *values: Value) -> str:
    return sprint.printed_line(budget, values)


def _printf(budget: Budget, text: str, *values: Value) -> str:
    return formats.formatted(budget, text, values)


_TWO: Final = (REFLECTED, REFLECTED)

BUILTINS: Final[FunctionMap] = {
    "and": Function(_unused, (REFLECTED,), REFLECTED, builtin=True),
    "or": Function(_unused, (REFLECTED,), REFLECTED, builtin=True),
    "call": Function(_call, (REFLECTED,), REFLECTED, builtin=True),
    "not": Function(_not, (REFLECTED,)),
    "len": Function(_length, (REFLECTED,)),
    "index": Function(_index, (REFLECTED,), REFLECTED),
    "slice": Function(_slice, (REFLECTED,), REFLECTED),
    "print": Function(_print, variadic=ANYTHING),
    "println": Function(_println, variadic=ANYTHING),
    "printf": Function(_printf, (STRING,), ANYTHING),
    "html": Function(_html, variadic=ANYTHING),
    "js": Function(_js, variadic=ANYTHING),
    "urlquery": Function(_urlquery, variadic=ANYTHING),
    "eq": Function(comparison.equal, (REFLECTED,), REFLECTED),
    "ne": Function(comparison.unequal, _TWO),
    "lt": Function(comparison.less, _TWO),
    "le": Function(comparison.less_or_equal, _TWO),
    "gt": Function(comparison.greater, _TWO),
    "ge": Function(comparison.greater_or_equal, _TWO),
}
