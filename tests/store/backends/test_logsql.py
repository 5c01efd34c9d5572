"""Queries in LogsQL: hostile texts stay texts."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from logshipper.store.lines import times
from logshipper.store.model import BadQuery, Filters, LabelMatcher
from logshipper.store.query import language
from logshipper.store.query.backends import logsql
from logshipper.store.query.backends.walk import Span
from logshipper.store.query.language import Field, Query, Regex, Term, Text

LITERAL = re.compile(r'"((?:[^"\\\x00-\x1f\x7f]|\\["\\]|\\x[0-9a-f]{2})*)"')
# All that may stand outside of literals.
GRAMMAR = re.compile(
    r"(?:[()!, *~:=]|or|_msg|in?|app|env|host|container|stream|level|L"
    r"|_time:(?:>=|<)[-0-9TZ:.]+)*"
)


def asked(text: str, **filters: object) -> str:
    return logsql.condition(language.parse(text, Filters(**filters)), Span())  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("", "*"),
        ("foo", '(_msg:i("foo"))'),
        ('"a b"', '(_msg:i("a b"))'),
        (
            '"a  b"',
            r'(_msg:~"(?i)(?:^|[^\\pL\\pN])a[\\s\\v\\x1c-\\x1f\\x{85}\\pZ]+b(?:$|[^\\pL\\pN])")',
        ),
        ("conn*", '(_msg:i("conn"*))'),
        ("-foo", '!(_msg:i("foo"))'),
        (r"/a\.b/", r'(_msg:~"(?m)a\\.b")'),
        ("trace.id:a*b", r'("trace.id":i("a*b") "trace.id":~"(?i)^a\\*b$")'),
        ("-code:4*", '!("code":"4"* "code":~"(?i)^4")'),
        ("-10.0.0.7", '!(_msg:"10.0.0.7")'),
        (
            "/x/ -y k:v w 7",
            '(_msg:"7") (_msg:i("w")) ("k":i("v") "k":~"(?i)^v$") !(_msg:i("y")) (_msg:~"(?m)x")',
        ),
        ("app:shop -env:dev*", '(app:="shop") !(env:="dev"*)'),
        (
            "container:0123456789abc",
            '((container:="0123456789abc"* or container:in("0123456789ab", "0123456789abc")))',
        ),
        ("level:warn", r'(level:~"(?i)^\\s*(warn|warning)\\s*$")'),
        ("\u023a", '(_msg:~"(?i)(?:^|[^\\\\pL\\\\pN])\u023a(?:$|[^\\\\pL\\\\pN])")'),
        ("连接", '(_msg:~"(?i)连接")'),
        ("app连接", r'(_msg:~"(?i)(?:^|[^\\pL\\pN])app连接")'),
    ],
)
def test_what_is_asked(text: str, wanted: str) -> None:
    assert asked(text) == wanted


def test_labels_of_loki_are_never_left_out_in_silence() -> None:
    with pytest.raises(BadQuery):
        asked("", labels=(LabelMatcher("app", ("shop",)),))


def test_words_are_looked_for_in_other_fields_too() -> None:
    query = language.parse("-foo /x/")
    assert logsql.condition(query, Span(), ("message", "trace_id")) == (
        '!(_msg:i("foo") or "trace_id":i("foo")) (_msg:~"(?m)x" or "trace_id":~"(?m)x")'
    )


def test_times() -> None:
    first = times.parse("2025-11-20T10:00:00.000000001Z")
    assert first is not None
    assert logsql.condition(Query(), Span(first, first + 1)) == (
        "_time:>=2025-11-20T10:00:00.000000001Z _time:<2025-11-20T10:00:00.000000002Z"
    )


TEXTS = st.text(min_size=1).filter(lambda text: bool(text.strip()))
TERMS: st.SearchStrategy[Term] = st.one_of(
    st.builds(Text, TEXTS, st.booleans(), st.booleans(), st.booleans()),
    st.builds(Field, TEXTS, TEXTS, st.booleans(), st.booleans()),
    st.builds(Regex, TEXTS, st.booleans()),
)


@given(
    st.lists(TERMS, max_size=4),
    st.dictionaries(st.sampled_from(["app", "env", "container"]), st.tuples(st.text(), st.text())),
)
def test_nothing_that_is_asked_for_is_syntax(
    terms: list[Term], streams: dict[str, tuple[str, str]]
) -> None:
    query = Query(tuple(terms), Filters(streams=streams, not_streams=streams))
    text = logsql.condition(query, Span(1, 2), ("other field",))
    outside = LITERAL.sub("L", text)
    assert GRAMMAR.fullmatch(outside), text
    assert outside.count("(") == outside.count(")")


@given(st.text())
def test_a_literal_says_what_was_meant(text: str) -> None:
    found = LITERAL.fullmatch(logsql.quoted(text))
    assert found
    read = re.sub(r'\\(?:(["\\])|x([0-9a-f]{2}))', lambda m: m[1] or chr(int(m[2], 16)), found[1])
    assert read == text.encode(errors="replace").decode()


def test_half_a_character_is_no_reason_to_fail() -> None:
    assert logsql.quoted("a\ud800b") == '"a?b"'
