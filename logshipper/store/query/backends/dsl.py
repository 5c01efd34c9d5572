"""From a query to Elasticsearch's query DSL, which OpenSearch shares; pure.

Texts are values of JSON, so nothing in them is syntax; wildcards are escaped where they count.
"""

import re
from collections.abc import Iterable, Sequence
from typing import Any, Final, assert_never

from logshipper.store.lines import times
from logshipper.store.model import BadQuery, Filters, LabelMatcher
from logshipper.store.query.backends.mapping import LABELS, MESSAGE, TIME, Fields
from logshipper.store.query.backends.place import not_here
from logshipper.store.query.backends.walk import LAST_NS, Span
from logshipper.store.query.language import Field, Part, Pattern, Query, Regex, Text
from logshipper.store.query.plan import container_spellings
from wharfinger import levels

MILLISECOND_NS: Final = 1_000_000
MAX_VALUES: Final = 1_000
_MAX_EXPANSIONS: Final = 1_000
_WILDCARDS: Final = re.compile(r"[\\*?]")
_NOTHING: Final[dict[str, Any]] = {"match_none": {}}

Clause = dict[str, Any]


def query(asked: Query, span: Span, fields: Fields, words: Sequence[str] = ()) -> Clause:
    """The query; expressions are left out, as only whole values could be held against them.

    Args:
        asked: what is asked; its own times do not count.
        span: the time.
        fields: how they are mapped.
        words: fields in which words are looked for beside the message.

    Raises:
        BadQuery: the mapping does not allow it, or a text holds no word.
    """
    must: list[Clause] = [_time(span)]
    must_not: list[Clause] = []
    _filter(asked.filters, fields, must, must_not)
    places = (MESSAGE, *(name for name in words if name != MESSAGE))
    for term in asked.terms:
        clauses = must_not if term.negated else must
        match term:
            case Text():
                clauses.append(_any([_text(name, term, fields) for name in places]))
            case Field():
                clauses.append(_field(term, fields))
            case Regex():
                pass
            case LabelMatcher() | Part() | Pattern():
                raise not_here()
            case _:
                assert_never(term)
    parts = {"filter": must, "must_not": must_not}
    return {"bool": {name: clauses for name, clauses in parts.items() if clauses}}


def search(asked: Clause, size: int, *, newest_first: bool) -> dict[str, Any]:
    """The body of a `_search` for the first lines."""
    order = {"order": "desc" if newest_first else "asc", "unmapped_type": "date"}
    return {"query": asked, "size": size, "sort": [{TIME: order}], "track_total_hits": False}


def histogram(asked: Clause, bucket_ns: int, fields: Fields) -> dict[str, Any]:
    """The body for lines by time and level (documents: Date histogram aggregation)."""
    by_time: dict[str, Any] = {
        "date_histogram": {
            "field": TIME,
            "fixed_interval": f"{bucket_ns // MILLISECOND_NS}ms",
            "min_doc_count": 1,
        }
    }
    if level := fields.whole("level"):
        by_time["aggs"] = {"level": {"terms": {"field": level, "size": 100}}}
    return {"query": asked, "size": 0, "track_total_hits": False, "aggs": {"time": by_time}}


def values(asked: Clause, fields: Fields) -> dict[str, Any]:
    """The body for the values of all labels."""
    aggregations = {
        name: {"terms": {"field": whole, "size": MAX_VALUES}}
        for name in LABELS
        if (whole := fields.whole(name))
    }
    return {"query": asked, "size": 0, "track_total_hits": True, "aggs": aggregations}


def needed(asked: Query, words: Sequence[str]) -> tuple[str, ...]:
    """The fields whose mapping a query depends on."""
    own = (term.name for term in asked.terms if isinstance(term, Field))
    return tuple(dict.fromkeys((TIME, MESSAGE, *LABELS, *words, *own)))


def _time(span: Span) -> Clause:
    bounds: dict[str, str] = {}
    # Outward to whole milliseconds: a `date` knows no more, and what is too much is cut here.
    # Dates in nanoseconds begin in 1970, and refuse to be compared with what is before.
    if span.from_ns > 0:
        bounds["gte"] = _text_of(span.from_ns // MILLISECOND_NS * MILLISECOND_NS)
    if span.to_ns < LAST_NS:
        bounds["lt"] = _text_of(-(-span.to_ns // MILLISECOND_NS) * MILLISECOND_NS)
    if not bounds:
        return {"exists": {"field": TIME}}
    return {"range": {TIME: {**bounds, "format": "strict_date_time"}}}


def _text_of(time_ns: int) -> str:
    return f"{times.text(time_ns)[:23]}Z"


def _filter(filters: Filters, fields: Fields, must: list[Clause], must_not: list[Clause]) -> None:
    if filters.labels:
        raise not_here()
    for held, clauses in ((filters.streams, must), (filters.not_streams, must_not)):
        for name, patterns in held.items():
            clauses.append(_any([_label(name, pattern, fields) for pattern in patterns]))
    if filters.levels:
        must.append(_level(filters.levels, fields))
    if filters.not_levels:
        must_not.append(_level(filters.not_levels, fields))


def _label(name: str, pattern: str, fields: Fields) -> Clause:
    whole = _whole(name, fields)
    if not whole:
        return _NOTHING if pattern.strip("*") else {"match_all": {}}
    if pattern == "*":
        return {"match_all": {}}
    if pattern.endswith("*"):
        return {"prefix": {whole: {"value": pattern[:-1]}}}
    if not pattern:
        missing: Clause = {"bool": {"must_not": [{"exists": {"field": whole}}]}}
        return _any([missing, {"term": {whole: ""}}])
    if name == "container" and (shorter := container_spellings(pattern)):
        return _any([{"prefix": {whole: {"value": pattern}}}, {"terms": {whole: list(shorter)}}])
    return {"term": {whole: pattern}}


def _level(numbers: frozenset[int], fields: Fields) -> Clause:
    whole = _whole("level", fields)
    unknown = levels.UNKNOWN in numbers
    if not whole:
        return {"match_all": {}} if unknown else _NOTHING
    clauses: list[Clause] = [{"terms": {whole: _spelled(numbers - {levels.UNKNOWN})}}]
    if unknown:
        every = _spelled(range(1, len(levels.NAMES)))
        clauses.append({"bool": {"must_not": [{"terms": {whole: every}}]}})
    return _any(clauses)


def _spelled(numbers: Iterable[int]) -> list[str]:
    return [
        spelling
        for number in sorted(numbers)
        for word in levels.spellings(number)
        for spelling in (word, word.upper(), word.capitalize())
    ]


def _whole(name: str, fields: Fields) -> str:
    whole = fields.whole(name)
    if not whole and fields.holds(name):
        raise BadQuery(
            f"{name} is not mapped as a keyword, so it cannot be asked for",
            "map it so (logshipper/store/README.md, Other back ends), or ask without it",
        )
    return whole


def _text(name: str, term: Text, fields: Fields) -> Clause:
    text = " ".join(term.text.split())
    if not fields.words(name):
        if not (whole := fields.whole(name)):
            return _NOTHING
        pattern = f"*{_WILDCARDS.sub(_escaped, text)}*"
        return {"wildcard": {whole: {"value": pattern, "case_insensitive": True}}}
    if not any(character.isalnum() for character in text):
        raise BadQuery(
            f"{text[:40]!r} holds no word, and the index knows only words",
            "add a word that stands beside it",
        )
    if not term.prefix:
        return {"match_phrase": {name: {"query": text}}}
    if text.isalnum():
        return {"prefix": {name: {"value": text.lower()}}}
    return {"match_phrase_prefix": {name: {"query": text, "max_expansions": _MAX_EXPANSIONS}}}


def _field(term: Field, fields: Fields) -> Clause:
    if whole := fields.whole(term.name):
        kind = "prefix" if term.prefix else "term"
        return {kind: {whole: {"value": term.value, "case_insensitive": True}}}
    if not fields.holds(term.name):
        return _NOTHING
    if fields.words(term.name):
        kind = "match_phrase_prefix" if term.prefix else "match_phrase"
        return {kind: {term.name: {"query": term.value}}}
    if term.prefix:
        raise BadQuery(
            f"{term.name} holds numbers, which have no beginnings", f"write {term.name}:value"
        )
    # Lenient: a word is no number, and then no line fits.
    return {"match": {term.name: {"query": term.value, "lenient": True}}}


def _any(clauses: Sequence[Clause]) -> Clause:
    if len(clauses) == 1:
        return clauses[0]
    return {"bool": {"should": list(clauses), "minimum_should_match": 1}}


def _escaped(found: re.Match[str]) -> str:
    return f"\\{found[0]}"
