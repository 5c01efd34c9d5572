"""From a query to what the index is asked for and what must be checked on the text itself."""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Final

import msgspec

from logshipper.store.lines import documents, labels
from logshipper.store.lines.words import plain, stream_token
from logshipper.store.model import Filters, LabelMatcher, Stream
from logshipper.store.query import indexed, linear
from logshipper.store.query.indexed import Tokenize
from logshipper.store.query.language import (
    Field,
    Part,
    Pattern,
    Query,
    Regex,
    Term,
    Text,
    expression,
)

# Beyond so many streams a list of them costs the index more than it saves.
_MAX_STREAM_TOKENS: Final = 64
_MIN_CONTAINER_PREFIX: Final = 12
# A name such as `shop-checkout-1` is the beginning of another container's name.
_CONTAINER_ID: Final = re.compile(rf"[0-9a-f]{{{_MIN_CONTAINER_PREFIX},64}}", re.ASCII)

_decoder = msgspec.json.Decoder()


@dataclass(frozen=True, slots=True)
class Plan:
    """A query, prepared for any number of days.

    Attributes:
        match: tokens that every line found must have, as terms of FTS5's query syntax.
        without: tokens that none may have; only where there are some that it must have, since
            the index cannot name the lines that lack a word.
        texts: literal searches and whether they must succeed.
        parts: texts within the message.
        patterns: expressions of RE2 in it.
        fields: conditions on other fields.
        labels: the same, as labels.
        regexes: expressions, and whether they must be found; run outside this process.
        filters: what must hold beside the text.
        needles: bytes that the messages of a block have in them if any line of it fits.
    """

    match: tuple[str, ...]
    without: tuple[str, ...]
    texts: tuple[tuple[re.Pattern[str], bool], ...]
    parts: tuple[Part, ...]
    patterns: tuple[Pattern, ...]
    fields: tuple[Field, ...]
    labels: tuple[LabelMatcher, ...]
    regexes: tuple[Regex, ...]
    filters: Filters
    needles: tuple[bytes, ...] = ()

    @property
    def checks_text(self) -> bool:
        """Whether the index alone cannot tell that a line fits."""
        return bool(self.parts or self.patterns or self.checks_fields or self.regexes)

    @property
    def checks_fields(self) -> bool:
        """Whether a line's other fields, or its text as words, must be looked at."""
        return bool(self.texts or self.fields or self.labels)


def make(query: Query, tokenize: Tokenize, *, has_index: bool = True) -> Plan:
    """Prepares a query.

    Args:
        query: what is asked.
        tokenize: the index's tokenizer.
        has_index: False where every term must be checked on the text (a live tail).
    """
    match: list[str] = []
    without: list[str] = []
    said: set[Term] = set()
    for term in query.terms if has_index else ():
        wanted, exact = indexed.asked(term, tokenize)
        match += wanted
        if exact:
            said.add(term)
    for term in query.terms if match else ():
        if isinstance(term, Text) and term.negated:
            refused, exact = indexed.terms(term.text, tokenize, prefix=term.prefix)
            if exact:
                without += refused
                said.add(term)
    texts = [
        (expression(term), not term.negated)
        for term in query.terms
        if isinstance(term, Text) and term not in said
    ]
    return Plan(
        tuple(dict.fromkeys(match)),
        tuple(without),
        tuple(texts),
        tuple(term for term in query.terms if isinstance(term, Part)),
        tuple(term for term in query.terms if isinstance(term, Pattern)),
        tuple(term for term in query.terms if isinstance(term, Field)),
        tuple(term for term in query.terms if isinstance(term, LabelMatcher)),
        tuple(term for term in query.terms if isinstance(term, Regex)),
        query.filters,
        tuple(needle for term in query.terms if (needle := indexed.needle(term))),
    )


def accepts_stream(filters: Filters, stream: Stream) -> bool:
    """Whether the filters take lines of this stream."""
    fields = stream._asdict()
    return (
        all(
            any(_fits(name, pattern, fields[name]) for pattern in patterns)
            for name, patterns in filters.streams.items()
        )
        and not any(
            _fits(name, pattern, fields[name])
            for name, patterns in filters.not_streams.items()
            for pattern in patterns
        )
        and all(label_fits(matcher, fields[matcher.name]) for matcher in filters.labels)
    )


def label_fits(matcher: LabelMatcher, value: str) -> bool:
    """Whether a label's value is as it must be."""
    found = value in matcher.values or value.startswith(matcher.prefixes)
    if not found and matcher.pattern:
        found = linear.compiled(matcher.pattern, whole=True).found(value)
    return found != matcher.negated


def accepts_level(filters: Filters, level: int) -> bool:
    """Whether the filters take lines of this level."""
    return (not filters.levels or level in filters.levels) and level not in filters.not_levels


def container_spellings(value: str) -> tuple[str, ...]:
    """The beginnings of a container's id that stand for it; none where only the whole does."""
    if not _CONTAINER_ID.fullmatch(value):
        return ()
    return tuple(value[:size] for size in range(_MIN_CONTAINER_PREFIX, len(value) + 1))


def level_bits(filters: Filters) -> int:
    """One bit for each level that the filters take."""
    return sum(1 << level for level in range(8) if accepts_level(filters, level))


def match_expression(plan: Plan, stream_ids: Iterable[int] | None) -> str:
    """The FTS5 query for a day whose fitting streams are these; None for all; empty for none."""
    parts = list(plan.match)
    if stream_ids is not None:
        tokens = [f'"{stream_token(number)}"' for number in stream_ids]
        if len(tokens) <= _MAX_STREAM_TOKENS:
            parts.append(f"({' OR '.join(tokens)})")
    asked = " AND ".join(parts)
    return f"({asked}) NOT ({' OR '.join(plan.without)})" if plan.without else asked


def accepts_text(plan: Plan, message: str, extra: bytes) -> bool:
    """Whether all but the expressions that run elsewhere fit."""
    if not all(has_part(part, message) for part in plan.parts):
        return False
    if not all(has_pattern(pattern, message) for pattern in plan.patterns):
        return False
    return not plan.checks_fields or accepts_fields(plan, message, extra)


def has_part(part: Part, message: str) -> bool:
    """Whether a message has in it what it must, or must not."""
    return any(text in message for text in part.texts) != part.negated


def has_pattern(pattern: Pattern, message: str) -> bool:
    """Whether an expression is found in a message as it must be."""
    return linear.compiled(pattern.pattern).found(message) != pattern.negated


def accepts_fields(plan: Plan, message: str, extra: bytes) -> bool:
    """Whether the literal searches and the other fields fit, as a part of `accepts_text`."""
    other = _decoder.decode(extra) if extra else {}
    if plan.labels:
        held = labels.flat(other)
        if not all(label_fits(matcher, held.get(matcher.name, "")) for matcher in plan.labels):
            return False
    text = full_text(message, other) if plan.texts else ""
    return all((found.search(text) is not None) == wanted for found, wanted in plan.texts) and all(
        _field_fits(term, other) != term.negated for term in plan.fields
    )


def full_text(message: str, other: Mapping[str, Any]) -> str:
    """What the words of a query are looked for in: the message and all other values, uncoloured."""
    return plain("\n".join((message, *documents.values(other))) if other else message)


def regex_text(message: str, extra: bytes) -> str:
    """The same, for a line whose other fields are still encoded."""
    return full_text(message, _decoder.decode(extra) if extra else {})


def _fits(name: str, pattern: str, value: str) -> bool:
    if pattern.endswith("*"):
        return value.startswith(pattern[:-1])
    if value == pattern:
        return True
    if name != "container" or not value.startswith(pattern[: len(value)]):
        return False
    # Docker shows 12 characters of an id, the shipper sends 16, an operator pastes 64.
    return bool(_CONTAINER_ID.fullmatch(pattern) and _CONTAINER_ID.fullmatch(value))


def _field_fits(term: Field, other: Mapping[str, Any]) -> bool:
    wanted = term.value.lower()
    for value in _leaves(_step(other, term.name)):
        held = value.lower()
        if held == wanted or (term.prefix and held.startswith(wanted)):
            return True
    return False


def _step(other: Any, name: str) -> Any:
    """The value under a name; dots step into objects where no name holds the dot itself."""
    if not isinstance(other, dict):
        return None
    if name in other:
        return other[name]
    head, dot, rest = name.partition(".")
    return _step(other.get(head), rest) if dot else None


def _leaves(value: Any) -> list[str]:
    match value:
        case bool():
            return ["true" if value else "false"]
        case str() | int() | float():
            return [str(value)]
        case list():
            return [leaf for element in value for leaf in _leaves(element)]
        case _:
            return []
