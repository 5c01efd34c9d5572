"""Docker's statistics of a container, as far as they are read."""

import pytest

from wharfinger.dockerstats import parse_cpu_seconds
from wharfinger.errors import Rejected


def test_the_time_used_is_read() -> None:
    body = b'{"read": "x", "cpu_stats": {"cpu_usage": {"total_usage": 1500000000}}, "id": "a"}'
    assert parse_cpu_seconds(body) == 1.5


def test_one_that_stands_has_used_nothing() -> None:
    assert parse_cpu_seconds(b'{"cpu_stats": {"cpu_usage": {}}}') == 0.0
    assert parse_cpu_seconds(b"{}") == 0.0


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"[]",
        b"\xff",
        b'{"cpu_stats": 1}',
        b'{"cpu_stats": {"cpu_usage": {"total_usage": "1"}}}',
        b'{"cpu_stats": {"cpu_usage": {"total_usage": -1}}}',
        b'{"cpu_stats": {"cpu_usage": {"total_usage": NaN}}}',
        b"[" * 100_000,
    ],
)
def test_what_is_none_is_refused(body: bytes) -> None:
    with pytest.raises(Rejected, match="statistics"):
        parse_cpu_seconds(body)
