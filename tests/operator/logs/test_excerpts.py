"""Lines around what was found, put together as grep does it."""

from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from wharfinger.operator.logs.excerpts import Window, excerpts


def lines(count: int, container: str = "c") -> list[dict[str, Any]]:
    return [{"id": f"{container}{n}", "container": container} for n in range(count)]


def window(log: list[dict[str, Any]], at: int, before: int, after: int) -> Window:
    return Window(log[max(at - before - 1, 0) : at], log[at], log[at + 1 : at + 1 + after])


def grep(count: int, found: set[int], before: int, after: int) -> list[list[int]]:
    """What `grep -B -A` shows: runs of lines without a gap."""
    near = sorted({n for at in found for n in range(at - before, at + after + 1) if 0 <= n < count})
    runs: list[list[int]] = []
    for n in near:
        if runs and n == runs[-1][-1] + 1:
            runs[-1].append(n)
        else:
            runs.append([n])
    return runs


@given(
    st.integers(1, 40),
    st.sets(st.integers(0, 39), max_size=12),
    st.integers(0, 5),
    st.integers(0, 5),
)
def test_as_grep_has_it(count: int, found: set[int], before: int, after: int) -> None:
    found = {n for n in found if n < count}
    log = lines(count)
    made = excerpts((window(log, n, before, after) for n in sorted(found)), before, after)
    expected = grep(count, found, before, after)
    assert [[line["id"] for line in each.lines] for each in made] == [
        [f"c{n}" for n in run] for run in expected
    ]
    assert set().union(*(each.found for each in made)) == {f"c{n}" for n in found}


def test_each_container_has_its_own() -> None:
    x, y = lines(5, "x"), lines(5, "y")
    made = excerpts([window(x, 1, 1, 1), window(y, 1, 1, 1), window(x, 2, 1, 1)], 1, 1)
    assert [[line["id"] for line in each.lines] for each in made] == [
        ["x0", "x1", "x2", "x3"],
        ["y0", "y1", "y2"],
    ]
    assert made[0].found == {"x1", "x2"}
