"""The id of a line of the embedded engine: the same for as long as the line is kept."""

import re
from typing import Final

from logshipper.store.lines import times
from logshipper.store.model import BadQuery, Found, Hit

_ID: Final = re.compile(r"(\d{8})\.(\d{1,15})\.(\d{1,4})", re.ASCII)


def found(hit: Hit) -> Found:
    """The line under its id, `YYYYMMDD.block.line`."""
    day = times.day_name(hit.day).replace("-", "")
    return Found(f"{day}.{hit.key.block}.{hit.key.line}", hit.line)


def parse(text: str) -> tuple[int, int, int]:
    """Day, block and line of an id.

    Raises:
        BadQuery: it is none.
    """
    match = _ID.fullmatch(text)
    day = times.parse_day(match[1]) if match else None
    if match is None or day is None:
        raise BadQuery(f"{text[:64]!r} is no line's id", "give the id of a hit")
    return day, int(match[2]), int(match[3])
