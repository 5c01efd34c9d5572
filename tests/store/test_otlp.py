"""OTLP's logs: both forms against the published library, and records that cannot be kept."""

import base64
import json
from typing import Any

import pytest
from google.protobuf import json_format
from hypothesis import given
from hypothesis import strategies as st
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import (
    ExportLogsServiceRequest,
    ExportLogsServiceResponse,
)

from logshipper.store.http.protocols import otlp, otlpjson, otlpwire, understood
from logshipper.store.http.protocols.understood import Lines
from logshipper.store.lines.times import Arrival
from logshipper.store.model import Document, Stream, TooLarge
from tests.store.pushes import attributes, otlp_request
from wharfinger import levels, wire
from wharfinger.errors import Rejected

NOW_NS = 1_795_417_140 * 10**9
AT_NS = NOW_NS - 60 * 10**9


def as_json(request: ExportLogsServiceRequest) -> bytes:
    """OTLP's JSON: that of protocol buffers, but for hexadecimal ids and numbers for enums."""
    told = json_format.MessageToDict(request, use_integers_for_enums=True)
    for resource in told.get("resourceLogs", ()):
        for scope in resource.get("scopeLogs", ()):
            for record in scope.get("logRecords", ()):
                for name in ("traceId", "spanId"):
                    if name in record:
                        record[name] = base64.b64decode(record[name]).hex()
    return json.dumps(told).encode()


def both(request: ExportLogsServiceRequest) -> Lines:
    """What either form makes, which is the same."""
    found = otlpwire.parse(request.SerializeToString(), Arrival.of(NOW_NS))
    other = otlpjson.parse(as_json(request), Arrival.of(NOW_NS))
    assert found.documents == other.documents
    assert found.bad == other.bad
    return found


def one(resource: dict[str, Any], **record: Any) -> Document:
    [document] = both(otlp_request(resource, {"time_unix_nano": AT_NS, **record})).documents
    return document


def extra(document: Document) -> Any:
    return json.loads(document.line.extra or b"{}")


def test_semantic_conventions_are_our_fields() -> None:
    resource = {
        "service.name": "shop", "deployment.environment.name": "prod", "host.name": "h1",
        "container.id": "c0ffee", "service.version": "1.2",
    }  # fmt: skip
    more = {"log.iostream": "stderr", "http.status": 500, "ok": False, "took": 0.5}
    document = one(resource, body="hello", attributes=more)
    assert document.line.stream == Stream("shop", "prod", "h1", "c0ffee", "stderr")
    assert (document.line.time_ns, document.line.message) == (AT_NS, "hello")
    assert extra(document) == {
        "service.version": "1.2", "http.status": 500, "ok": False, "took": 0.5
    }  # fmt: skip
    assert (document.source, document.offset) == ("", -1)


def test_the_uid_is_the_id() -> None:
    document = one({}, body="x", attributes={"log.record.uid": "c0ffee.abc.1f"})
    assert (document.source, document.offset) == ("c0ffee.abc", 0x1F)
    assert extra(document) == {}


def test_all_kinds_of_values() -> None:
    values = {
        "text": "ä\0", "none": None, "negative": -(2**63), "most": 2**63 - 1, "empty": {},
        "list": [1, "two", [3.5, {"x": [True]}], None], "map": {"a": {"b": 1}}, "double": -0.25,
    }  # fmt: skip
    assert extra(one({}, body="x", attributes=values)) == {**values, "empty": {}}
    assert extra(one({}, attributes={"raw": b"\xff\0"})) == {
        "raw": base64.b64encode(b"\xff\0").decode()
    }
    for value, text in (
        ({"event": "x", "n": [1]}, '{"event":"x","n":[1]}'),
        (["a", 1], '["a",1]'),
        (7, "7"),
        (True, "true"),
        (None, ""),
        ("", ""),
    ):
        assert one({}, body=value).line.message == text


def test_levels() -> None:
    for number in range(1, 25):
        document = one({}, body="x", severity_number=number)
        assert (
            levels.NAMES[document.line.level]
            == ["trace", "debug", "info", "warn", "error", "fatal"][(number - 1) // 4]
        )
        assert extra(document) == {}
    assert one({}, body="x", severity_number=18, severity_text="CRITICAL").line.level == 6
    odd = one({}, body="x", severity_number=9, severity_text="Verbose")
    assert (odd.line.level, extra(odd)) == (3, {"severity_text": "Verbose"})
    unknown = one({}, body="x", severity_text="Verbose")
    assert (unknown.line.level, extra(unknown)) == (0, {"level": "Verbose"})
    assert one({}, body="ERROR at once").line.level == 5


def test_what_has_a_place_of_its_own() -> None:
    document = one(
        {"x": "resource"}, body="x", trace_id=b"\x01" * 16, span_id=b"\x02" * 8, flags=1,
        event_name="login", attributes={"x": "record", "trace_id": "theirs", "message": "m"},
    )  # fmt: skip
    assert extra(document) == {
        "x": "resource", "x_extracted": "record", "trace_id": "01" * 16, "span_id": "02" * 8,
        "trace_flags": 1, "event_name": "login", "trace_id_extracted": "theirs", "message": "m",
    }  # fmt: skip


def test_the_scope_is_kept_unless_it_is_the_shippers() -> None:
    record = {"body": "x", "time_unix_nano": AT_NS}
    [document] = both(otlp_request({}, record, scope="my.logger")).documents
    assert extra(document) == {"otel.scope.name": "my.logger"}
    [document] = both(otlp_request({}, record, scope="wharfinger.logshipper")).documents
    assert extra(document) == {}


def test_times() -> None:
    seen = NOW_NS - 5
    for said, time_ns in (
        ({"time_unix_nano": AT_NS, "observed_time_unix_nano": seen}, AT_NS),
        ({"time_unix_nano": 0, "observed_time_unix_nano": seen}, seen),
        ({"time_unix_nano": 0}, NOW_NS),
        ({"time_unix_nano": 1}, 1),
        ({"time_unix_nano": 2**64 - 1}, NOW_NS),
    ):
        document = one({}, body="x", **said)
        assert document.line.time_ns == time_ns
    assert extra(one({}, time_unix_nano=2**64 - 1)) == {
        "original_time": "2554-07-21T23:34:33.709551615Z"
    }


def test_a_record_that_cannot_be_kept_costs_only_itself() -> None:
    deep: Any = "x"
    for _ in range(40):
        deep = [deep]
    records = [
        {"body": "good"}, {"body": deep}, {"body": "good", "attributes": {"a": deep}},
        {"body": "x", "attributes": {"log.record.uid": "u" * 513}}, {"body": "good"},
    ]  # fmt: skip
    found = both(otlp_request({}, *records))
    assert [document.line.message for document in found.documents] == ["good", "good"]
    assert [place for place, _ in found.reasons] == [2, 3, 4]
    broken = otlp_request({}, {"body": "good"}).SerializeToString()
    for record in (b"\x2a\xff", b"\x09abc", b"\x0b", wire.block(6, b"\x12\x03\x0a\xff\xff")):
        scope = wire.block(2, wire.block(2, record))
        found = otlpwire.parse(broken + wire.block(1, scope), Arrival.of(NOW_NS))
        assert (len(found.documents), found.bad) == (1, 1), record


@pytest.mark.parametrize(
    "record",
    [
        {"timeUnixNano": "never"}, {"timeUnixNano": -1}, {"timeUnixNano": str(2**64)},
        {"timeUnixNano": 1.5}, {"body": "text"}, {"body": {"stringValue": 5}},
        {"body": {"intValue": "x"}}, {"body": {"arrayValue": [1]}}, {"attributes": ["x"]},
        {"body": {"arrayValue": {"values": 5}}}, {"attributes": [{"key": 5}]}, 5, [], "x",
        {"severityText": 5}, {"traceId": 5},
    ],
)  # fmt: skip
def test_json_that_is_wrong_costs_only_its_record(record: Any) -> None:
    good = {"body": {"stringValue": "good"}}
    request = {"resourceLogs": [{"scopeLogs": [{"logRecords": [good, record, good]}]}]}
    found = otlpjson.parse(json.dumps(request).encode(), Arrival.of(NOW_NS))
    assert (len(found.documents), found.bad) == (2, 1)


@pytest.mark.parametrize(
    "record",
    [
        {}, {"unknown": {"x": 1}}, {"body": None}, {"body": {}}, {"body": {"newValue": 1}},
        {"timeUnixNano": AT_NS}, {"timeUnixNano": str(AT_NS)}, {"severityNumber": None},
        {"severityNumber": "SEVERITY_NUMBER_INFO2"}, {"severityNumber": 99},
        {"attributes": [{"key": "a"}]}, {"attributes": None},
        {"body": {"doubleValue": "NaN"}}, {"body": {"arrayValue": {}}},
    ],
)  # fmt: skip
def test_json_that_is_unusual_is_taken(record: Any) -> None:
    request = {"resourceLogs": [{"scopeLogs": [{"logRecords": [record]}]}, {}], "x": 1}
    assert otlpjson.parse(json.dumps(request).encode(), Arrival.of(NOW_NS)).bad == 0


def test_a_lone_surrogate_costs_a_character() -> None:
    raw = b'{"resourceLogs":[{"scopeLogs":[{"logRecords":[{"body":{"stringValue":"\\ud800x"}}]}]}]}'
    assert otlpjson.parse(raw, Arrival.of(NOW_NS)).documents[0].line.message == "\ufffdx"


@pytest.mark.parametrize("raw", [b"", b"[]", b"5", b'{"resourceLogs":5}', b"{", b"[" * 10**6])
def test_what_is_no_request_in_json(raw: bytes) -> None:
    with pytest.raises(Rejected):
        otlpjson.parse(raw, Arrival.of(NOW_NS))


@pytest.mark.parametrize("raw", [b"{}", b"\x0a", b"\x0a\x05abc", b"\x0f", b"\x0a" + b"\xff" * 11])
def test_what_is_no_request_in_protobuf(raw: bytes) -> None:
    for read in (otlpwire.weigh, lambda data: otlpwire.parse(data, Arrival.of(NOW_NS))):
        with pytest.raises(Rejected):
            read(raw)


def test_nothing_is_a_request() -> None:
    assert both(ExportLogsServiceRequest()).documents == []


def test_more_records_than_memory_are_refused_before_they_take_it() -> None:
    most = understood.MAX_BODY_ROWS
    for inside in (b"\x12\x00", b"\x18\x00"):
        with pytest.raises(TooLarge):
            otlpwire.weigh(wire.block(1, wire.block(2, inside * (most + 1))))
    with pytest.raises(TooLarge):
        otlpwire.weigh(wire.block(1, b"\x12\x00" * (most + 1)))
    with pytest.raises(TooLarge):
        otlpwire.weigh(b"\x0a\x00" * (most + 1))


def test_what_costs_time_or_memory_and_is_no_record_is_refused(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(understood, "_MAX_FIELDS", 10_000)
    monkeypatch.setattr(understood, "_MAX_VALUES", 10_000)

    def record(data: bytes) -> bytes:
        return wire.block(1, wire.block(2, wire.block(2, data)))

    for data in (b"\x70\x00" * 10_001, wire.block(5, wire.block(5, b"\x0a\x00" * 10_001))):
        with pytest.raises(TooLarge):
            otlpwire.parse(record(data), Arrival.of(NOW_NS))
    for text in (b'{"resourceLogs":[', b'{"resourceLogs":[{"scopeLogs":[{"logRecords":['):
        with pytest.raises(TooLarge):
            otlpjson.parse(text + b"1," * 10_001, Arrival.of(NOW_NS))


def test_answers() -> None:
    found = Lines()
    assert (otlp.answer(found, as_json=False), otlp.answer(found, as_json=True)) == (b"", b"{}")
    found.refuse("has no time")
    told = ExportLogsServiceResponse.FromString(otlp.answer(found, as_json=False)).partial_success
    assert told.rejected_log_records == 1
    assert told.error_message == "1 of 1 record refused: line 1 has no time"
    as_told = json_format.Parse(otlp.answer(found, as_json=True), ExportLogsServiceResponse())
    assert as_told.partial_success == told
    assert json.loads(otlp.failure(429, "full", as_json=True)) == {"code": 8, "message": "full"}
    assert otlp.failure(400, "bad", as_json=False) == wire.number(1, 3) + wire.block(2, b"bad")


VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**63 - 1)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(max_size=8)
    | st.binary(max_size=8),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=4), inner, max_size=3)
    ),
    max_leaves=8,
)


@given(VALUES, st.dictionaries(st.text(max_size=6), VALUES, max_size=4), st.integers(0, 24))
def test_both_forms_say_the_same(body: Any, more: dict[str, Any], severity: int) -> None:
    record = {"body": body, "attributes": more, "severity_number": severity}
    both(otlp_request(more, record))


@given(st.binary(max_size=120))
def test_garbage_never_fails(data: bytes) -> None:
    record = wire.block(1, wire.block(2, wire.block(2, data)))
    value = wire.block(1, wire.block(2, wire.block(2, wire.block(5, data))))
    for raw in (data, wire.block(1, data), wire.block(1, wire.block(2, data)), record, value):
        for read in (otlpwire.weigh, lambda raw: otlpwire.parse(raw, Arrival.of(NOW_NS))):
            try:
                read(raw)
            except Rejected:
                continue
    try:
        otlpjson.parse(data, Arrival.of(NOW_NS))
    except Rejected:
        return


def test_attributes_are_what_the_library_writes() -> None:
    assert attributes({"a": 1})[0].value.int_value == 1
