"""A line that was found as Loki gives it: a text, the labels of its stream, and others beside."""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from operator import eq, ge, gt, le, lt, ne
from typing import Any as Anything
from typing import Final, assert_never

import msgspec

from logshipper.store.lines import labels
from logshipper.store.lines.words import plain
from logshipper.store.model import STREAM_FIELDS, Found, Stream
from logshipper.store.query import linear
from logshipper.store.query.logql import lexer, logfmt, patterns
from logshipper.store.query.logql.nodes import (
    All,
    Any,
    Comparison,
    Condition,
    Decolorize,
    Labels,
    LineFilter,
    Matcher,
    Parse,
    Stage,
    Unwrap,
)
from logshipper.store.query.logql.translate import DETECTED, NO_SERVICE, SERVICE
from wharfinger import levels

_COMPARE: Final = {"==": eq, "!=": ne, ">": gt, ">=": ge, "<": lt, "<=": le}
_READ: Final[dict[str, Callable[[str], float]]] = {
    "number": float,
    "duration": lexer.seconds,
    "bytes": lexer.size,
}
_ERROR: Final = "__error__"

_decoder = msgspec.json.Decoder()


@dataclass(slots=True)
class Entry:
    """A line.

    Attributes:
        time_ns: when.
        line: its text.
        stream: the labels of its stream.
        metadata: those that came with the line: its level, its other fields.
        parsed: those that were found in its text.
        id: whatever its back end calls it.
        number: what was unwrapped.
    """

    time_ns: int
    line: str
    stream: dict[str, str]
    metadata: dict[str, str]
    parsed: dict[str, str] = field(default_factory=dict)
    id: str = ""
    number: float = 0.0

    def get(self, name: str) -> str:
        """The value of a label; empty if there is none."""
        for held in (self.parsed, self.metadata, self.stream):
            if name in held:
                return held[name]
        return self.metadata.get(DETECTED, "") if name == "level" else ""

    def all(self) -> dict[str, str]:
        """All labels."""
        return {**self.stream, **self.metadata, **self.parsed}


def stream_labels(stream: Stream) -> dict[str, str]:
    """The labels of a stream; empty ones are left out, as everywhere in Loki."""
    found = {name: value for name, value in zip(STREAM_FIELDS, stream, strict=True) if value}
    found[SERVICE] = stream.app or NO_SERVICE
    return found


def entry(found: Found) -> Entry:
    """A line that was found."""
    line = found.line
    other = labels.flat(_decoder.decode(line.extra)) if line.extra else {}
    for name in (*STREAM_FIELDS, SERVICE):
        if name in other:
            # Two labels of one name would be one; this is how Loki names the second.
            other[f"{name}_extracted"] = other.pop(name)
    other[DETECTED] = levels.NAMES[line.level] or "unknown"
    return Entry(line.time_ns, line.message, stream_labels(line.stream), other, id=found.id)


def passes(one: Entry, stages: Sequence[Stage]) -> bool:
    """Does to a line what is to be done, until a stage refuses it.

    Args:
        one: the line, changed on the way.
        stages: what is to be done.

    Raises:
        BadQuery: an expression is none.
    """
    return all(_passes(one, stage) for stage in stages)


def _passes(one: Entry, stage: Stage) -> bool:
    match stage:
        case LineFilter():
            return _line_fits(one.line, stage)
        case Matcher() | Comparison() | All() | Any():
            return _fits(one, stage)
        case Unwrap():
            return _unwrap(one, stage)
        case Parse():
            _parse(one, stage)
        case Labels():
            _leave(one, stage)
        case Decolorize():
            one.line = plain(one.line)
        case _:
            assert_never(stage)
    return True


def _unwrap(one: Entry, stage: Unwrap) -> bool:
    try:
        one.number = _READ[stage.unit](one.get(stage.name))
    except ValueError:
        return False
    # The number is no label any more: each value would be a series.
    for held in (one.parsed, one.metadata):
        held.pop(stage.name, None)
    return math.isfinite(one.number)


def _line_fits(line: str, stage: LineFilter) -> bool:
    if stage.op in {"|=", "!="}:
        found = any(value in line for value in stage.values)
    else:
        found = linear.compiled(patterns.choice(stage.values)).found(line)
    return found == (stage.op in {"|=", "|~"})


def _fits(one: Entry, condition: Condition) -> bool:
    match condition:
        case All(conditions):
            return all(_fits(one, each) for each in conditions)
        case Any(conditions):
            return any(_fits(one, each) for each in conditions)
        case Comparison():
            return _compares(one, condition)
        case Matcher(name, op, wanted):
            value = one.get(name)
            if op in {"=", "!="}:
                return (value == wanted) == (op == "=")
            known = patterns.plain(wanted)
            if known is not None:
                found = value in known[0] or value.startswith(known[1])
            else:
                found = linear.compiled(wanted, whole=True).found(value)
            return found == (op == "=~")
        case _:
            assert_never(condition)


def _compares(one: Entry, condition: Comparison) -> bool:
    text = one.get(condition.name)
    if not text:
        return False
    try:
        value = _READ[condition.unit](text)
    except ValueError:
        # Loki lets such a line pass, and marks it.
        one.parsed[_ERROR] = "LabelFilterErr"
        return True
    return bool(_COMPARE[condition.op](value, condition.value))


def _parse(one: Entry, stage: Parse) -> None:
    if stage.form == "logfmt":
        found = logfmt.parse(one.line)
    else:
        value = _json(one.line)
        if value is None:
            one.parsed[_ERROR] = "JSONParserErr"
            return
        found = labels.flat(value)
    for name, text in found.items():
        taken = name in one.stream or name in one.metadata
        one.parsed.setdefault(f"{name}_extracted" if taken else name, text)


def _json(line: str) -> dict[str, Anything] | None:
    try:
        value = _decoder.decode(line)
    except (msgspec.DecodeError, RecursionError):
        return None
    return value if isinstance(value, dict) else None


def _leave(one: Entry, stage: Labels) -> None:
    for held in (one.stream, one.metadata, one.parsed):
        for name in list(held):
            if (name in stage.names) != stage.keep:
                del held[name]
