"""Patterns that others wrote, matched in time that grows with the text only; pure."""

from dataclasses import dataclass, field
from itertools import islice
from typing import Any, Final

import re2

from wharfinger.errors import Rejected

MAX_CHARACTERS: Final = 2_000
# RE2 never backtracks, but where its cache of states is full it walks all of them for each byte:
# some 3 ns for each instruction. The operator may spend more than the label of a container.
OPERATOR_INSTRUCTIONS: Final = 10_000
LABEL_INSTRUCTIONS: Final = 256
STATES_BYTES: Final = 2**20
# What a pattern is asked about a line, the beginning of the line answers.
SEEN_BYTES: Final = 2**16
# Also a search that never backtracks is quadratic when it is repeated: `a.*b|a` looks at all of
# the rest for each `a`. So many, and what is behind them is treated as one.
MAX_MATCHES: Final = 256
SPECIAL: Final = frozenset(r".^$*+?{}[]\|()")
KEPT_AROUND: Final = "secret"  # the group: what is around it stays


@dataclass(frozen=True, slots=True)
class Pattern:
    """A regular expression in RE2's syntax: no look-around, no references back.

    Attributes:
        text: as it was written.
    """

    text: str
    _compiled: Any = field(compare=False, repr=False)
    _names: tuple[tuple[str, int], ...] = field(compare=False, repr=False)
    _literal: str = field(compare=False, repr=False)

    @property
    def names(self) -> tuple[str, ...]:
        """Of its groups, in their order."""
        return tuple(name for name, _ in self._names)

    def found(self, text: str) -> bool:
        """Whether it is found in the beginning of the text."""
        if self._literal:
            return self._literal in text[:SEEN_BYTES]
        return self._compiled.search(_bytes(text)[:SEEN_BYTES]) is not None

    def groups(self, text: str) -> dict[str, str] | None:
        """What its named groups hold, those that are unset left out; None when it is not found."""
        match = self._compiled.search(_bytes(text)[:SEEN_BYTES])
        if match is None:
            return None
        held = ((name, match.group(number)) for name, number in self._names)
        return {name: _text(value) for name, value in held if value is not None}

    def replaced(self, text: str, by: str) -> tuple[str, int]:
        """The text with every match replaced, and how many there were.

        Of a match with a group `secret`, only what that holds is replaced. After `MAX_MATCHES`
        all that is left counts as one match: nothing slips through.
        """
        data = _bytes(text)
        matches = islice(self._compiled.finditer(data), MAX_MATCHES)
        spans = [self._secret(match) for match in matches]
        if not spans:
            return text, 0
        pieces, done = [], 0
        for begin, end in spans:
            pieces.append(data[done:begin])
            done = end
        rest = b"" if len(spans) == MAX_MATCHES else data[done:]
        return _text(_bytes(by).join([*pieces, rest])), len(spans)

    def _secret(self, match: Any) -> tuple[int, int]:
        number = next((number for name, number in self._names if name == KEPT_AROUND), 0)
        begin, end = match.span(number)
        span: tuple[int, int] = (begin, end) if begin >= 0 else match.span()
        return span


def compile_pattern(text: str, *, instructions: int = OPERATOR_INSTRUCTIONS) -> Pattern:
    """Compiles an expression.

    Args:
        text: the expression.
        instructions: how large its program may be: the limit of what a byte of text may cost.

    Raises:
        Rejected: it is none, or too large.
    """
    if len(text) > MAX_CHARACTERS:
        raise Rejected(f"a pattern of {len(text)} characters is too long (limit {MAX_CHARACTERS})")
    options = re2.Options()
    options.max_mem = STATES_BYTES
    options.log_errors = False
    try:
        compiled = re2.compile(_bytes(text), options)
    except re2.error as error:
        why = error.args[0] if error.args else b""
        said = why.decode("utf-8", "replace") if isinstance(why, bytes) else str(why)
        raise Rejected(f"{text!r:.80} is no pattern (RE2): {said:.120}") from error
    size = max(compiled.programsize, compiled.reverseprogramsize)
    if size > instructions:
        raise Rejected(f"{text!r:.80} is too large: {size} instructions (limit {instructions})")
    names = sorted((number, _text(name)) for name, number in compiled.groupindex.items())
    # Most filters are a word; to look for one costs a tenth of asking RE2.
    literal = "" if SPECIAL.intersection(text) else text
    return Pattern(text, compiled, tuple((name, number) for number, name in names), literal)


def compile_replacing(text: str, *, instructions: int = OPERATOR_INSTRUCTIONS) -> Pattern:
    """Compiles an expression whose matches are to be replaced.

    Raises:
        Rejected: it is none, is too large, or matches where there is nothing.
    """
    pattern = compile_pattern(text, instructions=instructions)
    if pattern.found(""):
        raise Rejected(f"{text!r:.80} matches the empty text")
    return pattern


def _bytes(text: str) -> bytes:
    return text.encode("utf-8", "surrogatepass")


def _text(data: bytes) -> str:
    return data.decode("utf-8", "replace")
