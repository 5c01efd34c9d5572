"""What a message becomes in the words of each protocol."""

import json
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec import json as fast_json
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest

from logshipper.decode import Record
from logshipper.encoding import Encoding
from logshipper.model import Message
from logshipper.sinks.encoding import loki, otlp, sls
from logshipper.sinks.encoding.bulk import BulkEncoding
from logshipper.sinks.encoding.jsonline import JsonlineEncoding, container_of
from logshipper.sinks.encoding.loki import LokiEncoding
from logshipper.sinks.encoding.otlp import OtlpEncoding
from logshipper.sinks.encoding.sls import SlsEncoding
from logshipper.sinks.encoding.syslog import SyslogEncoding, framed
from logshipper.sinks.encoding.times import day, nanoseconds
from tests.stack.strict import LogGroup
from wharfinger.wire import read

FIELDS = {"app": "shop", "env": "", "host": "h1", "container": "c" * 64}
TIME = "2026-07-01T10:00:07.000000007Z"
ENCODINGS: list[Encoding] = [
    BulkEncoding(),
    BulkEncoding("logs-%Y.%m.%d"),
    JsonlineEncoding(),
    LokiEncoding(("app", "host", "stream"), metadata=True),
    LokiEncoding(("app", "host", "stream"), metadata=False),
    OtlpEncoding(),
    SlsEncoding(),
    SyslogEncoding(1, "wharfinger@32473"),
]


def source(document: bytes) -> dict[str, object]:
    _, raw, rest = document.split(b"\n")
    assert rest == b""
    # A key that stands twice in a document is refused by some stores and hides a value in others.
    names = [pair.split(b'":')[0] for pair in raw.split(b',"')]
    assert len(set(names)) == len(names)
    found: dict[str, object] = fast_json.decode(raw)
    return found


def test_parsed_fields_stand_beside_the_containers() -> None:
    message = Message("i", "text", "stdout", TIME, level="warn", fields={"user": 7, "ok": None})
    assert source(BulkEncoding().compile(FIELDS).message(message)) == {
        "@timestamp": TIME,
        "message": "text",
        "stream": "stdout",
        "level": "warn",
        "user": 7,
        "ok": None,
        "app": "shop",
        "host": "h1",
        "container": "c" * 64,
    }


def test_a_text_cannot_say_whose_it_is() -> None:
    said = {"app": "bank", "message": "m", "@timestamp": "t", "level": "x", "partial_id": "p"}
    message = Message("i", "text", "stdout", TIME, base="b", piece=1, level="info", fields=said)
    found = source(BulkEncoding().compile(FIELDS).message(message))
    assert (found["app"], found["message"], found["level"]) == ("shop", "text", "info")
    assert {f"parsed_{key}": value for key, value in said.items()}.items() <= found.items()


@pytest.mark.parametrize("encoding", ENCODINGS)
@pytest.mark.parametrize("fields", [FIELDS, {}])
def test_a_run_of_lines_and_a_message_are_encoded_alike(
    encoding: Encoding, fields: dict[str, str]
) -> None:
    encoder = encoding.compile(fields)
    records = [
        Record('a "b"\n', "stdout", TIME),
        Record("torn", "stderr", ""),
        Record("\n", "x", TIME),
    ]
    lines = encoder.lines("p.g.", 16, records, [9, 7, 3], "2026-01-01T00:00:00Z")
    messages = [
        Message("p.g.10", 'a "b"', "stdout", TIME),
        Message("p.g.1a", "torn", "stderr", "2026-01-01T00:00:00Z"),
        Message("p.g.22", "", "x", TIME),
    ]
    assert lines == [encoder.message(message) for message in messages]


@given(st.integers(1, 7_000_000_000), st.integers(0, 999_999_999))
def test_times_keep_their_nanoseconds(seconds: int, rest_ns: int) -> None:
    moment = datetime.fromtimestamp(seconds, UTC)
    text = f"{moment:%Y-%m-%dT%H:%M:%S}.{rest_ns:09}".rstrip("0").rstrip(".") + "Z"
    assert nanoseconds(text) == seconds * 10**9 + rest_ns


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("1970-01-01T00:00:01Z", 10**9),
        ("1970-01-01T02:00:01.5+02:00", 1_500_000_000),
        ("1969-12-31T23:00:01-01:00", 10**9),
        ("1970-01-01T00:00:00.1234567891Z", 123_456_789),
        ("yesterday", 0),
        ("", 0),
        ("9999-99-99T00:00:00Z", 0),
    ],
)
def test_times_of_every_kind(text: str, expected: int) -> None:
    assert nanoseconds(text) == expected


def test_an_index_has_the_day_of_the_line_not_of_the_clock() -> None:
    encoder = BulkEncoding("logs-%Y.%m.%d").compile({})
    late = Message("i", "t", "stdout", "2026-07-01T23:30:00-01:00")
    assert encoder.message(late).startswith(b'{"create":{"_index":"logs-2026.07.02","_id":"i"}}\n')
    assert day("2026-07-01T23:59:59.9Z") == "2026-07-01"
    [line] = encoder.lines("p.", 0, [Record("x\n", "stdout", TIME)], [1], "")
    assert line.startswith(b'{"create":{"_index":"logs-2026.07.01","_id":"p.0"}}\n')


def test_a_json_line_tells_its_container() -> None:
    [line] = JsonlineEncoding().compile({}).lines("abc.g.", 0, [Record("x\n")], [1], TIME)
    assert container_of(line) == b"abc"


def test_loki_gets_metadata_as_text_and_levels_where_they_are_asked_for() -> None:
    encoder = LokiEncoding(("app", "level"), metadata=True).compile(FIELDS)
    message = Message(
        "i", "t", "stdout", TIME, level="warn", fields={"a.b": 7, "ok": True, "1x": "y"}
    )
    told = json.loads(loki.body([encoder.message(message)]))
    [stream] = told["streams"]
    assert stream["stream"] == {"app": "shop", "level": "warn"}
    assert stream["values"] == [
        [
            "1782900007000000007",
            "t",
            {
                "id": "i",
                "a_b": "7",
                "ok": "true",
                "_1x": "y",
                "host": "h1",
                "container": "c" * 64,
            },
        ]
    ]


def test_loki_2_gets_no_metadata() -> None:
    encoder = LokiEncoding(("app", "stream"), metadata=False).compile(FIELDS)
    told = json.loads(loki.body([encoder.message(Message("i", "t", "stdout", TIME, level="x"))]))
    assert told["streams"][0]["values"] == [["1782900007000000007", "t"]]


def test_otlp_keeps_types_and_severity() -> None:
    said = {
        "text": "é",
        "yes": True,
        "count": -3,
        "huge": 2**70,
        "share": 0.5,
        "none": None,
        "list": [1, {"a": 2}],
    }
    message = Message("i", "t", "stderr", TIME, level="error", fields=said)
    encoder = OtlpEncoding().compile(FIELDS)
    request = ExportLogsServiceRequest()
    request.ParseFromString(otlp.body([encoder.message(message), encoder.message(message)]))
    [resource] = request.resource_logs
    [scope] = resource.scope_logs
    record = scope.log_records[1]
    assert len(scope.log_records) == 2
    assert (record.severity_number, record.severity_text) == (17, "error")
    found = {each.key: each.value for each in record.attributes}
    assert found["text"].string_value == "é"
    assert found["yes"].bool_value is True
    assert found["count"].int_value == -3
    assert found["huge"].string_value == str(2**70)
    assert found["share"].double_value == 0.5
    assert found["none"].WhichOneof("value") is None
    assert found["list"].string_value == '[1,{"a":2}]'


@given(st.text(), st.dictionaries(st.text(min_size=1), st.text(), max_size=3))
def test_what_is_hand_made_is_read_by_the_library(text: str, said: dict[str, str]) -> None:
    message = Message("i", text, "stdout", TIME, fields=said)
    request = ExportLogsServiceRequest()
    request.ParseFromString(otlp.body([OtlpEncoding().compile({}).message(message)]))
    record = request.resource_logs[0].scope_logs[0].log_records[0]
    assert record.body.string_value == text.encode("utf-8", "replace").decode()
    group = LogGroup()
    group.ParseFromString(
        sls.body([SlsEncoding().compile({}).message(message)], topic="", source="h")
    )
    contents = {each.Key: each.Value for each in group.Logs[0].Contents}
    assert contents["message"] == text.encode("utf-8", "replace").decode()
    assert group.Logs[0].Time_ns == 7


@given(st.binary())
def test_bytes_that_are_no_message_are_an_error_at_worst(data: bytes) -> None:
    try:
        fields = list(read(data))
    except ValueError:
        return
    assert all(number >= 0 for number, _ in fields)


# Alibaba Cloud's documentation, Request signatures: its two examples, with its own keys.
SECRET = "4fdO2fTDDnZPU/L7CHNdemB2Nsk="


def test_the_published_signatures_of_sls() -> None:
    headers = {
        "Date": "Mon, 09 Nov 2015 06:11:16 GMT",
        "Host": "ali-test-project.regionid.example.com",
        "x-log-apiversion": "0.6.0",
        "x-log-signaturemethod": "hmac-sha1",
    }
    path = "/logstores?logstoreName=&offset=0&size=1000"
    assert sls.signature(SECRET, "GET", path, headers) == "jEYOTCJs2e88o+y5F4/S5IsnBJQ="
    headers = {
        "Date": "Mon, 09 Nov 2015 06:03:03 GMT",
        "Host": "test-project.regionid.example.com",
        "x-log-apiversion": "0.6.0",
        "x-log-signaturemethod": "hmac-sha1",
        "Content-MD5": "1DD45FA4A70A9300CC9FE7305AF2C494",
        "Content-Type": "application/x-protobuf",
        "Content-Length": "52",
        "x-log-bodyrawsize": "50",
        "x-log-compresstype": "lz4",
    }
    path = "/logstores/test-logstore"
    assert sls.signature(SECRET, "POST", path, headers) == "XWLGYHGg2F2hcfxWxMLiNkGki6g="


def test_syslog_is_what_the_rfc_says() -> None:
    fields = {"app": "my shop", "host": "h1", "container": "c" * 64, "image": 'a"b]c\\d'}
    encoder = SyslogEncoding(16, "w@32473").compile(fields)
    message = Message("i", "line 1\nline 2", "stderr", TIME, level="warn", fields={"k=]": "v\n"})
    assert encoder.message(message) == (
        b"<132>1 2026-07-01T10:00:07.000000Z h1 my_shop cccccccccccc stderr "
        b'[w@32473 id="i" container="'
        + b"c"
        * 64
        + b'" image="a\\"b\\]c\\\\d" level="warn" k__="v "] '
        b"line 1\nline 2"
    )
    assert framed([b"ab", b"c\n"]) == b"2 ab2 c\n"


def test_syslog_without_anything_known_is_still_a_message() -> None:
    line = SyslogEncoding(1, "w").compile({}).message(Message("i", "t", "stdout", "never"))
    assert line == b'<14>1 - - - - stdout [w id="i"] t'
