"""Buckets on a clock of the test's own: rates, debts, guesses."""

from hashlib import sha256

import pytest
from hypothesis import given
from hypothesis import strategies as st

from logshipper.store.access.failures import Failures
from logshipper.store.access.rates import Rates


def test_a_burst_then_the_rate() -> None:
    rates = Rates(5.0)
    for _ in range(10):
        assert rates.wait_seconds("a", 0.0) == 0
        rates.use("a", 1, 0.0)
    assert rates.wait_seconds("a", 0.0) == pytest.approx(0.2)
    assert rates.wait_seconds("b", 0.0) == 0
    assert rates.wait_seconds("a", 0.2) == 0


def test_what_is_too_much_is_paid_afterwards() -> None:
    rates = Rates(100.0)
    rates.use("a", 1_200, 0.0)  # more than the bucket holds, and taken all the same
    assert rates.wait_seconds("a", 0.0) == pytest.approx(10.01)
    assert rates.wait_seconds("a", 9.5) == pytest.approx(0.51)
    assert rates.wait_seconds("a", 10.1) == 0


def test_no_rate_no_limit_and_a_new_one_counts_at_once() -> None:
    rates = Rates(None)
    rates.use("a", 1e12, 0.0)
    assert rates.wait_seconds("a", 0.0) == 0
    rates.per_second = 1.0
    rates.use("a", 5, 0.0)
    assert rates.wait_seconds("a", 0.0) > 0
    rates.per_second = None
    assert rates.wait_seconds("a", 0.0) == 0


def test_a_flood_of_keys_takes_no_memory() -> None:
    rates = Rates(1.0, kept=10)
    for number in range(1_000):
        rates.use(number, 100, 0.0)
    assert len(rates._buckets) == 10
    assert rates.wait_seconds(999, 0.0) > 0


def test_a_clock_that_goes_back_gives_nothing() -> None:
    rates = Rates(1.0)
    rates.use("a", 50, 100.0)
    assert rates.wait_seconds("a", 0.0) == pytest.approx(49.0)


@given(st.lists(st.tuples(st.floats(0, 3), st.floats(0.1, 50)), max_size=60), st.floats(0.5, 100))
def test_nobody_gets_more_than_the_rate(steps: list[tuple[float, float]], rate: float) -> None:
    """Over any time: the burst, the rate, and one use that overdraws."""
    rates, now, taken, largest = Rates(rate), 0.0, 0.0, 0.0
    for pause, amount in steps:
        now += pause
        if rates.wait_seconds("a", now) == 0:
            rates.use("a", amount, now)
            taken += amount
            largest = max(largest, amount)
    assert taken <= max(1.0, 2 * rate) + rate * now + largest + 1e-6


@given(st.floats(0.1, 1_000), st.floats(0.001, 1e6))
def test_who_waits_as_told_may(rate: float, amount: float) -> None:
    rates = Rates(rate)
    rates.use("a", amount, 0.0)
    wait = rates.wait_seconds("a", 0.0)
    assert rates.wait_seconds("a", wait * 1.001 + 1e-6) == 0


def digest(token: str) -> list[bytes]:
    return [sha256(token.encode()).digest()]


def test_guesses_are_slowed_by_address_and_right_tokens_are_not() -> None:
    failures = Failures()
    good = digest("good")
    failures.right("10.0.0.1", good[0])
    for number in range(10):
        assert failures.wait_seconds("10.0.0.1", digest(f"guess {number}"), 0.0) == 0
        failures.wrong("10.0.0.1", digest(f"guess {number}"), 0.0)
    assert failures.wait_seconds("10.0.0.1", digest("another"), 0.0) == pytest.approx(1.0)
    assert failures.wait_seconds("10.0.0.1", good, 0.0) == 0
    # Nobody is let by because somebody else was right elsewhere.
    assert failures.wait_seconds("10.0.0.2", digest("another"), 0.0) == 0
    failures.wrong("10.0.0.1", good, 0.0)  # it was revoked
    assert failures.wait_seconds("10.0.0.1", good, 0.0) > 0


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        ("fd00:1:2:3::1", "fd00:1:2:3:ffff::9", True),
        ("fd00:1:2:3::1", "fd00:1:2:4::1", False),
        ("fe80::1%eth0", "fe80::2", True),
        ("10.0.0.1", "10.0.0.2", False),
        ("", "", True),
        ("nonsense", "10.0.0.1", False),
    ],
)
def test_a_network_of_ipv6_is_one_place(one: str, other: str, same: bool) -> None:
    failures = Failures()
    for _ in range(20):
        failures.wrong(one, digest("x"), 0.0)
    assert (failures.wait_seconds(other, digest("y"), 0.0) > 0) == same


def test_addresses_without_end_take_no_memory() -> None:
    failures = Failures(kept=10)
    for number in range(1_000):
        failures.wrong(f"10.0.{number // 250}.{number % 250}", digest("x"), 0.0)
        failures.right(f"10.1.{number // 250}.{number % 250}", digest(str(number))[0])
    assert len(failures._rates._buckets) == len(failures._right) == 10
