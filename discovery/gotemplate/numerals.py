"""fmt's formats of integers and floats, without the padding."""

from typing import Final, Protocol

from discovery.gotemplate.floats import formatted
from discovery.gotemplate.text import quoted_rune, rune

_INTEGER_FORMATS: Final = {"v": "d", "d": "d", "b": "b", "o": "o", "O": "o", "x": "x", "X": "X"}
_PREFIXES: Final = {"b": "0b", "x": "0x", "X": "0X"}
_UINT64: Final = 2**64 - 1
_LEAST_UNICODE_DIGITS: Final = 4
_DEFAULT_PRECISION: Final = 6
_MAX_RUNE: Final = 0x10FFFF


class Flags(Protocol):
    """What these formats ask of the flags."""

    plus: bool
    minus: bool
    sharp: bool
    space: bool
    zero: bool
    width: int | None
    precision: int | None


def integer(value: int, verb: str, flags: Flags) -> str | None:
    """The integer by the verb; None when the verb is none for integers."""
    value = int(value)
    match verb:
        case "c":
            return rune(value)
        case "q":
            return quoted_rune(value, ascii_only=flags.plus)
        case "U":
            return _unicode(value & _UINT64, flags)
    style = _INTEGER_FORMATS.get(verb)
    if style is None:
        return None
    if flags.precision == 0 and not value:
        return ""
    text = format(abs(value), style).rjust(_digits(value, flags), "0")
    if flags.sharp:
        if style == "o":
            text = text if text.startswith("0") else f"0{text}"
        text = _PREFIXES.get(style, "") + text
    if verb == "O":
        text = f"0o{text}"
    return _sign(value < 0, flags) + text


def _digits(value: int, flags: Flags) -> int:
    """How many there are at least."""
    if flags.precision is not None:
        return flags.precision
    if flags.zero and not flags.minus and flags.width is not None:
        return flags.width - (value < 0 or flags.plus or flags.space)
    return 0


def floating(value: float, verb: str, flags: Flags) -> str | None:
    """The float by the verb; None when the verb is none for floats."""
    if verb not in "vbgGxXfFeE":
        return None
    style = {"v": "g", "F": "f"}.get(verb, verb)
    default = _DEFAULT_PRECISION if style in "feE" else -1
    precision = default if flags.precision is None else flags.precision
    text = formatted(value, style, precision)
    negative = text.startswith("-")
    text = text.lstrip("+-")
    if text == "NaN":
        return _sign(negative=False, flags=flags) + text
    if text == "Inf":
        return (_sign(negative, flags) or "+") + text
    if flags.sharp and verb != "b":
        text = _with_point(text, verb, precision)
    return _sign(negative, flags) + text


def _sign(negative: bool, flags: Flags) -> str:  # noqa: FBT001 - it is what a sign is about
    if negative:
        return "-"
    if flags.plus:
        return "+"
    return " " if flags.space else ""


def _unicode(value: int, flags: Flags) -> str:
    digits = max(flags.precision or 0, _LEAST_UNICODE_DIGITS)
    text = f"U+{format(value, 'X').rjust(digits, '0')}"
    if flags.sharp and value <= _MAX_RUNE and chr(value).isprintable():
        text += f" '{chr(value)}'"
    return text


def _with_point(text: str, verb: str, precision: int) -> str:
    """`#`: there is a point, and the zeros that %g leaves out stay."""
    digits = 0
    if verb in "vgGx":
        digits = _DEFAULT_PRECISION if precision < 0 else precision
    split = len(text)
    for letter in "pP" if verb in "xX" else "pPeE":
        found = text.find(letter)
        split = min(split, found) if found >= 0 else split
    number, tail = text[:split], text[split:]
    significant = number.replace(".", "").lstrip("0") if verb not in "xX" else number.lstrip("0")
    digits -= len(significant.replace(".", ""))
    if "." not in number:
        digits -= number == "0"
        number += "."
    return number + "0" * max(digits, 0) + tail
