"""Log lines before people: text that drives no terminal, and since when they are asked for."""

import re
from collections.abc import Mapping
from datetime import datetime, time, timedelta
from typing import Final

from wharfinger.errors import Rejected
from wharfinger.text import printable, shortened

TAB_COLUMNS: Final = 4
RESET: Final = "\x1b[0m"
# ECMA-48, 8.3.117: bold, faint, italic, underline, reverse, the colours, and back. Neither
# conceal nor blink: a log line shall not hide text from its reader.
SGR: Final = re.compile(
    r"\x1b\[(?:(?:0?[0-47]|2[2-47]|[34][0-79]|9[0-7]|10[0-7]|[34]8;5;\d{1,3}"
    r"|[34]8;2;\d{1,3};\d{1,3};\d{1,3})(?:;(?!m)|(?=m)))*m",
    re.ASCII,
)
_SECONDS: Final[Mapping[str, int]] = {"s": 1, "m": 60, "h": 3_600, "d": 86_400, "w": 604_800}
_AGO: Final = re.compile(r"(?:\d{1,6}[smhdw]){1,5}", re.ASCII)
_PART: Final = re.compile(r"(\d+)([smhdw])", re.ASCII)
_CLOCK: Final = re.compile(r"\d\d:\d\d(:\d\d)?", re.ASCII)


def moment(text: str, now: datetime, option: str = "--since") -> str:
    """A time in RFC 3339 out of `1h`, `1h30m`, `now`, `today`, `08:15`, or of such a time itself.

    Args:
        text: as it was typed; a time without a zone is this machine's.
        now: what the others count from.
        option: whose it is, for the complaint.

    Raises:
        Rejected: it is none of them.
    """
    try:
        if _AGO.fullmatch(text):
            seconds = sum(int(n) * _SECONDS[unit] for n, unit in _PART.findall(text))
            return (now - timedelta(seconds=seconds)).isoformat()
        given = _named(text, now) or datetime.fromisoformat(text)
        return (given if given.tzinfo else given.astimezone()).isoformat()
    except (ValueError, OverflowError):
        raise Rejected(
            f"{option} {shortened(text, 40)!r} is no time; write 30m, 1h, 2d, today, 08:15 or "
            f"{now.isoformat(timespec='seconds')}"
        ) from None


def _named(text: str, now: datetime) -> datetime | None:
    today = now.astimezone().replace(tzinfo=None, hour=0, minute=0, second=0, microsecond=0)
    match text:
        case "now":
            return now
        case "today":
            return today
        case "yesterday":
            return today - timedelta(days=1)
        case _ if _CLOCK.fullmatch(text):
            return datetime.combine(today, time.fromisoformat(text))
    return None


def harmless(text: str, *, colours: bool) -> str:
    """Log text that cannot drive a terminal: colours stay or go, all other controls are escaped.

    Args:
        text: as an application wrote it.
        colours: keep plain colours, for a terminal; they end with the text.
    """
    text = text.expandtabs(TAB_COLUMNS)
    parts, at, coloured = [], 0, False
    for found in SGR.finditer(text):
        parts.append(printable(text[at : found.start()]))
        if colours:
            parts.append(found[0])
            coloured = True
        at = found.end()
    parts.append(printable(text[at:]))
    return "".join(parts) + (RESET if coloured else "")
