"""How near the end is."""

from datetime import UTC, datetime, timedelta

import pytest

from wharfinger.expiry import Validity

NOW = datetime(2030, 1, 1, tzinfo=UTC)


@pytest.mark.parametrize(
    ("life", "left", "standing"),
    [
        (timedelta(days=365), timedelta(days=15), "good"),
        (timedelta(days=365), timedelta(days=13), "soon"),
        (timedelta(days=365), timedelta(days=2, hours=23), "near"),
        (timedelta(days=365), timedelta(0), "ended"),
        (timedelta(days=365), timedelta(days=-1), "ended"),
        # What lives for a day is not near its end from the beginning.
        (timedelta(days=1), timedelta(hours=23), "good"),
        (timedelta(days=1), timedelta(hours=5), "soon"),
        (timedelta(days=1), timedelta(hours=2), "near"),
    ],
)
def test_it_is_told_in_time(life: timedelta, left: timedelta, standing: str) -> None:
    validity = Validity(NOW + left - life, NOW + left)
    assert validity.standing(NOW) == standing
    assert validity.remark(NOW).startswith({"good": "", "ended": "ended at"}.get(standing, "ends"))
