"""An ExportLogsServiceRequest in JSON (OTLP Specification, JSON Protobuf Encoding)."""

from collections.abc import Sequence
from typing import Any, Final

import msgspec

from logshipper.store.http.protocols.otlp import Record, Source
from logshipper.store.http.protocols.understood import Lines, check_values
from logshipper.store.lines import documents
from logshipper.store.lines.times import Arrival
from wharfinger.errors import Rejected

_MAX_DEPTH: Final = 32
_KINDS: Final = (
    "stringValue", "intValue", "boolValue", "doubleValue", "arrayValue", "kvlistValue",
    "bytesValue",
)  # fmt: skip
_TIMES_NS: Final = range(2**64)
_MAX_DIGITS: Final = 20


class _Struct(msgspec.Struct, rename="camel", gc=False):
    """What is not known of a message is passed over; null is the same as nothing."""


class _Attributed(_Struct, gc=False):
    attributes: list[Any] | None = None
    name: str | None = None
    version: str | None = None


class _Record(_Struct, gc=False):
    time_unix_nano: int | str | None = None
    observed_time_unix_nano: int | str | None = None
    severity_number: int | str | None = None
    severity_text: str | None = None
    body: Any = None
    attributes: list[Any] | None = None
    trace_id: str | None = None
    span_id: str | None = None
    flags: int | None = None
    event_name: str | None = None


class _Scope(_Struct, gc=False):
    scope: _Attributed | None = None
    log_records: list[_Record] | None = None


class _Resource(_Struct, gc=False):
    resource: _Attributed | None = None
    scope_logs: list[_Scope] | None = None


class _Request(_Struct, gc=False):
    resource_logs: list[_Resource] | None = None


class _RawScope(_Struct, gc=False):
    scope: _Attributed | None = None
    log_records: list[msgspec.Raw] | None = None


class _RawResource(_Struct, gc=False):
    resource: _Attributed | None = None
    scope_logs: list[_RawScope] | None = None


class _RawRequest(_Struct, gc=False):
    resource_logs: list[_RawResource] | None = None


_record_decoder = msgspec.json.Decoder(_Record)
_request_decoder = msgspec.json.Decoder(_Request)
_raw_request_decoder = msgspec.json.Decoder(_RawRequest)


def parse(body: bytes, arrival: Arrival) -> Lines:
    """Understands a request; a record that is bad costs only itself.

    Raises:
        Rejected: it is none.
        TooLarge: it holds too many records.
    """
    found = Lines()
    for resource in _resources(body):
        made_by = resource.resource or _Attributed()
        for scope in resource.scope_logs or ():
            made_in = scope.scope or _Attributed()
            source = Source(
                _attributes(made_by.attributes),
                _attributes(made_in.attributes),
                made_in.name or "",
                made_in.version or "",
                arrival,
            )
            for told in scope.log_records or ():
                try:
                    found.take(source.document(_record(_read(told))))
                except Rejected as error:
                    found.refuse(str(error))
    return found


def _resources(body: bytes) -> Sequence[_Resource | _RawResource]:
    try:
        return _request_decoder.decode(body).resource_logs or ()
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        # Something in it is not as it should be: records are read one by one.
        check_values(body)
        return documents.parsed(body, _raw_request_decoder).resource_logs or ()


def _read(told: _Record | msgspec.Raw) -> _Record:
    return told if isinstance(told, _Record) else documents.parsed(told, _record_decoder)


def _record(told: _Record) -> Record:
    return Record(
        time_ns=_time(told.time_unix_nano, "timeUnixNano"),
        observed_ns=_time(told.observed_time_unix_nano, "observedTimeUnixNano"),
        severity=_severity(told.severity_number),
        severity_text=told.severity_text or "",
        body=_any(told.body, 0),
        attributes=_attributes(told.attributes),
        trace_id=told.trace_id or "",
        span_id=told.span_id or "",
        flags=told.flags or 0,
        event_name=told.event_name or "",
    )


def _time(told: int | str | None, name: str) -> int:
    time_ns = _integer(told or 0)
    # Of anything but a number a range would look at each of its own.
    if time_ns is None or time_ns not in _TIMES_NS:
        raise Rejected(f"has a {name} {str(told)[:64]!r} that is no nanoseconds since 1970")
    return time_ns


def _integer(told: object) -> int | None:
    """A 64-bit number, which JSON has as a text or as a number."""
    if type(told) is int:
        return told
    if type(told) is str and len(told) <= _MAX_DIGITS:
        digits = told.removeprefix("-")
        if digits.isascii() and digits.isdigit():
            return int(told)
    return None


def _severity(told: int | str | None) -> int:
    if not isinstance(told, str):
        return told or 0
    # Not allowed there, and sent all the same: SEVERITY_NUMBER_INFO2.
    word = told.rpartition("_")[2]
    name = word.rstrip("0123456789")
    first = {"TRACE": 1, "DEBUG": 5, "INFO": 9, "WARN": 13, "ERROR": 17, "FATAL": 21}.get(name)
    number = word[len(name) :]
    return 0 if first is None else first + (int(number) - 1 if number in {"2", "3", "4"} else 0)


def _attributes(told: list[Any] | None, depth: int = 0) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for pair in told or ():
        key = pair.get("key", "") if type(pair) is dict else None
        if type(key) is not str:
            raise Rejected("has an attribute that is no pair of key and value")
        found[key] = _any(pair.get("value"), depth)
    return found


def _any(told: object, depth: int) -> Any:
    """An AnyValue: an object of which one member says what it is."""
    if depth > _MAX_DEPTH:
        raise Rejected("is nested too deeply")
    if type(told) is not dict:
        if told is None:
            return None
        raise Rejected(f"has a value that is none of OTLP's: {str(told)[:64]}")
    return next((_value(name, told[name], depth) for name in _KINDS if name in told), None)


def _value(kind: str, value: object, depth: int) -> Any:
    found: Any = None
    match kind, value:
        case (("stringValue" | "bytesValue"), str()) | ("boolValue", bool()):
            found = value
        case "doubleValue", int() | float() | str():
            found = value
        case "intValue", _:
            found = _integer(value)
        case "arrayValue", dict():
            found = [_any(item, depth + 1) for item in _values(value)]
        case "kvlistValue", dict():
            found = _attributes(_values(value), depth + 1)
    if found is None:
        raise Rejected(f"has a {kind} that is none: {str(value)[:64]}")
    return found


def _values(told: dict[str, Any]) -> list[Any]:
    values = told.get("values") or []
    if type(values) is not list:
        raise Rejected("has a list of values that is none")
    return values
