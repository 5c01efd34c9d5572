"""Settings checked against the typed sections: every finding, with its key, origin and fix."""

import difflib
import math
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path, PurePath
from types import MappingProxyType
from typing import Any, Final, Literal, TypeVar, get_args, get_origin

import msgspec

from wharfinger import sources, tomlfile
from wharfinger.errors import Finding
from wharfinger.schema import SECTIONS, TAG, Field, Section, fields
from wharfinger.sources import Given, Node, Table
from wharfinger.text import shortened

DEFAULT_ORIGIN: Final = "default"

M = TypeVar("M", bound=Section)

_TYPE_NAMES: Final = {
    "str": "a string",
    "int": "an integer",
    "float": "a number",
    "bool": "true or false",
    "array": "an array",
    "object": "a table",
}


@dataclass(slots=True)
class Reading:
    """What one load has gathered so far: findings, and where each value came from."""

    findings: list[Finding] = field(default_factory=list)
    origins: dict[str, str] = field(default_factory=dict)


class _Refused(Exception):
    """The value cannot be used; its findings are told already, or are these."""

    def __init__(self, *findings: Finding) -> None:
        self.findings = findings


def checked(
    model: type[M],
    table: Table,
    reading: Reading,
    *,
    prefix: str = "",
    default: M | None = None,
    variants: Mapping[str, type[Section]] = MappingProxyType({}),
) -> M | None:
    """Makes the section out of what was given; None when anything was wrong with it.

    Args:
        model: the section.
        table: what was given for it.
        reading: takes the findings and the origins.
        prefix: the dotted key of the section, with its final dot.
        default: the section's own default where it is not what the model makes.
        variants: other kinds that the section might have been, by their `type`.
    """
    described = {f.name: f for f in fields(model)}
    for key, node in table.entries.items():
        if key not in described:
            reading.findings.append(_unknown(prefix, key, node, described, variants))
    values: dict[str, Any] = {}
    for name, entry in described.items():
        held = entry.default if default is None else getattr(default, name)
        try:
            if name in table.entries:
                values[name] = _value(entry, table.entries[name], f"{prefix}{name}", reading)
            else:
                values[name] = _default(entry, held, f"{prefix}{name}", reading)
        except _Refused as refusal:
            reading.findings.extend(refusal.findings)
    if values.keys() != described.keys():
        return None
    made = model(**values)
    for problem in made.problems():
        where = f"{prefix}{problem.where}"
        source = problem.source or reading.origins.get(where, "")
        reading.findings.append(Finding(where, problem.problem, problem.fix, source))
    return made


def _default(entry: Field, held: Any, key: str, reading: Reading) -> object:
    if entry.section is not None and held is not None:
        own = held if isinstance(held, Section) else None
        return _section(entry.section, Table(), key, reading, own)
    if held is msgspec.NODEFAULT:
        raise _Refused(Finding(key, "is missing", _fix(entry)))
    reading.origins[key] = DEFAULT_ORIGIN
    return held


def _value(entry: Field, node: Node, key: str, reading: Reading) -> object:
    node = _structured(entry, node)
    if entry.section is not None:
        if not isinstance(node, Table):
            raise _Refused(Finding(key, "is a table", f"write it [{key}]", sources.origin(node)))
        own = entry.default if isinstance(entry.default, Section) else None
        return _section(entry.section, node, key, reading, own)
    if entry.elements:
        return _elements(entry, node, key, reading)
    if isinstance(node, Table) and not entry.mapping:
        fix = _fix(entry)
        raise _Refused(Finding(key, "is a value, not a table", fix, node.origin))
    reading.origins[key] = sources.origin(node)
    value = _converted(entry, node, key)
    if problem := _problem(entry, value):
        raise _Refused(_finding(entry, key, problem, node))
    return value


def _section(
    model: type[Section], table: Table, key: str, reading: Reading, default: Section | None = None
) -> Section:
    made = checked(model, table, reading, prefix=f"{key}.", default=default)
    if made is None:
        raise _Refused
    return made


def _elements(entry: Field, node: Node, key: str, reading: Reading) -> tuple[Section, ...]:
    reading.origins[key] = sources.origin(node)
    empty = isinstance(node, Given) and node.value == []
    if not isinstance(node, tuple) and not empty:
        fix = f"write [[{key}]] in the file, or the whole array as JSON"
        raise _Refused(_finding(entry, key, "is an array of tables", node, fix))
    tables = node if isinstance(node, tuple) else ()
    made = [
        _element(entry, table, f"{key}[{number}].", reading) for number, table in enumerate(tables)
    ]
    whole = tuple(section for section in made if section is not None)
    if len(whole) < len(made):
        raise _Refused
    return whole


def _element(entry: Field, table: Table, prefix: str, reading: Reading) -> Section | None:
    variants = entry.variants
    if not variants:
        return checked(entry.elements[0], table, reading, prefix=prefix)
    given = table.entries.get(TAG)
    value = next(iter(variants)) if given is None else sources.plain(given)
    if not isinstance(value, str) or value not in variants:
        origin = sources.origin(given) if given is not None else ""
        problem = shortened(f"{_shown(value)} is none of {', '.join(variants)}")
        reading.findings.append(Finding(f"{prefix}{TAG}", problem, "", origin))
        return None
    return checked(variants[value], table, reading, prefix=prefix, variants=variants)


def _structured(entry: Field, node: Node) -> Node:
    """Reads arrays and tables out of a text; whatever is no such text stays as it is."""
    if not (isinstance(node, Given) and node.is_text and isinstance(node.value, str)):
        return node
    if not (entry.section or entry.sequence or entry.mapping):
        return node
    try:
        value = msgspec.json.decode(node.value)
    except (msgspec.DecodeError, UnicodeEncodeError, RecursionError):
        value = None
    if isinstance(value, dict):
        return sources.from_json(value, node)
    if isinstance(value, list):
        return sources.from_json({"": value}, node).entries[""]
    if entry.sequence and not entry.elements:
        parts = [part.strip() for part in node.value.split(",") if part.strip()]
        return Given(parts, node.origin, node.folder, is_text=True)
    return node


def _converted(entry: Field, node: Node, key: str) -> object:
    given = sources.first(node) or Given(None, sources.origin(node), Path())
    value = sources.plain(node)
    if value == "" and entry.optional:
        # TOML has no null, and a unit file's Environment=X= means no value.
        return None
    try:
        if isinstance(value, str):
            value.encode()  # a surrogate: the environment held bytes that are not UTF-8
        hook = partial(_path, given.folder)
        return msgspec.convert(value, entry.kind, strict=not given.is_text, dec_hook=hook)
    except UnicodeEncodeError:
        raise _Refused(_finding(entry, key, "is not UTF-8", node)) from None
    except (msgspec.ValidationError, RecursionError) as error:
        problem, place = _in_words(entry, str(error), value)
        raise _Refused(_finding(entry, f"{key}{place}", problem, node)) from None


def _path(folder: Path, kind: type[Any], value: object) -> object:
    """Paths are absolute: from the file's folder, or from the working directory of a flag."""
    if not issubclass(kind, PurePath):
        message = f"no setting can be a {kind.__name__}"
        raise NotImplementedError(message)
    if not isinstance(value, str):
        message = "Expected `str`"
        raise ValueError(message)  # noqa: TRY004 - msgspec turns only ValueError into its own
    if not value or "\0" in value:
        message = "is no path"
        raise ValueError(message)
    try:
        return folder / Path(value).expanduser()
    except RuntimeError:
        message = "~ stands for no folder here"
        raise ValueError(message) from None


def _in_words(entry: Field, message: str, value: object) -> tuple[str, str]:
    """Msgspec's message as a sentence about TOML, and the element it is about."""
    message, _, place = message.partition(" - at ")
    place = place.strip("`").removeprefix("$").replace("[...]", "")
    choices = [str(a) for t in entry.plain_types if get_origin(t) is Literal for a in get_args(t)]
    if message.startswith("Invalid enum value") and choices:
        return f"{_shown(value)} is none of {', '.join(choices)}", place
    message = re.sub(r" \| null|null \| ", "", message)
    message = re.sub(r"`([^`]+)`", lambda match: _type_names(match[1]), message)
    return message[:1].lower() + message[1:], place


def _type_names(names: str) -> str:
    return " or ".join(_TYPE_NAMES.get(name, name) for name in names.split(" | "))


def _problem(entry: Field, value: object) -> str:
    if isinstance(value, float) and not math.isfinite(value):
        return "must be a finite number"
    return entry.check(value) if entry.check is not None and value is not None else ""


def _finding(entry: Field, key: str, problem: str, node: Node, fix: str = "") -> Finding:
    if entry.secret:
        problem = "cannot be used"
    return Finding(key, shortened(problem), fix or _fix(entry), sources.origin(node))


def _fix(entry: Field) -> str:
    example = entry.shown if entry.shown and not entry.shown.startswith("(") else None
    if example is None and entry.default not in (None, msgspec.NODEFAULT):
        try:
            example = tomlfile.written(entry.default)
        except ValueError:
            example = None
    text = entry.description.rstrip(".")
    return f"{text}; for example {entry.name} = {shortened(example)}" if example else text


def _unknown(
    prefix: str,
    name: str,
    node: Node,
    described: Mapping[str, Field],
    variants: Mapping[str, type[Section]],
) -> Finding:
    where, origin = f"{prefix}{shortened(name)}", sources.origin(node)
    owners = [kind for kind, model in variants.items() if name in {f.name for f in fields(model)}]
    if owners:
        problem = f"is a key of type {', '.join(owners)}, not of {described[TAG].default}"
        return Finding(where, problem, f"known here: {', '.join(sorted(described))}", origin)
    known = [*described, *(SECTIONS if not prefix else ())]
    near = difflib.get_close_matches(name[:64], known, n=1)
    fix = f"did you mean {near[0]}?" if near else f"known here: {', '.join(sorted(described))}"
    return Finding(where, "is not a known key", fix, origin)


def _shown(value: object) -> str:
    return repr(value) if not isinstance(value, str) else repr(shortened(value, 80))
