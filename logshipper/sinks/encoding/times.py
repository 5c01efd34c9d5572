"""RFC 3339 as numbers and as a day, for the protocols that do not take it as text; pure."""

from datetime import datetime, timedelta
from functools import lru_cache
from typing import Final

SECOND_NS: Final = 10**9
DAY_NS: Final = 86_400 * SECOND_NS
_SECOND: Final = len("2026-07-01T10:00:07")
_EPOCH: Final = datetime.fromisoformat("1970-01-01T00:00:00+00:00")


def nanoseconds(text: str) -> int:
    """Unix time in nanoseconds; 0 for what is no RFC 3339.

    Digits behind the ninth of a fraction are cut off.
    """
    fraction, zone = 0, text[_SECOND:]
    if zone[:1] == ".":
        rest = zone[1:].lstrip("0123456789")
        digits = zone[1 : len(zone) - len(rest)]
        fraction, zone = int(digits[:9].ljust(9, "0")), rest
    seconds = _seconds(text[:_SECOND], zone)
    return 0 if seconds is None else seconds * SECOND_NS + fraction


# Lines come in the order of time: nearly all share their second with the one before.
@lru_cache(maxsize=1024)
def _seconds(second: str, zone: str) -> int | None:
    try:
        moment = datetime.fromisoformat(second + (zone or "Z"))
        return (moment - _EPOCH) // timedelta(seconds=1)
    except (ValueError, TypeError, OverflowError):
        return None


def day(text: str) -> str:
    """The day of a time in UTC, YYYY-MM-DD."""
    return _date(nanoseconds(text) // DAY_NS)


@lru_cache(maxsize=256)
def _date(days: int) -> str:
    return (_EPOCH + timedelta(days=days)).date().isoformat()
