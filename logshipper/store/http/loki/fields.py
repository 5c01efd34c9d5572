"""Which fields some lines have, of what type and how many values, as Loki detects them."""

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from logshipper.store.query.logql import entries, lexer
from logshipper.store.query.logql.entries import Entry
from logshipper.store.query.logql.nodes import Parse, Stage

MAX_LINES: Final = 1_000
_NUMBER: Final = re.compile(r"-?\d+(\.\d+)?([eE][+-]?\d+)?", re.ASCII)
_PARSERS: Final[tuple[Parse, ...]] = (Parse("json"), Parse("logfmt"))


@dataclass(slots=True)
class Detected:
    """A field.

    Attributes:
        label: its name.
        values: those that were seen.
        parsers: what takes it out of a line; none for one that came beside it.
    """

    label: str
    values: set[str] = field(default_factory=set)
    parsers: set[str] = field(default_factory=set)

    def shown(self) -> dict[str, Any]:
        """It, as Loki's API gives it."""
        return {
            "label": self.label,
            "type": type_of(self.values),
            "cardinality": len(self.values),
            "parsers": sorted(self.parsers) or None,
        }


def detect(lines: Iterable[Entry]) -> dict[str, Detected]:
    """The fields of lines, by name."""
    found: dict[str, Detected] = {}
    for one in lines:
        for name, value in one.metadata.items():
            found.setdefault(name, Detected(name)).values.add(value)
        for parser in _PARSERS:
            stages: Sequence[Stage] = (parser,)
            probe = Entry(one.time_ns, one.line, one.stream, one.metadata)
            entries.passes(probe, stages)
            if "__error__" in probe.parsed:
                continue
            for name, value in probe.parsed.items():
                held = found.setdefault(name, Detected(name))
                held.values.add(value)
                held.parsers.add(parser.form)
            if probe.parsed:
                # An object of JSON is no line of pairs, whatever stands in its texts.
                break
    return dict(sorted(found.items()))


def type_of(values: Iterable[str]) -> str:
    """The type that all values have."""
    kinds = {_kind(value) for value in values}
    if kinds <= {"int", "float"}:
        return "float" if "float" in kinds else "int" if kinds else "string"
    return kinds.pop() if len(kinds) == 1 else "string"


def cardinalities(sets: Sequence[Mapping[str, str]]) -> list[dict[str, Any]]:
    """How many values each label has."""
    values: dict[str, set[str]] = {}
    for labels in sets:
        for name, value in labels.items():
            values.setdefault(name, set()).add(value)
    return [{"label": name, "cardinality": len(held)} for name, held in sorted(values.items())]


def _kind(value: str) -> str:
    if value in {"true", "false"}:
        return "boolean"
    if found := _NUMBER.fullmatch(value):
        return "float" if found[1] or found[2] else "int"
    for kind, read in (("duration", lexer.seconds), ("bytes", lexer.size)):
        try:
            read(value)
        except ValueError:
            continue
        return kind
    return "string"
