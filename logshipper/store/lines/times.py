"""Times: RFC 3339 and epoch numbers to nanoseconds, nanoseconds to text, days and their names."""

import math
import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from functools import lru_cache
from operator import add
from typing import Final

SECOND_NS: Final = 1_000_000_000
MINUTE_NS: Final = 60 * SECOND_NS
DAY_NS: Final = 86_400 * SECOND_NS
_EPOCH_ORDINAL: Final = date(1970, 1, 1).toordinal()
_RFC_3339: Final = re.compile(
    r"(\d{4}-\d\d-\d\d)[Tt ](\d\d:\d\d:\d\d)(?:[.,](\d{1,18}))?"
    r"(?:[Zz]|([+-])(\d\d):?(\d\d))?",
    re.ASCII,
)
_NUMBER: Final = re.compile(r"-?\d{1,20}(\.\d{1,18})?", re.ASCII)
# Epoch numbers tell their unit by size: seconds until the year 5138, then milli, micro, nano.
_UNITS: Final = ((10**11, SECOND_NS), (10**14, 10**6), (10**17, 10**3), (2**63, 1))
_NANOSECOND_DIGITS: Final = 9
_FRACTIONS: Final = re.compile(r"(?:\d{1,9}Z)*", re.ASCII)


@dataclass(frozen=True, slots=True)
class Arrival:
    """When lines came.

    Attributes:
        at_ns: by the machine's clock: the time of a line that names none.
        latest_ns: a line that names a later time has none that is believed. It would plant a file
            that no retention reaches for years.
    """

    at_ns: int
    latest_ns: int

    @classmethod
    def of(cls, machine_ns: int, highest_ns: int = 0) -> "Arrival":
        """What came by that clock.

        Args:
            machine_ns: what the machine's clock says. It may be behind, and lines are not for that.
            highest_ns: the highest time that was ever believed.
        """
        return cls(machine_ns, max(machine_ns, highest_ns) + DAY_NS)


def parse(value: object) -> int | None:
    """Nanoseconds since 1970 of an RFC 3339 text or an epoch number; None if it is neither.

    A time without a zone is UTC. Digits after the ninth are dropped. A leap second
    (RFC 3339, 5.7) counts as the second after it.
    """
    if type(value) is str:
        fast = _docker_time(value)
        return fast if fast is not None else _text_time(value.strip())
    if type(value) is int:
        return _epoch(value)
    if type(value) is float and math.isfinite(value) and abs(value) < _UNITS[-1][0]:
        whole = math.floor(value)
        scale = _scale(whole)
        return None if scale is None else whole * scale + int((value - whole) * scale)
    return None


def parse_texts(values: Sequence[str]) -> list[int | None]:
    """`parse` of each text; a third of its time where all have the shape that Docker writes."""
    starts = list(map(_start_of, [value[:20] for value in values]))
    fractions = "".join([value[20:] for value in values])
    numbers = fractions.split("Z")[:-1]
    if (
        None in starts
        or len(numbers) != len(values)
        or not _FRACTIONS.fullmatch(fractions)
        # Else a Z is missing in one text, and another has two.
        or [value[-1:] for value in values].count("Z") != len(values)
    ):
        return list(map(parse, values))
    if len(fractions) != (_NANOSECOND_DIGITS + 1) * len(values):
        numbers = [number.ljust(_NANOSECOND_DIGITS, "0") for number in numbers]
    return list(map(add, starts, map(int, numbers)))


def text(time_ns: int) -> str:
    """RFC 3339 in UTC with nine digits, so that texts sort as times do."""
    seconds, nanoseconds = divmod(time_ns, SECOND_NS)
    return f"{_second_text(seconds)}.{nanoseconds:09d}Z"


def day_of(time_ns: int) -> int:
    """Days since 1970 in UTC."""
    return time_ns // DAY_NS


def day_name(day: int) -> str:
    """`2026-11-23`, the name of a day's file; ValueError outside the years 1 to 9999."""
    return date.fromordinal(day + _EPOCH_ORDINAL).isoformat()


def parse_day(name: str) -> int | None:
    """The day of a name that `day_name` gives, also without its dashes; None for any other."""
    try:
        return date.fromisoformat(name).toordinal() - _EPOCH_ORDINAL
    except ValueError:
        return None


def _docker_time(value: str) -> int | None:
    """The shape that Docker and the shipper write, `2026-11-23T06:59:00.123456789Z`."""
    if value[-1:] != "Z" or value[19:20] != ".":
        return None
    fraction = value[20:-1]
    if not (fraction.isascii() and fraction.isdigit() and len(fraction) <= _NANOSECOND_DIGITS):
        return None
    seconds = _second_of(value[:19])
    if seconds is None:
        return None
    return seconds * SECOND_NS + int(fraction.ljust(_NANOSECOND_DIGITS, "0"))


def _text_time(value: str) -> int | None:
    found = _RFC_3339.fullmatch(value)
    if found is None:
        return _number_time(value)
    day, clock, fraction, sign, hours, minutes = found.groups()
    leap = clock.endswith(":60")
    seconds = _second_of(f"{day}T{clock[:-2]}59" if leap else f"{day}T{clock}")
    if seconds is None:
        return None
    offset = (int(hours) * 3600 + int(minutes) * 60) * (-1 if sign == "-" else 1) if sign else 0
    nanoseconds = int((fraction or "")[:9].ljust(9, "0"))
    return (seconds + leap - offset) * SECOND_NS + nanoseconds


def _number_time(value: str) -> int | None:
    if not _NUMBER.fullmatch(value):
        return None
    whole, _, fraction = value.partition(".")
    return _epoch(int(whole)) if not fraction else parse(float(value))


def _epoch(number: int) -> int | None:
    scale = _scale(number)
    return None if scale is None else number * scale


def _scale(number: int) -> int | None:
    return next((scale for below, scale in _UNITS if abs(number) < below), None)


@lru_cache(maxsize=4096)
def _start_of(value: str) -> int | None:
    """The nanosecond at which the second of `2026-11-23T06:59:00.` begins."""
    seconds = _second_of(value[:-1]) if value[-1:] == "." else None
    return None if seconds is None else seconds * SECOND_NS


# Lines come by the thousand for each second.
@lru_cache(maxsize=4096)
def _second_of(value: str) -> int | None:
    if not re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d", value, re.ASCII):
        return None
    try:
        moment = datetime.fromisoformat(value)
    except ValueError:
        return None
    return int((moment.replace(tzinfo=UTC) - datetime(1970, 1, 1, tzinfo=UTC)).total_seconds())


@lru_cache(maxsize=4096)
def _second_text(seconds: int) -> str:
    moment = datetime(1970, 1, 1, tzinfo=UTC) + timedelta(seconds=seconds)
    return moment.strftime("%Y-%m-%dT%H:%M:%S")
