"""An ExportLogsServiceRequest in protobuf (opentelemetry-proto 1.x), read without its library."""

import base64
import struct
from collections.abc import Callable, Iterator
from typing import Any, Final

from logshipper.store.http.protocols.otlp import Record, Source
from logshipper.store.http.protocols.understood import (
    MAX_BODY_ROWS,
    Lines,
    budget,
    check_rows,
    count_fields,
    too_large,
)
from logshipper.store.lines.times import Arrival
from wharfinger import wire
from wharfinger.errors import Rejected

_DOUBLE: Final = struct.Struct("<d").unpack
_MAX_DEPTH: Final = 32


def _message(field: int) -> int:
    return field << 3 | wire.LENGTH


# The keys of the fields that are looked at, by their messages.
_RESOURCE_LOGS: Final = _message(1)
_RESOURCE: Final = _message(1)
_RESOURCE_ATTRIBUTE: Final = _message(1)
_SCOPE_LOGS: Final = _message(2)
_SCOPE: Final = _message(1)
_SCOPE_NAME: Final = _message(1)
_SCOPE_VERSION: Final = _message(2)
_SCOPE_ATTRIBUTE: Final = _message(3)
_RECORD: Final = _message(2)
_BODY: Final = _message(5)
_ATTRIBUTE: Final = _message(6)
_KEY: Final = _message(1)
_VALUE: Final = _message(2)
_ITEM: Final = _message(1)
_STRING: Final = _message(1)
_ARRAY: Final = _message(5)
_PAIRS: Final = _message(6)


def parse(body: bytes, arrival: Arrival) -> Lines:
    """Understands a request; a record that is bad costs only itself.

    Raises:
        Rejected: it is none.
        TooLarge: it holds too many records.
    """
    found, fields = Lines(), budget()
    try:
        for resource in _blocks(memoryview(body), _RESOURCE_LOGS, fields):
            made_by: dict[str, Any] = {}
            for part in _blocks(resource, _RESOURCE, fields):
                made_by |= _attributes(part, _RESOURCE_ATTRIBUTE, fields)
            for scope in _blocks(resource, _SCOPE_LOGS, fields):
                _take_scope(found, scope, made_by, arrival, fields)
    except ValueError as error:
        raise Rejected(f"it is no request of OTLP's: {error}") from None
    except wire.TooManyFields:
        raise too_large() from None
    return found


def weigh(body: bytes) -> int:
    """The bytes of memory that such a request takes beside its body.

    Raises:
        Rejected: it is none.
        TooLarge: it holds too many records.
    """
    rows = 0
    try:
        for resource in _blocks(memoryview(body), _RESOURCE_LOGS, None):
            check_rows(rows := rows + 1)
            for scope in _blocks(resource, _SCOPE_LOGS, None):
                rows += 1 + count_fields(scope, MAX_BODY_ROWS - rows)
                check_rows(rows)
    except ValueError as error:
        raise Rejected(f"it is no request of OTLP's: {error}") from None
    return check_rows(rows)


def _take_scope(
    found: Lines,
    data: memoryview,
    made_by: dict[str, Any],
    arrival: Arrival,
    fields: wire.Budget,
) -> None:
    told = {_SCOPE_NAME: "", _SCOPE_VERSION: ""}
    attributes: dict[str, Any] = {}
    for part in _blocks(data, _SCOPE, fields):
        texts = {tag: value for tag, value in wire.read_keys(part, fields) if tag in told}
        told |= {tag: _text(value) for tag, value in texts.items()}
        attributes |= _attributes(part, _SCOPE_ATTRIBUTE, fields)
    source = Source(made_by, attributes, told[_SCOPE_NAME], told[_SCOPE_VERSION], arrival)
    for record in _blocks(data, _RECORD, fields):
        try:
            found.take(source.document(_record(bytes(record), fields)))
        except Rejected as error:
            found.refuse(str(error))
        except ValueError as error:
            found.refuse(f"is {error}")


def _record(data: bytes, fields: wire.Budget) -> Record:
    told = Record(attributes={})
    for tag, value in wire.read_keys(data, fields):
        if tag == _ATTRIBUTE:
            key, inner = _pair(value, 0, fields)
            told.attributes[key] = inner
        elif tag == _BODY:
            told.body = _any(value, 0, fields)
        elif (place := _PLACES.get(tag)) is not None:
            name, read = place
            setattr(told, name, read(value))
    return told


def _pair(data: Any, depth: int, fields: wire.Budget) -> tuple[str, Any]:
    key, told = "", None
    for tag, value in wire.read_keys(data, fields):
        if tag == _VALUE:
            told = _any(value, depth, fields)
        elif tag == _KEY:
            key = _text(value)
    return key, told


def _any(data: Any, depth: int, fields: wire.Budget) -> Any:
    """An AnyValue; bytes become base64, as in its JSON form."""
    if depth > _MAX_DEPTH:
        raise Rejected("is nested too deeply")
    told: Any = None
    for tag, value in wire.read_keys(data, fields):
        if tag == _STRING:
            told = _text(value)
        elif tag == _ARRAY:
            told = [_any(item, depth + 1, fields) for item in _blocks(value, _ITEM, fields)]
        elif tag == _PAIRS:
            told = dict(_pair(pair, depth + 1, fields) for pair in _blocks(value, _ITEM, fields))
        elif (read := _VALUES.get(tag)) is not None:
            told = read(value)
    return told


def _attributes(data: memoryview, wanted: int, fields: wire.Budget) -> dict[str, Any]:
    return dict(_pair(bytes(pair), 0, fields) for pair in _blocks(data, wanted, fields))


def _blocks(data: Any, wanted: int, fields: wire.Budget | None) -> Iterator[Any]:
    for tag, value in wire.read_keys(data, fields):
        if tag == wanted:
            yield value


def _text(data: Any) -> str:
    return bytes(data).decode("utf-8", "replace")


def _unsigned(data: bytes) -> int:
    return int.from_bytes(data, "little")


def _double(data: bytes) -> float:
    found: float = _DOUBLE(data)[0]
    return found


# What a key says of its value's kind holds, so these get what they read.
_PLACES: Final[dict[int, tuple[str, Callable[[Any], Any]]]] = {
    1 << 3 | wire.FIXED64: ("time_ns", _unsigned),
    2 << 3 | wire.VARINT: ("severity", int),
    _message(3): ("severity_text", _text),
    8 << 3 | wire.FIXED32: ("flags", _unsigned),
    _message(9): ("trace_id", bytes.hex),
    _message(10): ("span_id", bytes.hex),
    11 << 3 | wire.FIXED64: ("observed_ns", _unsigned),
    _message(12): ("event_name", _text),
}
_VALUES: Final[dict[int, Callable[[Any], Any]]] = {
    2 << 3 | wire.VARINT: bool,
    3 << 3 | wire.VARINT: wire.signed,
    4 << 3 | wire.FIXED64: _double,
    _message(7): lambda data: base64.b64encode(data).decode(),
}
