"""Times in every spelling that senders use."""

from datetime import UTC, datetime, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st

from logshipper.store.lines import times

MOMENT_NS = 1_795_417_140_123_456_789  # 2026-11-23T06:59:00.123456789Z


@pytest.mark.parametrize(
    ("given_time", "expected"),
    [
        ("2026-11-23T06:59:00.123456789Z", MOMENT_NS),
        ("2026-11-23T06:59:00.1234567891234Z", MOMENT_NS),
        ("2026-11-23T14:59:00.123456789+08:00", MOMENT_NS),
        ("2026-11-23T01:29:00.123456789-0530", MOMENT_NS),
        ("2026-11-23 06:59:00,123456789", MOMENT_NS),
        ("2026-11-23t06:59:00.123456789z", MOMENT_NS),
        ("2026-11-23T06:59:00Z", MOMENT_NS - 123_456_789),
        ("2026-11-23T06:59:00.5Z", MOMENT_NS - 123_456_789 + 500_000_000),
        ("2016-12-31T23:59:60Z", 1_483_228_800 * 10**9),  # a leap second
        (1_795_417_140, MOMENT_NS - 123_456_789),
        (1_795_417_140_123, MOMENT_NS - 456_789),
        (1_795_417_140_123_456, MOMENT_NS - 789),
        (MOMENT_NS, MOMENT_NS),
        ("1795417140", MOMENT_NS - 123_456_789),
        (1_795_417_140.5, MOMENT_NS - 123_456_789 + 500_000_000),
        (0, 0),
    ],
)
def test_understands(given_time: object, expected: int) -> None:
    assert times.parse(given_time) == expected


@pytest.mark.parametrize(
    "given_time",
    [
        "yesterday",
        "",
        "2026-13-01T00:00:00Z",
        "2026-02-30T00:00:00.1Z",
        "2026-11-23T25:00:00Z",
        "2026-11-23",
        "\uff12026-11-23T06:59:00.1Z",
        "2026-11-23T06:59:00.\u0661Z",
        None,
        True,
        [],
        {},
        float("nan"),
        float("inf"),
        10**40,
        -(10**40),
        "9" * 400,
    ],
)
def test_refuses(given_time: object) -> None:
    assert times.parse(given_time) is None


@given(
    st.datetimes(min_value=datetime(1971, 1, 1), max_value=datetime(2200, 1, 1)),  # noqa: DTZ001
    st.integers(-14 * 60, 14 * 60),
)
def test_agrees_with_datetime(moment: datetime, offset_minutes: int) -> None:
    aware = moment.replace(tzinfo=timezone(timedelta(minutes=offset_minutes)))
    since = aware - datetime(1970, 1, 1, tzinfo=UTC)
    expected = (since.days * 86_400 + since.seconds) * 10**9 + since.microseconds * 1000
    assert times.parse(aware.isoformat()) == expected


@given(st.integers(0, 7_000_000_000 * 10**9))
def test_text_is_read_back_and_sorts(time_ns: int) -> None:
    assert times.parse(times.text(time_ns)) == time_ns
    assert (times.text(time_ns) < times.text(time_ns + 1)) is True


@given(st.text())
def test_never_fails_on_text(text: str) -> None:
    parsed = times.parse(text)
    assert parsed is None or isinstance(parsed, int)


@given(st.integers(0, 80_000))
def test_day_names_are_read_back(day: int) -> None:
    name = times.day_name(day)
    assert times.parse_day(name) == day
    assert times.parse_day(name.replace("-", "")) == day
    assert times.parse_day(f"{name}x") is None


TEXTS = st.one_of(
    st.integers(0, 7_000_000_000 * 10**9).map(times.text),
    st.sampled_from(
        [
            "2026-11-23T06:59:00.1Z",
            "2026-11-23T06:59:00.Z",
            "2026-11-23T06:59:00.1ZZ",
            "2026-11-23T06:59:00.1",
            "2026-11-23T06:59:00.+1Z",
            "2026-11-23T06:59:00.1_1Z",
            "2026-11-23T06:59:00.1234567890Z",
            "2026-11-23T06:59:60.000000000Z",
            "2026-11-23T06:59:00Z",
            "2026-13-23T06:59:00.123456789Z",
            "1795417140",
            "Z",
            "",
        ]
    ),
)


@given(st.lists(TEXTS, max_size=5))
def test_many_at_once_are_read_as_one_by_one(texts: list[str]) -> None:
    assert times.parse_texts(texts) == [times.parse(text) for text in texts]
