"""A literal is there wherever its expression is found, or none is named."""

import re
import warnings

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from logshipper.store.query.literals import required


@pytest.mark.parametrize(
    ("pattern", "literal"),
    [
        ("timeout", "timeout"),
        (r"order_id = 1+ ", "order_id = 1"),
        (r"a\.b\[c\]", "a.b[c]"),
        ("took [0-9]+ms", "took "),
        ("took (10|20) ms for", " ms for"),
        ("abc*def", "def"),
        ("abc?", "ab"),
        ("abcd{2}e", "abc"),
        ("^start end$", "start end"),
        (r"x\x41\d\101\w", "x"),
        (r"\u0041b", "b"),
        (r"\x{41}\pL\p{Greek}end", "end"),
        (r"\Qa.b\E", ""),
        ("[]a]bc", "bc"),
        (r"[\]a]bc", "bc"),
        ("(?:long one)short", "short"),
        ("(?P<name>long one)short", "short"),
        ("a|b", ""),
        ("(a|b)", ""),
        ("(?i)abc", ""),
        ("[[:digit:]]+", ""),
        ("code=[[:^alpha:]]", ""),
        ("a(?i:b)c", ""),
        ("(?=abc)", ""),
        ("", ""),
    ],
)
def test_required(pattern: str, literal: str) -> None:
    assert required(pattern) == literal


@given(
    st.text(alphabet="ab.*+?|()[]^${}\\1,x04d", max_size=10),
    st.lists(st.text(alphabet="ab1x04d,{}. ", max_size=12), max_size=20),
)
def test_what_is_found_has_it(pattern: str, texts: list[str]) -> None:
    try:
        with warnings.catch_warnings(action="ignore"):
            found = re.compile(pattern)
    except (re.error, OverflowError):
        assume(False)
    literal = required(pattern)
    assert all(literal in text for text in texts if found.search(text))
