"""Strings as Go writes them, in which Loki's labels and queries stand."""

import re
from typing import Final

_ESCAPE: Final = re.compile(
    r"\\(?:x([0-9a-fA-F]{2})|u([0-9a-fA-F]{4})|U([0-9a-fA-F]{8})|([0-7]{3})|(.))", re.DOTALL
)
# The Go Programming Language Specification, Rune literals.
_ESCAPED: Final = {
    "a": "\a", "b": "\b", "f": "\f", "n": "\n", "r": "\r", "t": "\t", "v": "\v",
    "\\": "\\", '"': '"', "'": "'",
}  # fmt: skip
_LAST_CHARACTER: Final = 0x10FFFF
_SURROGATES: Final = range(0xD800, 0xE000)


def unescaped(text: str) -> str:
    """The text between the quotes of an interpreted string.

    Raises:
        ValueError: it holds an escape that Go does not know.
    """
    return _ESCAPE.sub(_character, text) if "\\" in text else text


def _character(found: re.Match[str]) -> str:
    hexadecimal = found[1] or found[2] or found[3]
    if hexadecimal or found[4]:
        number = int(hexadecimal, 16) if hexadecimal else int(found[4], 8)
        usable = number <= _LAST_CHARACTER and number not in _SURROGATES
        return chr(number) if usable else "\ufffd"
    character = _ESCAPED.get(found[5])
    if character is None:
        raise ValueError(f"unknown escape \\{found[5]}")
    return character
