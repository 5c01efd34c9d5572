"""What the index and a block's bytes must have in them if a term of a query fits a line; pure."""

import re
from collections.abc import Callable
from typing import Final

from logshipper.store.lines.words import plain, query_text
from logshipper.store.model import LabelMatcher
from logshipper.store.query import literals
from logshipper.store.query.language import Field, Part, Pattern, Regex, Term, Text

# The index walks every word that begins so: of few letters there are too many.
_MIN_PREFIX: Final = 4
_ASCII_WORD: Final = re.compile(r"[A-Za-z0-9]+")
# The rest of a colour that a text may begin in (ECMA-48, 5.4): none of it is in the index, and
# what follows it may be the end of a word that stands before the colour.
_COLOUR: Final = re.compile(r"[0-?]+[ -/]*[@-~]|")

Tokenize = Callable[[str], tuple[str, ...]]


def asked(term: Term, tokenize: Tokenize) -> tuple[list[str], bool]:
    """What every line that fits has in the index, and whether that says all of the term."""
    match term:
        case Text(text, prefix, negated=False):
            return terms(text, tokenize, prefix=prefix)
        case Field(_, text, prefix, negated=False):
            return terms(text, tokenize, prefix=prefix)[0], False
        case Part((only,), negated=False):
            return _inside(only), False
        case Regex(pattern, False) | Pattern(pattern, False):
            return _inside(literals.required(pattern)), False
        case LabelMatcher(_, (only,), (), "", False):
            return terms(plain(only), tokenize, prefix=False)[0], False
        case _:
            return [], False


def terms(text: str, tokenize: Tokenize, *, prefix: bool) -> tuple[list[str], bool]:
    """Terms for the index, and whether they say all that the text asks for."""
    words, runs = query_text(text)
    tokens = tokenize(words)
    wanted = [f'"{token}"' for token in tokens]
    if prefix and wanted:
        wanted[-1] += "*"
    if runs:
        # The character alone is the beginning of the pair that it starts; its own token in
        # `words` exists only at a run's end.
        wanted += [f'"{run}"*' for run in runs]
    exact = len(tokens) == 1 and not runs and tokens[0] == text.lower()
    return wanted, exact


def _inside(text: str) -> list[str]:
    """Terms for the index that every message with this text in it has.

    The first word may be the end of a longer one, the last one its beginning. What is not
    ASCII has its own rules for words, and the digits of colours are not in the index.
    """
    if not text.isascii() or "[" in text or "\x1b" in text:
        return []
    coloured = _COLOUR.match(text)
    begin = coloured.end() if coloured else 0
    words = [found for found in _ASCII_WORD.finditer(text) if found.start() > begin]
    whole = [f'"{found[0].lower()}"' for found in words if found.end() < len(text)]
    if whole or not words or len(words[-1][0]) < _MIN_PREFIX:
        return whole
    return [f'"{words[-1][0].lower()}"*']


def needle(term: Term) -> bytes:
    """What is in a block's messages, byte for byte, if a line of it fits; empty if not known."""
    match term:
        case Part((only,), negated=False):
            return only.encode(errors="surrogatepass")
        case Pattern(pattern, False):
            return literals.required(pattern).encode(errors="surrogatepass")
        case _:
            return b""
