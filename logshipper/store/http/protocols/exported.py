"""Lines as this store gives them out, taken in again as they were: an export imported."""

from typing import Any, Final

import msgspec

from logshipper.store.http.protocols.understood import Lines
from logshipper.store.lines import documents, times
from logshipper.store.lines.times import Arrival
from logshipper.store.model import (
    MAX_EXTRA_BYTES,
    MAX_LABEL_CHARACTERS,
    MAX_MESSAGE_BYTES,
    STREAM_FIELDS,
    Document,
    Line,
    Stream,
)
from wharfinger import levels
from wharfinger.errors import Rejected

# A message that was cut says so behind its end.
_CUT_BYTES: Final = 64
_OWN: Final = ("id", "time", "message", *STREAM_FIELDS, "level")
_PREFIX: Final = "fields."

_encoder = msgspec.json.Encoder()


class Copies:
    """Tells lines that are all alike from a line that is given twice: by their ids."""

    def __init__(self) -> None:
        self._ids: dict[Line, list[object]] = {}

    def number(self, line: Line, identity: object) -> int:
        """Which of the lines that are all alike this one is, counted from 0."""
        ids = self._ids.setdefault(line, [])
        if identity is None or identity not in ids:
            ids.append(identity)
            return len(ids) - 1
        return ids.index(identity)


def parse(body: bytes, arrival: Arrival) -> Lines:
    """Understands a body; a bad line costs only itself.

    Lines that are all alike are told apart within one body, by their ids.

    Args:
        body: one JSON object a line, as `/api/export` gives it; blank lines are none.
        arrival: when they came.

    Raises:
        TooLarge: it holds too many lines.
    """
    found, copies = Lines(), Copies()
    for raw in body.split(b"\n"):
        if not raw or raw.isspace():
            continue
        try:
            found.take(_document(raw, arrival, copies))
        except Rejected as error:
            found.refuse(str(error))
    return found


def _document(raw: bytes, arrival: Arrival, copies: Copies) -> Document:
    fields = documents.decode(raw)
    identity = fields.pop("id", None)
    told, message = fields.pop("time", None), fields.pop("message", None)
    time_ns = times.parse(told) if type(told) is str else None
    if time_ns is None:
        raise Rejected(f"has the time {str(told)[:64]!r}, which is none of an export")
    if time_ns > arrival.latest_ns:
        raise Rejected(f"has the time {told[:64]}, which is yet to come")
    if type(message) is not str:
        raise Rejected("has no message")
    if len(message) > MAX_MESSAGE_BYTES or len(message.encode()) > MAX_MESSAGE_BYTES + _CUT_BYTES:
        raise Rejected(f"has a message of more than {MAX_MESSAGE_BYTES} bytes")
    stream = Stream(*(_label(fields.pop(name, "")) for name in STREAM_FIELDS))
    level = _level(fields)
    line = Line(time_ns, stream, level, message, _extra(fields))
    return documents.kept(line, copies.number(line, identity))


def _label(value: object) -> str:
    if type(value) is not str:
        raise Rejected("has a label that is no text")
    return value[:MAX_LABEL_CHARACTERS]


def _level(fields: dict[str, Any]) -> int:
    """Its number; a name that is none of ours stays where it is."""
    given = fields.get("level")
    if type(given) is str and given in levels.NAMES and given:
        del fields["level"]
        return levels.NAMES.index(given)
    return 0


def _extra(fields: dict[str, Any]) -> bytes:
    if not fields:
        return b""
    other = {
        inner if (inner := name.removeprefix(_PREFIX)) in _OWN else name: value
        for name, value in fields.items()
    }
    data = _encoder.encode(other)
    if len(data) > MAX_EXTRA_BYTES:
        raise Rejected(f"has other fields of more than {MAX_EXTRA_BYTES} bytes")
    return data
