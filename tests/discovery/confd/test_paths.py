"""Paths and globs are Go's; a glob takes no time that a hostile key could stretch."""

import pytest

from discovery.confd.paths import base, clean, glob, literal_start, parent


@pytest.mark.parametrize(
    ("path", "expected"),
    # The rows of Go's path/path_test.go.
    [
        ("", "."), ("abc", "abc"), ("abc/def", "abc/def"), ("a/b/c", "a/b/c"), (".", "."),
        ("..", ".."), ("../..", "../.."), ("../../abc", "../../abc"), ("/abc", "/abc"),
        ("/", "/"), ("abc/", "abc"), ("abc/def/", "abc/def"), ("a/b/c/", "a/b/c"), ("./", "."),
        ("../", ".."), ("../../", "../.."), ("/abc/", "/abc"), ("abc//def//ghi", "abc/def/ghi"),
        ("//abc", "/abc"), ("///abc", "/abc"), ("//abc//", "/abc"), ("abc//", "abc"),
        ("abc/./def", "abc/def"), ("/./abc/def", "/abc/def"), ("abc/.", "abc"),
        ("abc/def/ghi/../jkl", "abc/def/jkl"), ("abc/def/../ghi/../jkl", "abc/jkl"),
        ("abc/def/..", "abc"), ("abc/def/../..", "."), ("/abc/def/../..", "/"),
        ("abc/def/../../..", ".."), ("/abc/def/../../..", "/"),
        ("abc/def/../../../ghi/jkl/../../../mno", "../../mno"), ("abc/./../def", "def"),
        ("abc//./../def", "def"), ("abc/../../././../def", "../../def"),
    ],
)  # fmt: skip
def test_clean_is_gos(path: str, expected: str) -> None:
    assert clean(path) == expected


@pytest.mark.parametrize(
    ("path", "last", "above"),
    [
        ("", ".", "."), (".", ".", "."), ("/.", ".", "/"), ("/", "/", "/"), ("////", "/", "/"),
        ("/foo", "foo", "/"), ("x/", "x", "x"), ("abc", "abc", "."), ("abc/def", "def", "abc"),
        ("a/b/.x", ".x", "a/b"), ("a/b/c.", "c.", "a/b"), ("a/b/c.x", "c.x", "a/b"),
    ],
)  # fmt: skip
def test_base_and_dir_are_gos(path: str, last: str, above: str) -> None:
    assert (base(path), parent(path)) == (last, above)


def test_a_pattern_of_many_stars_takes_no_time_with_a_hostile_key() -> None:
    pattern = "/" + "*a" * 30 + "b"
    assert not glob(pattern).fullmatch("/" + "a" * 5_000)


@pytest.mark.parametrize(
    ("pattern", "start"),
    [("/a/*", "/a/"), ("/a", "/a"), ("*", ""), ("/a?b", "/a"), ("/[a]", "/"), ("/\\a", "/")],
)
def test_what_a_glob_begins_with_is_known(pattern: str, start: str) -> None:
    assert literal_start(pattern) == start
