"""Bodies of Loki's and OTLP's protocols, made by hand or by the published library."""

from collections.abc import Mapping
from typing import Any

import cramjam
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest
from opentelemetry.proto.common.v1.common_pb2 import AnyValue, KeyValue

from wharfinger import wire

SECOND_NS = 10**9


def loki_entry(time_ns: int, line: str, metadata: Mapping[str, str] | None = None) -> bytes:
    seconds, nanos = divmod(time_ns, SECOND_NS)
    pairs = (
        wire.block(3, wire.block(1, name.encode()) + wire.block(2, value.encode()))
        for name, value in (metadata or {}).items()
    )
    moment = wire.block(1, wire.number(1, seconds) + wire.number(2, nanos))
    return moment + wire.block(2, line.encode()) + b"".join(pairs)


def loki_stream(labels: str, *entries: bytes) -> bytes:
    told = b"".join(wire.block(2, entry) for entry in entries)
    return wire.block(1, wire.block(1, labels.encode()) + told)


def snapped(body: bytes) -> bytes:
    return bytes(cramjam.snappy.compress_raw(body))


def any_value(value: Any) -> AnyValue:
    told = AnyValue()
    match value:
        case bool():
            told.bool_value = value
        case int():
            told.int_value = value
        case float():
            told.double_value = value
        case str():
            told.string_value = value
        case bytes():
            told.bytes_value = value
        case list():
            told.array_value.values.extend(any_value(item) for item in value)
            told.array_value.SetInParent()
        case dict():
            told.kvlist_value.values.extend(attributes(value))
            told.kvlist_value.SetInParent()
    return told


def attributes(values: Mapping[str, Any]) -> list[KeyValue]:
    return [KeyValue(key=key, value=any_value(value)) for key, value in values.items()]


def otlp_request(
    resource: Mapping[str, Any], *records: Mapping[str, Any], scope: str = ""
) -> ExportLogsServiceRequest:
    request = ExportLogsServiceRequest()
    logs = request.resource_logs.add()
    logs.resource.attributes.extend(attributes(resource))
    inside = logs.scope_logs.add()
    inside.scope.name = scope
    for record in records:
        told = dict(record)
        body, more = told.pop("body", None), told.pop("attributes", {})
        made = inside.log_records.add(**told)
        if body is not None:
            made.body.CopyFrom(any_value(body))
        made.attributes.extend(attributes(more))
    return request
