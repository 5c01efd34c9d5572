"""Which days go, by a clock that is handed in."""

from hypothesis import given
from hypothesis import strategies as st

from logshipper.store.engine.retention import DayFile, expired, first_day
from logshipper.store.lines.times import DAY_NS

TODAY = 20_000
NOON_NS = TODAY * DAY_NS + DAY_NS // 2
FILES = st.lists(
    st.builds(
        DayFile, st.sampled_from(["a", "b"]), st.integers(TODAY - 12, TODAY), st.integers(0, 100)
    ),
    unique_by=lambda file: (file.tenant, file.day),
)


def test_a_line_is_kept_for_its_whole_days() -> None:
    # Seven days ago at noon lies in the day TODAY - 7, which holds lines that are younger.
    assert first_day(NOON_NS, 7) == TODAY - 7
    files = [DayFile("a", day, 1) for day in (TODAY, TODAY - 7, TODAY - 8, TODAY - 9)]
    assert [f.day for f in expired(files, NOON_NS, 7, None)] == [TODAY - 9, TODAY - 8]


def test_bytes_take_the_oldest_days_of_all_tenants_but_never_today() -> None:
    files = [DayFile("a", TODAY - 1, 50), DayFile("b", TODAY - 2, 50), DayFile("a", TODAY, 500)]
    assert expired(files, NOON_NS, 7, 560) == (files[1],)
    assert expired(files, NOON_NS, 7, 10) == (files[1], files[0])
    assert expired(files, NOON_NS, 7, 600) == ()


@given(FILES, st.integers(1, 10), st.none() | st.integers(1, 500))
def test_what_stays_is_young_enough_and_little_enough(
    files: list[DayFile], days: int, limit: int | None
) -> None:
    gone = expired(files, NOON_NS, days, limit)
    kept = [file for file in files if file not in gone]
    assert all(file.day >= TODAY - days for file in kept)
    assert not [file for file in gone if file.day == TODAY]
    if limit is not None and sum(file.size for file in kept) > limit:
        assert all(file.day == TODAY for file in kept)
    # Nothing younger went while something older stayed.
    if gone and kept:
        assert max(file.day for file in gone) <= min(file.day for file in kept)
