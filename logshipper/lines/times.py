"""The time that a line carries itself, in the forms that programs write; pure."""

import re
from collections.abc import Callable
from datetime import UTC, datetime, timedelta, timezone, tzinfo
from functools import lru_cache
from typing import Final
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from logshipper.lines.timeformat import MONTHS, compile_format
from wharfinger.errors import Rejected

SECOND_NS: Final = 10**9
EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
# A line's own time stands in its head.
HEAD: Final = 160
# Against Docker's: a clock that is further off, or a number that is no time, would put a line
# where nobody looks, and a store that keeps a file a day would get one for each.
DAY_NS: Final = 86_400 * SECOND_NS
AHEAD_NS: Final = DAY_NS
BEHIND_NS: Final = 366 * DAY_NS

_FRACTION: Final = r"(?:[.,](?P<fraction>\d{1,9})\d{0,9})?"
_CLOCK: Final = rf"(?P<hour>\d\d):(?P<minute>\d\d):(?P<second>\d\d){_FRACTION}"
_OFFSET: Final = r"[+-]\d\d:?\d\d"
_ISO: Final = re.compile(
    r"(?P<year>\d{4})-(?P<month>\d\d)-(?P<day>\d\d)[Tt ]"
    + _CLOCK
    + rf" ?(?P<zone>(?:Z|z|UTC|GMT)(?![A-Za-z0-9])|{_OFFSET}(?!\d))?",
    re.ASCII,
)
_APACHE: Final = re.compile(
    r"(?P<day>\d\d)/(?P<name>[A-Z][a-z]{2})/(?P<year>\d{4}):"
    + _CLOCK
    + rf"(?: (?P<zone>{_OFFSET}))?",
    re.ASCII,
)
_SLASHES: Final = re.compile(r"(?P<year>\d{4})/(?P<month>\d\d)/(?P<day>\d\d) " + _CLOCK, re.ASCII)
_SYSLOG: Final = re.compile(r"(?P<name>[A-Z][a-z]{2}) (?P<day>[ \d]\d) " + _CLOCK, re.ASCII)
_SYSLOG_START: Final = re.compile(rf"(?:<\d{{1,3}}>)?{_SYSLOG.pattern}", re.ASCII)
_NUMBER: Final = re.compile(
    r"[\s\[(\"']{0,4}(?P<whole>\d{1,19})(?:\.(?P<part>\d{1,9})\d{0,9})?(?!\w)", re.ASCII
)
_UNITS: Final = {"epoch": SECOND_NS, "epoch_ms": 10**6, "epoch_us": 10**3, "epoch_ns": 1}
# Seconds until the year 5138, then milli, micro, nano.
_SIZES: Final = ((10**11, SECOND_NS), (10**14, 10**6), (10**17, 10**3), (10**19, 1))
_OLDEST_GUESS: Final = 10**8
_OFFSET_ZONE: Final = re.compile(r"([+-])(\d\d):?(\d\d)", re.ASCII)
_ZONE_NAME: Final = re.compile(r"[A-Za-z][A-Za-z0-9_+-]*(?:/[A-Za-z0-9_+-]+){0,2}")
# What is behind a fraction of so many digits, for nine.
_PADDING: Final = tuple("0" * (9 - digits) for digits in range(10))
_FORMS: Final = {"iso": _ISO, "apache": _APACHE, "nginx": _SLASHES, "syslog": _SYSLOG}

Reader = Callable[[str, int], str]


def compile_time(how: str, zone: str = "UTC") -> Reader:
    """Makes what reads a time out of a text: RFC 3339 in UTC with nine digits, or "" for none.

    What it makes takes the text and Docker's time in nanoseconds, which supplies a missing year
    and must not be too far away.

    Args:
        how: auto, iso, apache, nginx, syslog, epoch, epoch_ms, epoch_us, epoch_ns, or a format
            of strptime's directives.
        zone: of times that name none: `Asia/Shanghai`, `+08:00`, `UTC`.

    Raises:
        Rejected: there is no such format or zone.
    """
    place = zone_of(zone)
    if how == "auto":
        return _auto(place)
    if unit := _UNITS.get(how):
        return lambda text, near: _told(_epoch(text[:HEAD], unit), near)
    form = _Form(_FORMS.get(how) or compile_format(how), place)
    return lambda text, near: form.found(text[:HEAD], near) or ""


@lru_cache(maxsize=256)
def zone_of(name: str) -> tzinfo:
    """A zone by its name, or by its distance from UTC.

    Raises:
        Rejected: this machine knows no such zone.
    """
    if name.upper() in {"UTC", "GMT", "Z"}:
        return UTC
    if match := _OFFSET_ZONE.fullmatch(name):
        return _offset(match)
    if not _ZONE_NAME.fullmatch(name):
        raise Rejected(f"{name!r:.80} is no time zone: write 'Asia/Shanghai' or '+08:00'")
    try:
        return ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError) as error:
        raise Rejected(f"this machine knows no time zone {name!r:.80}") from error


def _told(time_ns: int, docker_ns: int) -> str:
    seconds, rest = divmod(time_ns, SECOND_NS)
    return f"{_second(seconds)}.{rest:09d}Z" if _is_near(time_ns, docker_ns) else ""


def _second(seconds: int) -> str:
    return (EPOCH + timedelta(seconds=seconds)).isoformat()[:19]


def _is_near(time_ns: int, docker_ns: int) -> bool:
    return time_ns > 0 and (not docker_ns or -BEHIND_NS <= time_ns - docker_ns <= AHEAD_NS)


def _auto(zone: tzinfo) -> Reader:
    iso, *others = (_Form(form, zone) for form in (_ISO, _APACHE, _SLASHES))
    at_start = _Form(_SYSLOG_START, zone)

    def read(text: str, near: int) -> str:
        head = text[:HEAD]
        found = iso.found(head, near)
        if found is None:
            found = next((n for n in (o.found(head, near) for o in others) if n is not None), None)
        if found is None:
            found = at_start.found(head, near, at_start=True)
        return _told(_guessed(head), near) if found is None else found

    return read


def _guessed(head: str) -> int:
    number = _NUMBER.match(head)
    if number is None or int(number["whole"]) < _OLDEST_GUESS:
        return 0
    unit = next(unit for size, unit in _SIZES if int(number["whole"]) < size)
    return _epoch(head, unit)


def _epoch(head: str, unit: int) -> int:
    match = _NUMBER.match(head)
    if match is None:
        return 0
    part = int((match["part"] or "").ljust(9, "0")) * unit // SECOND_NS
    return int(match["whole"]) * unit + part


class _Form:
    """One form of times.

    Lines of one second differ in its fraction alone: the calendar is asked once for them.

    Args:
        pattern: finds one.
        zone: of those that name none.
    """

    def __init__(self, pattern: re.Pattern[str], zone: tzinfo) -> None:
        self._pattern, self._zone = pattern, zone
        self._fraction = pattern.groupindex.get("fraction")
        # Only without a year does it depend on the day that it is near to.
        self._needs_day = not {"year", "short", "stamp"} & set(pattern.groupindex)
        self._seconds = lru_cache(maxsize=4096)(self._second)

    def found(self, head: str, near: int, *, at_start: bool = False) -> str | None:
        """As readers give it; None where nothing is found."""
        match = self._pattern.match(head) if at_start else self._pattern.search(head)
        if match is None:
            return None
        day = near // DAY_NS if self._needs_day else 0
        begin, end = match.span()
        first, last = match.span(self._fraction) if self._fraction else (-1, -1)
        if first < 0:
            seconds, told = self._seconds(head[begin:end], day)
            fraction = _PADDING[0]
        else:
            seconds, told = self._seconds(f"{head[begin:first]}0{head[last:end]}", day)
            fraction = head[first:last] + _PADDING[last - first]
        return f"{told}.{fraction}Z" if _is_near(seconds * SECOND_NS, near) else ""

    def _second(self, text: str, near_day: int) -> tuple[int, str]:
        seconds = self._read(text, near_day)
        return seconds, _second(seconds) if seconds > 0 else ""

    def _read(self, text: str, near_day: int) -> int:
        match = self._pattern.fullmatch(text)
        if match is None:
            return 0
        said = match.groupdict()
        if stamp := said.get("stamp"):
            return int(stamp)
        try:
            since = _moment(said, self._zone, near_day * DAY_NS) - EPOCH
        except (ValueError, KeyError, OverflowError, Rejected):
            return 0
        return since.days * 86_400 + since.seconds


def _moment(said: dict[str, str | None], zone: tzinfo, near: int) -> datetime:
    name = said.get("name")
    month = MONTHS[name.lower()] if name else int(said.get("month") or 1)
    second = int(said.get("second") or 0)
    leap = second == 60  # noqa: PLR2004 - RFC 3339, 5.7
    hour = int(said.get("hour") or 0)
    if half := said.get("half"):
        hour = hour % 12 + (12 if half.lower() == "pm" else 0)

    def at(year: int) -> datetime:
        return datetime(
            year,
            month,
            int(said.get("day") or 1),
            hour,
            int(said.get("minute") or 0),
            second - leap,
            tzinfo=_zone(said.get("zone"), zone),
        ) + timedelta(seconds=int(leap))

    if year := said.get("year"):
        return at(int(year))
    if short := said.get("short"):
        return at(2000 + int(short))
    # syslog has no year: the one that brings it nearest to Docker's time.
    now = EPOCH + timedelta(seconds=near // SECOND_NS)
    return min((at(now.year + step) for step in (-1, 0, 1)), key=lambda m: abs(m - now))


def _zone(text: str | None, zone: tzinfo) -> tzinfo:
    if not text:
        return zone
    match = _OFFSET_ZONE.fullmatch(text)
    return _offset(match) if match else UTC


def _offset(match: re.Match[str]) -> tzinfo:
    minutes = int(match[2]) * 60 + int(match[3])
    if minutes >= 24 * 60:
        raise Rejected(f"{match[0]} is no distance from UTC")
    return timezone(timedelta(minutes=minutes if match[1] == "+" else -minutes))
