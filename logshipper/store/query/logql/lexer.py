"""Splits a query in LogQL into its words, signs, texts, numbers and lengths of time."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final, Literal, cast

from logshipper.store.lines import gotext
from logshipper.store.model import BadQuery

MAX_CHARACTERS: Final = 16 * 1024
Kind = Literal["word", "sign", "text", "number", "duration", "bytes", "end"]

# Prometheus' time units, in seconds.
_SECONDS: Final = {
    "ns": 1e-9, "us": 1e-6, "µs": 1e-6, "μs": 1e-6, "ms": 1e-3, "s": 1.0, "m": 60.0,
    "h": 3600.0, "d": 86_400.0, "w": 604_800.0, "y": 31_536_000.0,
}  # fmt: skip
_BYTES: Final = {
    "b": 1, "kb": 10**3, "mb": 10**6, "gb": 10**9, "tb": 10**12, "pb": 10**15,
    "kib": 2**10, "mib": 2**20, "gib": 2**30, "tib": 2**40, "pib": 2**50,
}  # fmt: skip
_PART: Final = r"\d+(?:\.\d+)?(?:ns|us|µs|μs|ms|s|m|h|d|w|y)"
_DURATION: Final = re.compile(rf"(?:{_PART})+", re.ASCII)
_DURATION_PART: Final = re.compile(r"(\d+(?:\.\d+)?)(ns|us|µs|μs|ms|s|m|h|d|w|y)")
_MAX_DIGITS: Final = 300  # a float holds them still, and Python reads no integer beyond 4,300
_SIZE: Final = re.compile(r"(\d+(?:\.\d+)?) ?([kKMGTP]i?B|B)")
_TOKENS: Final = re.compile(
    rf"""
      (?P<blank>\s+|\#[^\n]*)
    | "(?P<quoted>(?:[^"\\\n]|\\.)*)"
    | `(?P<raw>[^`]*)`
    | (?P<bytes>\d+(?:\.\d+)?(?:[kKMGTP]i?B|B)\b)
    | (?P<duration>(?:{_PART})+(?![A-Za-z0-9_]))
    | (?P<number>\d+(?:\.\d+)?(?:[eE][+-]?\d+)?)
    | (?P<word>[A-Za-z_][A-Za-z0-9_:.]*)
    | (?P<sign>\|=|\|~|!=|!~|=~|==|>=|<=|\|>|!>|--|[{{}}()\[\],=|<>+\-*/%^])
    """,
    re.VERBOSE | re.DOTALL,
)


@dataclass(frozen=True, slots=True)
class Token:
    """A piece of a query.

    Attributes:
        kind: what it is.
        text: it; of a text what stands between the quotes, its escapes undone.
        at: the number of its first character.
    """

    kind: Kind
    text: str
    at: int


def tokens(text: str) -> Iterator[Token]:
    """The pieces, and an `end`.

    Raises:
        BadQuery: something belongs to none.
    """
    if len(text) > MAX_CHARACTERS:
        raise BadQuery(f"the query is longer than {MAX_CHARACTERS} characters", "shorten it")
    at = 0
    while at < len(text):
        found = _TOKENS.match(text, at)
        if found is None:
            raise BadQuery(
                f"cannot read {text[at : at + 16]!r} at character {at + 1}",
                "close the quotes, or put the text into some",
            )
        kind = found.lastgroup
        if kind in {"quoted", "raw"}:
            yield Token("text", _text(found, at), at)
        elif kind != "blank":
            yield Token(cast("Kind", kind), found[0], at)  # the groups have the kinds' names
        at = found.end()
    yield Token("end", "", len(text))


def seconds(text: str) -> float:
    """The seconds of a duration such as `1h30m`.

    Raises:
        ValueError: it is none.
    """
    sign, text = (-1, text[1:]) if text.startswith("-") else (1, text)
    if not _DURATION.fullmatch(text):
        raise ValueError(f"{text[:32]!r} is no duration")
    return sign * sum(float(n) * _SECONDS[unit] for n, unit in _DURATION_PART.findall(text))


def nanoseconds(text: str) -> int:
    """The same in whole nanoseconds, to the last one.

    Raises:
        ValueError: it is none, or longer than anything lasts.
    """
    if not _DURATION.fullmatch(text) or len(text) > _MAX_DIGITS:
        raise ValueError(f"{text[:32]!r} is no duration")
    total = 0
    for number, unit in _DURATION_PART.findall(text):
        scale = round(_SECONDS[unit] * 1e9)
        total += int(number) * scale if number.isdigit() else round(float(number) * scale)
    return total


def size(text: str) -> float:
    """The bytes of a size such as `1.5KiB`.

    Raises:
        ValueError: it is none.
    """
    found = _SIZE.fullmatch(text.strip())
    if found is None:
        raise ValueError(f"{text[:32]!r} is no size")
    return float(found[1]) * _BYTES[found[2].lower()]


def _text(found: re.Match[str], at: int) -> str:
    if found["raw"] is not None:
        return found["raw"]
    try:
        return gotext.unescaped(found["quoted"])
    except ValueError as error:
        raise BadQuery(f"{error} at character {at + 1}", "write `...` instead") from None
