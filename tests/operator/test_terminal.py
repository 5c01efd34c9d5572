"""What reaches a terminal: colours at most, whatever an application or etcd holds."""

import os
import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st

from wharfinger.logtext import RESET, harmless
from wharfinger.operator.terminal import show_table, width

HOSTILE = "\x1b]0;title\x07 \x1b[2J\x1b[H \x1b[8m \x1b[?1049h \x9b31m \u202eabc \r\n\x00"


def test_colours_stay_for_a_terminal_and_end_with_the_text() -> None:
    text = "\x1b[1;31mERROR\x1b[0m \x1b[38;5;208mx\x1b[48;2;1;2;3my\x1b[m"
    assert harmless(text, colours=True) == text + RESET
    assert harmless(text, colours=False) == "ERROR xy"
    assert harmless("plain", colours=True) == "plain"


@pytest.mark.parametrize(
    "control",
    [f"\x1b{rest}" for rest in ("[8m", "[5m", "[31;8m", "[38;5m", "[31", "[2J", "]0;x\x07", "c")],
)
def test_whatever_is_no_plain_colour_is_shown_not_done(control: str) -> None:
    assert harmless(control, colours=True) == control.replace("\x1b", "\\u001b").replace(
        "\x07", "\\u0007"
    )


def test_a_tab_is_some_blanks_and_a_newline_starts_no_line() -> None:
    assert harmless("a\tb\nforged", colours=False) == "a   b\\nforged"


@given(st.text() | st.from_regex(r"(\x1b\[[0-9;:?]*[a-zA-Z]?|.)*", fullmatch=True))
def test_nothing_but_colours_is_ever_left(text: str) -> None:
    assert harmless(text, colours=False).isprintable()
    for part in harmless(text, colours=True).split("\x1b[")[1:]:
        codes, m, rest = part.partition("m")
        assert m
        assert set(codes) <= set("0123456789;")
        assert rest.isprintable()


def test_a_table_without_a_terminal_keeps_each_row_on_a_line(
    capsys: pytest.CaptureFixture[str],
) -> None:
    show_table(("NAME", "WHY"), [("x", "y " * 500), (HOSTILE, "[bold]no markup[/bold]")])
    title, first, second = capsys.readouterr().out.splitlines()
    assert title.split() == ["NAME", "WHY"]
    assert first.startswith("x ")
    assert first.endswith("y " * 499 + "y")
    assert second.isprintable()
    assert "[bold]no markup[/bold]" in second


def test_colours_that_a_pipeline_forces_make_no_terminal(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FORCE_COLOR", "1")
    show_table(("NAME", "WHY"), [("x", "y " * 500)])
    assert len(capsys.readouterr().out.splitlines()) == 2
    assert width() is None


def test_a_terminal_has_a_width(monkeypatch: pytest.MonkeyPatch) -> None:
    leader, follower = os.openpty()
    with os.fdopen(leader), os.fdopen(follower, "w") as stdout:
        monkeypatch.setenv("COLUMNS", "80")
        monkeypatch.setattr(sys, "stdout", stdout)
        assert width() == 80
