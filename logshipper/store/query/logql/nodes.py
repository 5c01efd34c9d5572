"""What a query in LogQL is made of, as it was written."""

from dataclasses import dataclass
from typing import Literal

MatchOp = Literal["=", "!=", "=~", "!~"]
LineOp = Literal["|=", "!=", "|~", "!~"]
CompareOp = Literal["==", "!=", ">", ">=", "<", "<="]


@dataclass(frozen=True, slots=True)
class Matcher:
    """A label and what its value must be; an expression must fit all of it."""

    name: str
    op: MatchOp
    value: str


@dataclass(frozen=True, slots=True)
class Comparison:
    """A label whose value is compared as a number.

    Attributes:
        name: the label.
        op: how.
        value: with what; of a duration its seconds, of a size its bytes.
        unit: `number`, `duration` or `bytes`, as which the label's value is read.
    """

    name: str
    op: CompareOp
    value: float
    unit: Literal["number", "duration", "bytes"]


@dataclass(frozen=True, slots=True)
class All:
    """Conditions on labels that must all hold."""

    conditions: tuple["Condition", ...]


@dataclass(frozen=True, slots=True)
class Any:
    """Conditions on labels of which one must hold."""

    conditions: tuple["Condition", ...]


Condition = Matcher | Comparison | All | Any


@dataclass(frozen=True, slots=True)
class LineFilter:
    """Texts or expressions of which one must, or none may, be found in the line."""

    op: LineOp
    values: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Parse:
    """Takes labels out of the line: `json` or `logfmt`."""

    form: Literal["json", "logfmt"]


@dataclass(frozen=True, slots=True)
class Labels:
    """Takes labels away: those named, or all others."""

    names: tuple[str, ...]
    keep: bool


@dataclass(frozen=True, slots=True)
class Decolorize:
    """Takes the colours of terminals out of the line."""


@dataclass(frozen=True, slots=True)
class Unwrap:
    """Takes a label's value for the number of the line; a line without one is left out.

    Attributes:
        name: the label.
        unit: `number`, `duration` (its seconds) or `bytes`, as which the value is read.
    """

    name: str
    unit: Literal["number", "duration", "bytes"] = "number"


Stage = LineFilter | Matcher | Comparison | All | Any | Parse | Labels | Decolorize | Unwrap


@dataclass(frozen=True, slots=True)
class Log:
    """Lines: which streams, then what is done to each line, in order."""

    matchers: tuple[Matcher, ...]
    stages: tuple[Stage, ...] = ()


@dataclass(frozen=True, slots=True)
class Range:
    """A number for each stream from its lines within a time before each moment.

    Attributes:
        function: `count_over_time`, `rate`, `bytes_over_time`, `bytes_rate`; of numbers in the
            lines `sum_over_time`, `avg_over_time`, `min_over_time`, `max_over_time`,
            `quantile_over_time`.
        log: the lines.
        range_ns: the time.
        offset_ns: so much earlier than the moment.
        labels: those that make a series, if they are said.
        parameter: which quantile.
    """

    function: str
    log: Log
    range_ns: int
    offset_ns: int = 0
    labels: tuple[str, ...] | None = None
    parameter: float = 0


@dataclass(frozen=True, slots=True)
class Aggregate:
    """One number out of many, for each group.

    Attributes:
        function: `sum`, `min`, `max`, `avg`, `count`, `topk`, `bottomk`.
        of: the numbers.
        labels: those that make a group, or those that do not.
        without: whether it is the latter.
        parameter: how many `topk` and `bottomk` leave.
    """

    function: str
    of: "Metric"
    labels: tuple[str, ...] = ()
    without: bool = False
    parameter: int = 0


@dataclass(frozen=True, slots=True)
class Binary:
    """Arithmetic or a comparison, number by number."""

    op: str
    left: "Metric"
    right: "Metric"
    as_bool: bool = False


@dataclass(frozen=True, slots=True)
class Constant:
    """The same number at each moment; a scalar, or a vector with one element without labels."""

    value: float
    vector: bool = False


Metric = Range | Aggregate | Binary | Constant
Expression = Log | Metric
