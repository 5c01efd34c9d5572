"""The tree that a template is parsed into; nodes print as Go prints them in its errors."""

from dataclasses import dataclass, field
from typing import TypeAlias

from discovery.gotemplate.text import quoted


@dataclass(frozen=True, slots=True)
class Node:
    """A piece of the template.

    Attributes:
        position: of its first character in the text.
    """

    position: int


@dataclass(frozen=True, slots=True)
class Dot(Node):
    """`.`."""

    def __str__(self) -> str:
        return "."


@dataclass(frozen=True, slots=True)
class Nil(Node):
    """`nil`."""

    def __str__(self) -> str:
        return "nil"


@dataclass(frozen=True, slots=True)
class Bool(Node):
    """`true` or `false`."""

    value: bool

    def __str__(self) -> str:
        return "true" if self.value else "false"


@dataclass(frozen=True, slots=True)
class Number(Node):
    """A number or a character; it is of each of the kinds that it fits exactly.

    Attributes:
        text: as written.
        integer: as int64.
        unsigned: as uint64.
        floating: as float64.
        imaginary: as complex128.
    """

    text: str
    integer: int | None = None
    unsigned: int | None = None
    floating: float | None = None
    imaginary: complex | None = None

    def __str__(self) -> str:
        return self.text


@dataclass(frozen=True, slots=True)
class String(Node):
    """A string, with its quotes and without."""

    literal: str
    value: str

    def __str__(self) -> str:
        return self.literal


@dataclass(frozen=True, slots=True)
class Identifier(Node):
    """The name of a function."""

    name: str

    def __str__(self) -> str:
        return self.name


@dataclass(frozen=True, slots=True)
class Field(Node):
    """`.A.B`."""

    names: tuple[str, ...]

    def __str__(self) -> str:
        return "".join(f".{name}" for name in self.names)


@dataclass(frozen=True, slots=True)
class Variable(Node):
    """`$name`, perhaps with fields."""

    name: str
    fields: tuple[str, ...] = ()

    def __str__(self) -> str:
        return ".".join((self.name, *self.fields))


@dataclass(frozen=True, slots=True)
class Chain(Node):
    """Fields of a function's or a parenthesised pipeline's value."""

    operand: "Operand"
    fields: tuple[str, ...]

    def __str__(self) -> str:
        return ".".join((shown(self.operand), *self.fields))


@dataclass(frozen=True, slots=True)
class Command(Node):
    """An operand and its arguments."""

    operands: "tuple[Operand, ...]"

    def __str__(self) -> str:
        return " ".join(shown(operand) for operand in self.operands)


@dataclass(frozen=True, slots=True)
class Pipeline(Node):
    """Commands, each given the value of the one before.

    Attributes:
        commands: at least one.
        variables: that are declared or assigned.
        assigns: rather than declares.
    """

    commands: tuple[Command, ...]
    variables: tuple[Variable, ...] = ()
    assigns: bool = False

    def __str__(self) -> str:
        names = ", ".join(map(str, self.variables))
        sign = "=" if self.assigns else ":="
        declared = f"{names} {sign} " if names else ""
        return declared + " | ".join(map(str, self.commands))


Operand: TypeAlias = (
    Dot | Nil | Bool | Number | String | Identifier | Field | Variable | Chain | Pipeline
)


@dataclass(frozen=True, slots=True)
class Text(Node):
    """What is written as it is."""

    text: str


@dataclass(frozen=True, slots=True)
class Action(Node):
    """Writes the value of a pipeline, or sets variables to it."""

    pipeline: Pipeline


@dataclass(frozen=True, slots=True)
class Break(Node):
    """Leaves the innermost range."""


@dataclass(frozen=True, slots=True)
class Continue(Node):
    """Goes on with the next element of the innermost range."""


@dataclass(frozen=True, slots=True)
class Body(Node):
    """Statements, one after the other."""

    statements: "list[Statement]" = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class If(Node):
    """`if`."""

    pipeline: Pipeline
    body: Body
    otherwise: Body | None


@dataclass(frozen=True, slots=True)
class With(Node):
    """`with`."""

    pipeline: Pipeline
    body: Body
    otherwise: Body | None


@dataclass(frozen=True, slots=True)
class Range(Node):
    """`range`."""

    pipeline: Pipeline
    body: Body
    otherwise: Body | None


@dataclass(frozen=True, slots=True)
class Call(Node):
    """`template`, or what is left of a `block`.

    Attributes:
        name: of the template.
        pipeline: its dot.
        delimiters: for errors.
    """

    name: str
    pipeline: Pipeline | None
    delimiters: tuple[str, str]

    def __str__(self) -> str:
        given = f" {self.pipeline}" if self.pipeline else ""
        left, right = self.delimiters
        return f"{left}template {quoted(self.name)}{given}{right}"


@dataclass(frozen=True, slots=True)
class End(Node):
    """`end`, which is in no tree."""

    delimiters: tuple[str, str]

    def __str__(self) -> str:
        return f"{self.delimiters[0]}end{self.delimiters[1]}"


@dataclass(frozen=True, slots=True)
class Else(Node):
    """`else`, which is in no tree."""

    delimiters: tuple[str, str]

    def __str__(self) -> str:
        return f"{self.delimiters[0]}else{self.delimiters[1]}"


Statement: TypeAlias = Text | Action | Break | Continue | If | With | Range | Call


def shown(operand: Operand) -> str:
    """An operand as it stands among others."""
    return f"({operand})" if isinstance(operand, Pipeline) else str(operand)
