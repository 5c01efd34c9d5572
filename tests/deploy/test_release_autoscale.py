"""From figures to a number of instances: limits, calm, and what is not known."""

import math
from collections.abc import Iterable
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from deploy.release.app.model import Autoscale
from deploy.release.autoscale.rule import Decision, Figures, Judged, decide, judge

CPU = Autoscale(least=2, most=10, cpu_percent=50.0, cooldown_seconds=60.0)
REQUESTS = Autoscale(least=1, most=10, requests_per_second=50.0, cooldown_seconds=60.0)


def cpu(*percent: float | None) -> Figures:
    return Figures(cpu_percent={f"10.0.0.{n}:20000": each for n, each in enumerate(percent)})


def requests(total: float | None, *, whole: bool = True) -> Figures:
    return Figures(cpu_percent={}, requests_per_second=total, whole=whole)


@pytest.mark.parametrize(
    ("figures", "count"),
    [
        (cpu(50, 50), 2),
        (cpu(54, 54), 2),  # within a tenth
        (cpu(60, 60), 3),
        (cpu(100, 100), 4),
        (cpu(100, 100, 100, 100), 8),
        (cpu(10, 10, 10, 10), 2),  # never fewer than two
        (cpu(100, None), 2),  # the silent one may be idle
        (cpu(400, None), 8),
        (cpu(10, 10, None, None), 3),  # or as busy as wanted
        (cpu(0, 0, 0, 0, 0, 0, 0, 0), 2),
    ],
)
def test_cpu_asks_for(figures: Figures, count: int) -> None:
    assert judge(CPU, len(figures.cpu_percent), figures).count == count


@pytest.mark.parametrize(
    ("current", "total", "count"),
    [(2, 100, 2), (2, 101, 2), (2, 151, 4), (2, 0, 1), (1, 1e9, 4), (5, 1e9, 10), (4, 50, 1)],
)
def test_requests_ask_for(current: int, total: float, count: int) -> None:
    assert judge(REQUESTS, current, requests(total)).count == count


def test_the_largest_counts() -> None:
    rule = Autoscale(least=1, most=9, cpu_percent=50.0, requests_per_second=50.0)
    idle = Figures(cpu_percent={"a": 1.0, "b": 1.0}, requests_per_second=200.0)
    asked = judge(rule, 2, idle)
    assert asked.count == 4
    assert "200 requests a second" in asked.why


@pytest.mark.parametrize("value", [math.nan, math.inf, -1.0, None])
def test_what_is_no_figure_asks_for_nothing(value: float | None) -> None:
    assert judge(CPU, 3, cpu(value, value)).count is None
    assert judge(REQUESTS, 3, requests(value)).count is None
    assert judge(CPU, 3, Figures(cpu_percent={})).count is None


def test_an_edge_that_does_not_tell_makes_it_no_smaller() -> None:
    assert judge(REQUESTS, 4, requests(10.0, whole=False)).count == 4
    assert judge(REQUESTS, 4, requests(400.0, whole=False)).count == 8


@pytest.mark.parametrize(
    ("current", "figures", "count"),
    [
        # Two of four are not in etcd, as their registrar is away; they serve on.
        (4, cpu(20, 20), 3),
        (10, cpu(10), 10),
        (4, cpu(100, 100), 4),
        (4, cpu(200, 200), 8),
    ],
)
def test_those_that_etcd_has_lost_are_not_known_either(
    current: int, figures: Figures, count: int
) -> None:
    assert judge(CPU, current, figures).count == count


def test_none_that_were_to_be_are_no_bar() -> None:
    assert judge(REQUESTS, 0, requests(0.0)).count == 1
    assert judge(REQUESTS, 0, requests(120.0)).count == 3
    assert judge(CPU, 0, cpu(100)).count == 2


def test_a_rule_with_other_limits_needs_no_figures() -> None:
    assert judge(CPU, 1, cpu(None)).count == 2
    assert judge(CPU, 12, Figures(cpu_percent={})).count == 10


def run(
    rule: Autoscale, current: int, figures: Iterable[tuple[float, Figures]]
) -> list[tuple[float, int]]:
    """The changes that these figures lead to, each with its time."""
    looks: tuple[Judged, ...] = ()
    changed_at: float | None = None
    changes = []
    for now, each in figures:
        done = decide(rule, current, each, looks, now=now, changed_at=changed_at)
        looks = done.looks
        if done.count != current:
            current, changed_at = done.count, now
            changes.append((now, current))
    return changes


def test_up_at_once_and_down_after_a_calm() -> None:
    busy = [(float(n), requests(200.0)) for n in range(0, 30, 10)]
    calm = [(float(n), requests(10.0)) for n in range(30, 200, 10)]
    assert run(REQUESTS, 2, [*busy, *calm]) == [(0.0, 4), (90.0, 1)]


def test_a_peak_begins_the_calm_anew() -> None:
    load = {n: requests(200.0 if n == 50 else 10.0) for n in range(0, 200, 10)}
    assert run(REQUESTS, 4, [(float(n), each) for n, each in load.items()]) == [(120.0, 1)]


def test_a_silence_begins_the_calm_anew() -> None:
    load = {n: requests(None if n == 50 else 10.0) for n in range(0, 200, 10)}
    assert run(REQUESTS, 4, [(float(n), each) for n, each in load.items()]) == [(120.0, 1)]


def test_one_look_after_a_long_sleep_is_no_calm() -> None:
    first = decide(REQUESTS, 4, requests(10.0), (), now=1000.0, changed_at=None)
    assert first == Decision(4, first.why, (Judged(1000.0, 1),))


FIGURE = st.one_of(st.none(), st.floats(allow_nan=True, allow_infinity=True))


@given(
    st.integers(1, 40),
    st.lists(st.tuples(st.lists(FIGURE, max_size=12), FIGURE, st.booleans()), max_size=30),
)
def test_whatever_is_told_it_stays_within_the_limits(
    current: int, told: list[tuple[list[float | None], float | None, bool]]
) -> None:
    rule = Autoscale(
        least=2, most=9, cpu_percent=50.0, requests_per_second=20.0, cooldown_seconds=25.0
    )
    figures = (
        Figures(
            cpu_percent={str(n): each for n, each in enumerate(cpus)},
            requests_per_second=total,
            whole=whole,
        )
        for cpus, total, whole in told
    )
    changes = run(rule, current, ((n * 10.0, each) for n, each in enumerate(figures)))
    assert all(2 <= count <= 9 for _, count in changes)
    times = [at for at, _ in changes]
    # Once it is within its limits there is a cooldown between any two changes.
    assert all(later - before >= 25 for before, later in pairwise(times))


@given(st.integers(1, 12), st.floats(0, 5_000))
def test_a_constant_load_comes_to_rest(current: int, total: float) -> None:
    rule = Autoscale(least=1, most=30, requests_per_second=50.0, cooldown_seconds=60.0)
    changes = run(rule, current, ((n * 10.0, requests(total)) for n in range(400)))
    final = changes[-1][1] if changes else current
    assert len(changes) <= 4
    assert final == 30 or total / final / 50 <= 1.1 + 1e-6
    assert final == 1 or total / (final - 1) / 50 > 0.9 - 1e-6
