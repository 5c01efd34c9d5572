"""Expressions of RE2: those that are plain texts in disguise, and one in place of several."""

import re
from collections.abc import Sequence
from typing import Final

from logshipper.store.query import linear

_LITERAL: Final = re.compile(r"(?:[^\\.+*?()\[\]{}|^$]|\\[^A-Za-z0-9])*")


def plain(pattern: str) -> tuple[tuple[str, ...], tuple[str, ...]] | None:
    """The values and the beginnings of values that an expression fits in whole; None if more.

    So `a|b` needs no expression to be run, nor does `shop.*`.
    """
    values: list[str] = []
    prefixes: list[str] = []
    inside = pattern[1:-1] if re.fullmatch(r"\([^()\\]*\)", pattern) else pattern
    for choice in inside.split("|"):
        found = _LITERAL.match(choice)
        literal = found[0] if found else ""
        text = re.sub(r"\\(.)", r"\1", literal, flags=re.DOTALL)
        match choice[len(literal) :]:
            case "":
                values.append(text)
            case ".*":
                prefixes.append(text)
            case _:
                return None
    return tuple(values), tuple(prefixes)


def choice(patterns: Sequence[str]) -> str:
    """The expression that is found where one of these is.

    Raises:
        BadQuery: one of them is none.
    """
    for pattern in patterns:
        linear.compiled(pattern)
    return patterns[0] if len(patterns) == 1 else "|".join(f"(?:{one})" for one in patterns)
