"""A line in each form, for people and programs; nothing in it drives a terminal."""

import json
import re
from dataclasses import replace
from datetime import UTC, timedelta, timezone
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from wharfinger.logtext import SGR
from wharfinger.operator.logs.folding import Fold
from wharfinger.operator.logs.highlight import sought
from wharfinger.operator.logs.shown import (
    FORMS,
    PALETTE,
    Style,
    colour_of,
    line,
    moment,
    note,
    separator,
)

HIT = {
    "id": "20261123.1.2",
    "time": "2026-11-23T08:00:00.123456789Z",
    "message": "GET /\x1b[31m 500",
    "level": "error",
    "app": "shop",
    "env": "prod",
    "host": "h1",
    "container": "c" * 64,
    "stream": "stderr",
    "user": "a b",
    "took": {"ms": 7},
}
PLAIN = Style(zone=UTC)
COLOURED = Style(zone=UTC, colours=True)


def test_short_says_when_who_and_what() -> None:
    assert line(HIT, PLAIN) == f"2026-11-23T08:00:00.123Z shop_prod {'c' * 12} ERROR GET / 500\n"
    for said in ("[warn] x", "\x1b[33mWARN\x1b[0m x"):
        shown = line({"time": "t", "message": said, "level": "warn"}, PLAIN)
        assert shown == f"t  {SGR.sub('', said)}\n"
    assert line({**HIT, "container_name": "web-1"}, PLAIN).split()[2] == "web-1"


def test_long_leaves_nothing_out() -> None:
    assert line(HIT, replace(PLAIN, form="long")) == (
        f"2026-11-23T08:00:00.123456Z ERROR shop_prod {'c' * 12} h1 stderr GET / 500"
        ' user="a b" took="{\\"ms\\":7}"\n'
    )


def test_forms_for_programs() -> None:
    assert json.loads(line(HIT, replace(PLAIN, form="json"))) == HIT
    assert line(HIT, replace(PLAIN, form="message")) == "GET / 500\n"
    shown = line(HIT, replace(PLAIN, form="logfmt"))
    assert shown.startswith(
        "time=2026-11-23T08:00:00.123456Z level=error app=shop env=prod host=h1"
    )
    assert 'message="GET /\\u001b[31m 500" user="a b"' in shown


def test_times_stand_in_a_zone_that_they_name() -> None:
    zone = timezone(timedelta(hours=1))
    assert moment(HIT["time"], zone) == "2026-11-23T09:00:00.123+01:00"
    assert moment(HIT["time"], UTC) == "2026-11-23T08:00:00.123Z"
    assert moment("9999-12-31T23:59:59Z", zone) == "9999-12-31T23:59:59Z"
    assert moment("x\x1b", UTC) == "x\\u001b"


def test_levels_containers_and_matches_have_their_colours() -> None:
    shown = line(HIT, replace(COLOURED, marks=sought("500")))
    assert f"{colour_of('shop_prod')}shop_prod\x1b[0m" in shown
    assert "\x1b[31mERROR GET /\x1b[31m \x1b[30;43m500\x1b[0m" in shown
    assert SGR.sub("", shown) == line(HIT, PLAIN)
    assert line({"message": "x", "level": "info"}, COLOURED).endswith(" INFO x\n")


def test_a_name_has_one_colour_and_names_have_many() -> None:
    assert colour_of("shop_prod") == colour_of("shop_prod")
    assert len({colour_of(f"web-{n}") for n in range(200)}) == len(PALETTE)


def test_a_message_of_several_lines_is_set_in_or_stands_on_one() -> None:
    hit = {"time": "t", "message": "boom\n at a(\n at b(\n at c(\nforged\n"}
    assert line(hit, PLAIN) == "t  boom\\n at a(\\n at b(\\n at c(\\nforged\\n\n"
    layout = replace(PLAIN, layout=True)
    assert line(hit, layout).splitlines()[1:] == [f"     at {n}(" for n in "abc"] + ["    forged"]
    assert line(hit, replace(layout, fold=True)).splitlines()[1:] == [
        "     at a(",
        "    ... 2 lines folded",
        "    forged",
    ]


def test_a_note_stands_where_the_lines_would() -> None:
    assert note(Fold(HIT, 7), PLAIN) == (
        f"2026-11-23T08:00:00.123Z shop_prod {'c' * 12} ... 7 lines folded\n"
    )
    assert note(Fold(HIT, 7), replace(PLAIN, form="message")) == "... 7 lines folded\n"


def test_what_stands_around_is_told_from_what_was_found() -> None:
    style = replace(PLAIN, form="message", with_context=True)
    assert line(HIT, style) + line(HIT, style, found=False) == "> GET / 500\n  GET / 500\n"
    assert separator(style) == "--\n"
    as_json = replace(style, form="json")
    assert [json.loads(line(HIT, as_json, found=found))["context"] for found in (True, False)] == [
        False,
        True,
    ]
    assert separator(as_json) == ""


VALUES = st.text() | st.from_regex(r"(\x1b[\[\]][0-9;?]*[a-zA-Z\x07]?|.|\n)*", fullmatch=True)


@given(
    st.dictionaries(
        st.sampled_from([*HIT, "container_name", "\x1b[2J"]), VALUES | st.none() | st.integers()
    ),
    st.sampled_from(FORMS),
    st.booleans(),
    st.booleans(),
)
def test_no_line_drives_a_terminal(
    hit: dict[str, Any], form: Any, colours: bool, layout: bool
) -> None:
    layout = layout and form in {"short", "long", "message"}
    colours = colours and form not in {"json", "logfmt"}
    style = Style(
        form=form, zone=UTC, colours=colours, layout=layout, fold=layout, marks=sought("a")
    )
    first, *more = line(hit, style).removesuffix("\n").split("\n")
    assert layout or not more
    for row in (first, *more):
        assert re.sub(r"\x1b\[[0-9;]*m", "", row).isprintable()
        assert colours or "\x1b" not in row
    assert all(SGR.sub("", row).startswith("    ") for row in more)


def luminance(colour: int) -> float:
    """Of one of the cube's 216 colours (WCAG 2.2, relative luminance)."""
    steps = [(0, 95, 135, 175, 215, 255)[(colour - 16) // d % 6] / 255 for d in (36, 6, 1)]
    red, green, blue = (s / 12.92 if s <= 0.04045 else ((s + 0.055) / 1.055) ** 2.4 for s in steps)
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


@pytest.mark.parametrize("colour", PALETTE)
def test_names_are_read_on_black_and_on_white(colour: int) -> None:
    assert 1.05 / (luminance(colour) + 0.05) >= 3
    assert (luminance(colour) + 0.05) / 0.05 >= 3


@pytest.mark.parametrize("form", FORMS)
def test_a_line_without_anything(form: Any) -> None:
    assert line({}, replace(COLOURED, form=form)).endswith("\n")
