"""Delays that grow, stay below the cap and never fall to nothing."""

import random

from hypothesis import given
from hypothesis import strategies as st

from wharfinger.backoff import Backoff

seconds = st.floats(0.001, 100.0)


@given(seconds, seconds, st.integers(1, 200), st.integers())
def test_each_delay_is_in_the_upper_half_of_its_ceiling(
    first: float, cap: float, attempts: int, seed: int
) -> None:
    backoff = Backoff(first, cap, uniform=random.Random(seed).uniform)
    for attempt in range(attempts):
        ceiling = min(cap, first * 2.0 ** min(attempt, 100))
        assert ceiling / 2 <= backoff.next_delay_seconds() <= ceiling
    assert backoff.attempts == attempts


@given(seconds, st.integers(0, 100))
def test_reset_starts_over(first: float, attempts: int) -> None:
    backoff = Backoff(first, 1000.0, uniform=lambda _low, high: high)
    for _ in range(attempts):
        backoff.next_delay_seconds()
    backoff.reset()
    assert backoff.next_delay_seconds() == first


def test_a_year_of_outage_overflows_nothing() -> None:
    backoff = Backoff(0.1, 2.0, factor=10.0, attempts=10**9)
    assert 1.0 <= backoff.next_delay_seconds() <= 2.0


def test_two_hosts_do_not_wait_in_step() -> None:
    one, other = Backoff(), Backoff()
    assert [one.next_delay_seconds() for _ in range(8)] != [
        other.next_delay_seconds() for _ in range(8)
    ]
