"""When to render, in virtual time."""

from dataclasses import dataclass

import pytest
from hypothesis import given
from hypothesis import strategies as st

from discovery.lanes.settle import Settle


@dataclass(frozen=True, slots=True)
class Ran:
    renders: list[float]
    change_of: dict[int, float]  # index of a change -> the render that carried it


def simulate(changes: list[float], settle: Settle, render_seconds: float = 0.0) -> Ran:
    """Plays a daemon that renders when due and is busy for `render_seconds` each time."""
    pending: list[int] = []
    renders: list[float] = []
    carried: dict[int, float] = {}
    free_at = 0.0
    queue = list(enumerate(sorted(changes)))
    while queue or pending:
        due = settle.due_at
        go_at = None if due is None else max(due, free_at)
        if queue and (go_at is None or queue[0][1] <= go_at):
            number, at = queue.pop(0)
            settle = settle.changed(at)
            pending.append(number)
            go_at = None
            continue
        assert go_at is not None
        settle = settle.rendered(go_at)
        renders.append(go_at)
        carried.update(dict.fromkeys(pending, go_at))
        pending.clear()
        free_at = go_at + render_seconds
    return Ran(renders, carried)


def test_a_lone_change_goes_at_once() -> None:
    assert Settle().changed(10.0).due_at == 10.0


def test_nothing_waits_when_nothing_changed() -> None:
    assert Settle().due_at is None
    assert Settle().changed(1.0).rendered(1.0).due_at is None


def test_what_follows_close_behind_waits_for_quiet() -> None:
    settle = Settle().changed(10.0).rendered(10.0).changed(10.02)
    assert settle.due_at == 10.02 + 0.05
    assert settle.changed(10.04).due_at == 10.04 + 0.05


def test_a_change_long_after_goes_at_once_again() -> None:
    settle = Settle().changed(10.0).rendered(10.0).changed(10.2)
    assert settle.due_at == 10.2


def test_a_burst_never_waits_longer_than_the_longest() -> None:
    ran = simulate([n * 0.01 for n in range(300)], Settle())
    assert len(ran.renders) <= 8
    assert ran.renders[0] == 0.0
    assert max(ran.change_of[n] - n * 0.01 for n in range(300)) <= 0.5 + 1e-9


def test_the_interval_holds_back_but_loses_nothing() -> None:
    ran = simulate([0.0, 1.0, 1.5], Settle(interval_seconds=5.0))
    assert ran.renders == [0.0, 5.0]


times = st.lists(st.floats(0, 20, allow_nan=False), min_size=1, max_size=60)


@given(times, st.sampled_from([0.0, 0.2, 3.0]), st.sampled_from([0.0, 0.15]))
def test_every_change_is_rendered_in_time_and_the_interval_is_kept(
    changes: list[float], interval: float, busy: float
) -> None:
    ran = simulate(changes, Settle(interval_seconds=interval), busy)
    ordered = sorted(changes)
    assert ran.change_of.keys() == set(range(len(changes)))
    for number, at in enumerate(ordered):
        assert at <= ran.change_of[number] <= at + 0.5 + interval + busy + 1e-6
    gaps = [b - a for a, b in zip(ran.renders, ran.renders[1:], strict=False)]
    assert all(gap >= max(interval, busy) - 1e-6 for gap in gaps)


def test_with_a_splay_each_render_is_so_much_later() -> None:
    settle = Settle(splay_seconds=7.0)
    assert settle.changed(100.0).due_at == 107.0
    assert settle.changed(100.0).rendered(107.0).due_at is None
    slow = Settle(splay_seconds=7.0, interval_seconds=30.0).rendered(100.0).changed(110.0)
    assert slow.due_at == 130.0  # no later than both ask for


def test_a_patient_one_lets_the_first_change_wait_too() -> None:
    settle = Settle(quiet_seconds=2.0, longest_seconds=8.0, patient=True).changed(100.0)
    assert settle.due_at == 102.0
    assert settle.changed(101.5).due_at == 103.5
    for second in range(101, 120):
        settle = settle.changed(float(second))
    assert settle.due_at == 108.0


def test_a_burst_that_falters_is_one_burst() -> None:
    settle = Settle(quiet_seconds=0.05, rest_seconds=0.2).changed(100.0)
    assert settle.due_at == 100.0
    settle = settle.rendered(100.0).changed(100.1)
    assert settle.due_at == pytest.approx(100.15)
    settle = settle.rendered(100.15)
    assert settle.changed(100.3).due_at == 100.3
    # What could not be heard was no quiet time.
    deaf = settle.busy(100.25)
    assert deaf.changed(100.3).due_at == pytest.approx(100.35)
    assert deaf.busy(100.0) == deaf
