"""Stack traces fold to what tells something; every line is shown or counted."""

from collections.abc import Sequence

from hypothesis import given
from hypothesis import strategies as st

from wharfinger.operator.logs.folding import OPEN_RUNS, Fold, Folding, folded

JAVA = """\
ERROR order failed
java.lang.IllegalStateException: no stock
\tat com.shop.Order.place(Order.java:7)
\tat com.shop.Order.run(Order.java:9)
\tat java.lang.Thread.run(Thread.java:1)
Caused by: java.net.SocketException: reset
\tat java.net.Socket.read(Socket.java:3)
\t... 12 more
INFO next"""
PYTHON = """\
Traceback (most recent call last):
  File "/app/a.py", line 1, in <module>
    b()
  File "/app/b.py", line 2, in b
    return c()
  File "/app/c.py", line 3, in c
    raise ValueError("x")
ValueError: x"""


def shown(rows: Sequence[str | Fold[str]]) -> list[str]:
    return [f"... {row.lines}" if isinstance(row, Fold) else row for row in rows]


def test_of_javas_frames_the_innermost_stays_and_each_cause() -> None:
    rows = JAVA.split("\n")
    assert shown(folded(rows)) == [*rows[:3], "... 2", *rows[5:]]


def test_of_pythons_frames_the_outermost_and_the_innermost_stay() -> None:
    rows = PYTHON.split("\n")
    assert shown(folded(rows)) == [*rows[:2], "... 3", *rows[5:]]


def test_a_line_or_two_are_shown_rather_than_counted() -> None:
    assert shown(folded(["a", " b", " c", "d"])) == ["a", " b", " c", "d"]
    assert shown(folded(["a", " b", " c", " d"])) == ["a", " b", "... 2"]
    assert shown(folded(["\x1b[31ma", "\x1b[31m b", "\x1b[31m c", "\x1b[31m d"]))[2:] == ["... 2"]


def test_containers_fold_for_themselves() -> None:
    folding: Folding[str] = Folding()
    out: list[str | Fold[str]] = []
    for container, text in [("x", "E"), ("x", " 1"), ("y", "E"), ("x", " 2"), ("y", " 1"),
                            ("x", " 3"), ("y", "z"), ("x", "end")]:  # fmt: skip
        out += folding.feed(container, text, container + text)
    assert shown(out) == ["xE", "x 1", "yE", "y 1", "yz", "... 2", "xend"]
    assert not list(folding.end())


def test_no_more_runs_are_held_than_there_is_room_for() -> None:
    folding: Folding[int] = Folding()
    for number in range(OPEN_RUNS + 10):
        list(folding.feed(number, " at once", number))
    assert len(folding._runs) == OPEN_RUNS


@given(
    st.lists(
        st.tuples(st.sampled_from("xyz"), st.sampled_from(["a", " b", '  File "c"', "\tat d("]))
    )
)
def test_every_line_is_shown_or_counted_in_its_containers_order(
    lines: list[tuple[str, str]],
) -> None:
    folding: Folding[int] = Folding()
    out: list[int | Fold[int]] = []
    for number, (container, text) in enumerate(lines):
        out += folding.feed(container, text, number)
    out += folding.end()
    for container in "xyz":
        mine = [n for n, (whose, _) in enumerate(lines) if whose == container]
        seen: list[int] = []
        for each in out:
            first = each.first if isinstance(each, Fold) else each
            if first not in mine:
                continue
            at = mine.index(first)
            seen += mine[at : at + (each.lines if isinstance(each, Fold) else 1)]
        assert seen == mine
