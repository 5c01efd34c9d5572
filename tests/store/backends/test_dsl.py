"""Queries in Elasticsearch's DSL: what a mapping allows, and that texts stay values."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from logshipper.store.lines import times
from logshipper.store.model import BadQuery, Filters, LabelMatcher
from logshipper.store.query import language
from logshipper.store.query.backends import dsl, mapping
from logshipper.store.query.backends.mapping import Fields
from logshipper.store.query.backends.walk import Span
from logshipper.store.query.language import Query

KEYWORDS = ("app", "env", "host", "container", "stream", "level")
OURS = Fields(
    {
        "@timestamp": {"date": True},
        "message": {"text": False},
        **{name: {"keyword": True} for name in KEYWORDS},
        "code": {"long": True},
        "note": {"text": False},
    }
)
# What Elasticsearch makes of unknown fields by itself.
DYNAMIC = Fields(
    {
        "@timestamp": {"date": True},
        **{name: {"text": False} for name in ("message", *KEYWORDS)},
        **{f"{name}.keyword": {"keyword": True} for name in ("message", *KEYWORDS)},
    }
)
BARE = Fields({name: {"text": False} for name in ("message", *KEYWORDS)})


def asked(text: str, fields: Fields = OURS, span: Span | None = None) -> Any:
    return dsl.query(language.parse(text), span or Span(), fields)["bool"]


ALL = {"exists": {"field": "@timestamp"}}


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("foo", {"match_phrase": {"message": {"query": "foo"}}}),
        ('"a  b"', {"match_phrase": {"message": {"query": "a b"}}}),
        ("Conn*", {"prefix": {"message": {"value": "conn"}}}),
        ("a.b*", {"match_phrase_prefix": {"message": {"query": "a.b", "max_expansions": 1000}}}),
        ("app:shop", {"term": {"app": "shop"}}),
        ("app:sh*", {"prefix": {"app": {"value": "sh"}}}),
        ("code:5", {"match": {"code": {"query": "5", "lenient": True}}}),
        ("note:x", {"match_phrase": {"note": {"query": "x"}}}),
        ("nowhere:x", {"match_none": {}}),
    ],
)
def test_what_is_asked(text: str, wanted: Any) -> None:
    assert asked(text) == {"filter": [ALL, wanted]}
    assert asked(f"-{text}") == {"filter": [ALL], "must_not": [wanted]}


def test_dynamic_mapping_has_whole_values_beside() -> None:
    assert asked("app:shop", DYNAMIC)["filter"][1] == {"term": {"app.keyword": "shop"}}
    body = dsl.values({}, DYNAMIC)["aggs"]
    assert body["level"]["terms"]["field"] == "level.keyword"
    by_time = dsl.histogram({}, 60_000_000_000, DYNAMIC)["aggs"]["time"]
    assert by_time["date_histogram"]["fixed_interval"] == "60000ms"
    assert by_time["aggs"]["level"]["terms"]["field"] == "level.keyword"


def test_words_of_a_field_that_is_not_cut_into_words() -> None:
    fields = Fields({"message": {"wildcard": True}})
    wanted = {"value": r"*50\* of \\ \?*", "case_insensitive": True}
    assert asked(r'"50* of \\ ?"', fields)["filter"][1] == {"wildcard": {"message": wanted}}


@pytest.mark.parametrize(
    ("text", "fields", "says"),
    [
        ("app:shop", BARE, "not mapped as a keyword"),
        ("level:error", BARE, "not mapped as a keyword"),
        ("===>", OURS, "holds no word"),
        ("code:5*", OURS, "no beginnings"),
    ],
)
def test_what_a_mapping_does_not_allow_is_said(text: str, fields: Fields, says: str) -> None:
    with pytest.raises(BadQuery, match=says) as raised:
        asked(text, fields)
    assert raised.value.fix


def test_without_any_line_nothing_is_found_and_nothing_fails() -> None:
    nothing = Fields()
    assert asked("app:shop level:error word", nothing)["filter"][1:] == [{"match_none": {}}] * 3
    assert asked("app:* level:unknown", nothing)["filter"][1:] == [{"match_all": {}}] * 2
    assert dsl.values({}, nothing)["aggs"] == {}


def test_labels_of_loki_are_never_left_out_in_silence() -> None:
    query = Query(filters=Filters(labels=(LabelMatcher("app", ("shop",)),)))
    with pytest.raises(BadQuery):
        dsl.query(query, Span(), OURS)


def test_times_go_outward_to_whole_milliseconds() -> None:
    first = times.parse("2025-11-20T10:00:00.0019Z")
    assert first is not None
    [clause] = asked("", span=Span(first, first + 1))["filter"]
    assert clause["range"]["@timestamp"] == {
        "gte": "2025-11-20T10:00:00.001Z",
        "lt": "2025-11-20T10:00:00.002Z",
        "format": "strict_date_time",
    }


@given(st.text(min_size=1).filter(lambda t: any(c.isalnum() for c in t)))
def test_texts_are_values(text: str) -> None:
    query = Query(
        (language.Text(text), language.Field("code", text)), Filters(streams={"app": (text,)})
    )
    read = json.loads(json.dumps(dsl.query(query, Span(), OURS)))
    kinds = [next(iter(clause)) for clause in read["bool"]["filter"]]
    assert kinds[0] == "exists"
    assert set(kinds[1:]) <= {"match_phrase", "match", "term", "prefix", "match_all"}


def capabilities(**kinds: str) -> dict[str, Any]:
    fields = {
        name: {k: {"type": k, "aggregatable": k != "text"} for k in kind.split("+")}
        for name, kind in kinds.items()
    }
    return {"indices": ["i"], "fields": fields}


@pytest.mark.parametrize(
    ("kinds", "says"),
    [
        ({}, ["holds nothing yet"]),
        ({"@timestamp": "date", "message": "text", "app": "keyword"}, []),
        ({"@timestamp": "date+date_nanos", "app": "keyword+unmapped"}, []),
        ({"@timestamp": "text"}, ["is no date"]),
        ({"@timestamp": "date+keyword"}, ["is no date"]),
        ({"@timestamp": "date", "message": "keyword"}, ["not cut into words"]),
        ({"@timestamp": "date", "app": "text", "env": "keyword+text"}, ["app is no", "env is no"]),
        ({"@timestamp": "date", "app": "text", "app.keyword": "keyword"}, []),
    ],
)
def test_findings(kinds: dict[str, str], says: list[str]) -> None:
    found = list(mapping.findings(mapping.read(capabilities(**kinds)), "logs-*"))
    assert len(found) == len(says)
    for finding, words in zip(found, says, strict=True):
        assert words in finding.problem
        assert finding.fix
