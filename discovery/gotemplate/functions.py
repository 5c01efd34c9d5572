"""What a template may call: a name, the types of its parameters, and the Python behind it."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final, TypeAlias

from discovery.gotemplate.values import (
    INTERFACE,
    STRINGS,
    Kind,
    List,
    ListType,
    Value,
    kind_of,
    type_of,
)


@dataclass(frozen=True, slots=True)
class Type:
    """The type of a parameter.

    Attributes:
        name: Go's.
        kind: which literals it takes; None for any literal, LIST for none.
        lists: of a slice, the types of lists that can be assigned to it.
        reflected: reflect.Value, which takes a missing value, too.
    """

    name: str
    kind: Kind | None
    lists: tuple[ListType, ...] = ()
    reflected: bool = False

    def accepts(self, value: Value) -> bool:
        """Whether a value can be assigned to the parameter; it is not the missing one."""
        if self.kind is None:
            return True
        if self.kind is Kind.LIST:
            return type(value) is List and value.type in self.lists
        return kind_of(value) is self.kind and type_of(value) == self.name

    @property
    def zero(self) -> Value:
        """What nil becomes; only where `takes_nil`."""
        return List(self.lists[0], [], nil=True) if self.lists else None

    @property
    def takes_nil(self) -> bool:
        """Whether nil can be given."""
        return self.kind is None or self.kind is Kind.LIST


STRING: Final = Type("string", Kind.STRING)
INT: Final = Type("int", Kind.INT)
STRING_LIST: Final = Type("[]string", Kind.LIST, (STRINGS,))
ANYTHING: Final = Type(INTERFACE, None)
REFLECTED: Final = Type("reflect.Value", None, reflected=True)


@dataclass(frozen=True, slots=True)
class Function:
    """A function of a template.

    Attributes:
        call: gets the budget and the arguments, which have the parameters' types.
        parameters: of the arguments that must be there.
        variadic: of those that may follow.
        builtin: its arguments may be evaluated in a way of its own (and, or, call).
    """

    call: Callable[..., Value]
    parameters: tuple[Type, ...] = ()
    variadic: Type | None = None
    builtin: bool = False


FunctionMap: TypeAlias = Mapping[str, Function]
Method: TypeAlias = Mapping[type[Any], FunctionMap]
