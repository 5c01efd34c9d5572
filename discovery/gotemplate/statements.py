"""Compiles the statements of a template into closures."""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import TypeAlias

from discovery.gotemplate import nodes
from discovery.gotemplate.errors import LimitExceeded
from discovery.gotemplate.expressions import Expressions
from discovery.gotemplate.limits import MAX_TEMPLATE_DEPTH
from discovery.gotemplate.sprint import printed, shown
from discovery.gotemplate.state import BREAK, CONTINUE, Cell, Place, Signal, State
from discovery.gotemplate.text import order, quoted
from discovery.gotemplate.values import (
    ANYTHINGS,
    NIL,
    Kind,
    List,
    Value,
    kind_of,
    truth,
)

Run: TypeAlias = Callable[[State, Value], Signal | None]


@dataclass(frozen=True, slots=True)
class Statements:
    """Compiles the bodies of one template.

    Attributes:
        expressions: compiles what stands in its actions.
        templates: all of the text, by name; filled while they are compiled.
    """

    expressions: Expressions
    templates: dict[str, Run]

    def body(self, body: nodes.Body) -> Run:
        """Statements, one after the other."""
        runs = tuple(map(self._statement, body.statements))
        steps = 1 + sum(map(_weight, body.statements))

        def run(state: State, dot: Value) -> Signal | None:
            state.budget.spend(steps)
            for statement in runs:
                signal = statement(state, dot)
                if signal is not None:
                    return signal
            return None

        return run

    def _statement(self, statement: nodes.Statement) -> Run:
        match statement:
            case nodes.Text():
                text = statement.text
                return lambda state, _dot: state.write(text)
            case nodes.Action():
                return self._action(statement)
            case nodes.Call():
                return self._call(statement)
            case nodes.Break() | nodes.Continue():
                signal = BREAK if isinstance(statement, nodes.Break) else CONTINUE
                return lambda _state, _dot: signal
        return self._control(statement)

    def _control(self, statement: nodes.If | nodes.With | nodes.Range) -> Run:
        match statement:
            case nodes.If():
                return self._if(statement)
            case nodes.With():
                return self._with(statement)
            case nodes.Range():
                return self._range(statement)

    def _action(self, action: nodes.Action) -> Run:
        value_of = self.expressions.pipeline(action.pipeline)
        place = Place(self.expressions.origin, action.pipeline)
        if action.pipeline.variables:

            def declare(state: State, dot: Value) -> None:
                value_of(state, dot)

            return declare

        def write(state: State, dot: Value) -> None:
            value = value_of(state, dot)
            try:
                state.write(value if type(value) is str else shown(state.budget, value))
            except LimitExceeded as error:
                raise place.limit(error) from None

        return write

    def _if(self, statement: nodes.If) -> Run:
        value_of = self.expressions.pipeline(statement.pipeline)
        body, otherwise = self.body(statement.body), self._else(statement)

        def run(state: State, dot: Value) -> Signal | None:
            mark = len(state.variables)
            value = value_of(state, dot)
            signal = body(state, dot) if truth(value) else otherwise(state, dot)
            del state.variables[mark:]
            return signal

        return run

    def _with(self, statement: nodes.With) -> Run:
        value_of = self.expressions.pipeline(statement.pipeline)
        body, otherwise = self.body(statement.body), self._else(statement)

        def run(state: State, dot: Value) -> Signal | None:
            mark, boxed = len(state.variables), state.boxed
            value = value_of(state, dot)
            if truth(value):
                state.boxed = False
                signal = body(state, value)
                state.boxed = boxed
            else:
                signal = otherwise(state, dot)
            del state.variables[mark:]
            return signal

        return run

    def _else(self, statement: nodes.If | nodes.With | nodes.Range) -> Run:
        if statement.otherwise is None:
            return lambda _state, _dot: None
        return self.body(statement.otherwise)

    def _range(self, statement: nodes.Range) -> Run:
        pipeline = statement.pipeline
        value_of = self.expressions.pipeline(pipeline)
        body, otherwise = self.body(statement.body), self._else(statement)
        place = self.expressions.last(pipeline)
        binds = _binding(pipeline)
        two = len(pipeline.variables) > 1

        def run(state: State, dot: Value) -> Signal | None:
            mark, boxed = len(state.variables), state.boxed
            value = value_of(state, dot)
            elements = _elements(state, value, place, two=two)
            signal = None
            if elements is None:
                signal = otherwise(state, dot)
                # As in Go, it is this range that a break in its `else` ends.
                signal = None if signal is BREAK else signal
            else:
                holds_anything = type(value) is dict or (
                    type(value) is List and value.type is ANYTHINGS
                )
                try:
                    _iterate(state, elements, body, binds, boxed=holds_anything)
                except LimitExceeded as error:
                    raise place.limit(error) from None
            state.boxed = boxed
            del state.variables[mark:]
            return signal

        return run

    def _call(self, call: nodes.Call) -> Run:
        value_of = self.expressions.pipeline(call.pipeline) if call.pipeline else None
        place = Place(self.expressions.origin, call)
        templates, name = self.templates, call.name

        def run(state: State, dot: Value) -> None:
            body = templates.get(name)
            if body is None:
                raise place.error(f"template {quoted(name)} not defined")
            if state.depth == MAX_TEMPLATE_DEPTH:
                raise place.error(f"exceeded maximum template depth ({MAX_TEMPLATE_DEPTH})")
            value = value_of(state, dot) if value_of else None
            # No dynamic scope: a template sees its own variables only.
            before = state.variables, state.boxed
            state.variables, state.boxed = [Cell("$", value)], False
            state.depth += 1
            try:
                body(state, value)
            except LimitExceeded as error:
                raise place.limit(error) from None
            except RecursionError:
                # Python's stack ends before Go's: what a template nests counts, too.
                raise place.error("exceeded maximum template depth") from None
            state.depth -= 1
            state.variables, state.boxed = before

        return run


def _weight(statement: nodes.Statement) -> int:
    """The steps that a statement takes, without what it encloses: one for each operand."""
    match statement:
        case nodes.Text() | nodes.Break() | nodes.Continue():
            return 1
        case nodes.Call():
            return 1 + (_operands(statement.pipeline) if statement.pipeline else 0)
    return 1 + _operands(statement.pipeline)


def _operands(operand: nodes.Operand) -> int:
    match operand:
        case nodes.Pipeline():
            return sum(_operands(one) for command in operand.commands for one in command.operands)
        case nodes.Chain():
            return len(operand.fields) + _operands(operand.operand)
        case nodes.Field():
            return len(operand.names)
        case nodes.Identifier():
            return 4  # a call costs more than a look
    return 1


_Bind: TypeAlias = Callable[[State, Value, Value, bool], None]


def _binding(pipeline: nodes.Pipeline) -> _Bind | None:
    """How a range sets its variables: those it declared are on the top of the stack."""
    names = [variable.name for variable in pipeline.variables]
    if not names:
        return None
    count = len(names)

    def declared(state: State, index: Value, element: Value, boxed: bool) -> None:  # noqa: FBT001
        state.variables[-1].value, state.variables[-1].boxed = element, boxed
        if count > 1:
            state.variables[-2].value = index

    def assigned(state: State, index: Value, element: Value, boxed: bool) -> None:  # noqa: FBT001
        for name, value in zip(names, (index, element) if count > 1 else (element,), strict=True):
            cell = state.cell(name)
            if cell is not None:
                cell.value, cell.boxed = value, boxed and value is element

    return assigned if pipeline.assigns else declared


def _iterate(
    state: State,
    elements: Iterable[tuple[Value, Value]],
    body: Run,
    bind: _Bind | None,
    *,
    boxed: bool,
) -> None:
    base = len(state.variables)
    for index, value in elements:
        element = NIL if value is None else value
        if bind is not None:
            bind(state, index, element, boxed)
        state.boxed = boxed
        signal = body(state, element)
        del state.variables[base:]
        if signal is BREAK:
            return


def _elements(
    state: State, value: Value, place: Place, *, two: bool
) -> Iterator[tuple[Value, Value]] | None:
    """Indexes and elements; None where there are none.

    Raises:
        TemplateExecutionError: the value has no elements.
    """
    match value:
        case List():
            return iter(enumerate(value.items)) if value.items else None
        case dict():
            state.budget.spend(len(value))
            keys = sorted(value, key=order)
            return iter([(key, value[key]) for key in keys]) if keys else None
        case None:
            return None
    if kind_of(value) not in {Kind.INT, Kind.UINT}:
        raise place.error(f"range can't iterate over {_shown(state, value)}")
    if two:
        shown_value = _shown(state, value)
        raise place.error(f"can't use {shown_value} to iterate over more than one variable")
    return ((None, type(value)(number)) for number in range(value)) if value > 0 else None


def _shown(state: State, value: Value) -> str:
    try:
        return printed(state.budget, (value,))
    except LimitExceeded:
        return "a large value"
