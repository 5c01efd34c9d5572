"""Loki's push API (its HTTP API, POST /loki/api/v1/push), in JSON and in protobuf."""

import re
from collections.abc import Mapping, Sequence
from hashlib import blake2b
from typing import Any, Final

import msgspec

from logshipper.store.http.protocols import lokilabels, names
from logshipper.store.http.protocols.understood import (
    MAX_BODY_ROWS,
    Lines,
    budget,
    check_rows,
    check_values,
    count_fields,
    too_large,
)
from logshipper.store.lines import documents, times
from logshipper.store.lines.times import Arrival
from logshipper.store.model import Document
from wharfinger import wire
from wharfinger.errors import Rejected

# What the shipper puts into an entry's metadata: a container or a place, a file, an offset. A
# request id of somebody's must not be taken for it, or one line would hide another.
_OWN_ID: Final = re.compile(
    r"[0-9a-f]{16,64}\.[0-9a-f]{3,32}(?:-\d{1,9})?\.[0-9a-f]{1,15}(?:\.[0-9a-f]{1,15}(?:-[0-9a-f]{1,15})?)?",
    re.ASCII,
)
_TIMES_NS: Final = range(-(2**63), 2**63)
_TIME_DIGITS: Final = 20
# pkg/push/push.proto
_STREAM: Final = 1 << 3 | wire.LENGTH
_LABELS: Final = 1 << 3 | wire.LENGTH
_ENTRY: Final = 2 << 3 | wire.LENGTH
_TIMESTAMP: Final = 1 << 3 | wire.LENGTH
_LINE: Final = 2 << 3 | wire.LENGTH
_METADATA: Final = 3 << 3 | wire.LENGTH
_SECONDS: Final = 1 << 3 | wire.VARINT
_NANOS: Final = 2 << 3 | wire.VARINT
_NAME: Final = 1 << 3 | wire.LENGTH
_VALUE: Final = 2 << 3 | wire.LENGTH


class _Entry(msgspec.Struct, array_like=True, gc=False):
    time: str | int
    line: str
    metadata: dict[str, Any] | None = None


class _Values(msgspec.Struct, gc=False):
    stream: Any
    values: list[_Entry]


class _Push(msgspec.Struct, gc=False):
    streams: list[_Values]


class _RawValues(msgspec.Struct, gc=False):
    stream: Any
    values: list[msgspec.Raw]


class _RawPush(msgspec.Struct, gc=False):
    streams: list[msgspec.Raw]


_entry_decoder = msgspec.json.Decoder(_Entry)
_push_decoder = msgspec.json.Decoder(_Push)
_raw_values_decoder = msgspec.json.Decoder(_RawValues)
_raw_push_decoder = msgspec.json.Decoder(_RawPush)
_encoder = msgspec.json.Encoder(order="sorted")


class _Stream:
    """One stream of a request: its labels, once for all of its entries."""

    def __init__(self, labels: Mapping[str, str], arrival: Arrival) -> None:
        self._fields = names.with_level(names.renamed(labels, names.LOKI))
        self._key = _encoder.encode(labels)
        self._arrival = arrival

    def document(self, time_ns: int, line: str, metadata: dict[str, Any]) -> Document:
        """The document of an entry.

        What Loki would take for the same entry has the same id: stream, time, text and
        metadata, unless the metadata hold an id of the shipper's, which is then the line's.
        """
        identity = metadata.get("id")
        if type(identity) is str and _OWN_ID.fullmatch(identity):
            metadata = {name: value for name, value in metadata.items() if name != "id"}
        else:
            digest = blake2b(self._key, digest_size=16)
            digest.update(b"\0%d\0%b\0" % (time_ns, line.encode()))
            if metadata:
                digest.update(_encoder.encode(metadata))
            identity = f"loki-{digest.hexdigest()}"
        fields: dict[str, Any] = dict(self._fields)
        if metadata:
            names.beside(fields, names.renamed(metadata, names.LOKI))
        return documents.stated(fields, line, time_ns, identity, self._arrival)


def parse_json(body: bytes, arrival: Arrival) -> Lines:
    """Understands a request in JSON; an entry that is bad costs only itself.

    Raises:
        Rejected: it is none.
        TooLarge: it holds too many lines.
    """
    found = Lines()
    try:
        streams = _push_decoder.decode(body).streams
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        check_values(body)
        for raw in documents.parsed(body, _raw_push_decoder).streams:
            _take_raw(found, raw, arrival)
        return found
    for told in streams:
        _take_values(found, told.stream, told.values, arrival)
    return found


def _take_raw(found: Lines, raw: msgspec.Raw, arrival: Arrival) -> None:
    """Takes a stream of a request that is not as it should be: something in it may be."""
    try:
        told = documents.parsed(raw, _raw_values_decoder)
    except Rejected as error:
        found.refuse(f"stands in a stream that {error}")
        return
    _take_values(found, told.stream, told.values, arrival)


def _take_values(
    found: Lines, labels: object, values: Sequence[_Entry | msgspec.Raw], arrival: Arrival
) -> None:
    try:
        stream = _Stream(_labels(labels), arrival)
    except Rejected as error:
        for _ in values or (None,):
            found.refuse(f"stands in a stream that {error}")
        return
    for value in values:
        try:
            entry = _read(value)
            at_ns = _nanoseconds(entry.time)
            found.take(stream.document(at_ns, entry.line, entry.metadata or {}))
        except Rejected as error:
            found.refuse(str(error))


def _read(value: _Entry | msgspec.Raw) -> _Entry:
    return value if isinstance(value, _Entry) else documents.parsed(value, _entry_decoder)


def parse_protobuf(body: bytes, arrival: Arrival) -> Lines:
    """Understands a request in protobuf, unpacked; an entry that is bad costs only itself.

    Raises:
        Rejected: it is none.
        TooLarge: it holds too many lines.
    """
    found, fields = Lines(), budget()
    try:
        for tag, data in wire.read_keys(memoryview(body), fields):
            if tag == _STREAM and isinstance(data, memoryview):
                _take_stream(found, data, arrival, fields)
    except ValueError as error:
        raise Rejected(f"it is no push request: {error}") from None
    except wire.TooManyFields:
        raise too_large() from None
    return found


def weigh_protobuf(body: bytes) -> int:
    """The bytes of memory that such a request takes beside its body.

    Raises:
        Rejected: it is none.
        TooLarge: it holds too many lines.
    """
    rows = 0
    try:
        for tag, data in wire.read_keys(memoryview(body)):
            rows += 1
            if tag == _STREAM and isinstance(data, memoryview):
                rows += count_fields(data, MAX_BODY_ROWS - rows)
            check_rows(rows)
    except ValueError as error:
        raise Rejected(f"it is no push request: {error}") from None
    return check_rows(rows)


def _take_stream(found: Lines, data: memoryview, arrival: Arrival, fields: wire.Budget) -> None:
    labels, entries = "", []
    for tag, value in wire.read_keys(data, fields):
        if tag == _ENTRY and isinstance(value, memoryview):
            entries.append(value)
        elif tag == _LABELS and isinstance(value, memoryview):
            labels = _text(bytes(value))
    try:
        stream = _Stream(lokilabels.parse(labels or "{}"), arrival)
    except Rejected as error:
        for _ in entries:
            found.refuse(f"stands in a stream that {error}")
        return
    for entry in entries:
        try:
            found.take(stream.document(*_entry(bytes(entry), fields)))
        except Rejected as error:
            found.refuse(str(error))
        except ValueError as error:
            found.refuse(f"is {error}")


def _entry(data: bytes, fields: wire.Budget) -> tuple[int, str, dict[str, Any]]:
    time_ns, line = 0, ""
    metadata: dict[str, Any] = {}
    for tag, value in wire.read_keys(data, fields):
        if not isinstance(value, bytes):
            continue
        if tag == _TIMESTAMP:
            time_ns = _timestamp(value, fields)
        elif tag == _LINE:
            line = _text(value)
        elif tag == _METADATA:
            inside = wire.read_keys(value, fields)
            pair = {inner: text for inner, text in inside if type(text) is bytes}
            metadata[_text(pair.get(_NAME, b""))] = _text(pair.get(_VALUE, b""))
    return time_ns, line, metadata


def _timestamp(data: bytes, fields: wire.Budget) -> int:
    parts = {tag: value for tag, value in wire.read_keys(data, fields) if isinstance(value, int)}
    seconds, nanos = wire.signed(parts.get(_SECONDS, 0)), wire.signed(parts.get(_NANOS, 0))
    return _in_range(seconds * times.SECOND_NS + nanos)


def _nanoseconds(told: str | int) -> int:
    if isinstance(told, int):
        return _in_range(told)
    digits = told.removeprefix("-")
    if not (digits.isascii() and digits.isdigit() and len(digits) <= _TIME_DIGITS):
        raise Rejected(f"has the time {told[:64]!r}, which is no nanoseconds since 1970")
    return _in_range(int(told))


def _in_range(time_ns: int) -> int:
    if time_ns not in _TIMES_NS:
        raise Rejected(f"has the time {time_ns}, which is beyond all nanoseconds since 1970")
    return time_ns


def _labels(told: object) -> dict[str, str]:
    if told is None:
        return {}
    if type(told) is str:  # the first form of the API
        return lokilabels.parse(told)
    if type(told) is not dict:
        raise Rejected("has no labels but something else")
    return {
        name: value if type(value) is str else msgspec.json.encode(value).decode()
        for name, value in told.items()
    }


def _text(data: bytes) -> str:
    return data.decode("utf-8", "replace")
