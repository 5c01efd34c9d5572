"""What a value of wharf.yaml may be: how it is read, and how a JSON Schema says the same."""

import difflib
import re
from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final, Generic, TypeVar

from deploy.release.yamllines import Reading, Value

T = TypeVar("T")

Schema = Mapping[str, Any]


class Wrong(Exception):
    """A value is not what it may be.

    Attributes:
        problem: what is wrong, in a sentence without a full stop.
        fix: what to do about it.
    """

    def __init__(self, problem: str, fix: str) -> None:
        self.problem = problem
        self.fix = fix
        super().__init__(problem)


class Noted(Exception):
    """A value cannot be used, and why was noted already."""


@dataclass(frozen=True, slots=True)
class Kind(Generic[T]):
    """What a value may be.

    Attributes:
        read: gives what the value says, and notes what is wrong below it; raises `Wrong`, `Noted`.
        schema: the same in the words of JSON Schema, for editors.
    """

    read: Callable[[Value, Reading], T]
    schema: Schema = field(default_factory=dict)

    def with_schema(self, further: Schema) -> "Kind[T]":
        """The same, of which the schema says more."""
        return Kind(self.read, {**self.schema, **further})


@dataclass(frozen=True, slots=True)
class Field:
    """One key of a block.

    Attributes:
        name: of the model's attribute.
        kind: what its value may be.
        about: a sentence for editors.
        required: whether the block means nothing without it.
        fix: what to write where a required one is missing.
        stand_in: taken in place of a required one, so that the rest can be looked at, too.
    """

    name: str
    kind: Kind[Any]
    about: str
    required: bool = False
    fix: str = ""
    stand_in: object = None


def note(value: Value, reading: Reading, kind: Kind[T]) -> tuple[T] | None:
    """What a value says; None after its fault was noted."""
    try:
        return (kind.read(value, reading),)
    except Noted:
        return None
    except Wrong as wrong:
        reading.fault(value, wrong.problem, wrong.fix)
        return None


def nearest(word: str, words: Iterable[str]) -> str:
    """What to do about a word that is not known."""
    known = list(words)
    return spelled(word, known) or f"take it out; there are {', '.join(known)}"


def spelled(word: str, known: Collection[str]) -> str:
    """How to write what is nearly one of these; empty where it is near none."""
    close = difflib.get_close_matches(word, known, n=1)
    return f"write {close[0]}" if close else ""


def matching(
    pattern: str,
    what: str,
    fix: str,
    *,
    convert: Callable[[str], T],
) -> Kind[T]:
    """Text of a grammar.

    Args:
        pattern: all of it, in what Python's and ECMA's expressions have in common.
        what: it is called in a message (`a time`).
        fix: with an example.
        convert: what it says; may raise `Wrong`.
    """
    compiled = re.compile(pattern, re.ASCII)

    def read(value: Value, _reading: Reading) -> T:
        if not isinstance(value.scalar, str):
            raise Wrong(f"is {value.kind}, not {what}", fix)
        if not compiled.fullmatch(value.scalar):
            raise Wrong(f"{value.scalar[:80]!r} is not {what}", fix)
        return convert(value.scalar)

    return Kind(read, {"type": "string", "pattern": f"^(?:{pattern})$"})


def text(pattern: str, what: str, fix: str) -> Kind[str]:
    """Text of a grammar, as it is."""
    return matching(pattern, what, fix, convert=str)


def one_of(choices: Mapping[str, T]) -> Kind[T]:
    """One of some words."""

    def read(value: Value, _reading: Reading) -> T:
        if not isinstance(value.scalar, str) or value.scalar not in choices:
            said = f"{value.scalar!r}" if isinstance(value.scalar, str) else value.kind
            fix = spelled(said, choices) or "write one of these"
            raise Wrong(f"is {said}, not {' or '.join(choices)}", fix)
        return choices[value.scalar]

    return Kind(read, {"enum": list(choices)})


def whole(least: int, most: int) -> Kind[int]:
    """A number without a fraction; a boolean is none, though Python thinks so."""

    def read(value: Value, _reading: Reading) -> int:
        if isinstance(value.scalar, bool) or not isinstance(value.scalar, int):
            raise Wrong(f"is {value.kind}, not a whole number", f"write {least} to {most}")
        _require_plain(value)
        if not least <= value.scalar <= most:
            raise Wrong(f"{value.scalar} is out of bounds", f"write {least} to {most}")
        return value.scalar

    return Kind(read, {"type": "integer", "minimum": least, "maximum": most})


def number(least: float, most: float) -> Kind[float]:
    """A number, with a fraction or without."""

    def read(value: Value, _reading: Reading) -> float:
        if isinstance(value.scalar, bool) or not isinstance(value.scalar, int | float):
            raise Wrong(f"is {value.kind}, not a number", f"write {least:g} to {most:g}")
        _require_plain(value)
        if not least <= value.scalar <= most:  # NaN is within no bounds
            raise Wrong(f"{value.scalar} is out of bounds", f"write {least:g} to {most:g}")
        return float(value.scalar)

    return Kind(read, {"type": "number", "minimum": least, "maximum": most})


def _flag(value: Value, _reading: Reading) -> bool:
    if not isinstance(value.scalar, bool):
        raise Wrong(f"is {value.kind}, not true or false", "write true or false")
    _require_plain(value)
    return value.scalar


def _require_plain(value: Value) -> None:
    """Whether every reader of YAML takes it for the same: 010 may be 8 or 10, `on` may be text."""
    if value.odd:
        problem = f"{value.odd[:80]!r} is not the same in all versions of YAML"
        raise Wrong(problem, "write a decimal number, true or false")


FLAG: Final = Kind(_flag, {"type": "boolean"})

_UNITS: Final = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0}
_DURATION: Final = r"[0-9]{1,6}(\.[0-9]{1,3})?(ms|s|m|h)"


def duration(least: float, most: float) -> Kind[float]:
    """A time with its unit, in seconds."""
    fix = "write it with its unit, such as 500ms, 2s or 1m"

    def seconds(written: str) -> float:
        digits = written.rstrip("msh")
        found = float(digits) * _UNITS[written[len(digits) :]]
        if not least <= found <= most:
            raise Wrong(f"{written} is out of bounds", f"write {least:g}s to {most:g}s")
        return found

    return matching(_DURATION, "a time", fix, convert=seconds)


def items(kind: Kind[T]) -> Kind[tuple[T, ...]]:
    """A list, nothing of it twice."""

    def read(value: Value, reading: Reading) -> tuple[T, ...]:
        if value.items is None:
            raise Wrong(f"is {value.kind}, not a list", "write it in [brackets]")
        found: list[T] = []
        for each in value.items:
            taken = note(each, reading, kind)
            if taken and taken[0] in found:
                reading.fault(each, f"{each.scalar!r} is there twice", "keep one")
            elif taken:
                found.append(taken[0])
        return tuple(found)

    return Kind(read, {"type": "array", "items": kind.schema, "uniqueItems": True})


def named(key: str, what: str, kind: Kind[T]) -> Kind[dict[str, T]]:
    """A mapping whose keys the author chooses.

    Args:
        key: the grammar of one.
        what: such a key is called in a message (`a variable's name`).
        kind: of each value.
    """
    grammar = re.compile(key, re.ASCII)

    def read(value: Value, reading: Reading) -> dict[str, T]:
        if value.entries is None:
            raise Wrong(f"is {value.kind}, not a mapping", "write NAME: VALUE")
        found: dict[str, T] = {}
        for name, each in value.entries.items():
            if not grammar.fullmatch(name):
                reading.fault(each, f"{name[:80]!r} is not {what}", _renamed(name, grammar))
            if taken := note(each, reading, kind):
                found[name] = taken[0]
        return found

    names = {"pattern": f"^(?:{key})$"}
    return Kind(
        read, {"type": "object", "propertyNames": names, "additionalProperties": kind.schema}
    )


def _renamed(name: str, grammar: re.Pattern[str]) -> str:
    """What to do about a name that is none: nearly always one character is another's."""
    near = (re.sub(r"[^A-Za-z0-9]+", other, name) for other in "_-")
    fits = next((each for each in near if grammar.fullmatch(each)), "")
    return f"write it as {fits}" if fits else "begin with a letter; use letters and digits"


def block(make: Callable[..., T], fields: Mapping[str, Field]) -> Kind[T]:
    """A mapping with keys of ours, and no other.

    Args:
        make: gets what was said, by the names of the fields.
        fields: by key.
    """

    def read(value: Value, reading: Reading) -> T:
        return make(**_taken(value, reading, fields))

    schema: dict[str, Any] = {
        "type": "object",
        "properties": {
            key: {**one.kind.schema, "description": one.about} for key, one in fields.items()
        },
        "additionalProperties": False,
    }
    if needed := [key for key, one in fields.items() if one.required]:
        schema["required"] = needed
    return Kind(read, schema)


def _taken(value: Value, reading: Reading, fields: Mapping[str, Field]) -> dict[str, Any]:
    if value.entries is None:
        raise Wrong(f"is {value.kind}, not a mapping", f"write {', '.join(fields)} below it")
    taken: dict[str, Any] = {}
    for key, each in value.entries.items():
        if key not in fields:
            reading.fault(each, "is not known here", nearest(key, fields))
        elif found := note(each, reading, fields[key].kind):
            taken[fields[key].name] = found[0]
    for key, one in fields.items():
        if one.required and key not in value.entries:
            reading.fault(value, f"has no {key}", one.fix)
        if one.required and taken.setdefault(one.name, one.stand_in) is None:
            raise Noted
    return taken
