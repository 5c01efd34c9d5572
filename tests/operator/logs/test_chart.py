"""Counts drawn: bars that are to scale, round steps, hostile names."""

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from wharfinger import levels
from wharfinger.logtext import SGR
from wharfinger.operator.logs.chart import (
    ORDER,
    STYLES,
    Screen,
    histogram,
    joined,
    step_seconds,
    values,
)

NOON = datetime(2026, 11, 23, 12, 0, tzinfo=UTC)
PLAIN = Screen(columns=60, blocks=False, zone=UTC)


def after(minutes: float) -> datetime:
    return NOON + timedelta(minutes=minutes)


@pytest.mark.parametrize(
    ("span", "rows", "step"),
    [
        (timedelta(seconds=1), 30, 1),
        (timedelta(hours=1), 30, 120),
        (timedelta(hours=1), 20, 300),
        (timedelta(days=7), 30, 6 * 3_600),
        (timedelta(days=365), 30, 13 * 86_400),
    ],
)
def test_the_shortest_round_step_that_fits(span: timedelta, rows: int, step: int) -> None:
    assert step_seconds(span, rows) == step


@given(st.integers(1, 10**9), st.integers(1, 200))
def test_no_more_bars_than_rows(seconds: int, rows: int) -> None:
    assert seconds / step_seconds(timedelta(seconds=seconds), rows) <= rows


def test_each_level_has_its_place() -> None:
    assert set(ORDER) == set(STYLES) == {*levels.NAMES[1:], "unknown"}


def test_buckets_are_joined_and_silence_is_seen() -> None:
    buckets = {NOON: {"info": 1}, after(1): {"info": 2, "error": 1}, after(10): {"info": 4}}
    made = joined(buckets, 300)
    assert made == {NOON: {"info": 3, "error": 1}, after(5): {}, after(10): {"info": 4}}
    assert joined({}, 60) == {}


def test_bars_to_scale() -> None:
    shown = histogram({NOON: {"info": 10}, after(1): {"info": 4, "error": 1}}, PLAIN)
    assert shown.splitlines() == [
        "TIME                  LINES  ERRORS",
        "2026-11-23T12:00:00Z     10       0  #######################",
        "2026-11-23T12:01:00Z      5       1  ############",
        "error 1, info 14",
    ]
    assert histogram({}, PLAIN) == "TIME  LINES  ERRORS\n"


def test_one_error_among_a_million_is_seen_where_there_are_colours() -> None:
    coloured = Screen(columns=60, colours=True, zone=UTC)
    (_, row, _) = histogram({NOON: {"info": 10**6, "error": 1}}, coloured).splitlines()
    assert f"{STYLES['error']}█\x1b[0m{STYLES['info']}█" in row


def test_blocks_have_eighths() -> None:
    shown = histogram({NOON: {"x": 800}, after(1): {"x": 1}}, Screen(columns=56, zone=UTC))
    bars = [row.split("  ")[-1] for row in shown.splitlines()[1:3]]
    assert bars == ["█" * 19, "▏"]


def test_values_by_their_number_with_a_share() -> None:
    shown = values("host", {"h1": 1, "h2": 3, "\x1b[2J": None}, PLAIN, 2)
    assert shown.splitlines() == [
        "HOST  LINES  SHARE",
        f"h2        3  75.0%  {'#' * 40}",
        f"h1        1  25.0%  {'#' * 13}",
        "... 1 more",
    ]
    assert "\\u001b[2J      ?" in values("host", {"\x1b[2J": None}, PLAIN)
    assert f"\n{'ab' * 6}  " in values("container", {"ab" * 32: 1}, PLAIN)
    assert values("host", {}, PLAIN) == "HOST  LINES  SHARE\n"


@given(
    st.dictionaries(
        st.integers(0, 5).map(after),
        st.dictionaries(st.sampled_from([*ORDER, "odd\x1b"]), st.integers(0, 10**7)),
    ),
    st.integers(0, 200),
    st.booleans(),
)
@example({after(0): {"fatal": 58, "error": 1}}, 66, True)
def test_no_bar_is_wider_than_its_room(
    buckets: dict[datetime, dict[str, int]], columns: int, colours: bool
) -> None:
    screen = Screen(columns=columns, colours=colours, zone=UTC)
    for row in histogram(buckets, screen).splitlines()[:-1]:
        assert SGR.sub("", row).isprintable()
        assert len(SGR.sub("", row)) <= max(columns, 66)
