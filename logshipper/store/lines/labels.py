"""The other fields of a line as labels: flat, with names and values as Prometheus has them."""

import re
from collections.abc import Iterator, Mapping
from typing import Any, Final

import msgspec

_MAX_DEPTH: Final = 32
_FOREIGN: Final = re.compile(r"[^a-zA-Z0-9_]")

_encoder = msgspec.json.Encoder()


def flat(fields: Mapping[str, Any]) -> dict[str, str]:
    """The labels; an object's fields have its name before theirs, lists are left out.

    Of two that end up under one name the first stays.
    """
    found: dict[str, str] = {}
    for name, value in _leaves(fields, "", 0):
        found.setdefault(name, value)
    return found


def name_of(text: str) -> str:
    """A name with nothing but letters, digits and underscores, that begins with no digit."""
    name = _FOREIGN.sub("_", text)
    return f"_{name}" if name[:1].isdigit() else name


def _leaves(fields: Mapping[str, Any], before: str, depth: int) -> Iterator[tuple[str, str]]:
    for key, value in fields.items():
        name = f"{before}_{_FOREIGN.sub('_', key)}" if before else name_of(key)
        match value:
            case str():
                yield name, value
            case bool():
                yield name, "true" if value else "false"
            case int() | float():
                yield name, str(value)
            case dict() if depth < _MAX_DEPTH:
                yield from _leaves(value, name, depth + 1)
