"""JSON as Go's encoding/json reads it into an interface: numbers are float64, null is nil."""

import json
import math
import re
from typing import Final, NoReturn

from discovery.gotemplate.confd.jsonfault import fault
from discovery.gotemplate.errors import FunctionError
from discovery.gotemplate.limits import MAX_VALUE_DEPTH, Budget
from discovery.gotemplate.text import REPLACEMENT
from discovery.gotemplate.values import ANYTHINGS, List, Value

_SURROGATE: Final = re.compile("[\ud800-\udfff]")
_ELEMENT_SIZE: Final = 64


class _TooLarge(Exception):
    """A number that no float64 holds."""


def parsed(budget: Budget, text: str) -> Value:
    """The value.

    Raises:
        FunctionError: it is no JSON; the message is Go's.
        LimitExceeded: it is too much.
    """
    budget.hold(8 * len(text))
    try:
        value = json.loads(
            text, parse_int=_number, parse_float=_number, parse_constant=_no_constant
        )
    except _TooLarge as error:
        why = f"json: cannot unmarshal number {error} into Go value of type float64"
        raise FunctionError(fault(text) or why) from None
    except RecursionError:
        raise FunctionError("exceeded max depth") from None
    except ValueError:
        raise FunctionError(fault(text) or "invalid JSON") from None
    return _converted(budget, value, 0)


def _number(text: str) -> float:
    value = float(text)
    if math.isinf(value):
        raise _TooLarge(text)
    return value


def _no_constant(text: str) -> NoReturn:
    raise ValueError(text)


def _converted(budget: Budget, value: object, depth: int) -> Value:
    if depth > MAX_VALUE_DEPTH:
        raise FunctionError("exceeded max depth")
    match value:
        case str():
            return value if value.isascii() else _SURROGATE.sub(REPLACEMENT, value)
        case list():
            budget.hold(_ELEMENT_SIZE * len(value))
            return List(ANYTHINGS, [_converted(budget, one, depth + 1) for one in value])
        case dict():
            budget.hold(2 * _ELEMENT_SIZE * len(value))
            return {
                _converted(budget, key, depth): _converted(budget, one, depth + 1)
                for key, one in value.items()
            }
    return value
