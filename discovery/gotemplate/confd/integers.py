"""add, sub, mul, div, mod, seq, atoi and parseBool: 64 bits that wrap, as Go's int does."""

import re
from typing import Final

from discovery.gotemplate.errors import FunctionError
from discovery.gotemplate.functions import INT, STRING, Function, FunctionMap
from discovery.gotemplate.limits import Budget
from discovery.gotemplate.literals import INT64
from discovery.gotemplate.text import quoted
from discovery.gotemplate.values import INTS, List, wrapped

_DECIMAL: Final = re.compile(r"[+-]?[0-9]+", re.ASCII)
_TRUE: Final = frozenset({"1", "t", "T", "TRUE", "true", "True"})
_FALSE: Final = frozenset({"0", "f", "F", "FALSE", "false", "False"})
_ELEMENT_SIZE: Final = 64
_LONGEST: Final = 20


def _divided(_budget: Budget, first: int, second: int) -> int:
    """Toward zero."""
    if not second:
        raise FunctionError("runtime error: integer divide by zero")
    quotient = abs(first) // abs(second)
    return wrapped(quotient if (first < 0) == (second < 0) else -quotient)


def _modulo(budget: Budget, first: int, second: int) -> int:
    """With the sign of the first."""
    return wrapped(first - second * _divided(budget, first, second))


def _sequence(budget: Budget, first: int, last: int) -> List:
    if first > last:
        return List(INTS, [], nil=True)
    budget.hold(_ELEMENT_SIZE * (last - first + 1))
    return List(INTS, list(range(first, last + 1)))


def _atoi(_budget: Budget, text: str) -> int:
    if not _DECIMAL.fullmatch(text):
        raise FunctionError(f"strconv.Atoi: parsing {quoted(text)}: invalid syntax")
    # Python refuses to read more than 4300 digits, be they all zeros.
    digits = text.lstrip("+-").lstrip("0")
    sign = -1 if text.startswith("-") else 1
    number = sign * int(digits or "0") if len(digits) < _LONGEST else INT64.stop
    if number not in INT64:
        raise FunctionError(f"strconv.Atoi: parsing {quoted(text)}: value out of range")
    return number


def _parse_bool(_budget: Budget, text: str) -> bool:
    if text in _TRUE:
        return True
    if text in _FALSE:
        return False
    raise FunctionError(f"strconv.ParseBool: parsing {quoted(text)}: invalid syntax")


_TWO: Final = (INT, INT)

INTEGERS: Final[FunctionMap] = {
    "add": Function(lambda _budget, first, second: wrapped(first + second), _TWO),
    "sub": Function(lambda _budget, first, second: wrapped(first - second), _TWO),
    "mul": Function(lambda _budget, first, second: wrapped(first * second), _TWO),
    "div": Function(_divided, _TWO),
    "mod": Function(_modulo, _TWO),
    "seq": Function(_sequence, _TWO),
    "atoi": Function(_atoi, (STRING,)),
    "parseBool": Function(_parse_bool, (STRING,)),
}
