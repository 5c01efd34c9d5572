"""From a query to LogsQL, VictoriaLogs' language; pure.

Every text stands in double quotes, whatever is in it. Documents: LogsQL, "String literals" and
the filters named below; words are VictoriaLogs' (letters, digits and `_`).
"""

import re
from collections.abc import Iterable, Sequence
from typing import Final, assert_never

from logshipper.store.lines import times
from logshipper.store.lines.words import is_unspaced
from logshipper.store.model import Filters, LabelMatcher
from logshipper.store.query.backends.place import not_here
from logshipper.store.query.backends.walk import FIRST_NS, LAST_NS, Span
from logshipper.store.query.language import Field, Part, Pattern, Query, Regex, Term, Text
from logshipper.store.query.plan import container_spellings
from wharfinger import levels

MESSAGE: Final = "_msg"
_ESCAPED: Final = re.compile(r'["\\\x00-\x1f\x7f]')
_SPECIAL: Final = re.compile(r"[\\.+*?()|\[\]{}^$]")
_LETTERS: Final = r"\pL\pN"
# RE2's `\s` knows those of ASCII only.
_BLANKS: Final = r"[\s\v\x1c-\x1f\x{85}\pZ]+"


def quoted(text: str) -> str:
    """A string literal, as Go reads it (LogsQL, "String literals")."""
    whole = text.encode(errors="replace").decode()
    return f'"{_ESCAPED.sub(_escape, whole)}"'


def condition(query: Query, span: Span, fields: Sequence[str] = ()) -> str:
    """The filters of a query.

    Args:
        query: what is asked; its own times do not count.
        span: the time.
        fields: fields in which words are looked for beside the message.
    """
    places = (MESSAGE, *(name for name in fields if name != "message"))
    parts = [
        _time(span),
        *_streams(query.filters),
        *_levels(query.filters),
        *(_term(term, places) for term in sorted(query.terms, key=_cost)),
    ]
    return " ".join(part for part in parts if part) or "*"


def level_pattern(numbers: Iterable[int]) -> str:
    """An expression for every spelling of some levels."""
    words = [word for number in sorted(numbers) for word in levels.spellings(number)]
    return rf"(?i)^\s*({'|'.join(words)})\s*$"


def _escape(found: re.Match[str]) -> str:
    character = found[0]
    return f"\\{character}" if character in '"\\' else f"\\x{ord(character):02x}"


def _time(span: Span) -> str:
    bounds = []
    if span.from_ns > FIRST_NS:
        bounds.append(f"_time:>={times.text(span.from_ns)}")
    if span.to_ns < LAST_NS:
        bounds.append(f"_time:<{times.text(span.to_ns)}")
    return " ".join(bounds)


def _streams(filters: Filters) -> list[str]:
    if filters.labels:
        raise not_here()
    wanted = [
        _any(_value(name, value) for value in values) for name, values in filters.streams.items()
    ]
    unwanted = [
        f"!{_any(_value(name, value) for value in values)}"
        for name, values in filters.not_streams.items()
    ]
    return wanted + unwanted


def _value(name: str, value: str) -> str:
    """The "Exact filter", "Exact prefix filter" or "Multi-exact filter" for a stream's field."""
    if value.endswith("*"):
        # An empty prefix would be "any value filter", and leave out lines without the field.
        return f"{name}:={quoted(value[:-1])}*" if value != "*" else "*"
    if name == "container":
        shorter = container_spellings(value)
        if shorter:
            whole = f"{name}:={quoted(value)}*"
            return _any((whole, f"{name}:in({', '.join(map(quoted, shorter))})"))
    return f"{name}:={quoted(value)}"


def _levels(filters: Filters) -> list[str]:
    wanted = [_level(filters.levels)] if filters.levels else []
    return wanted + ([f"!{_level(filters.not_levels)}"] if filters.not_levels else [])


def _level(numbers: frozenset[int]) -> str:
    known = numbers - {levels.UNKNOWN}
    parts = [f"level:~{quoted(level_pattern(known))}"] if known else []
    if levels.UNKNOWN in numbers:
        every = range(1, len(levels.NAMES))
        parts.append(f"!level:~{quoted(level_pattern(every))}")
    return _any(parts)


def _term(term: Term, places: Sequence[str]) -> str:
    sign = "!" if term.negated else ""
    match term:
        case Text():
            return sign + _any(_text(name, term) for name in places)
        case Regex():
            # MULTILINE, as it is everywhere else.
            pattern = quoted(f"(?m){term.pattern}")
            return sign + _any(f"{_name(name)}:~{pattern}" for name in places)
        case Field():
            return sign + _field(term)
        case LabelMatcher() | Part() | Pattern():
            raise not_here()
        case _:
            assert_never(term)


def _text(name: str, term: Text) -> str:
    """The "Case-insensitive filter": a phrase with borders of words at both ends."""
    text, star = term.text.strip(), "*" if term.prefix else ""
    unspaced = is_unspaced(text[0]), is_unspaced(text[-1])
    # A few letters are longer as small ones, which that filter takes for too long to be there.
    grows = len(text.lower().encode(errors="replace")) > len(text.encode(errors="replace"))
    if not any(unspaced) and " ".join(text.split()) == text and not grows:
        if _has_no_case(text):
            # The "Phrase filter" skips blocks by their Bloom filters: twenty times as fast.
            return f"{_name(name)}:{quoted(text)}{star}"
        return f"{_name(name)}:i({quoted(text)}{star})"
    # Chinese and Japanese have no borders, which that filter would want, and it takes blanks as
    # they stand. An expression costs fourteen times as much.
    before = "" if unspaced[0] or not text[0].isalnum() else f"(?:^|[^{_LETTERS}])"
    open_end = term.prefix or unspaced[1] or not text[-1].isalnum()
    after = "" if open_end else f"(?:$|[^{_LETTERS}])"
    literal = _BLANKS.join(map(_literal, text.split()))
    return f"{_name(name)}:~{quoted(f'(?i){before}{literal}{after}')}"


def _field(term: Field) -> str:
    """An expression for the whole value, asked only where the cheaper filter lets pass."""
    name, end = _name(term.name), "" if term.prefix else "$"
    exact = f"{name}:~{quoted(f'(?i)^{_literal(term.value)}{end}')}"
    if term.value != term.value.strip():
        return exact
    words = _text(term.name, Text(term.value, prefix=term.prefix))
    return f"({words} {exact})" if ":~" not in words else exact


def _cost(term: Term) -> int:
    """Filters are asked from left to right, and each only of what is left."""
    match term:
        case Text(negated=False):
            return 0 if _has_no_case(term.text) else 1
        case Field(negated=False):
            return 2
        case Regex():
            return 4
        case _:
            return 3


def _has_no_case(text: str) -> bool:
    return text.lower() == text.upper()


def _name(name: str) -> str:
    return name if name == MESSAGE else quoted(name)


def _literal(text: str) -> str:
    """The text for RE2, which knows fewer escapes than Python makes."""
    return _SPECIAL.sub(r"\\\g<0>", text)


def _any(parts: Iterable[str]) -> str:
    return f"({' or '.join(parts)})"
