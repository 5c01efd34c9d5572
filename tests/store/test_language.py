"""The query language."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from logshipper.store.model import BadQuery, Filters
from logshipper.store.query import language
from logshipper.store.query.language import Field, Regex, Text


@pytest.mark.parametrize(
    ("text", "terms"),
    [
        ("", ()),
        ("  ", ()),
        ("foo bar", (Text("foo"), Text("bar"))),
        ('"a phrase" -not', (Text("a phrase", phrase=True), Text("not", negated=True))),
        ('-"a b"', (Text("a b", negated=True, phrase=True),)),
        ("conn*", (Text("conn", prefix=True),)),
        ("*", (Text("*"),)),
        (r'"say \"hi\" \\ now"', (Text('say "hi" \\ now', phrase=True),)),
        ("/lo.ged in/", (Regex("lo.ged in"),)),
        (r"/a\/b\d/ -/x/", (Regex(r"a/b\d"), Regex("x", negated=True))),
        ("/api/orders /healthz", (Text("/api/orders"), Text("/healthz"))),
        ("trace_id:abc", (Field("trace_id", "abc"),)),
        ('key:"two words" -n.a:5*', (Field("key", "two words"), Field("n.a", "5", True, True))),
        ("message:x", (Text("x"),)),
        (
            "http://x a::b by: 10:20:30",
            (Text("http://x"), Text("a::b"), Text("by:"), Text("10:20:30")),
        ),
        ("- -- a-b", (Text("-"), Text("-", negated=True), Text("a-b"))),
        ("连接 naïve", (Text("连接"), Text("naïve"))),
    ],
)
def test_terms(text: str, terms: tuple[language.Term, ...]) -> None:
    assert language.parse(text).terms == terms


def test_stream_fields_and_level_become_filters() -> None:
    parsed = language.parse(
        "x app:shop app:web -env:dev level:warning", Filters(streams={"host": ("h1",)})
    )
    assert parsed.terms == (Text("x"),)
    assert parsed.filters == Filters(
        streams={"host": ("h1",), "app": ("shop", "web")},
        not_streams={"env": ("dev",)},
        levels=frozenset({4}),
    )


@pytest.mark.parametrize(
    ("text", "names"),
    [
        ('"open', "never closed"),
        ('""', "empty"),
        ("/bad(/", "no regular expression"),
        ("/(?i)" + "[\0-\uffff]" * 40 + "/", "ranges of characters beyond ASCII"),
        ("/" + r"[a-\xff\0-\377]" * 20 + "/", "ranges of characters beyond ASCII"),
        ("level:loud", "no level 'loud'"),
        ("app:/x/", "app:/.../"),
        ("key:/x/", "key:/.../"),
        ("x" * 5000, "longer"),
        ("x " * 65, "more than 64"),
    ],
)
def test_bad_queries_name_the_fix(text: str, names: str) -> None:
    with pytest.raises(BadQuery, match=re.escape(names)) as caught:
        language.parse(text)
    assert caught.value.fix


@given(
    st.text(alphabet=st.one_of(st.sampled_from('"/\\-:*() app连'), st.characters()), max_size=60)
)
def test_anything_is_a_query_or_has_a_fix(text: str) -> None:
    try:
        parsed = language.parse(text)
    except BadQuery as error:
        assert error.fix  # noqa: PT017 - either outcome is right
        return
    for term in parsed.terms:
        if isinstance(term, Text):
            assert language.expression(term).search(term.text) or term.text.split() != [term.text]


@pytest.mark.parametrize(
    ("term", "text", "found"),
    [
        (Text("foo"), "a FOO.", True),
        (Text("foo"), "foobar", False),
        (Text("foo"), "x_foo_y", True),
        (Text("foo", prefix=True), "foobar", True),
        (Text("a b"), "xa b", False),
        (Text("a b"), "a \t\n b", True),
        (Text("10.0.0.1"), "10.0.0.12", False),
        (Text("连接"), "数据库连接超时", True),
        (Text("login"), "用户login失败", True),
        (Text("login", prefix=True), "用户logins失败", True),
        (Text("login"), "用户logins失败", False),
        (Text("é"), "用户é", True),
        (Text(".*"), "a.*b", True),
        (Text(".*"), "ab", False),
        (Text("=>"), "a=>b", True),
    ],
)
def test_literal_search(term: Text, text: str, found: bool) -> None:
    assert (language.expression(term).search(text) is not None) == found
