"""Tables for people: no row is broken in a narrow terminal, and nothing is cut without one."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.cells import cell_len

from deploy.release.columns import GONE, Cell, Grid, digest, fitted, moment, plain
from deploy.release.records.holder import Holder

SHA = f"sha256:{'0123456789ab' * 5}0123"
STEPS = (("DIGEST", 1), ("AT", 1), ("DIGEST", 2), ("AT", 2), ("DIGEST", GONE))


def grid(*names: str) -> Grid:
    rows = [(plain(each), moment("2026-11-26T17:10:59+00:00"), digest(SHA)) for each in names]
    return Grid(("NAME", "AT", "DIGEST"), rows, STEPS)


@pytest.mark.parametrize(
    ("width", "shown"),
    [
        (None, ["shop", "2026-11-26T17:10:59+00:00", SHA]),
        (104, ["shop", "2026-11-26T17:10:59+00:00", SHA]),
        (103, ["shop", "2026-11-26T17:10:59+00:00", SHA[:19]]),
        (51, ["shop", "2026-11-26 17:10", SHA[:19]]),
        (42, ["shop", "2026-11-26 17:10", SHA[7:19]]),
        (35, ["shop", "11-26 17:10", SHA[7:19]]),
        (30, ["shop", "11-26 17:10"]),
    ],
)
def test_the_least_useful_is_given_up_first(width: int | None, shown: list[str]) -> None:
    titles, rows = fitted(grid("shop"), width)
    assert rows == [shown]
    assert titles == ["NAME", "AT", "DIGEST"][: len(shown)]


def test_a_column_in_which_nobody_says_anything_goes_before_any_other() -> None:
    silent = Grid(("NAME", "BY", "DIGEST"), [(plain("shop"), plain(""), digest(SHA))], STEPS)
    assert fitted(silent, 83) == (["NAME", "BY", "DIGEST"], [["shop", "-", SHA]])
    assert fitted(silent, 80) == (["NAME", "DIGEST"], [["shop", SHA]])
    assert fitted(Grid(("NAME", "BY"), [], ()), 5) == (["NAME", "BY"], [])


def test_what_is_no_time_and_no_digest_is_shown_as_it_is() -> None:
    assert (moment("soon"), moment(""), digest("")) == (("soon",), ("-",), ("-",))
    assert moment("2026-11-26T18:10:00+01:00")[2] == "11-26 17:10", "UTC, as on record"


def test_whoever_has_the_lock_is_told_in_few_words() -> None:
    holder = Holder(by="ann", host="build1", pid=7, verb="up", at="2026-11-26T17:10:59Z")
    assert holder.brief == "ann (up)"
    assert Holder(by="\x1b[2J", verb="up").brief == "somebody (up)"


texts = st.text(max_size=60)


@given(st.lists(st.tuples(texts, texts, texts), max_size=4), st.integers(40, 200))
def test_every_row_fits_whatever_it_says(rows: list[tuple[str, str, str]], width: int) -> None:
    cells: list[tuple[Cell, ...]] = [(plain(a), moment(b), digest(c)) for a, b, c in rows]
    titles, shown = fitted(Grid(("NAME", "AT", "DIGEST"), cells, STEPS), width)
    for row in (titles, *shown):
        assert "\n" not in "".join(row)
    widest = [max(cell_len(row[at]) for row in (titles, *shown)) for at in range(len(titles))]
    assert sum(widest) + 2 * (len(widest) - 1) <= width
    assert all(row[0] for row in shown)
