"""JSON lines: an object a line, with its id inside; VictoriaLogs' own way in, and anybody's."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import msgspec

from logshipper.store.http.protocols.understood import Lines, is_too_long
from logshipper.store.lines import documents, usual
from logshipper.store.lines.times import Arrival
from logshipper.store.model import MAX_ID_BYTES, Document
from wharfinger.errors import Rejected


@dataclass(frozen=True, slots=True)
class Names:
    """What a sender calls our fields, best first.

    Attributes:
        message: the text.
        time: the time.
    """

    message: tuple[str, ...] = ()
    time: tuple[str, ...] = ()


# VictoriaLogs' own names (its documentation, JSON stream API).
_VICTORIA: Final = Names(("_msg",), ("_time",))


def names(query: Mapping[str, str], headers: Mapping[str, str]) -> Names:
    """What a request says of its names, in VictoriaLogs' parameters or its headers."""

    def told(parameter: str, header: str) -> tuple[str, ...]:
        text = query.get(parameter) or headers.get(header) or ""
        return tuple(name.strip() for name in text.split(",") if name.strip())

    return Names(told("_msg_field", "VL-Msg-Field"), told("_time_field", "VL-Time-Field"))


def parse(body: bytes, arrival: Arrival, called: Names) -> Lines:
    """Understands a body; a bad line costs only itself.

    Args:
        body: one JSON object a line; blank lines are none. `_id` is its id, as in `_bulk`.
        arrival: when they came.
        called: what the sender calls our fields.

    Raises:
        TooLarge: it holds too many lines.
    """
    found = Lines()
    called = Names(called.message + _VICTORIA.message, called.time + _VICTORIA.time)
    raws = [raw for raw in body.split(b"\n") if raw and not raw.isspace()]
    # What has our names and no others needs no new ones.
    for document in usual.read_named(raws, arrival, lambda raw: _document(raw, called, arrival)):
        if isinstance(document, Rejected):
            found.refuse(str(document))
        else:
            found.take(document)
    return found


def _document(raw: bytes, called: Names, arrival: Arrival) -> Document:
    fields = documents.decode(raw)
    _rename(fields, called.message, "message")
    _rename(fields, called.time, "@timestamp")
    identity = fields.pop("_id", None)
    if identity is not None and type(identity) is not str:
        # Neither 1.5 nor {} has one spelling that is sure to come again.
        identity = str(identity) if type(identity) is int else None
    if is_too_long(identity or ""):
        raise Rejected(f"has an _id of more than {MAX_ID_BYTES} bytes")
    return documents.document(fields, identity or "", arrival)


def _rename(fields: dict[str, Any], names: Sequence[str], own: str) -> None:
    for name in names:
        if own not in fields and name in fields:
            fields[own] = fields.pop(name)


def answer(found: Lines, stored: Sequence[bool]) -> bytes:
    """The reply to a body: how many lines are new, known (or too old to be kept), and bad.

    Args:
        found: as understood.
        stored: for each document, whether it was new.
    """
    new = sum(stored)
    told: dict[str, Any] = {"stored": new, "skipped": len(stored) - new, "rejected": found.bad}
    if found.reasons:
        told["errors"] = [{"line": place, "reason": reason} for place, reason in found.reasons]
    return msgspec.json.encode(told)
