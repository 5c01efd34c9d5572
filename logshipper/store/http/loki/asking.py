"""What requests of Loki's API ask for; the times and lengths that they write."""

import math
from collections.abc import Iterable
from typing import Final
from urllib.parse import parse_qsl

from aiohttp import web
from multidict import MultiDict, MultiMapping

from logshipper.store.http import shortbody
from logshipper.store.lines import times
from logshipper.store.model import BadQuery
from logshipper.store.query.logql import lexer, windows
from logshipper.store.query.logql.windows import Moments
from wharfinger.errors import Rejected

MAX_LIMIT: Final = 10_000
DEFAULT_LIMIT: Final = 100
_HOUR_NS: Final = 3600 * times.SECOND_NS
_SECONDS_DIGITS: Final = 10  # a number of more digits is one of nanoseconds
_DEFAULT_STEPS: Final = 250
_LATEST_NS: Final = 2**62
_FORM: Final = "application/x-www-form-urlencoded"
_FORM_BYTES: Final = 64 * 1024
_FORM_FIELDS: Final = 1_000
_READ_SECONDS: Final = 10.0


class Asking:
    """The parameters of one request, of its query string and its form.

    Args:
        given: them.
        now_ns: what they default to.
    """

    def __init__(self, given: "MultiMapping[str]", now_ns: int) -> None:
        self._given = given
        self._now_ns = now_ns

    def items(self) -> Iterable[tuple[str, str]]:
        """All parameters as they are."""
        return self._given.items()

    def text(self, name: str, default: str = "") -> str:
        """A parameter as it is."""
        return self._given.get(name) or default

    def texts(self, name: str) -> list[str]:
        """A parameter that may be there several times."""
        return self._given.getall(name, [])

    def query(self) -> str:
        """The query.

        Raises:
            BadQuery: there is none.
        """
        found = self.text("query")
        if not found.strip():
            raise BadQuery("there is no query", 'write query={app="..."}')
        return found

    def limit(self, name: str = "limit", default: int = DEFAULT_LIMIT) -> int:
        """How many at most.

        Raises:
            BadQuery: it is no number, or none at all.
        """
        text = self.text(name, str(default))
        if not (text.isascii() and text.isdigit() and int(text[:18]) > 0):
            raise BadQuery(f"{name}={text[:20]!r} is no limit", f"write {name}={default}")
        return min(int(text[:18]), MAX_LIMIT)

    def newest_first(self) -> bool:
        """The direction.

        Raises:
            BadQuery: there is no such direction.
        """
        direction = self.text("direction", "backward").lower()
        if direction not in {"backward", "forward"}:
            raise BadQuery(f"{direction[:20]!r} is no direction", "write backward or forward")
        return direction == "backward"

    def span(self, since_ns: int = _HOUR_NS) -> tuple[int, int]:
        """The first nanosecond, and the one after the last.

        Raises:
            BadQuery: a time cannot be understood.
        """
        end_ns = self.time("end", self._now_ns)
        since = self.text("since")
        back_ns = length("since", since) if since else since_ns
        return self.time("start", min(end_ns, self._now_ns) - back_ns), end_ns

    def time(self, name: str, default_ns: int | None = None) -> int:
        """A time: seconds with a point or of ten digits, nanoseconds, or RFC 3339.

        Raises:
            BadQuery: it is none.
        """
        text = self.text(name)
        if not text:
            return self._now_ns if default_ns is None else default_ns
        found = _number_time(text) if text[0].isdigit() and ":" not in text else times.parse(text)
        if found is None or abs(found) > _LATEST_NS:
            raise BadQuery(f"{name}={text[:40]!r} is no time", f"write {name} in nanoseconds")
        return found

    def moments(self) -> Moments:
        """At which moments a range query asks for numbers.

        Raises:
            BadQuery: they are none, or too many.
        """
        start_ns, end_ns = self.span()
        step = self.text("step")
        seconds = (end_ns - start_ns) / 1e9 / _DEFAULT_STEPS
        default_ns = max(1, math.floor(seconds)) * times.SECOND_NS
        step_ns = length("step", step) if step else default_ns
        return windows.moments(start_ns, end_ns, step_ns)


async def asked(request: web.Request, now_ns: int) -> Asking:
    """The parameters of a request: of the form that a POST holds, and of the query string.

    Raises:
        BadQuery: the form is none.
    """
    if request.method != "POST" or request.content_type != _FORM:
        return Asking(request.query, now_ns)
    try:
        text = (await shortbody.read(request, _FORM_BYTES, _READ_SECONDS)).decode()
        form = parse_qsl(text, keep_blank_values=True, max_num_fields=_FORM_FIELDS)
    except (Rejected, ValueError) as error:
        fix = "send as few short parameters as Grafana does"
        raise BadQuery(f"this is no form: {error}", fix) from None
    given = MultiDict(request.query)
    given.extend(form)
    return Asking(given, now_ns)


def length(name: str, text: str) -> int:
    """Nanoseconds of seconds as a number, or of a duration such as `5m`.

    Raises:
        BadQuery: it is neither.
    """
    try:
        found = round(float(text) * times.SECOND_NS)
    except (ValueError, OverflowError):
        try:
            found = lexer.nanoseconds(text)
        except ValueError:
            found = 0
    if not 0 < found < _LATEST_NS:
        raise BadQuery(f"{name}={text[:20]!r} is no length of time", f"write {name}=60s")
    return found


def _number_time(text: str) -> int | None:
    try:
        if "." in text:
            return round(float(text) * 1000) * 1_000_000
        number = int(text)
    except (ValueError, OverflowError):
        return None
    return number * times.SECOND_NS if len(text) <= _SECONDS_DIGITS else number
