"""The age of the oldest line that waits: from Docker's times where they were read, else as seen."""

from datetime import UTC, datetime

import pytest

from logshipper.age import Age, line_time
from tests.logshipper.dockerlog import line

BEGIN = datetime(2026, 7, 1, 10, 0, tzinfo=UTC).timestamp()


def test_what_was_read_is_as_old_as_its_first_line() -> None:
    age = Age()
    age.noted(300, BEGIN + 500)
    assert age.since == BEGIN + 500
    data = line("one\n", number=1) + line("two\n", number=2) + line("three\n", number=3)
    assert age.took(data, 100, BEGIN + 600) == pytest.approx(BEGIN + 1, abs=1e-3)
    # What is left was written behind the last line that was read.
    assert age.since == pytest.approx(BEGIN + 3, abs=1e-3)
    age.took(line("four\n", number=4), 0, BEGIN + 600)
    assert age.since is None


def test_after_a_pause_it_begins_when_something_is_seen_and_does_not_move() -> None:
    age = Age()
    age.noted(0, BEGIN)
    assert age.since is None
    age.noted(10, BEGIN + 7)
    age.noted(20, BEGIN + 9)
    assert age.since == BEGIN + 7
    age.noted(0, BEGIN + 10)
    assert age.since is None


def test_lines_without_a_time_are_as_old_as_they_were_seen() -> None:
    age = Age()
    age.noted(40, BEGIN + 7)
    assert age.took(b"plain text\nmore of it\n", 20, BEGIN + 90) == BEGIN + 7
    assert age.since == BEGIN + 7
    assert age.took(b"the end\n", 0, BEGIN + 90) == BEGIN + 7
    assert age.took(b"nobody saw it before\n", 0, BEGIN + 90) == BEGIN + 90


@pytest.mark.parametrize(
    "text",
    [
        b"",
        b'{"log":"no time"}\n',
        b'{"log":"x","time":"yesterday"}\n',
        b'{"log":"x","time":"2026-07-01T10:00:00',
        b'{"of":"an application","time":"2026-07-01T10:00:00Z"}\n',
        b'{"log":"x","time":"\xff"}\n',
    ],
)
def test_what_is_no_time_is_none(text: bytes) -> None:
    assert line_time(text, 0, len(text)) is None


def test_a_time_in_the_text_of_a_log_is_not_taken_for_dockers() -> None:
    text = line('{"time":"1999-01-01T00:00:00Z"}\n', number=5)
    assert line_time(text, 0, len(text)) == pytest.approx(BEGIN + 5, abs=1e-3)
