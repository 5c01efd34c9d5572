"""TOML with the line of every key, for messages that people act on; and values written as TOML."""

import json
import re
import tomllib
from bisect import bisect_left
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import PurePath
from typing import Any, Final

Place = tuple[str | int, ...]

_BLANK: Final = re.compile(r"(?:[ \t\r\n]+|#[^\n]*)*")
_SPACE: Final = re.compile(r"[ \t]*")
_KEY: Final = re.compile(r"""[A-Za-z0-9_-]+|"(?:[^"\\\n]|\\.)*"|'[^'\n]*'""")
_STRING: Final = re.compile(
    r'''"""(?:[^\\]|\\.)*?"""(?:"{0,2})|\'{3}.*?\'{3}(?:\'{0,2})'''
    r"""|"(?:[^"\\\n]|\\.)*"|'[^'\n]*'""",
    re.DOTALL,
)
_SCALAR: Final = re.compile(r"[^,\]}#\n]*")


def parse(text: str) -> tuple[dict[str, Any], Mapping[Place, int]]:
    """Reads a TOML document: its table, and the line on which each key and element stands.

    Args:
        text: the document.

    Raises:
        ValueError: it is not TOML; the message names line and column.
    """
    try:
        return tomllib.loads(text), _Scan(text.replace("\r\n", "\n")).lines
    except RecursionError:
        message = "it is nested too deeply"
        raise ValueError(message) from None


@dataclass(frozen=True, slots=True)
class Layout:
    """Where things stand in a document, for who changes it in place.

    Attributes:
        values: begin and end of each value.
        headers: the line of each table that has a header of its own; those of an array by number.
        lines: of every key and element.
    """

    values: Mapping[Place, tuple[int, int]]
    headers: Mapping[Place, int]
    lines: Mapping[Place, int]


def layout(text: str) -> Layout:
    """Where things stand in a document.

    Args:
        text: a document that `parse` takes, with plain newlines.
    """
    scan = _Scan(text)
    return Layout(scan.values, scan.headers, scan.lines)


def written(value: object) -> str:
    """The value as it stands behind `key = ` (TOML 1.0.0).

    Raises:
        ValueError: TOML has no way to write it (None).
    """
    match value:
        case bool():
            return "true" if value else "false"
        case int() | float():
            return repr(value)
        case str() | PurePath():
            # JSON's escapes are those of TOML's basic strings; DEL must be escaped too.
            return json.dumps(str(value), ensure_ascii=False).replace("\x7f", "\\u007f")
        case list() | tuple():
            return f"[{', '.join(written(item) for item in value)}]"
        case dict():
            pairs = (f"{written(str(key))} = {written(item)}" for key, item in value.items())
            return f"{{ {', '.join(pairs)} }}" if value else "{}"
        case _:
            message = f"TOML cannot write {type(value).__name__}"
            raise ValueError(message)


class _Scan:
    """Walks a document that tomllib has accepted, so it may take the grammar for granted."""

    def __init__(self, text: str) -> None:
        self.lines: dict[Place, int] = {}
        self.values: dict[Place, tuple[int, int]] = {}
        self.headers: dict[Place, int] = {}
        self._text = text
        self._at = 0
        self._ends = [match.start() for match in re.finditer("\n", text)]
        self._elements: Counter[Place] = Counter()
        table: Place = ()
        self._skip(_BLANK)
        while self._at < len(text):
            if text.startswith("[", self._at):
                table = self._header()
            else:
                self._pair(table)
            self._skip(_BLANK)

    def _header(self) -> Place:
        line, array = self._line, self._text.startswith("[[", self._at)
        self._at += 2 if array else 1
        *above, last = self._keys()
        self._at += 2 if array else 1
        place: Place = ()
        for key in above:
            place = self._latest((*place, key))
        place = (*place, last)
        self.lines.setdefault(place, line)
        if array:
            self._elements[place] += 1
        place = self._latest(place)
        self.lines.setdefault(place, line)
        self.headers[place] = line
        return place

    def _latest(self, place: Place) -> Place:
        # [a.b] below [[a]] speaks of the array's latest element.
        return (*place, self._elements[place] - 1) if place in self._elements else place

    def _pair(self, table: Place) -> None:
        line = self._line
        place = table
        for key in self._keys():
            place = (*place, key)
            self.lines.setdefault(place, line)
        self._at += 1
        self._value(place)

    def _value(self, place: Place) -> None:
        self._skip(_SPACE)
        begin = self._at
        match self._text[begin : begin + 1]:
            case '"' | "'":
                self._skip(_STRING)
            case "[":
                self._items("]", place)
            case "{":
                self._items("}", place)
            case _:
                self._skip(_SCALAR)
        self.values[place] = (begin, begin + len(self._text[begin : self._at].rstrip()))

    def _items(self, end: str, place: Place) -> None:
        self._at += 1
        number = 0
        self._skip(_BLANK)
        while not self._text.startswith(end, self._at):
            if end == "}":
                self._pair(place)
            else:
                self.lines[(*place, number)] = self._line
                self._value((*place, number))
            number += 1
            self._skip(_BLANK)
            if self._text.startswith(",", self._at):
                self._at += 1
                self._skip(_BLANK)
        self._at += 1

    def _keys(self) -> list[str]:
        keys = []
        while True:
            self._skip(_SPACE)
            key = self._skip(_KEY)
            keys.append(tomllib.loads(f"key = {key}")["key"] if key[0] in "\"'" else key)
            self._skip(_SPACE)
            if not self._text.startswith(".", self._at):
                return keys
            self._at += 1

    def _skip(self, pattern: re.Pattern[str]) -> str:
        match = pattern.match(self._text, self._at)
        # No progress would loop for ever; parse() has let tomllib vouch that it cannot happen.
        assert match is not None, self._at  # noqa: S101
        self._at = match.end()
        return match[0]

    @property
    def _line(self) -> int:
        return bisect_left(self._ends, self._at) + 1
