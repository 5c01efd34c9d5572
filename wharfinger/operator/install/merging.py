"""Settings written into a TOML file in place: every comment and every other key stays as it is."""

import re
import tomllib
from collections.abc import Mapping, Sequence
from copy import deepcopy
from typing import Any, Final

from wharfinger import tomlfile
from wharfinger.errors import Rejected
from wharfinger.tomlfile import Place, written

BYTE_ORDER_MARK: Final = "\ufeff"
_HEADER: Final = re.compile(r"\s*\[")


def merged(text: str, wanted: Mapping[Place, object]) -> str:
    """The document with these settings in it.

    A key that is there gets its new value where it stands. One that is not takes the place of its
    example in the comments of its table, else it stands below the table's header; a table that is
    not there takes the place of its example, else it comes last.

    Args:
        text: a TOML document.
        wanted: place to value; a number in a place is that of an element of an array of tables.

    Raises:
        Rejected: it is no TOML, or is written in a way that leaves no room for a key.
    """
    mark = BYTE_ORDER_MARK if text.startswith(BYTE_ORDER_MARK) else ""
    newline = "\r\n" if "\r\n" in text else "\n"
    plain = text.removeprefix(mark).replace("\r\n", "\n")
    for place, value in wanted.items():
        plain = _with(plain, place, value)
    return mark + plain.replace("\n", newline)


def _with(text: str, place: Place, value: object) -> str:
    document = _parsed(text)
    if _at(document, place) == _as_read(value):
        return text
    expected = deepcopy(document)
    try:
        _set(expected, place, value)
    except (TypeError, KeyError, IndexError, AttributeError):
        raise Rejected(f"{shown(place)} has no place in it: what is above it is no table") from None
    for way in (_in_place, _for_example, _below_header, _dotted, _table_for_example, _table_last):
        changed = way(text, place, value)
        # What a way gives must say what was wanted and nothing else: else it is the wrong way.
        if changed is not None and _reads(changed) == expected:
            return changed
    raise Rejected(
        f"{shown(place)} cannot be written into it as it is laid out: "
        f"write {shown(place)} = {written(value)} yourself"
    )


def _in_place(text: str, place: Place, value: object) -> str | None:
    span = tomlfile.layout(text).values.get(place)
    return None if span is None else text[: span[0]] + written(value) + text[span[1] :]


def _for_example(text: str, place: Place, value: object) -> str | None:
    lines = text.split("\n")
    begin, end = _extent(text, place[:-1])
    example = re.compile(rf"#\s?{re.escape(str(place[-1]))}\s*=")
    for number in range(begin, end):
        if begin and example.match(lines[number]):
            lines[number] = f"{place[-1]} = {written(value)}"
            return "\n".join(lines)
    return None


def _below_header(text: str, place: Place, value: object) -> str | None:
    begin, _ = _extent(text, place[:-1])
    if not begin:
        return None
    lines = text.split("\n")
    lines.insert(begin, f"{place[-1]} = {written(value)}")
    return "\n".join(lines)


def _dotted(text: str, place: Place, value: object) -> str | None:
    """Below `etcd.prefix = ...`, which allows no header of [etcd]."""
    beside = [
        line
        for other, line in tomlfile.layout(text).lines.items()
        if other[:-1] == place[:-1] and len(place) > 1
    ]
    if not beside or any(isinstance(step, int) for step in place):
        return None
    lines = text.split("\n")
    lines.insert(max(beside), f"{shown(place)} = {written(value)}")
    return "\n".join(lines)


def _table_for_example(text: str, place: Place, value: object) -> str | None:
    """Takes the mark off a header that stands in a comment."""
    lines = text.split("\n")
    header = re.compile(rf"#\s?{re.escape(_header(place[:-1]))}\s*$")
    for number, line in enumerate(lines):
        if header.match(line):
            lines[number] = _header(place[:-1])
            opened = "\n".join(lines)
            if _reads(opened) is None:
                return None
            return _for_example(opened, place, value) or _below_header(opened, place, value)
    return None


def _table_last(text: str, place: Place, value: object) -> str | None:
    ending = "" if not text or text.endswith("\n") else "\n"
    blank = "\n" if text.strip() else ""
    return f"{text}{ending}{blank}{_header(place[:-1])}\n{place[-1]} = {written(value)}\n"


def _extent(text: str, table: Place) -> tuple[int, int]:
    """The lines below the header of a table and before the next one, from 0; 0, 0 without one."""
    begin = tomlfile.layout(text).headers.get(table, 0)
    lines = text.split("\n")
    end = begin
    while begin and end < len(lines) and not _HEADER.match(lines[end].removeprefix("#")):
        end += 1
    return begin, end


def _header(table: Place) -> str:
    name = shown(tuple(step for step in table if isinstance(step, str)))
    return f"[[{name}]]" if table and isinstance(table[-1], int) else f"[{name}]"


def shown(place: Sequence[str | int]) -> str:
    """The dotted name of a place."""
    return ".".join(str(step) for step in place).replace(".0.", "[0].")


def _parsed(text: str) -> dict[str, Any]:
    try:
        return tomlfile.parse(text)[0]
    except ValueError as error:
        raise Rejected(f"is not TOML: {error}") from error


def _reads(text: str) -> dict[str, Any] | None:
    try:
        return tomllib.loads(text)
    except (ValueError, RecursionError):
        return None


def _at(document: Any, place: Place) -> Any:
    for step in place:
        try:
            document = document[step]
        except (KeyError, IndexError, TypeError):
            return None  # which no TOML holds
    return document


def _set(document: dict[str, Any], place: Place, value: object) -> None:
    *above, last = place
    at: Any = document
    for step, following in zip(above, place[1:], strict=True):
        if isinstance(step, int) and step == len(at):
            at.append({})
        elif isinstance(at, dict) and step not in at:
            at[step] = [] if isinstance(following, int) else {}
        at = at[step]
    at[last] = _as_read(value)


def _as_read(value: object) -> object:
    """A value as TOML gives it back."""
    return tomllib.loads(f"value = {written(value)}")["value"]
