"""Reads fields, and checks values against the types of parameters."""

from typing import Final

from discovery.gotemplate.functions import Type
from discovery.gotemplate.state import Place
from discovery.gotemplate.values import INTERFACE, NIL, Struct, Value, type_of

_MISSING: Final = object()


def read_field(
    value: Value, name: str, place: Place, *, boxed: bool, called: bool = False
) -> Value:
    """The field of a struct, or the element of a map; nothing else has any.

    Args:
        value: whose.
        name: of the field.
        place: for errors.
        boxed: its static type is interface {}.
        called: it has arguments.

    Raises:
        TemplateExecutionError: there cannot be such a field.
    """
    match value:
        case dict():
            if called:
                raise place.error(f"{name} is not a method but has arguments")
            found = value.get(name, _MISSING)
            if found is _MISSING:
                return None
            return NIL if found is None else found
        case None:
            return None
        case Struct() if name in value.type.fields:
            if called:
                raise place.error(f"{name} has arguments but cannot be invoked as function")
            return value.values[value.type.fields.index(name)]
    if value is NIL:
        raise place.error(f"nil pointer evaluating {INTERFACE}.{name}")
    type_name = INTERFACE if boxed else type_of(value)
    raise place.error(f"can't evaluate field {name} in type {type_name}")


def validated(value: Value, wanted: Type, place: Place) -> Value:
    """The value as an argument of this type.

    Raises:
        TemplateExecutionError: it cannot be one.
    """
    if value is None:
        if wanted.takes_nil:
            return wanted.zero
        raise place.error(f"invalid value; expected {wanted.name}")
    if value is NIL and not wanted.reflected:
        if wanted.kind is None:
            return None
    elif wanted.kind is None or wanted.accepts(value):
        return value
    raise place.error(f"wrong type for value; expected {wanted.name}; got {type_of(value)}")
