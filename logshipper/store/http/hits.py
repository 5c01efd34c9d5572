"""What a found line looks like outside: its id, and its fields as JSON."""

import re
from collections.abc import Iterable
from typing import Any, Final

import msgspec

from logshipper.store.lines import times
from logshipper.store.model import STREAM_FIELDS, BadQuery, Hit
from wharfinger import levels

_ID: Final = re.compile(r"(\d{8})\.(\d{1,15})\.(\d{1,4})", re.ASCII)
_OWN: Final = ("id", "time", "message", *STREAM_FIELDS, "level")

_decoder = msgspec.json.Decoder()


def identity(hit: Hit) -> str:
    """The line's id, `YYYYMMDD.block.line`: the same for as long as the line is kept."""
    day = times.day_name(hit.day).replace("-", "")
    return f"{day}.{hit.key.block}.{hit.key.line}"


def parse_identity(text: str) -> tuple[int, int, int]:
    """Day, block and line of an id.

    Raises:
        BadQuery: it is none.
    """
    found = _ID.fullmatch(text)
    day = times.parse_day(found[1]) if found else None
    if found is None or day is None:
        raise BadQuery(f"{text[:64]!r} is no line's id", "give the id of a hit")
    return day, int(found[2]), int(found[3])


def render(hit: Hit) -> dict[str, Any]:
    """The fields of a line; empty ones are left out, but for the first three.

    A field of the sender's that has the name of one of ours appears as `fields.NAME`.
    """
    line = hit.line
    shown: dict[str, Any] = {
        "id": identity(hit),
        "time": times.text(line.time_ns),
        "message": line.message,
    }
    shown.update((k, v) for k, v in zip(STREAM_FIELDS, line.stream, strict=True) if v)
    other = _decoder.decode(line.extra) if line.extra else {}
    if line.level:
        shown["level"] = levels.NAMES[line.level]
    elif isinstance(other.get("level"), str):
        shown["level"] = other.pop("level")
    for name, value in other.items():
        shown[f"fields.{name}" if name in _OWN else name] = value
    return shown


def answer(hits: Iterable[Hit], *, more: bool) -> bytes:
    """The reply to a search."""
    return msgspec.json.encode({"hits": [render(hit) for hit in hits], "more": more})
