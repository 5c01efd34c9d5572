"""Compiles a call: how many arguments, of which types, and what an error of it says."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Final, Protocol

from discovery.gotemplate import nodes
from discovery.gotemplate.errors import FunctionError, LimitExceeded
from discovery.gotemplate.fields import validated
from discovery.gotemplate.functions import REFLECTED, Function, Type
from discovery.gotemplate.limits import Budget
from discovery.gotemplate.state import Origin, Place, State
from discovery.gotemplate.text import encoded
from discovery.gotemplate.values import Value, truth, type_of


class Expression(Protocol):
    """A compiled expression: its value, given dot and the value that is piped into it."""

    def __call__(self, state: State, dot: Value, final: Value = None, /) -> Value:
        """The value."""


_SHORT_CIRCUIT: Final = {"and": False, "or": True}
_LONG: Final = 1024


@dataclass(frozen=True, slots=True)
class Calls:
    """Compiles calls.

    Attributes:
        origin: the template.
        argument: compiles an argument of a type.
        last_of: the node that is looked at last when another is evaluated.
    """

    origin: Origin
    argument: Callable[[Type, nodes.Operand], Expression]
    last_of: Callable[[nodes.Node], nodes.Node]

    def compile(
        self,
        function: Function,
        name: str,
        arguments: tuple[nodes.Operand, ...],
        start: nodes.Node,
        place: Place,
        *,
        piped: bool,
    ) -> Callable[..., Value]:
        """The call of a function or, with its receiver as a further argument, of a method.

        Args:
            function: what is called.
            name: its name in the template.
            arguments: what is written behind it.
            start: the node that is looked at before the arguments.
            place: where an error of the function itself is.
            piped: the value of the command before is the last argument.
        """
        wrong = _wrong_count(function, name, len(arguments), piped=piped)
        if wrong:
            return fails(Place(self.origin, start), wrong)
        types = _types(function, len(arguments) + piped)
        compiled = [self.argument(t, a) for t, a in zip(types, arguments, strict=False)]
        last = Place(self.origin, self.last_of(arguments[-1]) if arguments else start)
        if function.builtin and name in _SHORT_CIRCUIT:
            return _short_circuit(compiled, last, piped=piped, decides=_SHORT_CIRCUIT[name])
        if function.builtin and name == "call":
            callee = str(arguments[0]) if arguments else ""
            function = replace(function, call=_named_call(function.call, callee))
        final_type = types[-1] if piped else None
        return _call(function, name, compiled, (final_type, last), place)


def _call(
    function: Function,
    name: str,
    compiled: list[Expression],
    piped: tuple[Type | None, Place],
    place: Place,
) -> Callable[..., Value]:
    call = function.call
    final_type, last = piped

    def run(state: State, dot: Value, final: Value = None, *receiver: Value) -> Value:
        values = [value_of(state, dot, None) for value_of in compiled]
        if final_type is not None:
            values.append(validated(final, final_type, last))
        try:
            made = call(state.budget, *receiver, *values)
            if type(made) is str and len(made) > _LONG and not made.isascii():
                # Each of its characters may take four bytes.
                state.budget.hold(len(encoded(made)) - len(made))
        except LimitExceeded as error:
            raise place.limit(error) from None
        except FunctionError as error:
            raise place.error(f"error calling {name}: {error}") from None
        return made

    return run


def fails(place: Place, why: str) -> Expression:
    """An expression that fails when, and only when, it is evaluated."""

    def run(_state: State, _dot: Value, _final: Value = None, *_receiver: Value) -> Value:
        raise place.error(why)

    return run


def _wrong_count(function: Function, name: str, given: int, *, piped: bool) -> str:
    wanted, count = len(function.parameters), given + piped
    if function.variadic is not None:
        if count >= wanted:
            return ""
        return f"wrong number of args for {name}: want at least {wanted} got {given}"
    if count == wanted:
        return ""
    return f"wrong number of args for {name}: want {wanted} got {count}"


def _types(function: Function, count: int) -> list[Type]:
    types = list(function.parameters[:count])
    if function.variadic is not None:
        types += [function.variadic] * (count - len(types))
    return types


def _short_circuit(
    compiled: list[Expression], last: Place, *, piped: bool, decides: bool
) -> Expression:
    def run(state: State, dot: Value, final: Value = None, *_receiver: Value) -> Value:
        value: Value = None
        for value_of in compiled:
            value = value_of(state, dot, None)
            if truth(value) is decides:
                return value
        return validated(final, REFLECTED, last) if piped else value

    return run


def _named_call(call: Callable[..., Value], callee: str) -> Callable[..., Value]:
    def run(budget: Budget, function: Value, *arguments: Value) -> Value:
        try:
            return call(budget, function, *arguments)
        except FunctionError as error:
            value = function if type(function) is str else f"<{type_of(function)} Value>"
            raise FunctionError(str(error).replace("%s", callee or value, 1)) from None

    return run
