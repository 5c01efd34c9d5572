"""Cuts the text of a template into tokens, as Go's text/template/parse does."""

import re
from bisect import bisect_left
from collections.abc import Callable, Mapping
from typing import Final

from discovery.gotemplate.text import is_stray_byte, quoted
from discovery.gotemplate.tokens import Kind, Token

_SPACES: Final = " \t\r\n"
_NUMBER: Final = re.compile(
    r"[+-]?(?:0[xX][0-9a-fA-F_]*(?:\.[0-9a-fA-F_]*)?(?:[pP][+-]?[0-9_]*)?"
    r"|0[oO][0-7_]*(?:\.[0-7_]*)?|0[bB][01_]*(?:\.[01_]*)?"
    r"|[0-9_]*(?:\.[0-9_]*)?(?:[eE][+-]?[0-9_]*)?)i?"
)
_QUOTED: Final = {
    '"': re.compile(r'"(?:\\[^\n]|[^\\"\n])*"'),
    "'": re.compile(r"'(?:\\[^\n]|[^\\'\n])*'"),
}
_TERMINATORS: Final = f"{_SPACES}.,|:)("


_KEYWORDS: Final = {kind.value: kind for kind in Kind if isinstance(kind.value, str)}


class Lexer:
    """Gives one token after the other; after an error or the end, the end for ever.

    Args:
        text: the whole template.
        delimiters: left and right.
    """

    def __init__(self, text: str, delimiters: tuple[str, str]) -> None:
        self._text = text
        self._left, self._right = delimiters
        self._at = 0
        self._inside = False
        self._parens = 0
        self._newlines = [match.start() for match in re.finditer("\n", text)]

    def next(self) -> Token:
        """The next token."""
        return self._action() if self._inside else self._outside()

    def _token(self, kind: Kind, start: int, end: int) -> Token:
        self._at = end
        return Token(kind, start, self._text[start:end], self._line(start))

    def _line(self, position: int) -> int:
        return 1 + bisect_left(self._newlines, position)

    def _error(self, start: int, why: str) -> Token:
        token = Token(Kind.ERROR, start, why, self._line(start))
        self._text, self._at, self._inside = "", 0, False
        return token

    def _outside(self) -> Token:
        while True:
            start = self._at
            found = self._text.find(self._left, start)
            if found < 0:
                end = len(self._text)
                return self._token(Kind.TEXT if end > start else Kind.EOF, start, end)
            after = found + len(self._left)
            trims = self._text[after : after + 1] == "-" and self._is_space(after + 1)
            end = start + len(self._text[start:found].rstrip(_SPACES)) if trims else found
            if end > start:
                token = self._token(Kind.TEXT, start, end)
                self._at = found
                return token
            inside = after + 2 * trims
            if not self._text.startswith("/*", inside):
                self._inside, self._parens = True, 0
                token = self._token(Kind.LEFT_DELIMITER, found, after)
                self._at = inside
                return token
            error = self._skip_comment(inside)
            if error is not None:
                return error

    def _skip_comment(self, start: int) -> Token | None:
        end = self._text.find("*/", start + 2)
        if end < 0:
            return self._error(start, "unclosed comment")
        end += 2
        delimiter, trims = self._right_delimiter(end)
        if not delimiter:
            return self._error(start, "comment ends before closing delimiter")
        self._at = end + 2 * trims + len(self._right)
        if trims:
            self._skip_spaces()
        return None

    def _is_space(self, at: int) -> bool:
        return at < len(self._text) and self._text[at] in _SPACES

    def _skip_spaces(self) -> None:
        while self._is_space(self._at):
            self._at += 1

    def _right_delimiter(self, at: int) -> tuple[bool, bool]:
        """Whether it stands here, and whether it trims what follows."""
        if self._is_space(at) and self._text.startswith("-" + self._right, at + 1):
            return True, True
        return self._text.startswith(self._right, at), False

    def _action(self) -> Token:
        start = self._at
        delimiter, trims = self._right_delimiter(start)
        if delimiter:
            if self._parens:
                return self._error(start, "unclosed left paren")
            return self._close(start, trims=trims)
        if start >= len(self._text):
            return self._error(start, "unclosed action")
        character = self._text[start]
        read = _READERS.get(character)
        if read is not None:
            return read(self, start)
        return self._other(start, character)

    def _other(self, start: int, character: str) -> Token:
        if _alphanumeric(character):
            return self._identifier(start)
        if character.isascii() and character.isprintable():
            return self._token(Kind.CHAR, start, start + 1)
        return self._error(start, f"unrecognized character in action: {_named(character)}")

    def _single(self, start: int) -> Token:
        kind = Kind.ASSIGN if self._text[start] == "=" else Kind.PIPE
        return self._token(kind, start, start + 1)

    def _declare(self, start: int) -> Token:
        if not self._text.startswith(":=", start):
            return self._error(start, "expected :=")
        return self._token(Kind.DECLARE, start, start + 2)

    def _variable(self, start: int) -> Token:
        return self._word(start, Kind.VARIABLE)

    def _field(self, start: int) -> Token:
        # A dot that ends the text is none for Go, but a bad number.
        if start + 1 < len(self._text) and not self._digit(start + 1):
            return self._word(start, Kind.FIELD)
        return self._number(start)

    def _digit(self, at: int) -> bool:
        return at < len(self._text) and self._text[at] in "0123456789"

    def _close(self, start: int, *, trims: bool) -> Token:
        begin = start + 2 * trims
        token = self._token(Kind.RIGHT_DELIMITER, begin, begin + len(self._right))
        if trims:
            self._skip_spaces()
        self._inside = False
        return token

    def _space(self, start: int) -> Token:
        end = start
        while self._is_space(end):
            end += 1
        if self._text.startswith("-" + self._right, end):
            end -= 1  # this space belongs to the delimiter that trims
            if end == start:
                return self._close(start, trims=True)
        return self._token(Kind.SPACE, start, end)

    def _left_paren(self, start: int) -> Token:
        self._parens += 1
        return self._token(Kind.LEFT_PAREN, start, start + 1)

    def _right_paren(self, start: int) -> Token:
        self._parens -= 1
        if self._parens < 0:
            return self._error(start, "unexpected right paren")
        return self._token(Kind.RIGHT_PAREN, start, start + 1)

    def _raw(self, start: int) -> Token:
        end = self._text.find("`", start + 1)
        if end < 0:
            return self._error(start, "unterminated raw quoted string")
        return self._token(Kind.RAW_STRING, start, end + 1)

    def _quoted(self, start: int) -> Token:
        quote = self._text[start]
        match = _QUOTED[quote].match(self._text, start)
        kind = Kind.STRING if quote == '"' else Kind.CHAR_CONSTANT
        if match is None:
            what = "quoted string" if quote == '"' else "character constant"
            return self._error(start, f"unterminated {what}")
        return self._token(kind, start, match.end())

    def _word(self, start: int, kind: Kind) -> Token:
        end = start + 1
        if self._terminates(end):
            return self._token(kind if kind is Kind.VARIABLE else Kind.DOT, start, end)
        while end < len(self._text) and _alphanumeric(self._text[end]):
            end += 1
        if not self._terminates(end):
            return self._error(start, f"bad character {_named(self._text[end])}")
        return self._token(kind, start, end)

    def _identifier(self, start: int) -> Token:
        end = start
        while end < len(self._text) and _alphanumeric(self._text[end]):
            end += 1
        if not self._terminates(end):
            return self._error(start, f"bad character {_named(self._text[end])}")
        word = self._text[start:end]
        if word in _KEYWORDS:
            return self._token(_KEYWORDS[word], start, end)
        kind = Kind.BOOL if word in {"true", "false"} else Kind.IDENTIFIER
        return self._token(kind, start, end)

    def _terminates(self, at: int) -> bool:
        if at >= len(self._text) or self._text[at] in _TERMINATORS:
            return True
        return self._text.startswith(self._right, at)

    def _number(self, start: int) -> Token:
        end = self._scan_number(start)
        if end is None:
            return self._bad_number(start, start)
        if self._text[end : end + 1] not in {"+", "-"}:
            return self._token(Kind.NUMBER, start, end)
        second = self._scan_number(end)
        if second is None or self._text[second - 1] != "i":
            return self._bad_number(start, end)
        return self._token(Kind.COMPLEX, start, second)

    def _scan_number(self, start: int) -> int | None:
        match = _NUMBER.match(self._text, start)
        end = match.end() if match else start
        if end < len(self._text) and _alphanumeric(self._text[end]):
            return None
        return end

    def _bad_number(self, start: int, last: int) -> Token:
        match = _NUMBER.match(self._text, last)
        end = match.end() if match else last
        if end < len(self._text) and _alphanumeric(self._text[end]):
            end += 1
        return self._error(start, f"bad number syntax: {quoted(self._text[start:end])}")


_READERS: Final[Mapping[str, Callable[[Lexer, int], Token]]] = {
    **dict.fromkeys(_SPACES, Lexer._space),  # noqa: SLF001 - the class's own table
    **dict.fromkeys("=|", Lexer._single),  # noqa: SLF001
    **dict.fromkeys("\"'", Lexer._quoted),  # noqa: SLF001
    **dict.fromkeys("+-0123456789", Lexer._number),  # noqa: SLF001
    ":": Lexer._declare,  # noqa: SLF001
    "`": Lexer._raw,  # noqa: SLF001
    "$": Lexer._variable,  # noqa: SLF001
    ".": Lexer._field,  # noqa: SLF001
    "(": Lexer._left_paren,  # noqa: SLF001
    ")": Lexer._right_paren,  # noqa: SLF001
}


def _alphanumeric(character: str) -> bool:
    return character == "_" or character.isalpha() or character.isdecimal()


def _named(character: str) -> str:
    """The character as Go's `%#U` prints it."""
    if is_stray_byte(character):
        character = "\ufffd"
    shown = f" '{character}'" if character.isprintable() else ""
    return f"U+{ord(character):04X}{shown}"
