"""eq, ne, lt, le, gt and ge, as text/template compares."""

from typing import Final

from discovery.gotemplate.errors import FunctionError
from discovery.gotemplate.limits import Budget
from discovery.gotemplate.sprint import printed, printed_as_string
from discovery.gotemplate.text import order
from discovery.gotemplate.values import NIL, Kind, List, Opaque, Struct, Value, kind_of, type_of

_BASIC: Final = frozenset({Kind.BOOL, Kind.INT, Kind.UINT, Kind.FLOAT, Kind.COMPLEX, Kind.STRING})
_INTEGERS: Final = frozenset({Kind.INT, Kind.UINT})
_BAD_TYPE: Final = "invalid type for comparison"


def equal(budget: Budget, first: Value, *others: Value) -> bool:
    """Whether any of the others equals the first.

    Raises:
        FunctionError: there is none, or they cannot be compared.
    """
    if not others:
        raise FunctionError("missing argument for comparison")
    return any(_equal(budget, first, other) for other in others)


def unequal(budget: Budget, first: Value, second: Value) -> bool:
    """Whether they differ.

    Raises:
        FunctionError: they cannot be compared.
    """
    return not _equal(budget, first, second)


def less(budget: Budget, first: Value, second: Value) -> bool:
    """Whether the first is less.

    Raises:
        FunctionError: they have no order.
    """
    kinds = _kind(first), _kind(second)
    if None in kinds:
        raise FunctionError(_BAD_TYPE)
    if kinds[0] is not kinds[1] and not _INTEGERS.issuperset(kinds):
        raise _incompatible(first, second)
    if kinds[0] in {Kind.BOOL, Kind.COMPLEX}:
        raise FunctionError(_BAD_TYPE)
    if kinds[0] is Kind.STRING:
        budget.spend((len(first) + len(second)) >> 6)
        return order(first) < order(second)
    return bool(first < second)


def less_or_equal(budget: Budget, first: Value, second: Value) -> bool:
    """Whether the first is less, or they are equal.

    Raises:
        FunctionError: they have no order.
    """
    return less(budget, first, second) or _equal(budget, first, second)


def greater(budget: Budget, first: Value, second: Value) -> bool:
    """Whether the first is greater; as in Go the inverse of less or equal, for NaN, too.

    Raises:
        FunctionError: they have no order.
    """
    return not less_or_equal(budget, first, second)


def greater_or_equal(budget: Budget, first: Value, second: Value) -> bool:
    """Whether the first is not less.

    Raises:
        FunctionError: they have no order.
    """
    return not less(budget, first, second)


def _kind(value: Value) -> Kind | None:
    kind = kind_of(value)
    return kind if kind in _BASIC else None


def _equal(budget: Budget, first: Value, second: Value) -> bool:
    kinds = _kind(first), _kind(second)
    if kinds[0] is not None and kinds[0] is kinds[1]:
        if kinds[0] is Kind.STRING:
            budget.spend(len(first) >> 10)
        return bool(first == second)
    if kinds[0] is not kinds[1]:
        if _INTEGERS.issuperset(kinds):
            return bool(first == second)
        if _is_there(first) and _is_there(second):
            raise _incompatible(first, second)
        return False
    return _equal_complex(budget, first, second)


def _equal_complex(budget: Budget, first: Value, second: Value) -> bool:
    """Of two that are both no basic values."""
    both = _is_there(first) and _is_there(second)
    if both and _reflected_kind(first) != _reflected_kind(second):
        raise FunctionError(
            f"non-comparable types {printed_as_string(budget, first)}: {type_of(first)}, "
            f"{type_of(second)}: {printed(budget, (second,))}"
        )
    if _is_nil(first) or _is_nil(second):
        return _is_nil(first) == _is_nil(second)
    if isinstance(second, List | dict):
        raise FunctionError(
            f"non-comparable type {printed_as_string(budget, second)}: {type_of(second)}"
        )
    if isinstance(first, Struct) and isinstance(second, Struct) and not first.type.pointer:
        return first.type is second.type and first.values == second.values
    return bool(first == second)


def _reflected_kind(value: Value) -> str:
    if isinstance(value, Struct | Opaque):
        return "ptr" if type_of(value).startswith("*") else "struct"
    return type(value).__name__


def _is_there(value: Value) -> bool:
    return value is not None and value is not NIL


def _is_nil(value: Value) -> bool:
    return not _is_there(value) or (isinstance(value, List) and value.nil)


def _incompatible(first: Value, second: Value) -> FunctionError:
    return FunctionError(
        f"incompatible types for comparison: {type_of(first)} and {type_of(second)}"
    )
