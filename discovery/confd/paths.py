"""Paths as Go's package path handles them: Match, Clean, Base and Dir."""

import re
from functools import lru_cache
from typing import Final

from wharfinger.errors import Rejected

_SPECIAL: Final = re.compile(r"[*?\[\\]")


class BadPattern(Rejected):
    """A glob that is none."""


def clean(path: str) -> str:
    """The shortest name of the path; of no path a dot."""
    rooted = path.startswith("/")
    steps: list[str] = []
    for step in path.split("/"):
        if step == ".." and steps and steps[-1] != "..":
            steps.pop()
        elif step == ".." and rooted:
            continue
        elif step not in {"", "."}:
            steps.append(step)
    return ("/" if rooted else "") + "/".join(steps) or "."


def base(path: str) -> str:
    """The last step of the path."""
    if not path:
        return "."
    return path.rstrip("/").rpartition("/")[2] or "/"


def parent(path: str) -> str:
    """The path without its last step, clean."""
    return clean(path[: path.rfind("/") + 1])


def literal_start(pattern: str) -> str:
    """What everything that the glob matches begins with."""
    return _SPECIAL.split(pattern, maxsplit=1)[0]


@lru_cache(maxsize=1024)
def glob(pattern: str) -> re.Pattern[str]:
    """Go's path.Match as a regular expression.

    Raises:
        BadPattern: it is malformed.
    """
    # As Go, what stands between two stars matches where it first can, and is not tried again:
    # a hostile key must not make a pattern of many stars take its time.
    chunks: list[list[str]] = [[]]
    at = 0
    while at < len(pattern):
        match pattern[at]:
            case "*":
                chunks.append([])
            case "?":
                chunks[-1].append("[^/]")
            case "[":
                text, at = _character_class(pattern, at)
                chunks[-1].append(text)
            case "\\":
                at += 1
                if at == len(pattern):
                    raise _malformed(pattern)
                chunks[-1].append(re.escape(pattern[at]))
            case character:
                chunks[-1].append(re.escape(character))
        at += 1
    first, *others = map("".join, chunks)
    middle = "".join(f"(?>[^/]*?{chunk})" for chunk in others[:-1] if chunk)
    last = f"[^/]*{others[-1]}" if others else ""
    return re.compile(first + middle + last, re.DOTALL)


def _character_class(pattern: str, start: int) -> tuple[str, int]:
    """The class that begins at `start`, and where its closing bracket stands."""
    at = start + 1
    negated = pattern.startswith("^", at)
    at += negated
    ranges: list[str] = []
    while at < len(pattern) and (pattern[at] != "]" or not ranges):
        low, at = _class_character(pattern, at)
        high = low
        if pattern.startswith("-", at):
            high, at = _class_character(pattern, at + 1)
        if low <= high:
            ranges.append(f"{re.escape(low)}-{re.escape(high)}")
        else:
            ranges.append("")  # as in Go, a range that is upside down matches nothing
    if at >= len(pattern):
        raise _malformed(pattern)
    inside = "".join(ranges)
    if not inside:
        return ("." if negated else "(?!)"), at
    # Unlike `*`, a class of Go's may match a slash.
    return f"[{'^' if negated else ''}{inside}]", at


def _class_character(pattern: str, at: int) -> tuple[str, int]:
    if at >= len(pattern) or pattern[at] in "-]":
        raise _malformed(pattern)
    if pattern[at] == "\\":
        at += 1
        if at >= len(pattern):
            raise _malformed(pattern)
    return pattern[at], at + 1


def _malformed(pattern: str) -> BadPattern:
    return BadPattern(f"syntax error in pattern: {pattern}")
