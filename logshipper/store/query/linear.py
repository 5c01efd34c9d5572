"""Expressions of RE2, run in this process: a search takes as long as the text is, and no longer."""

from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Final

import re2

from logshipper.store.model import BadQuery
from logshipper.store.query import literals

MAX_CHARACTERS: Final = 4096
# Where its cache of states is full, RE2 walks all instructions for each byte.
_MAX_INSTRUCTIONS: Final = 10_000
_STATES_BYTES: Final = 2**20


@dataclass(frozen=True, slots=True)
class Linear:
    """An expression; the dot stands for any character, a line's end too.

    Attributes:
        literal: what a text must have in it, to begin with.
    """

    literal: str
    _compiled: Any

    def found(self, text: str) -> bool:
        """Whether it is found in a text."""
        if self.literal not in text:
            return False
        return self._compiled.search(text.encode(errors="replace")) is not None


# A query has few of them, and is asked again and again.
@lru_cache(maxsize=256)
def compiled(pattern: str, *, whole: bool = False) -> Linear:
    """An expression, made ready.

    Args:
        pattern: in RE2's syntax.
        whole: whether it must fit all of a text.

    Raises:
        BadQuery: it is none, or too large.
    """
    options = re2.Options()
    options.log_errors = False
    options.dot_nl = True
    options.never_capture = True
    options.max_mem = _STATES_BYTES
    fix = "mend it, or use |= and ="
    if len(pattern) > MAX_CHARACTERS:
        raise BadQuery(f"an expression has more than {MAX_CHARACTERS} characters", fix)
    written = rf"\A(?:{pattern})\z" if whole else pattern
    try:
        # Alone first: a) | (b is none, though it is one inside a group.
        re2.compile(pattern.encode(errors="replace"), options)
        found = re2.compile(written.encode(errors="replace"), options)
    except re2.error as error:
        why = error.args[0] if error.args else b""
        text = why.decode(errors="replace") if isinstance(why, bytes) else str(why)
        raise BadQuery(f"{pattern[:80]!r} is no regular expression: {text}", fix) from None
    if found.programsize > _MAX_INSTRUCTIONS:
        raise BadQuery(f"{pattern[:80]!r} is too large an expression", fix)
    return Linear(literals.required(pattern), found)
