"""Times as Go's time package shows them: layouts of its reference time, and methods."""

import re
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Final

from discovery.gotemplate.errors import FunctionError
from discovery.gotemplate.functions import INT, STRING, Function, FunctionMap, Type
from discovery.gotemplate.limits import Budget
from discovery.gotemplate.values import Kind, Named, Opaque, Value

MONTHS: Final = (
    "January", "February", "March", "April", "May", "June", "July", "August", "September",
    "October", "November", "December",
)  # fmt: skip
WEEKDAYS: Final = (
    "Sunday", "Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday",
)  # fmt: skip
_DEFAULT_LAYOUT: Final = "2006-01-02 15:04:05.999999999 -0700 MST"
_CHUNK: Final = re.compile(
    r"January|Jan(?![a-z])|Monday|Mon(?![a-z])|MST|002|0[1-6]|15|1|2006|2|__2|_2(?!006)|[345]"
    r"|PM|pm|[-Z]07(?:0000|:00:00|00|:00)?|[.,](?:0+|9+)(?![0-9])"
)
_NOON: Final = 12
_DIGITS: Final = 9


class Month(Named):
    """time.Month."""

    TYPE = "time.Month"

    def text(self) -> str:
        """Its English name."""
        return MONTHS[self - 1]


class Weekday(Named):
    """time.Weekday, from Sunday."""

    TYPE = "time.Weekday"

    def text(self) -> str:
        """Its English name."""
        return WEEKDAYS[self]


@dataclass(frozen=True, slots=True)
class Moment(Opaque):
    """time.Time.

    Attributes:
        at: with its zone.
    """

    at: datetime
    TYPE = "time.Time"

    def text(self) -> str:
        """As Go prints it, but for the monotonic clock: no two hosts would agree on it."""
        return formatted(self.at, _DEFAULT_LAYOUT)


def formatted(at: datetime, layout: str) -> str:
    """time.Format."""
    return _CHUNK.sub(lambda match: _chunk(match.group(), at), layout)


def _chunk(chunk: str, at: datetime) -> str:
    if chunk[0] in ".,":
        return _fraction(chunk, at.microsecond * 1000)
    if chunk[0] in "-Z":
        return _offset(chunk, at)
    return _FIELDS[chunk](at)


def _fraction(chunk: str, nanoseconds: int) -> str:
    digits = f"{nanoseconds:09d}"[: len(chunk) - 1].ljust(min(len(chunk) - 1, _DIGITS), "0")
    if chunk[1] == "9":
        digits = digits.rstrip("0")
    return chunk[0] + digits if digits else ""


def _offset(chunk: str, at: datetime) -> str:
    seconds = _offset_seconds(at)
    if chunk[0] == "Z" and not seconds:
        return "Z"
    sign = "-" if seconds < 0 else "+"
    hours, rest = divmod(abs(seconds), 3600)
    minutes, seconds = divmod(rest, 60)
    colon = ":" if ":" in chunk else ""
    fields = [f"{hours:02d}", f"{minutes:02d}", f"{seconds:02d}"]
    count = len(chunk.replace(":", "")) // 2
    return sign + colon.join(fields[:count])


def _offset_seconds(at: datetime) -> int:
    return int((at.utcoffset() or timedelta()).total_seconds())


def _zone(at: datetime) -> str:
    name = at.tzname() or ""
    if name and not name.startswith(("UTC+", "UTC-")):
        return name
    return _offset("-0700", at)


def _weekday(at: datetime) -> int:
    return at.isoweekday() % len(WEEKDAYS)


def _half(at: datetime) -> int:
    return at.hour % _NOON or _NOON


def _year_day(at: datetime) -> int:
    return at.timetuple().tm_yday


_FIELDS: Final[dict[str, Callable[[datetime], str]]] = {
    "January": lambda at: MONTHS[at.month - 1],
    "Jan": lambda at: MONTHS[at.month - 1][:3],
    "1": lambda at: str(at.month),
    "01": lambda at: f"{at.month:02d}",
    "Monday": lambda at: WEEKDAYS[_weekday(at)],
    "Mon": lambda at: WEEKDAYS[_weekday(at)][:3],
    "MST": _zone,
    "002": lambda at: f"{_year_day(at):03d}",
    "__2": lambda at: f"{_year_day(at):3d}",
    "2": lambda at: str(at.day),
    "02": lambda at: f"{at.day:02d}",
    "_2": lambda at: f"{at.day:2d}",
    "15": lambda at: f"{at.hour:02d}",
    "3": lambda at: str(_half(at)),
    "03": lambda at: f"{_half(at):02d}",
    "4": lambda at: str(at.minute),
    "04": lambda at: f"{at.minute:02d}",
    "5": lambda at: str(at.second),
    "05": lambda at: f"{at.second:02d}",
    "2006": lambda at: f"{at.year:04d}",
    "06": lambda at: f"{at.year % 100:02d}",
    "PM": lambda at: "PM" if at.hour >= _NOON else "AM",
    "pm": lambda at: "pm" if at.hour >= _NOON else "am",
}


def _format(budget: Budget, moment: Moment, layout: str) -> str:
    budget.hold(10 * len(layout))
    return formatted(moment.at, layout)


def _add_date(_budget: Budget, moment: Moment, years: int, months: int, days: int) -> Moment:
    """Months and years first, then days; 31 April is 1 May, as in Go."""
    at = moment.at
    month = at.month - 1 + months
    try:
        first = at.replace(year=at.year + years + month // 12, month=month % 12 + 1, day=1)
        return Moment(first + timedelta(days=at.day - 1 + days))
    except (ValueError, OverflowError):
        raise FunctionError("time out of range") from None


def _nanoseconds(at: datetime) -> int:
    since = at.astimezone(UTC) - datetime(1970, 1, 1, tzinfo=UTC)
    return (since.days * 86400 + since.seconds) * 10**9 + since.microseconds * 1000


def _method(read: Callable[[datetime], Value]) -> Function:
    return Function(lambda _budget, moment: read(moment.at))


_TIME: Final = Type("time.Time", Kind.STRUCT)

MOMENT_METHODS: Final[FunctionMap] = {
    "Format": Function(_format, (STRING,)),
    "AddDate": Function(_add_date, (INT, INT, INT)),
    "After": Function(lambda _budget, moment, other: moment.at > other.at, (_TIME,)),
    "Before": Function(lambda _budget, moment, other: moment.at < other.at, (_TIME,)),
    "Equal": Function(lambda _budget, moment, other: moment.at == other.at, (_TIME,)),
    "String": Function(lambda _budget, moment: moment.text()),
    "UTC": _method(lambda at: Moment(at.astimezone(UTC))),
    "Local": _method(Moment),
    "IsZero": _method(lambda at: at == datetime(1, 1, 1, tzinfo=UTC)),
    "Unix": _method(lambda at: _nanoseconds(at) // 10**9),
    "UnixMilli": _method(lambda at: _nanoseconds(at) // 10**6),
    "UnixMicro": _method(lambda at: _nanoseconds(at) // 10**3),
    "UnixNano": _method(_nanoseconds),
    "Year": _method(lambda at: at.year),
    "Month": _method(lambda at: Month(at.month)),
    "Day": _method(lambda at: at.day),
    "Hour": _method(lambda at: at.hour),
    "Minute": _method(lambda at: at.minute),
    "Second": _method(lambda at: at.second),
    "Nanosecond": _method(lambda at: at.microsecond * 1000),
    "Weekday": _method(lambda at: Weekday(_weekday(at))),
    "YearDay": _method(_year_day),
}
NAMED_METHODS: Final[FunctionMap] = {"String": Function(lambda _budget, value: value.text())}


def methods_of(value: Value) -> FunctionMap:
    """The methods of a value."""
    if isinstance(value, Moment):
        return MOMENT_METHODS
    return NAMED_METHODS if isinstance(value, Named) else {}
