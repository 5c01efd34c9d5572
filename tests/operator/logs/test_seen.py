"""What was shown, and from when on to ask again."""

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from wharfinger.operator.logs.seen import Seen, time_of

NOON = datetime(2026, 11, 23, 12, 0, tzinfo=UTC)
LATE = timedelta(minutes=15)


def at(seconds: float) -> datetime:
    return NOON + timedelta(seconds=seconds)


def test_a_line_is_new_once() -> None:
    seen = Seen(None)
    assert seen.add("1", NOON)
    assert not seen.add("1", NOON)
    assert seen.add("2", None)


def test_asks_from_the_newest_line_on_but_for_what_comes_late() -> None:
    seen = Seen(None)
    assert seen.resume_from(NOON, LATE) == NOON - LATE
    seen.add("1", at(-60))
    assert seen.resume_from(NOON, LATE) == at(-60) - LATE


def test_a_clock_that_is_ahead_hides_nothing() -> None:
    seen = Seen(None)
    seen.add("1", at(86_400))
    assert seen.resume_from(NOON, LATE) == NOON - LATE


def test_never_before_what_was_asked_for() -> None:
    seen = Seen(at(-10))
    assert seen.resume_from(NOON, LATE) == at(-10)
    seen.begin_at(at(-5))
    seen.begin_at(at(-7))
    seen.begin_at(None)
    assert seen.resume_from(NOON, LATE) == at(-5)
    assert Seen(None).resume_from(datetime.min.replace(tzinfo=UTC), LATE).year == 1


@given(st.lists(st.integers(-2_000, 2_000), unique=True, max_size=60), st.integers(1, 20))
def test_what_was_forgotten_is_not_asked_for_again(times: list[int], remembered: int) -> None:
    seen = Seen(None, remembered)
    for time in times:
        assert seen.add(str(time), at(time))
    since = seen.resume_from(at(3_000), LATE)
    for time in times:
        if at(time) >= since:
            assert not seen.add(str(time), at(time))


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("2026-11-23T12:00:00Z", NOON),
        ("2026-11-23T12:00:00.123456789Z", at(0.123456)),
        ("2026-11-23T12:00:00", None),
        ("yesterday", None),
        (None, None),
        (7, None),
    ],
)
def test_times_of_lines(text: object, found: datetime | None) -> None:
    assert time_of(text) == found
