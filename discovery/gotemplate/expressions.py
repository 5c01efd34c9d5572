"""Compiles operands, commands and pipelines into closures."""

from collections.abc import Callable
from dataclasses import dataclass
from itertools import pairwise
from typing import TypeAlias

from discovery.gotemplate import nodes
from discovery.gotemplate.calls import Calls, Expression, fails
from discovery.gotemplate.fields import read_field, validated
from discovery.gotemplate.functions import Function, FunctionMap, Type
from discovery.gotemplate.state import Cell, Origin, Place, State
from discovery.gotemplate.timeformat import MOMENT_METHODS, NAMED_METHODS, methods_of
from discovery.gotemplate.values import NIL, Kind, Value

_Receiver: TypeAlias = Callable[[State, Value], tuple[Value, bool]]


@dataclass(frozen=True, slots=True)
class Expressions:
    """Compiles what stands between the delimiters of one template.

    Attributes:
        origin: the template.
        functions: those that it may call.
    """

    origin: Origin
    functions: FunctionMap

    def pipeline(self, pipe: nodes.Pipeline) -> Expression:
        """The value of the pipeline; its variables are set as well."""
        first = self._command(pipe.commands[0], pipe, piped=False)
        rest = [
            self._command(command, last_of(before), piped=True)
            for before, command in pairwise(pipe.commands)
        ]

        def piped(state: State, dot: Value, _final: Value = None) -> Value:
            value = first(state, dot, None)
            for stage in rest:
                value = stage(state, dot, None if value is NIL else value)
            return None if value is NIL else value

        if pipe.variables:
            return self._setting(pipe, piped)
        word = pipe.commands[0].operands[0]
        may_be_nil = isinstance(word, nodes.Dot | nodes.Field | nodes.Variable | nodes.Chain) or (
            # They give back an argument as it is.
            isinstance(word, nodes.Identifier) and word.name in {"and", "or"}
        )
        return piped if rest or may_be_nil else first

    def last(self, pipe: nodes.Pipeline) -> Place:
        """Where an error with the pipeline's value is."""
        return Place(self.origin, last_of(pipe))

    def _setting(self, pipe: nodes.Pipeline, value_of: Expression) -> Expression:
        names = [variable.name for variable in pipe.variables]
        place = self.last(pipe)

        def declare(state: State, dot: Value, _final: Value = None) -> Value:
            value = value_of(state, dot, None)
            state.variables += [Cell(name, value) for name in names]
            return value

        def assign(state: State, dot: Value, _final: Value = None) -> Value:
            value = value_of(state, dot, None)
            for name in names:
                cell = state.cell(name)
                if cell is None:
                    raise place.error(f"undefined variable: {name}")
                cell.value, cell.boxed = value, False
            return value

        return assign if pipe.assigns else declare

    def _command(self, command: nodes.Command, before: nodes.Node, *, piped: bool) -> Expression:
        word, arguments = command.operands[0], command.operands[1:]
        if isinstance(word, nodes.Identifier):
            place = Place(self.origin, command)
            return self._function(word, arguments, place, piped=piped)
        called = self._called(word, arguments, piped=piped)
        if called is not None:
            return called
        place = Place(self.origin, before if isinstance(word, nodes.Pipeline) else word)
        if arguments or piped:
            return fails(place, f"can't give argument to non-function {word}")
        if isinstance(word, nodes.Nil):
            return fails(place, "nil is not a command")
        return self._plain(word)

    def _called(
        self, word: nodes.Operand, arguments: tuple[nodes.Operand, ...], *, piped: bool
    ) -> Expression | None:
        """A field, which may be a method that takes arguments; None for what has no fields."""
        match word:
            case nodes.Field():
                return self._chain(self._dot, word, word.names, arguments, word, piped=piped)
            case nodes.Chain():
                return self._chain_of(word, arguments, piped=piped)
            case nodes.Variable() if word.fields:
                receiver = self._variable_receiver(word)
                return self._chain(receiver, word, word.fields, arguments, word, piped=piped)
        return None

    def _plain(self, word: nodes.Operand) -> Expression:
        """An operand without arguments, whatever type is wanted."""
        place = Place(self.origin, word)
        value: Value = None
        match word:
            case nodes.Identifier():
                return self._function(word, (), place, piped=False)
            case nodes.Pipeline():
                return self.pipeline(word)
            case nodes.Number():
                return _constant(word, place)
            case nodes.Bool() | nodes.String():
                value = word.value
            case nodes.Dot():
                return lambda _state, dot, _final=None: dot
        if isinstance(word, nodes.Variable) and not word.fields:
            return self._variable(word)
        return self._called(word, (), piped=False) or (lambda _state, _dot, _final=None: value)

    def argument(self, wanted: Type, operand: nodes.Operand) -> Expression:
        """An argument, of the type that the function wants."""
        place = Place(self.origin, operand)
        match operand:
            case nodes.Nil():
                if not wanted.takes_nil:
                    return fails(place, f"cannot assign nil to {wanted.name}")
                return lambda _state, _dot, _final=None: wanted.zero
            case nodes.Bool() | nodes.Number() | nodes.String():
                return self._literal(wanted, operand, place)
        value_of = self._plain(operand)
        last = Place(self.origin, last_of(operand))

        def checked(state: State, dot: Value, _final: Value = None) -> Value:
            return validated(value_of(state, dot, None), wanted, last)

        return checked

    def _literal(
        self, wanted: Type, operand: nodes.Bool | nodes.Number | nodes.String, place: Place
    ) -> Expression:
        if wanted.kind is None:
            return self._plain(operand)
        value: Value = None
        match wanted.kind, operand:
            case (Kind.STRING, nodes.String()):
                value = operand.value
            case (Kind.INT, nodes.Number()) if operand.integer is not None:
                value = operand.integer
            case (Kind.STRING, _):
                return fails(place, f"expected string; found {operand}")
            case (Kind.INT, _):
                return fails(place, f"expected integer; found {operand}")
            case _:
                return fails(place, f"can't handle {operand} for arg of type {wanted.name}")
        return lambda _state, _dot, _final=None: value

    def _function(
        self,
        word: nodes.Identifier,
        arguments: tuple[nodes.Operand, ...],
        place: Place,
        *,
        piped: bool,
    ) -> Expression:
        calls = Calls(self.origin, self.argument, last_of)
        function = self.functions[word.name]
        return calls.compile(function, word.name, arguments, word, place, piped=piped)

    # Fields and methods.

    def _dot(self, state: State, dot: Value) -> tuple[Value, bool]:
        return dot, state.boxed

    def _variable(self, word: nodes.Variable) -> Expression:
        receiver = self._variable_receiver(word)

        def run(state: State, dot: Value, _final: Value = None) -> Value:
            return receiver(state, dot)[0]

        return run

    def _variable_receiver(self, word: nodes.Variable) -> _Receiver:
        name, place = word.name, Place(self.origin, word)

        def run(state: State, _dot: Value) -> tuple[Value, bool]:
            cell = state.cell(name)
            if cell is None:
                raise place.error(f"undefined variable: {name}")
            return cell.value, cell.boxed

        return run

    def _chain_of(
        self, chain: nodes.Chain, arguments: tuple[nodes.Operand, ...], *, piped: bool
    ) -> Expression:
        if isinstance(chain.operand, nodes.Nil):
            why = f"indirection through explicit nil in {chain}"
            return fails(Place(self.origin, chain), why)
        value_of = self._plain(chain.operand)

        def receiver(state: State, dot: Value) -> tuple[Value, bool]:
            return value_of(state, dot, None), False

        last = last_of(chain.operand)
        return self._chain(receiver, chain, chain.fields, arguments, last, piped=piped)

    def _chain(
        self,
        receiver: _Receiver,
        node: nodes.Node,
        names: tuple[str, ...],
        arguments: tuple[nodes.Operand, ...],
        last: nodes.Node,
        *,
        piped: bool,
    ) -> Expression:
        place = Place(self.origin, last)
        has_arguments = bool(arguments) or piped
        steps = [(name, self._method(name, (), node, last, piped=False)) for name in names[:-1]]
        final_name = names[-1]
        final_method = self._method(final_name, arguments, node, last, piped=piped)

        def run(state: State, dot: Value, final: Value = None) -> Value:
            value, boxed = receiver(state, dot)
            for name, method in steps:
                if method is not None and name in methods_of(value):
                    value, boxed = method(state, dot, None, value), False
                else:
                    before = value
                    value = read_field(value, name, place, boxed=boxed)
                    boxed = type(before) is dict
            if final_method is not None and final_name in methods_of(value):
                return final_method(state, dot, final, value)
            return read_field(value, final_name, place, boxed=boxed, called=has_arguments)

        return run

    def _method(
        self,
        name: str,
        arguments: tuple[nodes.Operand, ...],
        node: nodes.Node,
        last: nodes.Node,
        *,
        piped: bool,
    ) -> Callable[..., Value] | None:
        method: Function | None = MOMENT_METHODS.get(name) or NAMED_METHODS.get(name)
        if method is None:
            return None
        calls = Calls(self.origin, self.argument, last_of)
        place = Place(self.origin, node)
        return calls.compile(method, name, arguments, last, place, piped=piped)


def last_of(node: nodes.Node) -> nodes.Node:
    """The node that is looked at last when this one is evaluated: Go's errors name it."""
    while True:
        match node:
            case nodes.Pipeline():
                node = node.commands[-1]
            case nodes.Command():
                # Of fields, arguments are evaluated for the few that are methods.
                called = isinstance(node.operands[0], nodes.Identifier)
                node = node.operands[-1 if called else 0]
            case nodes.Chain():
                node = node.operand
            case _:
                return node


def _constant(number: nodes.Number, place: Place) -> Expression:
    value: Value = number.integer
    text = number.text
    if number.imaginary is not None:
        value = number.imaginary
    elif (
        number.floating is not None
        and text[0] != "'"
        and not (text[:2].lower() == "0x" and not set("pP") & set(text))
        and set(".eEpP") & set(text)
    ):
        value = number.floating
    elif number.integer is None:
        return fails(place, f"{text} overflows int")
    return lambda _state, _dot, _final=None: value
