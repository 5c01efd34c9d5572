"""Go's values as Python's: kinds, names of types, truth, and what data becomes.

str, bool, int, float, complex and dict (map[string]interface {}) stand for Go's; None is the
missing value, and in a list or a map the nil that JSON's null becomes.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum, auto
from typing import Any, Final, TypeAlias

from discovery.gotemplate.limits import MAX_VALUE_DEPTH
from discovery.gotemplate.text import canonical

# What a template handles; each function's and each node's job is to find out what it got.
Value: TypeAlias = Any
INTERFACE: Final = "interface {}"
_INT64_SIGN: Final = 2**63
_INT64_MASK: Final = 2**64 - 1


class Kind(Enum):
    """The kinds that operators tell apart."""

    BOOL = auto()
    INT = auto()
    UINT = auto()
    FLOAT = auto()
    COMPLEX = auto()
    STRING = auto()
    LIST = auto()
    MAP = auto()
    STRUCT = auto()


class Nil:
    """A nil inside of an interface: what a list or a map holds for JSON's null."""


NIL: Final = Nil()


class Uint8(int):
    """A byte of a string."""


class Uint16(int):
    """A number of a DNS record."""


class Named(int):
    """An integer whose type has names for some: a month, a weekday, a duration."""

    TYPE: str = ""

    def text(self) -> str:
        """Its name."""
        return str(int(self))


@dataclass(frozen=True, slots=True)
class ListType:
    """The type of a list.

    Attributes:
        name: Go's.
        element: Go's name of the type of its elements.
    """

    name: str
    element: str


STRINGS: Final = ListType("[]string", "string")
INTS: Final = ListType("[]int", "int")
ANYTHINGS: Final = ListType("[]interface {}", INTERFACE)


class List:
    """A slice.

    Args:
        type_: its type.
        items: its elements; a function that reorders them does so for all who hold them.
        nil: it is Go's nil, an empty list that says so.
    """

    __slots__ = ("items", "nil", "type")

    def __init__(self, type_: ListType, items: list[Value], *, nil: bool = False) -> None:
        self.type = type_
        self.items = items
        self.nil = nil


@dataclass(frozen=True, slots=True)
class StructType:
    """The type of a struct.

    Attributes:
        name: Go's.
        fields: their names.
        pointer: values are pointers to it.
    """

    name: str
    fields: tuple[str, ...]
    pointer: bool = False

    @property
    def target(self) -> "StructType":
        """What is pointed at."""
        return StructType(self.name, self.fields)


class Struct:
    """A struct with its fields' values; there is nothing else to be had from it."""

    __slots__ = ("type", "values")

    def __init__(self, type_: StructType, values: tuple[Value, ...]) -> None:
        self.type = type_
        self.values = values


class Opaque:
    """A value with methods alone; how it prints is its own business."""

    TYPE: str = ""

    def text(self) -> str:
        """How it prints."""
        raise NotImplementedError


_KINDS: Final[Mapping[type, Kind]] = {
    bool: Kind.BOOL, int: Kind.INT, float: Kind.FLOAT, complex: Kind.COMPLEX, str: Kind.STRING,
    Uint8: Kind.UINT, Uint16: Kind.UINT, List: Kind.LIST, dict: Kind.MAP, Struct: Kind.STRUCT,
}  # fmt: skip
_NAMES: Final[Mapping[type, str]] = {
    bool: "bool", int: "int", float: "float64", complex: "complex128", str: "string",
    Uint8: "uint8", Uint16: "uint16", dict: "map[string]interface {}", Nil: INTERFACE,
}  # fmt: skip


def kind_of(value: Value) -> Kind | None:
    """The kind of a value; None for no value."""
    kind = _KINDS.get(type(value))
    if kind is None:
        if isinstance(value, Named):
            return Kind.INT
        if isinstance(value, Opaque):
            return Kind.STRUCT
    return kind


def type_of(value: Value) -> str:
    """Go's name of the type of a value."""
    name = _NAMES.get(type(value))
    if name is not None:
        return name
    match value:
        case List():
            return value.type.name
        case Struct():
            return f"*{value.type.name}" if value.type.pointer else value.type.name
        case Named() | Opaque():
            return value.TYPE
    return "nil"


def truth(value: Value) -> bool:
    """Whether `if` takes the value for true: it is not empty, not zero, not nil."""
    kind = type(value)
    if kind is List:
        return bool(value.items)
    if kind is Nil:
        return False
    if kind is Struct or isinstance(value, Opaque):
        return True
    return bool(value)


def wrapped(number: int) -> int:
    """The number in 64 bits, as Go's arithmetic leaves it."""
    number &= _INT64_MASK
    return number - 2**64 if number >= _INT64_SIGN else number


def converted(data: object, depth: int = 0) -> Value:
    """What a template sees of Python's data.

    Raises:
        TypeError: it is nothing that JSON could have been, or nested too deep.
    """
    if depth > MAX_VALUE_DEPTH:
        raise TypeError("data is nested too deep")
    match data:
        case None | bool() | float():
            return data
        case int():
            return wrapped(int(data))
        case str():
            return canonical(str(data))
        case List() | Struct() | Opaque():
            return data
        case list() | tuple():
            return List(ANYTHINGS, [converted(one, depth + 1) for one in data])
        case Mapping():
            if not all(isinstance(key, str) for key in data):
                raise TypeError("a map's keys are strings")
            return {canonical(key): converted(one, depth + 1) for key, one in data.items()}
    raise TypeError(f"{type(data).__name__} is nothing that a template can use")
