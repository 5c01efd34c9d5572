"""From a query to what the index is asked for and what must be checked on the text itself."""

import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Final

import msgspec

from logshipper.store.lines import documents, labels
from logshipper.store.lines.words import plain, query_text, stream_token
from logshipper.store.model import Filters, Stream
from logshipper.store.query.language import Field, Part, Query, Regex, Term, Text, Value, expression

# Beyond so many streams a list of them costs the index more than it saves.
_MAX_STREAM_TOKENS: Final = 64
_MIN_CONTAINER_PREFIX: Final = 12
_ASCII_WORD: Final = re.compile(r"[A-Za-z0-9]+")

_decoder = msgspec.json.Decoder()
Tokenize = Callable[[str], tuple[str, ...]]


@dataclass(frozen=True, slots=True)
class Plan:
    """A query, prepared for any number of days.

    Attributes:
        match: tokens that every line found must have, as terms of FTS5's query syntax.
        without: tokens that none may have; only where there are some that it must have, since
            the index cannot name the lines that lack a word.
        texts: literal searches and whether they must succeed.
        parts: texts within the message.
        fields: conditions on other fields.
        values: the same, as labels.
        regexes: expressions, and whether they must be found; run outside this process.
        filters: what must hold beside the text.
    """

    match: tuple[str, ...]
    without: tuple[str, ...]
    texts: tuple[tuple[re.Pattern[str], bool], ...]
    parts: tuple[Part, ...]
    fields: tuple[Field, ...]
    values: tuple[Value, ...]
    regexes: tuple[Regex, ...]
    filters: Filters

    @property
    def checks_text(self) -> bool:
        """Whether the index alone cannot tell that a line fits."""
        return bool(self.texts or self.parts or self.fields or self.values or self.regexes)

    @property
    def has_expressions(self) -> bool:
        """Whether something must be run outside this process."""
        return bool(self.regexes) or any(matcher.pattern for matcher in self.filters.labels)


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
        wanted, exact = _asked(term, tokenize)
        match += wanted
        if exact:
            said.add(term)
    for term in query.terms if match else ():
        if isinstance(term, Text) and term.negated:
            refused, exact = _match(term.text, tokenize, prefix=term.prefix)
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
        tuple(term for term in query.terms if isinstance(term, Field)),
        tuple(term for term in query.terms if isinstance(term, Value)),
        tuple(term for term in query.terms if isinstance(term, Regex)),
        query.filters,
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
        and all(matcher.accepts(fields[matcher.name]) for matcher in filters.labels)
    )


def accepts_level(filters: Filters, level: int) -> bool:
    """Whether the filters take lines of this level."""
    return (not filters.levels or level in filters.levels) and level not in filters.not_levels


def container_spellings(value: str) -> tuple[str, ...]:
    """The beginnings of a container's id that stand for it; none where only the whole does."""
    least = _MIN_CONTAINER_PREFIX
    return tuple(value[:size] for size in range(least, min(len(value), 64) + 1))


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
    """Whether the literal searches and the other fields fit."""
    for part in plan.parts:
        if any(text in message for text in part.texts) == part.negated:
            return False
    if not plan.texts and not plan.fields and not plan.values:
        return True
    other = _decoder.decode(extra) if extra else {}
    if plan.values:
        held = labels.flat(other)
        if not all(value.accepts(held.get(value.name, "")) for value in plan.values):
            return False
    text = full_text(message, other) if plan.texts else ""
    return all((found.search(text) is not None) == wanted for found, wanted in plan.texts) and all(
        _field_fits(term, other) != term.negated for term in plan.fields
    )


def full_text(message: str, other: Mapping[str, Any]) -> str:
    """What the words of a query are looked for in: the message and all other values, uncoloured."""
    return plain("\n".join((message, *documents.values(other))) if other else message)


def regex_text(regex: Regex, message: str, extra: bytes) -> str:
    """What an expression is looked for in, of a line whose other fields are still encoded."""
    if regex.of == "message":
        return message
    other = _decoder.decode(extra) if extra else {}
    return labels.flat(other).get(regex.label, "") if regex.label else full_text(message, other)


def _asked(term: Term, tokenize: Tokenize) -> tuple[list[str], bool]:
    """What every line that fits has in the index, and whether that says all of the term."""
    match term:
        case Text(text, prefix, negated=False):
            return _match(text, tokenize, prefix=prefix)
        case Field(_, text, prefix, negated=False):
            return _match(text, tokenize, prefix=prefix)[0], False
        case Part((only,), negated=False):
            return _inside(only), False
        case Value(_, (only,), (), negated=False):
            return _match(only, tokenize, prefix=False)[0], False
        case _:
            return [], False


def _match(text: str, tokenize: Tokenize, *, prefix: bool) -> tuple[list[str], bool]:
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
    return [
        f'"{found[0].lower()}"' + "*" * (found.end() == len(text))
        for found in _ASCII_WORD.finditer(text)
        if found.start() > 0
    ]


def _fits(name: str, pattern: str, value: str) -> bool:
    if pattern.endswith("*"):
        return value.startswith(pattern[:-1])
    if name == "container" and min(len(pattern), len(value)) >= _MIN_CONTAINER_PREFIX:
        # Docker shows 12 characters of an id, the shipper sends 16, an operator pastes 64.
        return value.startswith(pattern) or pattern.startswith(value)
    return value == pattern


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
