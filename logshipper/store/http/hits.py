"""What a found line looks like outside: its id, and its fields as JSON."""

from collections.abc import Iterable
from typing import Any, Final

import msgspec

from logshipper.store.lines import times
from logshipper.store.model import STREAM_FIELDS, Found
from wharfinger import levels

_OWN: Final = ("id", "time", "message", *STREAM_FIELDS, "level")

_decoder = msgspec.json.Decoder()


def render(found: Found) -> dict[str, Any]:
    """The fields of a line; empty ones are left out, but for the first three.

    A field of the sender's that has the name of one of ours appears as `fields.NAME`.
    """
    line = found.line
    shown: dict[str, Any] = {
        "id": found.id,
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


def answer(lines: Iterable[Found], *, more: bool) -> bytes:
    """The reply to a search."""
    return msgspec.json.encode({"hits": [render(line) for line in lines], "more": more})
