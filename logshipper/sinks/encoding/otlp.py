"""Documents as OTLP log records (opentelemetry-proto, logs/v1/logs.proto 1.x); pure."""

from collections.abc import Mapping, Sequence
from typing import Final

import msgspec

from logshipper.decode import Record
from logshipper.encoding import beside
from logshipper.model import Message
from logshipper.sinks.encoding.times import nanoseconds
from wharfinger.wire import (
    LENGTH,
    block,
    double,
    fixed64,
    key,
    number,
    read,
    varint,
)

# OpenTelemetry's semantic conventions, where they have a name for it.
RESOURCE_NAMES: Final = {
    "app": "service.name",
    "env": "deployment.environment.name",
    "host": "host.name",
    "container": "container.id",
    "container_name": "container.name",
    "image": "container.image.name",
}
# SeverityNumber of each level (OpenTelemetry, Logs Data Model).
SEVERITIES: Final = {
    "trace": 1,
    "debug": 5,
    "info": 9,
    "notice": 10,
    "warn": 13,
    "warning": 13,
    "error": 17,
    "err": 17,
    "critical": 18,
    "crit": 18,
    "alert": 19,
    "fatal": 21,
    "emerg": 22,
    "panic": 22,
}
_SCOPE: Final = block(1, block(1, b"wharfinger.logshipper"))
_RECORD: Final = key(2, LENGTH)
_INT64: Final = range(-(2**63), 2**63)
# What follows a key and its length: the one field of an AnyValue that is text.
_TEXT: Final = key(1, LENGTH)
_BODY: Final = key(5, LENGTH)
_ATTRIBUTE: Final = key(6, LENGTH)
_VALUE: Final = key(2, LENGTH)
_UID: Final = block(1, b"log.record.uid")


def attribute(field: int, name: str, value: object) -> bytes:
    """A KeyValue as a field; what has no type of its own there goes as JSON."""
    return block(field, block(1, name.encode()) + block(2, _any(value)))


def _any(value: object) -> bytes:
    match value:
        case bool():
            return number(2, int(value))
        case int() if value in _INT64:
            return number(3, value)
        case float():
            return double(4, value)
        case str():
            return block(1, value.encode("utf-8", "replace"))
        case None:
            return b""
    return block(1, msgspec.json.encode(value))


class OtlpEncoding:
    """What is known of the container is the resource; ids are `log.record.uid`."""

    def compile(self, fields: Mapping[str, str]) -> "OtlpEncoder":
        """Makes the encoder of one log."""
        return OtlpEncoder({name: text for name, text in fields.items() if text})


class OtlpEncoder:
    """Makes the documents of one log: length of the resource, resource, record.

    Args:
        fields: what is known of the container.
    """

    def __init__(self, fields: Mapping[str, str]) -> None:
        self._fields = fields
        resource = b"".join(
            attribute(1, RESOURCE_NAMES.get(name, name), text) for name, text in fields.items()
        )
        self._head = varint(len(resource)) + resource
        self._streams: dict[str, bytes] = {}

    def lines(
        self, prefix: str, offset: int, records: Sequence[Record], lengths: Sequence[int], time: str
    ) -> list[bytes]:
        """Encodes lines that nothing rewrote."""
        documents: list[bytes] = []
        for record, length in zip(records, lengths, strict=True):
            text = record.log
            documents.append(
                self._record(
                    f"{prefix}{offset:x}",
                    nanoseconds(record.time or time),
                    text[:-1] if text[-1:] == "\n" else text,
                    record.stream,
                    b"",
                )
            )
            offset += length + 1
        return documents

    def message(self, message: Message) -> bytes:
        """Encodes a message that was joined, cut or rewritten."""
        said = beside(message, self._fields)
        said.pop("level", None)
        more = b"".join(attribute(6, name, value) for name, value in said.items())
        if message.level:
            severity = SEVERITIES.get(message.level.lower(), 0)
            more += number(2, severity) + block(3, message.level.encode())
        at_ns = nanoseconds(message.time)
        return self._record(message.id, at_ns, message.text, message.stream, more)

    def _record(self, identity: str, at_ns: int, text: str, stream: str, more: bytes) -> bytes:
        said = text.encode("utf-8", "replace")
        size = varint(len(said))
        told = self._streams.get(stream)
        if told is None:
            told = attribute(6, "log.iostream", stream)
            if len(self._streams) < 100:  # noqa: PLR2004 - streams have two names
                self._streams[stream] = told
        told_id = _TEXT + varint(len(identity)) + identity.encode()
        uid = b"%b%b%b%b" % (_UID, _VALUE, varint(len(told_id)), told_id)
        return b"%b%b%b%b%b%b%b%b%b%b%b%b" % (
            self._head,
            fixed64(1, at_ns),
            _BODY,
            varint(len(_TEXT) + len(size) + len(said)),
            _TEXT,
            size,
            said,
            told,
            _ATTRIBUTE,
            varint(len(uid)),
            uid,
            more,
        )


def body(documents: Sequence[bytes]) -> bytes:
    """An ExportLogsServiceRequest: records of one resource stand together."""
    resources: dict[bytes, list[bytes]] = {}
    for document in documents:
        size, start = _size(document)
        end = start + size
        record = document[end:]
        resources.setdefault(document[start:end], []).append(
            b"%b%b%b" % (_RECORD, varint(len(record)), record)
        )
    return b"".join(
        block(1, block(1, resource) + block(2, _SCOPE + b"".join(records)))
        for resource, records in resources.items()
    )


def _size(document: bytes) -> tuple[int, int]:
    value = shift = at = 0
    while True:
        value |= (document[at] & 0x7F) << shift
        at += 1
        if document[at - 1] < 0x80:  # noqa: PLR2004 - the last byte of a varint
            return value, at
        shift += 7


def rejected(reply: bytes) -> tuple[int, str]:
    """How many records an ExportLogsServiceResponse says were refused, and why.

    Raises:
        ValueError: it is no such response.
    """
    count, why = 0, ""
    for field, partial in read(reply):
        if field == 1 and isinstance(partial, bytes):
            for inner, value in read(partial):
                if inner == 1 and isinstance(value, int):
                    count = value
                elif isinstance(value, bytes):
                    why = value.decode("utf-8", "replace")
    return count, why
