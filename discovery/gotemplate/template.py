"""A template: parsed and compiled once, executed as often as wanted, by any thread."""

from collections.abc import Callable
from typing import Final, Self

from discovery.gotemplate import nodes
from discovery.gotemplate.builtin import BUILTINS
from discovery.gotemplate.errors import (
    LimitExceeded,
    TemplateExecutionError,
    TemplateSyntaxError,
)
from discovery.gotemplate.expressions import Expressions
from discovery.gotemplate.functions import FunctionMap
from discovery.gotemplate.limits import Budget, Limits
from discovery.gotemplate.parser import parse
from discovery.gotemplate.state import Origin, State
from discovery.gotemplate.statements import Run, Statements
from discovery.gotemplate.text import canonical
from discovery.gotemplate.values import converted

DELIMITERS: Final = ("{{", "}}")
LIMITS: Final = Limits()
MAX_TEXT_CHARACTERS: Final = 2**20


class Template:
    """A compiled template.

    Args:
        name: for errors.
        main: its own statements.
    """

    def __init__(self, name: str, main: Run) -> None:
        self._name = name
        self._main = main

    @classmethod
    def parse(
        cls,
        name: str,
        text: str,
        functions: FunctionMap,
        *,
        delimiters: tuple[str, str] = DELIMITERS,
    ) -> Self:
        """Compiles a text.

        Args:
            name: of the template; Go's errors begin with it.
            text: bytes that are no UTF-8 stand as surrogates (PEP 383).
            functions: that it may call beside Go's own.
            delimiters: left and right; an empty one is the usual one.

        Raises:
            TemplateSyntaxError: with the line.
        """
        if len(text) > MAX_TEXT_CHARACTERS:
            raise TemplateSyntaxError(
                f"template: {name}:1: has more than {MAX_TEXT_CHARACTERS:,} characters"
            )
        text = canonical(text)
        left, right = delimiters[0] or DELIMITERS[0], delimiters[1] or DELIMITERS[1]
        known = {**BUILTINS, **functions}
        trees = parse(name, text, known, (left, right))
        try:
            return cls(name, _compiled(name, text, known, trees))
        except RecursionError:
            why = f"template: {name}:1: max expression depth exceeded"
            raise TemplateSyntaxError(why) from None

    def render(
        self,
        data: object = None,
        *,
        limits: Limits = LIMITS,
        clock: Callable[[], float] | None = None,
    ) -> str:
        """Executes it.

        Args:
            data: dot; what JSON can be.
            limits: what it may take.
            clock: monotonic seconds, to hold it to the limit in time.

        Raises:
            TemplateExecutionError: with the line.
        """
        try:
            dot = converted(data)
        except TypeError as error:
            raise TemplateExecutionError(f"template: {self._name}: {error}") from None
        state = State(dot, Budget(limits, clock))
        try:
            self._main(state, dot)
        except LimitExceeded as error:
            raise TemplateExecutionError(f"template: {self._name}:1: {error}") from None
        except RecursionError:
            why = f"template: {self._name}:1: exceeded maximum template depth"
            raise TemplateExecutionError(why) from None
        return canonical(state.text)


def _compiled(name: str, text: str, functions: FunctionMap, trees: dict[str, nodes.Body]) -> Run:
    templates: dict[str, Run] = {}
    for template, tree in trees.items():
        expressions = Expressions(Origin(name, text, template), functions)
        templates[template] = Statements(expressions, templates).body(tree)
    return templates[name]
