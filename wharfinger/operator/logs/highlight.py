"""What of a line was searched for, and its marks among the line's own colours; pure."""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Any, Final

import re2

from wharfinger.logtext import RESET, SGR, TAB_COLUMNS
from wharfinger.text import printable

# Black on yellow: no application's own colour, and seen on any background.
MARK: Final = "\x1b[30;43m"
MAX_MARKS: Final = 500
_KEPT_COLOURS: Final = 16
_STATES_BYTES: Final = 8 * 2**20
# A term of the store's query language (logshipper/store/query/language.py).
_TERM: Final = re.compile(
    r"(?P<not>-(?=\S))?(?P<name>[A-Za-z_@][\w.@-]{0,63}:(?=[^\s:])(?!//))?"
    r'(?:"(?P<phrase>(?:[^"\\]|\\.)*)"|/(?P<regex>(?:[^/\\]|\\.|/(?=\S))+)/(?=\s|$)|(?P<word>\S+))',
    re.DOTALL,
)
_RESETS: Final = re.compile(r"\x1b\[(?:0?|0?;.*|.*;0)m")


@dataclass(frozen=True, slots=True)
class Sought:
    """The expressions of which each find is marked."""

    expressions: tuple[Any, ...] = ()

    def spans(self, text: str) -> list[tuple[int, int]]:
        """From where to where something was found, in order; none touches another."""
        found = (
            match.span()
            for expression in self.expressions
            for match in islice(expression.finditer(text), MAX_MARKS)
        )
        merged: list[tuple[int, int]] = []
        for start, end in sorted(span for span in found if span[0] < span[1]):
            if merged and start <= merged[-1][1]:
                merged[-1] = (merged[-1][0], max(end, merged[-1][1]))
            else:
                merged.append((start, end))
        return merged[:MAX_MARKS]


def sought(query: str) -> Sought:
    """What of a query can be seen in a message: its words, phrases and regular expressions."""
    literals: list[str] = []
    expressions: list[Any] = []
    for term in _TERM.finditer(query):
        if term["not"] or term["name"] not in {None, "message:"}:
            continue
        if term["regex"] is not None:
            expressions += _expression(term["regex"].replace(r"\/", "/"))
        elif term["phrase"] is not None:
            literals += _literal(re.sub(r'\\(["\\])', r"\1", term["phrase"]), prefix=False)
        else:
            word = term["word"]
            prefix = len(word) > 1 and word.endswith("*")
            literals += _literal(word[:-1] if prefix else word, prefix=prefix)
    if literals:
        expressions.append(re.compile("|".join(literals), re.IGNORECASE))
    return Sought(tuple(expressions))


def painted(text: str, marks: Sought, base: str = "") -> str:
    """A line for a terminal: its own colours, its matches marked, everything else harmless.

    Args:
        text: as an application wrote it.
        marks: what to mark.
        base: the colour where the text has none of its own.
    """
    text = text.expandtabs(TAB_COLUMNS)
    if "\x1b" not in text and not marks.expressions:
        return f"{base}{printable(text)}{RESET}" if base else printable(text)
    spans = marks.spans(SGR.sub("", text)) if marks.expressions else []
    out, own, at, coloured = [base], [base], 0, bool(base or spans)
    for plain, colour in _pieces(text):
        out += _marked(plain, at, spans, own)
        at += len(plain)
        if colour:
            coloured = True
            # What a line has reset is again as we have begun it.
            own = [base] if _RESETS.fullmatch(colour) else [*own[-_KEPT_COLOURS:], colour]
            out += [colour, base] if len(own) == 1 else [colour]
    return "".join(out) + (RESET if coloured else "")


def _pieces(text: str) -> Iterator[tuple[str, str]]:
    """Text and the colour that follows it."""
    at = 0
    for found in SGR.finditer(text):
        yield text[at : found.start()], found[0]
        at = found.end()
    yield text[at:], ""


def _marked(
    plain: str, start: int, spans: Sequence[tuple[int, int]], own: Sequence[str]
) -> Iterator[str]:
    at = 0
    for first, last in spans:
        begin, end = max(first - start, at), min(last - start, len(plain))
        if begin < end:
            yield printable(plain[at:begin])
            yield f"{MARK}{printable(plain[begin:end])}{RESET}{''.join(own)}"
            at = end
    yield printable(plain[at:])


def _literal(text: str, *, prefix: bool) -> list[str]:
    """The store finds whole words, in any case; a blank fits any run of blanks."""
    words = text.split()
    if not words:
        return []
    before = r"(?<![^\W_])" if words[0][0].isalnum() and words[0][0].isascii() else ""
    after = r"(?![^\W_])" if words[-1][-1].isalnum() and words[-1][-1].isascii() else ""
    return [before + r"\s+".join(map(re.escape, words)) + ("" if prefix else after)]


def _expression(pattern: str) -> list[Any]:
    # RE2, since no line can make it slow; what it cannot read stays unmarked.
    options = re2.Options()
    options.max_mem = _STATES_BYTES
    options.log_errors = False
    try:
        return [re2.compile(f"(?m:{pattern})", options)]
    except re2.error:
        return []
