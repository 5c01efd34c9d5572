"""Times as people type them."""

import time
from collections.abc import Iterator
from datetime import UTC, datetime

import pytest

from wharfinger.errors import Rejected
from wharfinger.logtext import moment

NOW = datetime(2026, 11, 23, 12, 0, tzinfo=UTC)


@pytest.fixture
def berlin(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setenv("TZ", "CET-1")
    time.tzset()
    yield
    monkeypatch.undo()
    time.tzset()


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("90s", "2026-11-23T11:58:30+00:00"),
        ("1h", "2026-11-23T11:00:00+00:00"),
        ("1h30m", "2026-11-23T10:30:00+00:00"),
        ("2d", "2026-11-21T12:00:00+00:00"),
        ("now", "2026-11-23T12:00:00+00:00"),
        ("2026-11-23T08:00:00Z", "2026-11-23T08:00:00+00:00"),
        ("2026-11-23T08:00:00+05:00", "2026-11-23T08:00:00+05:00"),
        # Without a zone it is this machine's time.
        ("2026-11-23 08:00", "2026-11-23T08:00:00+01:00"),
        ("2026-11-23", "2026-11-23T00:00:00+01:00"),
        ("today", "2026-11-23T00:00:00+01:00"),
        ("yesterday", "2026-11-22T00:00:00+01:00"),
        ("08:15", "2026-11-23T08:15:00+01:00"),
        ("08:15:30", "2026-11-23T08:15:30+01:00"),
    ],
)
def test_times(text: str, found: str, berlin: None) -> None:
    assert moment(text, NOW) == found


@pytest.mark.parametrize(
    "text",
    ["1", "h", "-1h", "1 h", "999999w", "1y", "٣h", "x\x1b", "25:00", "8:15", "", "tomorrow"],
)
def test_what_is_no_time(text: str) -> None:
    with pytest.raises(Rejected, match=r"--until .* is no time; write 30m"):
        moment(text, NOW, "--until")
