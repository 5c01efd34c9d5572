"""OTLP's log records (opentelemetry-proto 1.x, logs.proto) as documents, and its answers."""

from typing import Any, Final

import msgspec

from logshipper.store.http.protocols import names
from logshipper.store.http.protocols.understood import Lines, is_too_long
from logshipper.store.lines import documents
from logshipper.store.lines.times import Arrival
from logshipper.store.model import MAX_ID_BYTES, Document
from wharfinger import levels, wire
from wharfinger.errors import Rejected
from wharfinger.text import quantity

UID: Final = "log.record.uid"
# google.rpc.Code of the statuses that are answered here.
_CODES: Final = {400: 3, 401: 16, 413: 3, 415: 3, 429: 8}
_UNKNOWN: Final = 2
_MOST_SEVERE: Final = 24
_OWN_SCOPE: Final = "wharfinger.logshipper"


class Record(msgspec.Struct, gc=False):
    """A log record, read from either of its forms.

    Attributes:
        time_ns: of the event; 0 if it is not known.
        observed_ns: when it was seen by a collector; 0 if it is not known.
        severity: SeverityNumber, 1 to 24, 0 for none.
        severity_text: the source's own word for it.
        body: any value of JSON's.
        attributes: the same by name.
        trace_id: hexadecimal, empty for none.
        span_id: hexadecimal, empty for none.
        flags: of the trace.
        event_name: which kind of event it is.
    """

    time_ns: int = 0
    observed_ns: int = 0
    severity: int = 0
    severity_text: str = ""
    body: Any = None
    attributes: dict[str, Any] = {}
    trace_id: str = ""
    span_id: str = ""
    flags: int = 0
    event_name: str = ""


class Source:
    """What records of one scope share.

    Args:
        resource: attributes of what made them.
        scope: attributes of the part of it.
        name: of the scope.
        version: of the scope.
        arrival: when they came.
    """

    def __init__(
        self,
        resource: dict[str, Any],
        scope: dict[str, Any],
        name: str,
        version: str,
        arrival: Arrival,
    ) -> None:
        self._fields = names.renamed(resource, names.OPENTELEMETRY)
        self._arrival = arrival
        # The names for both where there is no place for them (the specification, Mapping to
        # non-OTLP formats). The shipper's says nothing that its lines do not say.
        said = {"otel.scope.name": name, "otel.scope.version": version}
        if name != _OWN_SCOPE:
            names.beside(self._fields, {key: text for key, text in said.items() if text})
        names.beside(self._fields, scope)

    def document(self, record: Record) -> Document:
        """The document of a record; its id is `log.record.uid`, and without it it has none.

        Raises:
            Rejected: it cannot be kept.
        """
        attributes = names.renamed(record.attributes, names.OPENTELEMETRY)
        uid = attributes.pop(UID, "")
        identity = uid if type(uid) is str else msgspec.json.encode(uid).decode()
        if is_too_long(identity):
            raise Rejected(f"has a {UID} of more than {MAX_ID_BYTES} bytes")
        fields = dict(self._fields)
        if attributes:
            names.beside(fields, attributes)
        _say(fields, record)
        at_ns = record.time_ns or record.observed_ns or self._arrival.at_ns
        return documents.stated(fields, _message(record.body), at_ns, identity, self._arrival)


def _say(fields: dict[str, Any], record: Record) -> None:
    """Adds what has a place of its own in a record; when it was observed is said to nobody."""
    said = {
        **_level(record),
        "trace_id": record.trace_id,
        "span_id": record.span_id,
        "trace_flags": record.flags,
        "event_name": record.event_name,
    }
    for name, value in said.items():
        if value:
            if fields.get(name, value) != value:
                fields[f"{name}_extracted"] = fields[name]
            fields[name] = value


def _level(record: Record) -> dict[str, str]:
    """A word that is known, else what the number says; a word of the source's own is kept."""
    word = record.severity_text
    if levels.level_of(word) or not 0 < record.severity <= _MOST_SEVERE:
        return {"level": word}
    # Each name stands for four numbers (Logs Data Model, SeverityNumber).
    return {"level": levels.NAMES[(record.severity + 3) // 4], "severity_text": word}


def _message(body: object) -> str:
    if body is None:
        return ""
    return body if type(body) is str else msgspec.json.encode(body).decode()


def answer(found: Lines, *, as_json: bool) -> bytes:
    """An ExportLogsServiceResponse; a partial success is never sent again by anybody."""
    if not found.bad:
        return b"{}" if as_json else b""
    records = quantity(found.bad + len(found.documents), "record")
    why = f"{found.bad} of {records} refused: {found.why}"
    if as_json:
        # A 64-bit number is a text there (ProtoJSON).
        told = {"rejectedLogRecords": str(found.bad), "errorMessage": why}
        return msgspec.json.encode({"partialSuccess": told})
    return wire.block(1, wire.number(1, found.bad) + wire.block(2, why.encode()))


def failure(status: int, why: str, *, as_json: bool) -> bytes:
    """A google.rpc.Status, which every error carries (OTLP Specification, Failures)."""
    code = _CODES.get(status, _UNKNOWN)
    if as_json:
        return msgspec.json.encode({"code": code, "message": why})
    return wire.number(1, code) + wire.block(2, why.encode())
