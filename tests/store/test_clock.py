"""Retention's time: a clock that leaps must not cost a line."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from logshipper.store.engine import clock
from logshipper.store.engine.clock import DOUBT_NS, HOUR_NS, Clock
from logshipper.store.engine.timekeeper import Timekeeper, since_boot_ns
from logshipper.store.lines.times import DAY_NS

NOW = 20_780 * DAY_NS
MINUTE = HOUR_NS // 60
YEAR = 365 * DAY_NS


def test_time_that_passes_is_believed() -> None:
    known = clock.first(NOW)
    for minute in range(1, 3000):
        known = clock.advance(known, NOW + minute * MINUTE, MINUTE)
        assert known == Clock(NOW + minute * MINUTE, NOW + minute * MINUTE)


def test_a_leap_is_believed_after_a_day() -> None:
    known, passed = clock.first(NOW), 0
    while passed < DOUBT_NS:
        known = clock.advance(known, NOW + YEAR + passed, MINUTE)
        passed += MINUTE
        if passed < DOUBT_NS:
            assert known.doubted_ns
            assert known.now_ns == NOW + passed
    assert known.now_ns == NOW + YEAR + passed - MINUTE
    assert not known.doubted_ns


def test_a_leap_that_is_taken_back_leaves_nothing() -> None:
    known = clock.advance(clock.first(NOW), NOW + YEAR, MINUTE)
    assert "365.0 days ahead" in clock.doubt(known, NOW + YEAR, 7)
    assert "7 day files" in clock.doubt(known, NOW + YEAR, 7)
    assert clock.doubt(known, NOW + YEAR, 0) == ""
    known = clock.advance(known, NOW + 2 * MINUTE, MINUTE)
    assert known == Clock(NOW + 2 * MINUTE, NOW + 2 * MINUTE)
    assert clock.doubt(known, NOW + 2 * MINUTE, 7) == ""


def test_a_clock_that_was_behind_may_catch_up() -> None:
    known = clock.advance(clock.first(NOW), NOW - 40 * YEAR, None)
    assert known.now_ns == NOW - 40 * YEAR
    known = clock.advance(known, NOW + HOUR_NS, MINUTE)
    assert (known.now_ns, known.doubted_ns) == (NOW + HOUR_NS, 0)


@pytest.mark.parametrize(("away", "believed"), [(23 * HOUR_NS, True), (3 * DAY_NS, False)])
def test_a_restart_may_have_taken_a_day(away: int, believed: bool) -> None:
    known = clock.advance(clock.first(NOW), NOW + away, None)
    assert (known.doubted_ns == 0) == believed


@given(st.lists(st.tuples(st.integers(-YEAR, YEAR), st.integers(0, 10 * MINUTE)), max_size=60))
def test_no_leap_within_a_day_moves_time_by_more_than_an_hour(steps: list[tuple[int, int]]) -> None:
    known, passed = clock.first(NOW), 0
    for leap, elapsed in steps:
        before, passed = known, passed + elapsed
        known = clock.advance(known, NOW + passed + leap, elapsed)
        assert known.now_ns <= max(before.highest_ns, before.now_ns + elapsed) + HOUR_NS
        assert known.highest_ns >= known.now_ns
        assert clock.decode(clock.encode(known)) == known


def test_doubt_is_remembered(tmp_path: Path) -> None:
    path, machine, passed = tmp_path / "clock", [NOW], [0]

    def keeper() -> Timekeeper:
        return Timekeeper(path, lambda: machine[0], lambda: passed[0])

    assert keeper().ask() == clock.first(NOW)
    machine[0] += YEAR
    for _ in range(24):
        restarted = keeper()
        assert restarted.ask().doubted_ns
        machine[0] += HOUR_NS + 1
        passed[0] += HOUR_NS + 1
        known = restarted.ask()
    assert known == Clock(machine[0], machine[0])


@pytest.mark.parametrize("content", [b"", b"{", b"[1]", b'{"now_ns":"x"}', b"\0" * 79])
def test_what_is_no_memory_is_none(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "clock").write_bytes(content)
    assert Timekeeper(tmp_path / "clock", lambda: NOW, lambda: 0).ask() == clock.first(NOW)


def test_a_full_disk_does_not_stop_it() -> None:
    assert Timekeeper(Path("/dev/full/clock"), lambda: NOW).ask() == clock.first(NOW)
    assert since_boot_ns() > 0
