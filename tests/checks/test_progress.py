"""Rise, fall and grace, against the plainest words for them."""

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from registrar.checks.model import Answer, Check
from registrar.checks.progress import (
    FIRST_SECONDS,
    UNASKED,
    Progress,
    advance,
    begin,
    on_beat,
    wait,
)

GOOD, BAD = Answer(good=True, why="status 200"), Answer(good=False, why="status 503")
UNKNOWN = Answer(good=None, why="cannot be asked")
ANSWERS = st.lists(st.sampled_from([GOOD, BAD, UNKNOWN]), max_size=30)
COUNTS = st.integers(1, 4)


def start(check: Check, *, age: float = 0.0, stands: bool = False) -> Progress:
    return begin(check, now=100.0, age_seconds=age, stands=stands)


def after(check: Check, *answers: Answer, progress: Progress | None = None) -> Progress:
    """Answers a second apart, the first at once."""
    progress = progress or start(check)
    for seconds, answer in enumerate(answers):
        progress = advance(progress, check, answer, progress.begun_at + seconds)
    return progress


def expected(answers: list[Answer], rise: int, fall: int) -> bool | None:
    """The state by the definition: the last run of one kind that was long enough decides."""
    passing: bool | None = None
    heard = [answer for answer in answers if answer.good is not None]
    for end in range(1, len(heard) + 1):
        if end >= rise and all(each.good for each in heard[end - rise : end]):
            passing = True
        if end >= fall and not any(each.good for each in heard[end - fall : end]):
            passing = False
    return passing


@given(ANSWERS, COUNTS, COUNTS)
def test_so_many_in_a_row_decide(answers: list[Answer], rise: int, fall: int) -> None:
    check = Check(rise=rise, fall=fall)
    progress = after(check, *answers)
    assert progress.passing is expected(answers, rise, fall)
    assert progress.why == (answers[-1].why if answers else UNASKED)
    assert not (progress.successes and progress.failures)


@given(ANSWERS, COUNTS, COUNTS, st.integers(0, 30))
def test_no_failure_counts_within_the_grace_until_it_has_passed(
    answers: list[Answer], rise: int, fall: int, grace: int
) -> None:
    check = Check(rise=rise, fall=fall, grace_seconds=grace)
    progress = start(check)
    for seconds, answer in enumerate(answers):
        before = progress
        progress = advance(progress, check, answer, 100.0 + seconds)
        if not before.has_passed and seconds < grace:
            assert progress.passing is not False
            assert progress.failures == 0
    # Without its grace it is judged by the same rule.
    if len(answers) <= grace:
        assert progress.passing in (None, True, expected(answers, rise, fall))


def test_the_grace_is_over_with_the_first_pass() -> None:
    check = Check(fall=1, grace_seconds=60)
    assert after(check, BAD, BAD).passing is None
    assert after(check, BAD, GOOD).passing is True
    assert after(check, BAD, GOOD, BAD).passing is False


def test_the_grace_counts_from_the_containers_start() -> None:
    check = Check(fall=1, grace_seconds=60)
    assert after(check, BAD, progress=start(check, age=61.0)).passing is False
    assert after(check, BAD, progress=start(check, age=59.0)).passing is None
    # A clock that was set back makes nobody older or younger than now.
    assert start(check, age=-1e6).grace_until == 160.0


def test_one_that_stands_is_out_only_when_it_fails() -> None:
    check = Check(rise=3, fall=2, grace_seconds=60)
    standing = start(check, stands=True)
    assert standing.passing is True
    assert after(check, UNKNOWN, BAD, progress=standing).passing is True
    assert after(check, BAD, BAD, progress=standing).passing is False


def test_one_that_begins_as_passing_keeps_its_grace() -> None:
    check = Check(fall=1, grace_seconds=10, initially_passing=True)
    assert start(check).passing is True
    assert after(check, *[BAD] * 10).passing is True
    assert after(check, *[BAD] * 11).passing is False


@given(st.integers(0, 29), st.floats(0, 0.999), st.floats(0.1, 60))
def test_who_took_a_while_to_come_up_is_found_an_eighth_later(
    age: int, chance: float, interval: float
) -> None:
    check = Check(interval_seconds=interval, fall=1)
    for answers in ([UNKNOWN] * age, [BAD] * age):
        _, delay = wait(after(check, *answers), check, 100.0 + age, chance)
        assert delay <= max(FIRST_SECONDS, age / 8) * 1.1
        assert delay <= interval * 1.1
        assert delay >= min(interval, FIRST_SECONDS) * 0.9


@given(st.floats(0, 0.999), st.floats(0, 0.999))
def test_what_was_started_together_is_spread_over_the_interval(one: float, other: float) -> None:
    check = Check(interval_seconds=10)
    passing = after(check, GOOD)
    settled, first = wait(passing, check, 101.0, one)
    assert 2.5 <= first <= 10
    again, second = wait(advance(settled, check, GOOD, 110.0), check, 110.0, other)
    assert 9 <= second <= 11
    assert again.settled


def test_the_start_is_cut_short_and_nothing_else() -> None:
    check = Check(interval_seconds=10, fall=2)
    delays = []
    progress = start(check)
    for second in range(100):
        progress, delay = wait(
            advance(progress, check, BAD, 100.0 + second), check, 100 + second, 0.5
        )
        delays.append(delay)
    assert progress.passing is False
    assert all(earlier <= later for earlier, later in pairwise(delays))
    assert delays[0] == pytest.approx(FIRST_SECONDS)
    assert delays[-1] == pytest.approx(10)


@given(st.floats(0, 1e7), st.floats(0.05, 1e5))
def test_a_beat_is_never_early_and_hardly_late(now: float, delay: float) -> None:
    due = now + delay
    assert due <= on_beat(due, delay) <= due + delay / 40 + 1e-6


def test_what_is_due_within_a_beat_is_due_together() -> None:
    assert {on_beat(100 + n / 1_000, 10) for n in range(1, 251)} == {100.25}
