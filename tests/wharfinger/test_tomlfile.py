"""The line of every key, against hand-made documents and against tomllib itself."""

import tomllib

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from wharfinger.tomlfile import parse, written


def lines(text: str) -> dict[tuple[str | int, ...], int]:
    return dict(parse(text)[1])


def test_headers_dotted_keys_quoted_keys_and_inline_tables() -> None:
    text = """\
# a comment with [brackets] and key = value
top = 1
[etcd]  # trailing
prefix = "a # b ] }"
"quoted key" = 'x'

[a . "b.c"]
d.e = { f = 1, "g h" = [
  1, 2,
  # between
  { i = 3 },
] }
"""
    assert lines(text) == {
        ("top",): 2,
        ("etcd",): 3,
        ("etcd", "prefix"): 4,
        ("etcd", "quoted key"): 5,
        ("a", "b.c"): 7,
        ("a", "b.c", "d"): 8,
        ("a", "b.c", "d", "e"): 8,
        ("a", "b.c", "d", "e", "f"): 8,
        ("a", "b.c", "d", "e", "g h"): 8,
        ("a", "b.c", "d", "e", "g h", 0): 9,
        ("a", "b.c", "d", "e", "g h", 1): 9,
        ("a", "b.c", "d", "e", "g h", 2): 11,
        ("a", "b.c", "d", "e", "g h", 2, "i"): 11,
    }


def test_each_element_of_an_array_of_tables_has_its_own_lines() -> None:
    text = """\
[[s.sinks]]
url = 1
[s.sinks.tls]
ca = 2
[[s.sinks]]
url = 3
[[s.sinks.headers]]
name = 4
[[s.sinks.headers]]
name = 5
"""
    found = lines(text)
    assert found["s", "sinks", 0, "url"] == 2
    assert found["s", "sinks", 0, "tls", "ca"] == 4
    assert found["s", "sinks", 1, "url"] == 6
    assert found["s", "sinks", 1, "headers", 0, "name"] == 8
    assert found["s", "sinks", 1, "headers", 1, "name"] == 10


def test_strings_of_several_lines_hide_what_looks_like_keys() -> None:
    text = '''\
a = """
[no]
b = 1
\\""" still "" inside"""""
c = \'\'\'
d = 2\'\'\'
e = 1979-05-27 07:32:00 # a date with a blank
'''
    assert lines(text) == {("a",): 1, ("c",): 5, ("e",): 7}


def test_windows_line_ends_count_as_one() -> None:
    assert lines("a = 1\r\n\r\n[b]\r\nc = 2\r\n") == {("a",): 1, ("b",): 3, ("b", "c"): 4}


@pytest.mark.parametrize(
    "text",
    ["a = ", "a = 1\na = 2", "[a]\n[a]", "a = " + "[" * 20_000, "a = " + "9" * 5_000, "\0"],
)
def test_what_is_not_toml_is_a_value_error(text: str) -> None:
    with pytest.raises(ValueError, match=r"."):
        parse(text)


def test_deep_nesting_that_tomllib_takes_is_scanned_too() -> None:
    depth = 200
    assert lines(f"a = {'[' * depth}{']' * depth}")["a",] == 1


values = st.recursive(
    st.booleans()
    | st.integers(-(2**60), 2**60)
    | st.floats(allow_nan=False)
    | st.text(st.characters(exclude_categories=["Cs"]), max_size=20),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text("ab.\"'é ", max_size=5), inner)
    ),
    max_leaves=8,
)


@given(values)
@settings(max_examples=300, deadline=None)
def test_what_is_written_reads_back_as_it_was(value: object) -> None:
    assert tomllib.loads(f"key = {written(value)}")["key"] == value


@given(st.dictionaries(st.text("ab.\"'#[]= é", min_size=1, max_size=5), values, max_size=4))
@settings(max_examples=300, deadline=None)
def test_every_key_of_a_generated_document_is_found_on_its_line(table: dict[str, object]) -> None:
    text = "".join(f"\n# x\n{written(key)} = {written(value)}" for key, value in table.items())
    parsed, found = parse(text)
    assert parsed == table
    for number, key in enumerate(table):
        assert found[key,] == 2 * number + 3


def test_none_cannot_be_written() -> None:
    with pytest.raises(ValueError, match="NoneType"):
        written([None])
