"""Expressions of RE2: those that are plain texts in disguise, and the others for Python's `re`."""

import re
import warnings
from collections.abc import Sequence
from typing import Final

from logshipper.store.model import BadQuery

_LITERAL: Final = re.compile(r"(?:[^\\.+*?()\[\]{}|^$]|\\[^A-Za-z0-9])*")
_FLAGS: Final = re.compile(r"\(\?([ims]+)\)")


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


def anchored(pattern: str) -> str:
    """The expression for all of a value.

    Raises:
        BadQuery: it is none.
    """
    return _checked(rf"\A{_grouped(pattern)}\Z", pattern)


def searched(choices: Sequence[str]) -> str:
    """The expression that is found in a line where one of these is; empty where any line will do.

    Raises:
        BadQuery: one of them is none.
    """
    for choice in choices:
        _checked(choice, choice)
    return choices[0] if len(choices) == 1 else "|".join(map(_grouped, choices))


def _grouped(pattern: str) -> str:
    """The expression as a part of another: Python takes flags for a part in a group alone."""
    found = _FLAGS.match(pattern)
    return f"(?{found[1]}:{pattern[found.end() :]})" if found else f"(?:{pattern})"


def _checked(pattern: str, shown: str) -> str:
    try:
        with warnings.catch_warnings(action="ignore"):
            re.compile(pattern)
    except (re.error, OverflowError, RecursionError) as error:
        raise BadQuery(
            f"{shown[:80]!r} is no regular expression: {error}", "mend it, or use |= and ="
        ) from None
    return pattern
