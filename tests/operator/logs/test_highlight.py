"""Matches marked among a line's own colours; nothing else drives the terminal."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from wharfinger.logtext import RESET, SGR, harmless
from wharfinger.operator.logs.highlight import MARK, Sought, painted, sought

RED = "\x1b[31m"


def marked(query: str, text: str) -> list[str]:
    return [text[start:end] for start, end in sought(query).spans(text)]


@pytest.mark.parametrize(
    ("query", "text", "found"),
    [
        ("order", "An Order, two orders", ["Order"]),
        ("ord*", "orders ord record", ["ord", "ord"]),
        ('"connection reset"', "Connection\t reset by peer", ["Connection\t reset"]),
        ('"say \\"hi\\""', 'say "hi"', ['say "hi"']),
        ("-order level:error app:shop", "order level error shop", []),
        ("message:slow", "slow", ["slow"]),
        ("http://x/y", "GET http://x/y", ["http://x/y"]),
        (r"/5\d\d/", "500 and 404", ["500"]),
        (r"/^b/", "a\nb", ["b"]),
        ("/(/ reset", "reset (", ["reset"]),
        ("/x*/", "aaa", []),
        ("连接", "数据库连接超时", ["连接"]),
        ("a ab", "ab a", ["ab", "a"]),
        ("", "anything", []),
    ],
)
def test_what_is_marked(query: str, text: str, found: list[str]) -> None:
    assert marked(query, text) == found


def test_no_expression_is_slow_on_any_line() -> None:
    # Python's own engine would be at it for years.
    assert marked("/(a+)+$/", "a" * 50_000 + "b") == []


def test_a_match_across_the_lines_own_colours_and_back_to_them() -> None:
    text = f"x {RED}con\x1b[1mnection{RESET} y"
    assert painted(text, sought("connection")) == (
        f"x {RED}{MARK}con{RESET}{RED}\x1b[1m{MARK}nection{RESET}{RED}\x1b[1m{RESET} y{RESET}"
    )


def test_a_level_colours_what_has_no_colour() -> None:
    assert painted("a b", sought("b"), RED) == f"{RED}a {MARK}b{RESET}{RED}{RESET}"
    assert painted(f"\x1b[32ma{RESET}b", Sought(), RED) == f"{RED}\x1b[32ma{RESET}{RED}b{RESET}"
    assert painted("plain", Sought()) == "plain"


@given(
    st.from_regex(r"(\x1b\[[0-9;:?]{0,8}[a-zA-Z]?|[ab\s]|.){0,40}", fullmatch=True),
    st.sampled_from(["", "a", "a b", "/a./", '"a b"']),
    st.sampled_from(["", RED]),
)
def test_only_colours_are_added_to_what_is_harmless(text: str, query: str, base: str) -> None:
    shown = painted(text, sought(query), base)
    assert SGR.sub("", shown) == harmless(text, colours=False)
    for part in shown.split("\x1b[")[1:]:
        assert re.match(r"[0-9;]*m", part)
