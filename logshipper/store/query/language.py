"""The query language: words, "phrases", -negations, field:value and /regular expressions/."""

import re
import warnings
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from typing import Final

from logshipper.store.lines.words import UNSPACED, is_unspaced
from logshipper.store.model import STREAM_FIELDS, BadQuery, Filters, LabelMatcher
from wharfinger import levels

MAX_CHARACTERS: Final = 4096
MAX_TERMS: Final = 64
_FIELD: Final = re.compile(r"[A-Za-z_@][A-Za-z0-9_.@-]{0,63}", re.ASCII)
_PHRASE: Final = re.compile(r'"((?:[^"\\]|\\.)*)"', re.DOTALL)
_ESCAPED_QUOTE: Final = re.compile(r"\\([\"\\])")
# Only a slash before a blank closes an expression: a path such as /api/orders is a word.
_REGEX: Final = re.compile(r"/((?:[^/\\]|\\.|/(?=\S))+)/(?=\s|$)", re.DOTALL)
_WORD: Final = re.compile(r"\S+")
# What makes another word of one that it stands beside: no character of a script without spaces.
_LETTER: Final = rf"[^\W_{UNSPACED}]"
# Ranges that may be wide, as [a-\uffff]: to compile one takes `re` 10 ms, on the event loop.
_WIDE: Final = re.compile(r"-(?:[^\x00-\x7f]|\\[uUNx0-9])")
_MAX_WIDE: Final = 32


@dataclass(frozen=True, slots=True)
class Text:
    """Text that must be there as it stands, in any case, at the borders of words.

    Attributes:
        text: what to find.
        prefix: whether the last word may go on (`conn*`).
        negated: whether it must not be there.
        phrase: whether it was quoted.
    """

    text: str
    prefix: bool = False
    negated: bool = False
    phrase: bool = False


@dataclass(frozen=True, slots=True)
class Field:
    """A field beside the message that must have this value, in any case.

    Attributes:
        name: the field; a dot steps into an object.
        value: its value.
        prefix: whether the value may go on.
        negated: whether it must not be so.
    """

    name: str
    value: str
    prefix: bool = False
    negated: bool = False


@dataclass(frozen=True, slots=True)
class Regex:
    """A regular expression (Python's `re`, MULTILINE) that must be found in the text.

    Attributes:
        pattern: the expression.
        negated: whether it must not be found.
    """

    pattern: str
    negated: bool = False


@dataclass(frozen=True, slots=True)
class Part:
    """Texts of which one must stand in the message, letter by letter, anywhere in a word.

    Attributes:
        texts: what to find.
        negated: whether none of them may be there.
    """

    texts: tuple[str, ...]
    negated: bool = False


@dataclass(frozen=True, slots=True)
class Pattern:
    """An expression of RE2 that must be found in the message.

    Attributes:
        pattern: the expression.
        negated: whether it must not be found.
    """

    pattern: str
    negated: bool = False


Term = Text | Field | Regex | Part | Pattern | LabelMatcher


@dataclass(frozen=True, slots=True)
class Query:
    """A query, understood: all terms must hold, and all filters."""

    terms: tuple[Term, ...] = ()
    filters: Filters = field(default_factory=Filters)


@dataclass(frozen=True, slots=True)
class _Raw:
    """A term as written: `name:` before it, how it was quoted, the sign."""

    text: str
    quote: str
    name: str
    negated: bool


def parse(text: str, filters: Filters | None = None) -> Query:
    """Understands a query.

    Args:
        text: what was typed.
        filters: conditions given beside the text; those inside it are added.

    Raises:
        BadQuery: it cannot be understood; the error says how to write it.
    """
    if len(text) > MAX_CHARACTERS:
        raise BadQuery(f"the query is longer than {MAX_CHARACTERS} characters", "shorten it")
    filters = filters or Filters()
    terms: list[Term] = []
    for raw in _raw_terms(text):
        if raw.name == "level" or raw.name in STREAM_FIELDS:
            filters = _with_filter(filters, raw)
        else:
            terms.append(_term(raw))
        if len(terms) > MAX_TERMS:
            raise BadQuery(f"the query has more than {MAX_TERMS} terms", "leave some out")
    return Query(tuple(terms), filters)


def level_filter(name: str) -> int:
    """The number of a level to filter by.

    Raises:
        BadQuery: no such level.
    """
    level = levels.level_of(name)
    if not level and name not in {"", "unknown", "none"}:
        known = ", ".join(levels.NAMES[1:])
        raise BadQuery(f"there is no level {name[:32]!r}", f"use one of {known} or unknown")
    return level


def expression(term: Text) -> re.Pattern[str]:
    """The literal search for a text: any case, whole words at both ends.

    The borders follow the index's tokenizer: letters and digits are words, everything else
    is not, and scripts without spaces have no borders at all.
    """
    words = term.text.split()
    before = f"(?<!{_LETTER})" if _is_word(words[0][0]) else ""
    after = f"(?!{_LETTER})" if _is_word(words[-1][-1]) and not term.prefix else ""
    # A blank fits any run of blanks, as it does for the eye: tabs, folded lines.
    literal = r"\s+".join(map(re.escape, words))
    return re.compile(f"{before}{literal}{after}", re.IGNORECASE)


def _is_word(character: str) -> bool:
    return character.isalnum() and not is_unspaced(character)


def _raw_terms(text: str) -> Iterator[_Raw]:
    at = 0
    while at < len(text):
        if text[at].isspace():
            at += 1
            continue
        start = at
        negated = text[at] == "-" and at + 1 < len(text) and not text[at + 1].isspace()
        at += negated
        name = ""
        found = _FIELD.match(text, at)
        # `a::b` and `http://x` are words that hold a colon, no fields.
        if found and text[found.end() : found.end() + 1] == ":":
            rest = text[found.end() + 1 : found.end() + 3]
            if rest[:1].strip() and rest[0] != ":" and rest != "//":
                name, at = found[0], found.end() + 1
        body, quote, at = _body(text, at)
        if at <= start:
            raise BadQuery("the query cannot be read", "put the text in double quotes")
        yield _Raw(body, quote, name, bool(negated))


def _body(text: str, start: int) -> tuple[str, str, int]:
    """One term from `start` on, how it is quoted, and where it ends."""
    if text[start] == '"':
        found = _PHRASE.match(text, start)
        if found is None:
            raise BadQuery(f'the " at character {start + 1} is never closed', 'add a "')
        return _ESCAPED_QUOTE.sub(r"\1", found[1]), '"', found.end()
    if found := _REGEX.match(text, start):
        return found[1].replace(r"\/", "/"), "/", found.end()
    found = _WORD.match(text, start)
    end = found.end() if found else start
    return text[start:end], "", end


def _term(raw: _Raw) -> Term:
    if raw.quote == "/":
        if raw.name:
            raise BadQuery(f"{raw.name}:/.../ is not possible", "leave the field's name out: /.../")
        _check_regex(raw.text)
        return Regex(raw.text, raw.negated)
    prefix = not raw.quote and len(raw.text) > 1 and raw.text.endswith("*")
    text = raw.text[:-1] if prefix else raw.text
    if not text.strip():
        raise BadQuery("a quoted text is empty", "write something between the quotes")
    if raw.name and raw.name != "message":
        return Field(raw.name, text, prefix, raw.negated)
    return Text(text, prefix, raw.negated, bool(raw.quote))


def _check_regex(pattern: str) -> None:
    if len(_WIDE.findall(pattern)) > _MAX_WIDE:
        problem = f"/{pattern[:80]}/ has more than {_MAX_WIDE} ranges of characters beyond ASCII"
        raise BadQuery(problem, "use fewer of them")
    try:
        with warnings.catch_warnings(action="ignore"):
            re.compile(pattern)
    except (re.error, OverflowError, RecursionError) as error:
        fix = "mend the expression, or put the text in double quotes"
        raise BadQuery(f"/{pattern[:80]}/ is no regular expression: {error}", fix) from None


def _with_filter(filters: Filters, raw: _Raw) -> Filters:
    if raw.quote == "/":
        raise BadQuery(f"{raw.name}:/.../ is not possible", f"write {raw.name}:name or a prefix*")
    if raw.name == "level":
        number = frozenset({level_filter(raw.text)})
        if raw.negated:
            return replace(filters, not_levels=filters.not_levels | number)
        return replace(filters, levels=filters.levels | number)
    held = filters.not_streams if raw.negated else filters.streams
    added = {**held, raw.name: (*held.get(raw.name, ()), raw.text)}
    if raw.negated:
        return replace(filters, not_streams=added)
    return replace(filters, streams=added)
