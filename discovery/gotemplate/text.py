"""Go's strings, which are bytes, as Python's: what is no UTF-8 stands as surrogates (PEP 383)."""

import re
from typing import Final

_SHORT: Final = {
    "\a": "\\a", "\b": "\\b", "\f": "\\f", "\n": "\\n", "\r": "\\r", "\t": "\\t", "\v": "\\v",
    "\\": "\\\\",
}  # fmt: skip
_SIMPLE: Final = {"a": 7, "b": 8, "f": 12, "n": 10, "r": 13, "t": 9, "v": 11, "\\": 92}
_ESCAPE: Final = re.compile(
    r"x([0-9a-fA-F]{2})|([0-7]{3})|u([0-9a-fA-F]{4})|U([0-9a-fA-F]{8})|([abfnrtv\\'\"])"
)
_NO_BYTE: Final = re.compile("[\ud800-\udc7f\udd00-\udfff]")
_MAX_BYTE: Final = 0xFF
_MAX_RUNE: Final = 0x10FFFF
_SURROGATES: Final = range(0xD800, 0xE000)
_ESCAPED_BYTES: Final = range(0xDC80, 0xDD00)
REPLACEMENT: Final = "\ufffd"


def encoded(text: str) -> bytes:
    """The bytes of Go's string."""
    return text.encode("utf-8", "surrogateescape")


def decoded(raw: bytes) -> str:
    """The string of these bytes."""
    return raw.decode("utf-8", "surrogateescape")


def canonical(text: str) -> str:
    """The string, where joining pieces may have made UTF-8 of stray bytes.

    Surrogates that stand for no byte, which no file and no key can hold, are replaced.
    """
    if text.isascii():
        return text
    try:
        return decoded(encoded(text))
    except UnicodeEncodeError:
        return decoded(encoded(_NO_BYTE.sub(REPLACEMENT, text)))


def order(text: str) -> bytes:
    """A key that sorts strings as Go does: by bytes."""
    return encoded(text)


def is_stray_byte(character: str) -> bool:
    """Whether the character stands for a byte that is no UTF-8."""
    return ord(character) in _ESCAPED_BYTES


def is_printable(character: str) -> bool:
    """strconv.IsPrint."""
    return character.isprintable()


def quoted(text: str, *, ascii_only: bool = False, quote: str = '"') -> str:
    """strconv.Quote, QuoteToASCII."""
    if text.isascii() and text.isprintable() and "\\" not in text and quote not in text:
        return f"{quote}{text}{quote}"
    # At once, and each character in a table: a list of a hundred million pieces is a memory eaten.
    table = {ord(c): _escaped(c, quote, ascii_only=ascii_only) for c in set(text)}
    return f"{quote}{text.translate(table)}{quote}"


def quoted_rune(number: int, *, ascii_only: bool = False) -> str:
    """strconv.QuoteRune, QuoteRuneToASCII."""
    return quoted(rune(number), ascii_only=ascii_only, quote="'")


def rune(number: int) -> str:
    """The character of this number, U+FFFD where there is none."""
    if not 0 <= number <= _MAX_RUNE or number in _SURROGATES:
        return REPLACEMENT
    return chr(number)


def can_backquote(text: str) -> bool:
    """strconv.CanBackquote."""
    return not any(is_stray_byte(c) or c in "\ufeff`\x7f" or (c < " " and c != "\t") for c in text)


def unquoted(literal: str) -> str | None:
    """strconv.Unquote of a string literal; None when its syntax is invalid."""
    inside = literal[1:-1]
    if literal[0] == "`":
        return inside.replace("\r", "")
    if "\\" not in inside:
        return inside
    raw, at = bytearray(), 0
    while at < len(inside):
        if inside[at] != "\\":
            end = inside.find("\\", at)
            end = len(inside) if end < 0 else end
            raw += encoded(inside[at:end])
            at = end
            continue
        found = unescaped(inside, at, quote='"')
        if found is None:
            return None
        value, at = found
        raw += bytes([value]) if isinstance(value, int) else encoded(value)
    return decoded(bytes(raw))


def unescaped(text: str, at: int, *, quote: str) -> tuple[int | str, int] | None:
    """What the escape at `at` says, a byte or a character, and where the text goes on."""
    match = _ESCAPE.match(text, at + 1)
    if match is None:
        return None
    byte, octal, short_rune, long_rune, simple = match.groups()
    if byte or octal:
        value = int(byte, 16) if byte else int(octal, 8)
        return (value, match.end()) if value <= _MAX_BYTE else None
    if simple in _SIMPLE:
        return _SIMPLE[simple], match.end()
    if simple:
        return (simple, match.end()) if simple == quote else None
    number = int(short_rune or long_rune, 16)
    if number > _MAX_RUNE or number in _SURROGATES:
        return None
    return chr(number), match.end()


def _escaped(character: str, quote: str, *, ascii_only: bool) -> str:
    if character == quote:
        return f"\\{quote}"
    if character in _SHORT:
        return _SHORT[character]
    number = ord(character)
    if number in _ESCAPED_BYTES:
        return f"\\x{number - 0xDC00:02x}"
    if is_printable(character) and (character.isascii() or not ascii_only):
        return character
    if character < " " or character == "\x7f":
        return f"\\x{number:02x}"
    return f"\\u{number:04x}" if number <= 0xFFFF else f"\\U{number:08x}"  # noqa: PLR2004
