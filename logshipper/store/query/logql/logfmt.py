"""Pairs in the text of a line: `level=info msg="up again" took=3ms`."""

import re
from typing import Final

from logshipper.store.lines.labels import name_of

_MAX_PAIRS: Final = 256
_PAIR: Final = re.compile(r'([^\s="]+)=(?:"((?:[^"\\]|\\.)*)"|([^\s"]*))(?=\s|$)', re.DOTALL)
_ESCAPED: Final = re.compile(r"\\(.)", re.DOTALL)
_NAMED: Final = {"n": "\n", "t": "\t", "r": "\r"}


def parse(line: str) -> dict[str, str]:
    """The pairs with a value; what is none is passed over, as Loki does unless it is strict."""
    found: dict[str, str] = {}
    for pair in _PAIR.finditer(line):
        name, quoted, bare = pair.groups()
        value = bare if quoted is None else _ESCAPED.sub(_character, quoted)
        if value and len(found) < _MAX_PAIRS:
            found.setdefault(name_of(name), value)
    return found


def _character(found: re.Match[str]) -> str:
    return _NAMED.get(found[1], found[1])
