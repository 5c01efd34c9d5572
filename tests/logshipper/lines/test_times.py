"""A line's own time, in every form that programs write; a bad one is none."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from logshipper.lines.times import compile_time, zone_of
from wharfinger.container import time_ns
from wharfinger.errors import Rejected

DOCKER = time_ns("2026-07-01T10:00:05Z")


def read(how: str, text: str, zone: str = "UTC") -> str:
    return compile_time(how, zone)(text, DOCKER)[:-1].rstrip("0").rstrip(".")


@pytest.mark.parametrize(
    ("how", "text", "time"),
    [
        ("auto", "2026-07-01T10:00:00Z up", "2026-07-01T10:00:00"),
        ("auto", "2026-07-01 10:00:00,123 INFO", "2026-07-01T10:00:00.123"),
        ("auto", "2026-07-01T10:00:00.123456789+08:00", "2026-07-01T02:00:00.123456789"),
        ("auto", "2026-07-01 10:00:00 -0500 x", "2026-07-01T15:00:00"),
        ("auto", "2026-07-01 10:00:00 Zebra", "2026-07-01T10:00:00"),
        ("auto", '1.2.3.4 - - [01/Jul/2026:12:00:00 +0200] "GET', "2026-07-01T10:00:00"),
        ("auto", "2026/07/01 10:00:00 [error]", "2026-07-01T10:00:00"),
        ("auto", "Jul  1 10:00:00 host sshd", "2026-07-01T10:00:00"),
        ("auto", "<34>Jul  1 10:00:00 host su", "2026-07-01T10:00:00"),
        ("auto", "1782900000", "2026-07-01T10:00:00"),
        ("auto", "1782900000.25 x", "2026-07-01T10:00:00.25"),
        ("auto", "1782900000123", "2026-07-01T10:00:00.123"),
        ("auto", "1782900000123456", "2026-07-01T10:00:00.123456"),
        ("auto", "1782900000123456789", "2026-07-01T10:00:00.123456789"),
        ("epoch", "[1782900000.5] x", "2026-07-01T10:00:00.5"),
        ("epoch_ms", "1782900000500", "2026-07-01T10:00:00.5"),
        ("epoch_us", "1782900000500000", "2026-07-01T10:00:00.5"),
        ("epoch_ns", "1782900000500000000", "2026-07-01T10:00:00.5"),
        ("iso", "2026-06-30T23:59:60Z", "2026-07-01T00:00:00"),
        ("%d.%m.%Y %H:%M:%S", "at 01.07.2026 10:00:00", "2026-07-01T10:00:00"),
        ("%d/%b/%y %I:%M:%S %p", "01/Jul/26 10:00:00 AM", "2026-07-01T10:00:00"),
        ("[%s]", "[1782900000] x", "2026-07-01T10:00:00"),
        ("%b %e %T", "Jul  1 10:00:00", "2026-07-01T10:00:00"),
        # What is no time keeps Docker's.
        ("auto", "hello", ""),
        ("auto", "", ""),
        ("auto", "123 apples", ""),
        ("auto", "2026-13-01T10:00:00Z", ""),
        ("auto", "2026-02-30T10:00:00Z", ""),
        ("auto", "2026-07-01T10:00:00+99:99", ""),
        ("auto", "x" * 500 + "2026-07-01T10:00:00Z", ""),
        ("apache", "01/Foo/2026:10:00:00 +0000", ""),
        ("iso", "٢٠٢٦-07-01T10:00:00Z", ""),
        # Nor is one that is days ahead, or years behind.
        ("auto", "2026-07-03T10:00:00Z", ""),
        ("auto", "2020-07-01T10:00:00Z", ""),
        ("epoch", "99999999999999", ""),
    ],
)
def test_forms(how: str, text: str, time: str) -> None:
    assert read(how, text) == time


def test_a_zone_is_for_times_that_name_none() -> None:
    assert read("auto", "2026-07-01 18:00:00", "Asia/Shanghai") == "2026-07-01T10:00:00"
    assert read("auto", "2026-07-01 18:00:00", "+08:00") == "2026-07-01T10:00:00"
    assert read("auto", "2026-07-01 10:00:00Z", "Asia/Shanghai") == "2026-07-01T10:00:00"


def test_syslog_without_a_year_is_that_nearest_to_dockers_time() -> None:
    near = time_ns("2027-01-01T00:00:03Z")
    found = compile_time("syslog")("Dec 31 23:59:59 x", near)
    assert found == "2026-12-31T23:59:59.000000000Z"


@pytest.mark.parametrize(
    "bad",
    ["", "nonsense", "%Y-%m-%d", "%H:%M", "%Q %H:%M", "%H:%M:%H", "%", "%d%e %H:%M", "%H%M" * 30],
)
def test_what_is_no_format_is_refused(bad: str) -> None:
    with pytest.raises(Rejected):
        compile_time(bad)


@pytest.mark.parametrize("bad", ["Nowhere/Town", "../../etc/passwd", "/etc/passwd", "", "+25:00"])
def test_what_is_no_zone_is_refused(bad: str) -> None:
    with pytest.raises(Rejected):
        zone_of(bad)


@given(st.text(max_size=60), st.sampled_from(["auto", "syslog", "apache", "%b %d %H:%M"]))
def test_any_text_has_a_time_near_dockers_or_none(text: str, how: str) -> None:
    found = compile_time(how)(text, DOCKER)
    assert not found or abs(time_ns(found) - DOCKER) <= 366 * 86_400 * 10**9


@given(st.datetimes(), st.integers(0, 999_999_999))
def test_what_is_written_is_read_again(moment: "object", fraction: int) -> None:
    text = f"{moment.isoformat()[:19]}.{fraction:09d}Z"  # type: ignore[attr-defined]
    found = compile_time("iso")(text, 0)
    assert found in {"", text}
