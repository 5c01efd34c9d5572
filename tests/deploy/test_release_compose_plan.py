"""The rolling plan: enough serve at each moment, it ends, and goes on from wherever it was cut."""

from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st

from deploy.release.app.model import Order
from deploy.release.engines.compose.plan import (
    Await,
    Done,
    Drain,
    Failed,
    Remove,
    Seen,
    Start,
    State,
    Step,
    Wish,
    next_step,
)

UP, OUT, DOUBTFUL, ENDED = State.UP, State.OUT, State.DOUBTFUL, State.ENDED
STEPS = 400


def applied(seen: list[Seen], step: Step, count: int) -> list[Seen]:
    """What there is after a step, where all goes well."""
    match step:
        case Start(number):
            more = range(count, count + number)
            return [*seen, *(Seen(f"n{each}", True, DOUBTFUL, f"9{each:06}") for each in more)]
        case Await(ids):
            return [replace(each, state=UP) if each.id in ids else each for each in seen]
        case Drain(ids):
            return [replace(each, state=OUT) if each.id in ids else each for each in seen]
        case Remove(ids):
            return [each for each in seen if each.id not in ids]
        case _:
            raise AssertionError(step)


def serving(seen: list[Seen]) -> int:
    return sum(each.state == UP or (not each.wanted and each.state == DOUBTFUL) for each in seen)


wishes = st.builds(
    Wish,
    replicas=st.integers(0, 6),
    batch=st.integers(1, 4),
    order=st.sampled_from(Order),
)
crowds = st.lists(
    st.tuples(st.booleans(), st.sampled_from(State), st.integers(0, 9)), max_size=9
).map(
    lambda several: [
        Seen(f"c{n}", wanted, DOUBTFUL if wanted and state == ENDED else state, str(at))
        for n, (wanted, state, at) in enumerate(several)
    ]
)


@given(crowds, wishes, st.lists(st.integers(0, 60), max_size=4))
def test_enough_serve_at_each_step_and_it_ends_wherever_it_was_cut(
    seen: list[Seen], wish: Wish, cuts: list[int]
) -> None:
    least = min(serving(seen), wish.replicas)
    most = len(seen)
    for turn in range(STEPS):
        if turn in cuts:
            # Another deployer knows which were drained, and has proven nobody yet.
            seen = [
                replace(each, state=DOUBTFUL) if each.wanted and each.state == UP else each
                for each in seen
            ]
            least = min(least, serving(seen)) if wish.order == Order.START_FIRST else 0
        step = next_step(seen, wish)
        if isinstance(step, Done):
            break
        if isinstance(step, Start):
            assert step.count > 0
        seen = applied(seen, step, turn * 10)
        below = wish.batch if wish.order == Order.STOP_FIRST else 0
        assert serving(seen) >= least - below, (step, seen)
        least = max(least, min(serving(seen), wish.replicas))
        room = wish.batch if wish.order == Order.START_FIRST else 0
        assert len(seen) <= max(most, wish.replicas + room), (step, seen)
        most = min(most, max(len(seen), wish.replicas + room))
    else:
        raise AssertionError("it does not end")
    assert [each.state for each in seen] == [UP] * wish.replicas
    assert all(each.wanted for each in seen)


def test_one_that_does_not_run_is_told_before_anything_else_changes() -> None:
    seen = [Seen("new", True, ENDED), Seen("old", False, UP), Seen("out", False, OUT)]
    assert next_step(seen, Wish(1)) == Failed(("new",))


def test_the_doubtful_and_the_old_go_first() -> None:
    seen = [
        Seen("new", True, UP, "9"),
        Seen("a", False, UP, "2"),
        Seen("b", False, UP, "1"),
        Seen("c", False, DOUBTFUL, "3"),
    ]
    assert next_step(seen, Wish(2)) == Drain(("c", "b"))


def test_a_single_one_on_a_fixed_port_goes_before_the_next_comes() -> None:
    wish = Wish(1, order=Order.STOP_FIRST)
    seen = [Seen("old", False, UP)]
    assert next_step(seen, wish) == Drain(("old",))
    assert next_step([replace(seen[0], state=OUT)], wish) == Remove(("old",))
    assert next_step([], wish) == Start(1)


def test_where_nothing_runs_all_are_started_at_once() -> None:
    assert next_step([], Wish(3)) == Start(3)
    assert next_step([Seen("old", False, UP)], Wish(3)) == Start(1)


def test_fewer_of_the_same_release_leave_one_by_one_or_together() -> None:
    seen = [Seen(str(n), True, UP, str(n)) for n in range(4)]
    assert next_step(seen, Wish(2)) == Drain(("0", "1"))
    assert next_step(seen, Wish(4)) == Done()
    assert next_step(seen, Wish(0)) == Drain(("0", "1", "2", "3"))
