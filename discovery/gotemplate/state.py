"""What changes while a template executes, and where it is."""

from dataclasses import dataclass
from typing import Final

from discovery.gotemplate import nodes
from discovery.gotemplate.errors import LimitExceeded, TemplateExecutionError
from discovery.gotemplate.limits import Budget
from discovery.gotemplate.text import encoded, quoted
from discovery.gotemplate.values import Value


class Signal:
    """What `break` and `continue` hand up to their range."""


BREAK: Final = Signal()
CONTINUE: Final = Signal()
_FEW_VARIABLES: Final = 32


class Cell:
    """A variable.

    Args:
        name: with its dollar.
        value: what it holds.
        boxed: it is an element of a list or a map of anything, whose type is interface {}.
    """

    __slots__ = ("boxed", "name", "value")

    def __init__(self, name: str, value: Value, *, boxed: bool = False) -> None:
        self.name = name
        self.value = value
        self.boxed = boxed


class State:
    """One execution.

    Attributes:
        budget: what it may still take.
        variables: a stack; names are looked up from its top, as Go does.
        boxed: dot is an element of a list or a map of anything.
        depth: of templates within templates.
    """

    __slots__ = ("_parts", "boxed", "budget", "depth", "variables")

    def __init__(self, data: Value, budget: Budget) -> None:
        self.budget = budget
        self.variables = [Cell("$", data)]
        self.boxed = False
        self.depth = 0
        self._parts: list[str] = []

    @property
    def text(self) -> str:
        """What was written."""
        return "".join(self._parts)

    def write(self, text: str) -> None:
        """Adds to the output.

        Raises:
            LimitExceeded: it is too much.
        """
        self.budget.write(len(text))
        self._parts.append(text)

    def cell(self, name: str) -> Cell | None:
        """The variable of this name that was set last.

        Raises:
            LimitExceeded: many look-ups among many variables are too much.
        """
        if len(self.variables) > _FEW_VARIABLES:
            self.budget.spend(len(self.variables) // 8)
        for cell in reversed(self.variables):
            if cell.name == name:
                return cell
        return None


@dataclass(frozen=True, slots=True)
class Origin:
    """The template that an expression is part of.

    Attributes:
        file: the name of the text.
        text: all of it.
        template: the name of the template inside of it.
    """

    file: str
    text: str
    template: str


@dataclass(frozen=True, slots=True)
class Place:
    """Where an error happens."""

    origin: Origin
    node: nodes.Node

    def error(self, why: object) -> TemplateExecutionError:
        """The error, as Go words it."""
        before = self.origin.text[: self.node.position]
        line = before.count("\n") + 1
        column = len(encoded(before[before.rfind("\n") + 1 :]))
        return TemplateExecutionError(
            f"template: {self.origin.file}:{line}:{column}: executing "
            f"{quoted(self.origin.template)} at <{self.node}>: {why}"
        )

    def limit(self, why: LimitExceeded) -> TemplateExecutionError:
        """The error of a limit; Go has none like it."""
        before = self.origin.text[: self.node.position]
        line = before.count("\n") + 1
        return TemplateExecutionError(
            f"template: {self.origin.file}:{line}: executing {quoted(self.origin.template)}: {why}"
        )
