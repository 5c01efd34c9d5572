"""What is wrong with a text that is no JSON, in the words of Go's encoding/json."""

import re
from typing import Final

from discovery.gotemplate.text import encoded

_SPACES: Final = " \t\r\n"
_LITERALS: Final = {"t": "true", "f": "false", "n": "null"}
_ESCAPES: Final = frozenset('bfnrt\\/"')
_HEX: Final = frozenset("0123456789abcdefABCDEF")
_DIGITS: Final = re.compile("[0-9]*")
_UNICODE_DIGITS: Final = 4
_UNFINISHED: Final = (
    "in literal", "in numeric literal", "in exponent", "in string escape", "in \\u",
    "after decimal",
)  # fmt: skip
_DEEPEST: Final = 10_000


class _Fault(Exception):
    """The first thing that is wrong."""


def fault(text: str) -> str:
    """What is wrong with it; nothing when it is JSON."""
    try:
        _Scanner(text).scan()
    except _Fault as error:
        return str(error)
    return ""


class _Scanner:
    """Reads until something is wrong; what is open stands on a stack, not in calls."""

    def __init__(self, text: str) -> None:
        self._text = text
        self._at = 0
        self._open: list[str] = []

    def scan(self) -> None:
        """Reads the whole text.

        Raises:
            _Fault: always, where it is no JSON.
        """
        self._value()
        while self._open:
            if self._open[-1] == "{":
                self._member()
            else:
                self._element()
        if self._peek():
            raise self._wrong("after top-level value")

    def _peek(self) -> str:
        while self._text[self._at : self._at + 1] in set(_SPACES):
            self._at += 1
        return self._text[self._at : self._at + 1]

    def _wrong(self, where: str) -> _Fault:
        # Go ends a text with a blank, which is wrong in the middle of all words but a string.
        character = self._text[self._at : self._at + 1] or " "
        if self._at >= len(self._text) and not where.startswith(_UNFINISHED):
            return _Fault("unexpected end of JSON input")
        byte = chr(encoded(character)[0])
        shown = {"'": "'\\''", '"': "'\"'", "\\": "'\\\\'"}.get(byte) or _quoted(byte)
        return _Fault(f"invalid character {shown} {where}")

    def _value(self) -> None:
        character = self._peek()
        if character and character in "{[":
            self._open.append(character)
            self._at += 1
            if len(self._open) > _DEEPEST:
                raise _Fault("exceeded max depth")
            self._begin(character)
        elif character == '"':
            self._string()
        elif character in _LITERALS:
            self._literal(_LITERALS[character])
        elif character == "-" or character.isdecimal():
            self._number()
        else:
            raise self._wrong("looking for beginning of value")

    def _begin(self, character: str) -> None:
        """What follows an opening bracket, which may be the closing one."""
        if self._peek() == {"{": "}", "[": "]"}[character]:
            self._close()
        elif character == "{":
            self._key()
        else:
            self._value()

    def _close(self) -> None:
        self._open.pop()
        self._at += 1

    def _key(self) -> None:
        if self._peek() != '"':
            raise self._wrong("looking for beginning of object key string")
        self._string()
        if self._peek() != ":":
            raise self._wrong("after object key")
        self._at += 1
        self._value()

    def _member(self) -> None:
        character = self._peek()
        if character == ",":
            self._at += 1
            self._key()
        elif character == "}":
            self._close()
        else:
            raise self._wrong("after object key:value pair")

    def _element(self) -> None:
        character = self._peek()
        if character == ",":
            self._at += 1
            self._value()
        elif character == "]":
            self._close()
        else:
            raise self._wrong("after array element")

    def _literal(self, word: str) -> None:
        for expected in word:
            if self._text[self._at : self._at + 1] != expected:
                raise self._wrong(f"in literal {word} (expecting {expected!r})")
            self._at += 1

    def _string(self) -> None:
        self._at += 1
        while (character := self._text[self._at : self._at + 1]) != '"':
            if not character or character < " ":
                raise self._wrong("in string literal")
            self._at += 1
            if character == "\\":
                self._escape()
        self._at += 1

    def _escape(self) -> None:
        character = self._text[self._at : self._at + 1]
        if character != "u":
            if character not in _ESCAPES:
                raise self._wrong("in string escape code")
            self._at += 1
            return
        for _ in range(_UNICODE_DIGITS):
            self._at += 1
            if self._text[self._at : self._at + 1] not in _HEX:
                raise self._wrong("in \\u hexadecimal character escape")
        self._at += 1

    def _number(self) -> None:
        if self._text.startswith("-", self._at):
            self._at += 1
            self._digits("in numeric literal", zero_ends=True)
        else:
            self._digits("", zero_ends=True)
        if self._text.startswith(".", self._at):
            self._at += 1
            self._digits("after decimal point in numeric literal")
        if self._text[self._at : self._at + 1] in {"e", "E"}:
            self._at += 1
            if self._text[self._at : self._at + 1] in {"+", "-"}:
                self._at += 1
            self._digits("in exponent of numeric literal")

    def _digits(self, where: str, *, zero_ends: bool = False) -> None:
        match = _DIGITS.match(self._text, self._at)
        if match is None or not match.group():
            raise self._wrong(where)
        self._at = self._at + 1 if zero_ends and match.group()[0] == "0" else match.end()


def _quoted(byte: str) -> str:
    """A byte as Go's quoteChar shows it."""
    if byte.isprintable():
        return f"'{byte}'"
    short = {"\a": "\\a", "\b": "\\b", "\f": "\\f", "\n": "\\n", "\r": "\\r", "\t": "\\t",
             "\v": "\\v"}.get(byte)  # fmt: skip
    if short is None:
        short = f"\\x{ord(byte):02x}" if byte < "\x80" else f"\\u{ord(byte):04x}"
    return f"'{short}'"
