"""Number and character constants as Go's strconv and text/template read them."""

import re
from typing import Final

from discovery.gotemplate.nodes import Number
from discovery.gotemplate.text import quoted, unescaped

_INTEGER: Final = re.compile(
    r"([+-]?)(?:0[xX]_?([0-9a-fA-F]+(?:_[0-9a-fA-F]+)*)|0[bB]_?([01]+(?:_[01]+)*)"
    r"|0[oO]?_?([0-7]+(?:_[0-7]+)*)|([1-9][0-9]*(?:_[0-9]+)*|0))"
)
_DIGITS: Final = r"[0-9]+(?:_[0-9]+)*"
_FLOAT: Final = re.compile(
    rf"[+-]?(?:{_DIGITS}(?:\.(?:{_DIGITS})?)?|\.{_DIGITS})(?:[eE][+-]?{_DIGITS})?"
)
_HEX_FLOAT: Final = re.compile(
    r"[+-]?0[xX]_?(?:[0-9a-fA-F]+(?:_[0-9a-fA-F]+)*(?:\.[0-9a-fA-F_]*)?|\.[0-9a-fA-F]+)"
    r"[pP][+-]?[0-9]+"
)
_BASES: Final = (16, 2, 8, 10)
INT64: Final = range(-(2**63), 2**63)
_UINT64: Final = range(2**64)


class BadLiteral(Exception):
    """It is none; the message is Go's."""


def number(position: int, text: str) -> Number:
    """Reads a number.

    Raises:
        BadLiteral: its syntax is invalid, or no 64 bits hold it.
    """
    if text.endswith("i"):
        floating = parse_float(text[:-1])
        if floating is not None:
            return Number(position, text, imaginary=complex(0, floating))
    integer = parse_integer(text)
    if integer is not None and (integer in INT64 or integer in _UINT64):
        signed = integer if integer in INT64 else None
        # -0 is unsigned, too.
        positive = integer >= 0 and (text[0] not in "+-" or integer == 0)
        unsigned = integer if positive else None
        if signed is None and unsigned is None:
            raise BadLiteral(f"integer overflow: {quoted(text)}")
        return Number(position, text, signed, unsigned, float(integer))
    floating = parse_float(text)
    if floating is None:
        raise BadLiteral(f"illegal number syntax: {quoted(text)}")
    if not any(character in ".eEpP" for character in text):
        raise BadLiteral(f"integer overflow: {quoted(text)}")
    whole = int(floating) if floating.is_integer() else None
    return Number(
        position,
        text,
        whole if whole is not None and whole in INT64 else None,
        whole if whole is not None and whole in _UINT64 else None,
        floating,
    )


def complex_number(position: int, text: str) -> Number:
    """Reads `1+2i`.

    Raises:
        BadLiteral: its syntax is invalid.
    """
    split = max(text.rfind("+"), text.rfind("-"))
    while split > 0 and text[split - 1] in "eEpP" and not text.lower().startswith("0x"):
        split = max(text.rfind("+", 0, split), text.rfind("-", 0, split))
    real, imaginary = parse_float(text[:split]), parse_float(text[split:-1])
    if real is None or imaginary is None:
        raise BadLiteral("syntax error scanning complex number")
    return Number(position, text, imaginary=complex(real, imaginary))


def character(position: int, text: str) -> Number:
    """Reads `'a'`.

    Raises:
        BadLiteral: its syntax is invalid.
    """
    inside = text[1:-1]
    if inside.startswith("\\"):
        found = unescaped(text, 1, quote="'")
        if found is None:
            raise BadLiteral("invalid syntax")
        value, end = found
    else:
        if not inside:
            raise BadLiteral("invalid syntax")
        value, end = inside[0], 2
    if text[end:] != "'":
        raise BadLiteral(f"malformed character constant: {text}")
    code = value if isinstance(value, int) else ord(value)
    return Number(position, text, code, code, float(code))


def parse_integer(text: str) -> int | None:
    """strconv.ParseInt with base 0, of any size; None when its syntax is invalid."""
    match = _INTEGER.fullmatch(text)
    if match is None:
        return None
    sign, *bases = match.groups()
    digits, base = next((d, b) for d, b in zip(bases, _BASES, strict=True) if d is not None)
    if len(digits) > 100:  # noqa: PLR2004 - far outside of 64 bits, and slow to read
        return 2**64
    return int(digits, base) * (-1 if sign == "-" else 1)


def parse_float(text: str) -> float | None:
    """strconv.ParseFloat; None when its syntax is invalid or it is too large."""
    if _HEX_FLOAT.fullmatch(text):
        try:
            return float.fromhex(text.replace("_", ""))
        except (OverflowError, ValueError):
            return None
    if not _FLOAT.fullmatch(text) or "_" in text:
        return None
    value = float(text)
    return None if value in {float("inf"), float("-inf")} else value
