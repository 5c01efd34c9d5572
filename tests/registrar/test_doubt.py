"""Of whom it is not known whether they run, and who says so."""

import pytest

from registrar.doubt import PATIENCE_SECONDS, Doubt, stood_still

A, B = "a" * 64, "b" * 64
NOBODY: frozenset[str] = frozenset()


def test_without_reason_nobody_is_doubted() -> None:
    assert not Doubt().of
    assert not Doubt().overdue(1e9)
    assert Doubt().listed(5.0, [A]) == Doubt().settled([A]) == Doubt()


def test_a_list_that_was_asked_for_before_settles_nothing() -> None:
    doubt = Doubt().raised(10.0, [A, B])
    assert doubt.listed(9.9, [A]) == doubt
    assert doubt.listed(10.0, [A]).of == NOBODY


def test_who_is_first_seen_on_such_a_list_may_have_ended_as_well() -> None:
    assert Doubt().raised(10.0, []).listed(9.9, [A]).of == {A}


def test_whom_docker_cannot_describe_stays_in_doubt() -> None:
    assert Doubt().raised(10.0, [A, B]).listed(11.0, [A, B], frozenset({A})).of == {A}


def test_whoever_was_looked_at_is_known_and_no_stranger_matters() -> None:
    doubt = Doubt().raised(10.0, [A, B])
    assert doubt.settled([A]).of == {B}
    assert doubt.settled(["c" * 64]) is doubt


def test_another_doubt_is_one_more_and_forgets_what_was_settled() -> None:
    doubt = Doubt().raised(10.0, [A]).listed(11.0, [A]).raised(20.0, [A])
    assert doubt == Doubt(2, 20.0, frozenset({A}))
    assert doubt.listed(11.0, [A]).of == {A}


def test_docker_is_waited_for_so_long_and_not_for_nobody() -> None:
    doubt = Doubt().raised(10.0, [A])
    assert not doubt.overdue(10.0 + PATIENCE_SECONDS - 0.1)
    assert doubt.overdue(10.0 + PATIENCE_SECONDS)
    assert not doubt.settled([A]).overdue(10.0 + PATIENCE_SECONDS)


@pytest.mark.parametrize(
    ("seconds", "still"), [(0.0, False), (1.0, False), (15.0, False), (15.1, True), (-3600, False)]
)
def test_it_stood_still_for_more_than_its_lease_lives(seconds: float, still: bool) -> None:
    assert stood_still(seconds, 15) is still
