"""YAML with the line of each value, and nothing in it that two readers could read differently."""

import re
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from typing import Final

import yaml

Scalar = str | int | float | bool | None
# One that is named once and meant again and again can be endless.
MOST_VALUES: Final = 100_000
# YAML 1.1 knows more: 010 is 8 there, 1:30 is 90, and yes is true (yaml.org/type/int.html).
_PLAIN: Final = {
    "tag:yaml.org,2002:int": re.compile(r"[-+]?(0|[1-9][0-9]*)", re.ASCII),
    "tag:yaml.org,2002:bool": re.compile(r"true|True|TRUE|false|False|FALSE"),
}


@dataclass(frozen=True, slots=True)
class Fault:
    """One thing that is wrong with a file.

    Attributes:
        file: its name, as the operator knows it.
        line: where, from 1.
        where: the key it is about (`services.registrar.image`); empty for the whole file.
        problem: what is wrong, in a sentence without a full stop.
        fix: what to do about it.
    """

    file: str
    line: int
    where: str
    problem: str
    fix: str

    def __str__(self) -> str:
        where = f"{self.where}: " if self.where else ""
        return f"{self.file}:{self.line}: {where}{self.problem}; {self.fix}"


@dataclass(frozen=True, slots=True)
class Value:
    """A value of a file and where it stands.

    Attributes:
        line: from 1.
        where: its keys from the top, with dots between.
        scalar: when it is one.
        entries: of a mapping, by key; None when it is none.
        items: of a list; None when it is none.
        odd: as it is written, where only YAML 1.1 reads a number or a boolean in it.
    """

    line: int
    where: str
    scalar: Scalar = None
    entries: dict[str, "Value"] | None = None
    items: tuple["Value", ...] | None = None
    odd: str = ""

    @property
    def kind(self) -> str:
        """What a person would call it."""
        if self.entries is not None:
            return "a mapping"
        if self.items is not None:
            return "a list"
        match self.scalar:
            case None:
                return "nothing"
            case bool():
                return "true or false"
            case str():
                return "text"
            case _:
                return "a number"

    def texts(self) -> Iterator["Value"]:
        """Every text in it, keys left out, in the order of the file."""
        if isinstance(self.scalar, str):
            yield self
        for each in (*(self.entries or {}).values(), *(self.items or ())):
            yield from each.texts()


@dataclass(slots=True)
class Reading:
    """A file as it was read.

    Attributes:
        file: its name.
        top: the mapping at the top; an empty one when there is none.
        faults: what is wrong so far.
        values: how many were read.
    """

    file: str
    top: Value
    faults: list[Fault] = field(default_factory=list)
    values: int = 0

    def fault(self, at: Value, problem: str, fix: str) -> None:
        """Notes what is wrong with a value."""
        self.faults.append(Fault(self.file, at.line, at.where, problem, fix))


def read(file: str, text: str) -> Reading:
    """Reads one document whose top is a mapping.

    Refused is what readers do not agree on or hide from a reviewer: a key that is there twice
    (the last wins in one reader, the first in another), keys that are no text, tags, merges.
    """
    reading = Reading(file, Value(1, "", entries={}))
    loader: yaml.SafeLoader | None = None
    try:
        loader = yaml.SafeLoader(text)
        node = loader.get_single_node()
        if isinstance(node, yaml.MappingNode):
            reading.top = _value(node, "", loader, reading)
        else:
            reading.fault(reading.top, "no mapping stands at its top", "write `KEY: VALUE` lines")
    except yaml.MarkedYAMLError as error:
        line = error.problem_mark.line + 1 if error.problem_mark else 1
        problem = error.problem or "cannot be read"
        reading.faults.append(Fault(file, line, "", f"no YAML: {problem}", "mend the line"))
    except yaml.YAMLError as error:
        reading.faults.append(Fault(file, 1, "", f"no YAML: {error}", "write it as short text"))
    except RecursionError:
        reading.fault(reading.top, "nested too deeply", "write what an engine reads")
    finally:
        if loader is not None:
            loader.dispose()
    return reading


def _value(node: yaml.Node, where: str, loader: yaml.SafeLoader, reading: Reading) -> Value:
    line = node.start_mark.line + 1
    reading.values += 1
    if reading.values > MOST_VALUES:
        raise yaml.YAMLError(f"it holds more than {MOST_VALUES} values")
    if isinstance(node, yaml.MappingNode):
        return Value(line, where, entries=_entries(node, where, loader, reading))
    if isinstance(node, yaml.SequenceNode):
        items = (
            _value(each, f"{where}[{index}]", loader, reading)
            for index, each in enumerate(node.value)
        )
        return Value(line, where, items=tuple(items))
    try:
        scalar = loader.construct_object(node)
    except (yaml.YAMLError, ValueError):
        scalar = object()
    at = Value(line, where, scalar=str(node.value))
    if scalar is None or isinstance(scalar, str | int | float):
        text, plain = str(node.value), _PLAIN.get(node.tag)
        odd = text if plain and not plain.fullmatch(text) else ""
        return Value(line, where, scalar=scalar, odd=odd)
    reading.fault(at, f"{node.value!r:.80} is read as a date or by a tag", "put it in quotes")
    return at


def _entries(
    node: yaml.MappingNode, where: str, loader: yaml.SafeLoader, reading: Reading
) -> dict[str, Value]:
    entries: dict[str, Value] = {}
    for key_node, value_node in node.value:
        at = Value(key_node.start_mark.line + 1, where)
        if not (isinstance(key_node, yaml.ScalarNode) and key_node.tag.endswith(":str")):
            shown = getattr(key_node, "value", "")
            reading.fault(at, f"the key {shown!r:.80} is no text", "put it in quotes, write no <<")
            continue
        key = str(key_node.value)
        below = f"{where}.{key}" if where else key
        value = _value(value_node, below, loader, reading)
        # A mapping begins on the line after its key: the key is what one looks for.
        value = replace(value, line=at.line, where=below)
        if key in entries:
            reading.fault(value, f"is there twice, first in line {entries[key].line}", "keep one")
        entries[key] = value
    return entries
