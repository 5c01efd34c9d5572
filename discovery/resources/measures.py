"""What Jinja2's filters, operators and methods may take before they take it."""

import re
from collections.abc import Callable, Mapping
from functools import wraps
from sys import getsizeof
from typing import Any, Final

from jinja2.runtime import Macro
from jinja2.utils import Namespace

from discovery.gotemplate.errors import LimitExceeded
from discovery.gotemplate.limits import MAX_VALUE_DEPTH, Budget

_ELEMENT_SIZE: Final = 64
_POINTER_SIZE: Final = 8  # a copy shares its elements
# One character as HTML, or as JSON: &quot; \u2028
_WIDEST: Final = 6
_LARGEST: Final = 10_000
_LARGEST_BITS: Final = 4096
_DIGITS: Final = re.compile(r"[0-9]{5}")
# Filters that look at no element, or at one.
_CHEAP: Final = frozenset({"length", "count", "first", "last", "default", "d", "attr"})
_SIZED: Final = frozenset(
    {"batch", "center", "indent", "round", "slice", "tojson", "truncate", "wordwrap"}
)
_OF_ELEMENTS: Final = frozenset(
    {"batch", "groupby", "join", "list", "map", "reverse", "slice", "sort", "unique"}
)
_READ_TWICE: Final = frozenset({"join", "sum"})
_WIDTHS: Final = frozenset({"center", "ljust", "rjust", "zfill"})
_SPLITS: Final = frozenset({"split", "rsplit", "splitlines"})
_NESTED: Final = (list, tuple, dict, set, frozenset, Namespace)


def walk(budget: Budget, value: Any) -> int:
    """Counts a value with all that is in it, as often as it is in it; the characters of it.

    What holds itself, or twice what holds twice what ..., has no end for whoever prints,
    compares or hashes it.

    Raises:
        LimitExceeded: it is too much, or nested too deep.
    """
    characters = 0
    left = [(value, 0)]
    while left:
        one, depth = left.pop()
        if isinstance(one, str):
            characters += len(one)
        elif isinstance(one, _NESTED):
            if depth > MAX_VALUE_DEPTH:
                raise LimitExceeded(f"a value is nested more than {MAX_VALUE_DEPTH} deep")
            inside = _inside(one)
            budget.spend(len(inside))
            left.extend((each, depth + 1) for each in inside)
    return characters


def _inside(value: Any) -> list[Any]:
    if isinstance(value, Namespace):
        value = object.__getattribute__(value, "_Namespace__attrs")
    return [*value, *value.values()] if isinstance(value, dict) else list(value)


def hold(budget: Budget, value: Any) -> int:
    """Takes what the value is as text; its characters."""
    if type(value) is str:
        characters = len(value)
    else:
        characters = walk(budget, value) if isinstance(value, _NESTED) else 1
    budget.hold(characters)
    return characters


def hold_copy(budget: Budget, value: Any) -> None:
    """Takes what a copy of it would be."""
    if isinstance(value, str | bytes):
        budget.hold(len(value))
    elif isinstance(value, list | tuple):
        budget.hold(_POINTER_SIZE * len(value))


def made(budget: Budget, value: Any) -> Any:
    """Takes what was made, and gives it back."""
    if type(value) is str:
        budget.hold(getsizeof(value))
    elif isinstance(value, list | tuple | dict):
        budget.hold(_ELEMENT_SIZE * len(value))
    return value


def filtered(
    name: str, function: Callable[..., Any], budget_of: Callable[[], Budget]
) -> Callable[..., Any]:
    """A filter that takes what it will need first."""
    skipped = int(hasattr(function, "jinja_pass_arg"))

    @wraps(function)
    def run(*args: Any, **kwargs: Any) -> Any:
        budget = budget_of()
        if name not in _CHEAP and len(args) > skipped:
            before, value, more = args[:skipped], args[skipped], args[skipped + 1 :]
            if name in _READ_TWICE and not isinstance(value, str):
                value = list(value)
            _prepare(budget, name, value, (*more, *kwargs.values()))
            args = (*before, value, *more)
        return made(budget, function(*args, **kwargs))

    return run


def _prepare(budget: Budget, name: str, value: Any, more: tuple[Any, ...]) -> None:
    if type(value) is str and not more and name not in _OF_ELEMENTS:
        budget.hold(_WIDEST * len(value))  # nearly all are that
        return
    characters = walk(budget, value)
    asked = sum(walk(budget, one) for one in more)
    budget.hold(_WIDEST * characters + asked)
    length = len(value) if isinstance(value, str | list | tuple | dict) else 0
    if name in _SIZED:
        for one in more:
            if isinstance(one, int) and abs(one) > _LARGEST:
                raise LimitExceeded(f"{name} is asked for {one:,}")
        lines = value.count("\n") + 1 if isinstance(value, str) else 1
        budget.hold(lines * sum(one for one in more if type(one) is int))
    if name in _OF_ELEMENTS:
        budget.hold(_ELEMENT_SIZE * length)
    if name == "join":
        budget.hold(asked * length)
    elif name == "replace" and len(more) > 1:
        _hold_replaced(budget, str(value), str(more[0]), str(more[1]))
    elif name == "format":
        _hold_formatted(budget, str(value), more, asked)
    elif name == "sum" and any(isinstance(one, list | tuple) for one in (*value[:1], *more)):
        budget.hold(characters + length * length)  # each sum is a list of its own


def tested(function: Callable[..., Any], budget_of: Callable[[], Budget]) -> Callable[..., Any]:
    """A test that takes what it will need first."""

    @wraps(function)
    def run(*args: Any, **kwargs: Any) -> Any:
        if len(args) > 1 and not hasattr(function, "jinja_pass_arg"):
            compared(budget_of(), args[0], args[1])
        return function(*args, **kwargs)

    return run


def compared(budget: Budget, left: Any, right: Any) -> None:
    """Takes what a comparison, or a look for one in the other, will need."""
    if isinstance(left, _NESTED) and isinstance(right, _NESTED):
        walk(budget, left)
        walk(budget, right)
    elif isinstance(right, str | list | tuple):
        budget.spend(len(right) >> 6)


def operated(budget: Budget, operator: str, left: Any, right: Any) -> None:
    """Takes what `*`, `**`, `+` or `%` will need."""
    if operator == "%" and isinstance(left, str):
        values = tuple(right.values()) if isinstance(right, dict) else right
        _hold_formatted(budget, left, values if isinstance(values, tuple) else (values,),
                        walk(budget, right))  # fmt: skip
    elif operator == "+":
        hold_copy(budget, left)
        hold_copy(budget, right)
    elif isinstance(left, int) and isinstance(right, int):
        bits = left.bit_length()
        if operator == "*":
            bits += right.bit_length()
        elif operator == "**":
            bits *= right
        if bits > _LARGEST_BITS:
            raise LimitExceeded(f"a number of more than {_LARGEST_BITS:,} bits is made")
    elif operator == "*":
        for one, times in ((left, right), (right, left)):
            if isinstance(one, str | list | tuple) and isinstance(times, int):
                size = 1 if isinstance(one, str) else _ELEMENT_SIZE
                budget.hold(size * len(one) * max(times, 0))


def called(
    budget: Budget, function: Any, args: tuple[Any, ...], kwargs: Mapping[str, Any]
) -> tuple[Any, ...]:
    """Takes what a call will need; its arguments, where one of them had to be read."""
    if isinstance(function, Macro):
        return args
    for one in (*args, *kwargs.values()):
        walk(budget, one)
    text = getattr(function, "__self__", None)
    if not isinstance(text, str):
        return args
    name = function.__name__
    budget.hold(_WIDEST * len(text))
    if name in _WIDTHS or name == "expandtabs":
        times = text.count("\t") if name == "expandtabs" else 1
        widths = (one for one in (*args, *kwargs.values()) if isinstance(one, int))
        budget.hold(times * max(sum(widths), 0))
    elif name in _SPLITS:
        separator = args[0] if args and isinstance(args[0], str) else ""
        cuts = text.count(separator) if separator else len(text) // 2
        budget.hold(_ELEMENT_SIZE * cuts)
    elif name == "replace":
        _hold_replaced(budget, text, str(args[0]), str(args[1]))
    elif name == "join" and not isinstance(args[0], str):
        pieces = list(args[0])
        budget.hold(walk(budget, pieces) + len(text) * len(pieces))
        return (pieces,)
    elif name == "join":
        budget.hold((_ELEMENT_SIZE + len(text)) * len(args[0]))
    return args


def _hold_replaced(budget: Budget, text: str, old: str, new: str) -> None:
    times = text.count(old)
    budget.hold(len(text) + times * max(len(new) - len(old), 0))


def _hold_formatted(budget: Budget, text: str, values: tuple[Any, ...], characters: int) -> None:
    narrow(text)
    if "*" in text:
        for value in values:
            if isinstance(value, int):
                narrow(str(value))
    budget.hold(len(text) + text.count("%") * characters)


def narrow(format_: str) -> None:
    """Requires that no width and no precision of a format is more than four digits.

    Raises:
        LimitExceeded: one is.
    """
    if _DIGITS.search(format_):
        raise LimitExceeded("a format has a number of more than four digits")
