"""Loki's push, OTLP and JSON lines over HTTP: who may, what is answered, and what is kept."""

import gzip
import io
import json
import sys
import time
import zlib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import zstandard
from aiohttp import ClientResponse, encode_basic_auth
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceResponse

from logshipper.store.engine import clock
from logshipper.store.engine.clock import HOUR_NS, Clock
from logshipper.store.http.protocols import understood
from logshipper.store.lines import times
from logshipper.store.lines.times import DAY_NS
from tests.store.pushes import loki_entry, loki_stream, otlp_request, snapped
from tests.store.running import Make, Store

AT_NS = 1_795_000_000 * 10**9
PROTOBUF = {"Content-Type": "application/x-protobuf"}
JSON = {"Content-Type": "application/json"}


def loki_json(*messages: str) -> bytes:
    values = [[str(AT_NS), message] for message in messages]
    return json.dumps({"streams": [{"stream": {"app": "shop"}, "values": values}]}).encode()


def loki_protobuf(*messages: str) -> bytes:
    return snapped(loki_stream('{app="shop"}', *(loki_entry(AT_NS, text) for text in messages)))


def otlp_protobuf(*messages: str) -> bytes:
    records = ({"body": text, "time_unix_nano": AT_NS} for text in messages)
    return otlp_request({"service.name": "shop"}, *records).SerializeToString()


def otlp_json(*messages: str) -> bytes:
    records = [{"body": {"stringValue": text}, "timeUnixNano": str(AT_NS)} for text in messages]
    resource = {"attributes": [{"key": "service.name", "value": {"stringValue": "shop"}}]}
    logs = {"resource": resource, "scopeLogs": [{"logRecords": records}]}
    return json.dumps({"resourceLogs": [logs]}).encode()


def jsonline(*messages: str) -> bytes:
    lines = ({"message": text, "app": "shop", "time": AT_NS} for text in messages)
    return b"".join(json.dumps(line).encode() + b"\n" for line in lines)


@dataclass(frozen=True)
class Way:
    path: str
    body: Callable[..., bytes]
    headers: dict[str, str]
    success: int

    async def send(self, store: Store, *messages: str, **headers: str) -> ClientResponse:
        return await self.post(store, self.body(*messages), **headers)

    async def post(self, store: Store, body: bytes, **headers: str) -> ClientResponse:
        told = {name.replace("_", "-"): text for name, text in headers.items()}
        return await store.client.post(self.path, data=body, headers={**self.headers, **told})


WAYS = {
    "loki json": Way("/loki/api/v1/push", loki_json, JSON, 204),
    "loki protobuf": Way("/loki/api/v1/push", loki_protobuf, PROTOBUF, 204),
    "otlp json": Way("/v1/logs", otlp_json, JSON, 200),
    "otlp protobuf": Way("/v1/logs", otlp_protobuf, PROTOBUF, 200),
    "jsonline": Way("/insert/jsonline", jsonline, {"Content-Type": "application/stream+json"}, 200),
}


@pytest.fixture(params=WAYS)
def way(request: pytest.FixtureRequest) -> Way:
    return WAYS[request.param]


async def test_lines_are_found_when_they_are_acknowledged(make: Make, way: Way) -> None:
    store = await make(retention_days=3650)
    answer = await way.send(store, "first line", "数据库 second")
    assert answer.status == way.success
    assert sorted(await store.found(app="shop")) == ["first line", "数据库 second"]
    [hit] = (await store.get("/api/search", params={"q": "first"}))["hits"]
    assert (hit["app"], hit["time"]) == ("shop", "2026-11-18T11:06:40.000000000Z")


@pytest.mark.parametrize("behind", [True, False])
async def test_times_are_not_ahead_of_a_clock_that_is_behind(
    make: Make, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, way: Way, behind: bool
) -> None:
    """A machine that has lost its clock says an old time, and the lines have the right one."""
    at_ns = time.time_ns() + 20 * DAY_NS
    monkeypatch.setattr(sys.modules[__name__], "AT_NS", at_ns)
    if behind:
        # What the store remembers of the time before.
        before = Clock(at_ns - HOUR_NS, at_ns - HOUR_NS)
        (tmp_path / "logstore").mkdir()
        (tmp_path / "logstore" / "clock").write_bytes(clock.encode(before))
    store = await make()
    assert (await way.send(store, "pushed")).status == way.success
    assert await store.add("in bulk", time=at_ns, app="shop") == [201]
    hits = (await store.get("/api/search", params={"app": "shop"}))["hits"]
    assert {hit["message"] for hit in hits} == {"pushed", "in bulk"}
    assert {hit["time"] == times.text(at_ns) for hit in hits} == {behind}
    assert {"original_time" in hit for hit in hits} == {not behind}


@pytest.mark.parametrize(
    ("path", "name"),
    [
        ("/insert/loki/api/v1/push", "loki json"), ("/insert/loki/api/v1/push", "loki protobuf"),
        ("/insert/opentelemetry/v1/logs", "otlp protobuf"), ("/otlp/v1/logs", "otlp json"),
    ],
)  # fmt: skip
async def test_the_same_below_the_paths_of_others(make: Make, path: str, name: str) -> None:
    store = await make(retention_days=3650)
    way = WAYS[name]
    answer = await store.client.post(path, data=way.body("x"), headers=way.headers)
    assert answer.status == way.success
    assert await store.found() == ["x"]


@pytest.mark.parametrize("encoding", ["gzip", "zstd", "deflate", "identity"])
async def test_packed(make: Make, way: Way, encoding: str) -> None:
    store = await make(retention_days=3650)
    packers: dict[str, Callable[[bytes], bytes]] = {
        "gzip": gzip.compress, "zstd": zstandard.ZstdCompressor(1).compress,
        "deflate": zlib.compress, "identity": bytes,
    }  # fmt: skip
    body = packers[encoding](way.body(*(f"line {n}" for n in range(2_000))))
    assert (await way.post(store, body, Content_Encoding=encoding)).status == way.success
    assert len((await store.get("/api/search", params={"limit": "1000"}))["hits"]) == 1000
    if encoding != "identity":
        cut = await way.post(store, body[: len(body) // 2], Content_Encoding=encoding)
        assert cut.status == 400
    unknown = await way.post(store, body, Content_Encoding="br")
    assert unknown.status == 415


@pytest.mark.parametrize("content_type", ["", "application/x-www-form-urlencoded", "text/plain"])
async def test_without_a_content_type_the_body_tells(
    make: Make, way: Way, content_type: str
) -> None:
    store = await make(retention_days=3650)
    assert (await way.send(store, "x", Content_Type=content_type)).status == way.success
    assert await store.found() == ["x"]


async def test_loki_s_protobuf_may_be_announced_as_snappy(make: Make) -> None:
    store = await make(retention_days=3650)
    answer = await WAYS["loki protobuf"].send(store, "x", Content_Encoding="snappy")
    assert answer.status == 204


async def test_a_bomb_is_refused(make: Make, way: Way, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(understood, "MAX_BODY_BYTES", 2**20)
    store = await make()
    bomb = gzip.compress(b" " * 50 * 2**20)
    assert (await way.post(store, bomb, Content_Encoding="gzip")).status == 413
    plain = await store.client.post(way.path, data=io.BytesIO(b"x" * (2**20 + 1)))
    assert plain.status == 413
    if way.body is loki_protobuf:
        assert (await way.post(store, snapped(b"\0" * (2**20 + 1)))).status == 413
    assert store.daemon._intake.held_bytes == 0


async def test_garbage_stores_nothing(make: Make, way: Way) -> None:
    store = await make()
    answer = await way.post(store, b"\x0b\xffgarbage")
    assert answer.status == 400
    assert await answer.read()
    assert store.daemon._intake.held_bytes == 0
    assert await store.found() == []


async def test_overload_refuses_the_whole_request(make: Make, way: Way) -> None:
    store = await make(queue_bytes=2**20, retention_days=3650)
    with store.daemon._intake.reserve(2**20):
        answer = await way.send(store, "no")
        assert answer.status == 429
        assert int(answer.headers["Retry-After"]) >= 1
    assert (await way.send(store, "yes")).status == way.success
    assert await store.found() == ["yes"]


async def test_a_disk_without_room_refuses(make: Make, way: Way) -> None:
    store = await make(min_free_bytes=2**62)
    answer = await way.send(store, "no")
    assert answer.status == 429
    assert "disk" in (await answer.read()).decode("utf-8", "replace")
    assert (await store.client.get("/ready")).status == 503


async def test_who_may(make: Make, way: Way, tmp_path: Path) -> None:
    tokens = tmp_path / "tokens"
    tokens.write_text("token-of-team-a team-a\ntoken-of-team-b team-b\n")
    store = await make(ingest_token_file=tokens, retention_days=3650)
    basic = encode_basic_auth("promtail", "token-of-team-b")
    for header in ("", "Bearer wrong-token", "Basic eHg="):
        answer = await way.send(store, "no", Authorization=header, X_Scope_OrgID="team-a")
        assert answer.status == 401
        assert "WWW-Authenticate" in answer.headers
    for header in ("Bearer token-of-team-a", basic, "ApiKey token-of-team-b"):
        assert (await way.send(store, header, Authorization=header)).status == way.success
    days = sorted(path.parent.name for path in (tmp_path / "logstore").glob("*/*.db"))
    assert days == ["team-a", "team-b"]


async def test_nothing_is_acknowledged_before_it_is_on_disk(
    make: Make, way: Way, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = await make(retention_days=3650)

    def full(*_: object) -> list[int | None]:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("logshipper.store.engine.day.DayWriter.write", full)
    answer = await way.send(store, "no")
    assert answer.status == 429
    monkeypatch.undo()
    assert (await way.send(store, "yes")).status in {way.success, 429}


async def test_a_large_body(make: Make, way: Way) -> None:
    store = await make(retention_days=3650)
    messages = [f"line {n}" for n in range(12_000)]
    assert (await way.send(store, *messages)).status == way.success
    exported = await (await store.client.get("/api/export")).text()
    assert sorted(json.loads(line)["message"] for line in exported.splitlines()) == sorted(messages)


async def test_too_many_lines_are_refused(
    make: Make, way: Way, monkeypatch: pytest.MonkeyPatch
) -> None:
    for module in ("understood", "loki", "otlpwire"):
        name = f"logshipper.store.http.protocols.{module}.MAX_BODY_ROWS"
        monkeypatch.setattr(name, 100)
    store = await make(retention_days=3650)
    assert (await way.send(store, *["x"] * 90)).status == way.success
    assert (await way.send(store, *["y"] * 200)).status == 413
    assert await store.found(q="y") == []


async def test_nothing_is_a_request(make: Make) -> None:
    store = await make()
    for name, body, status in (
        ("loki json", b'{"streams":[]}', 204),
        ("loki protobuf", snapped(b""), 204),
        ("otlp json", b"{}", 200),
        ("otlp protobuf", b"", 200),
        ("jsonline", b"", 200),
    ):
        assert (await WAYS[name].post(store, body)).status == status


async def test_what_loki_sends_again_is_stored_once(make: Make) -> None:
    store = await make(retention_days=3650)
    for name in ("loki json", "loki protobuf", "loki json"):
        assert (await WAYS[name].send(store, "a", "b")).status == 204
    assert sorted(await store.found()) == ["a", "b"]


async def test_jsonline_counts(make: Make) -> None:
    store = await make(retention_days=3650)
    way = WAYS["jsonline"]
    line = b'{"_id":"7","message":"x"}\n'
    assert await (await way.post(store, line)).json() == {"stored": 1, "skipped": 0, "rejected": 0}
    told = await (await way.post(store, line + b"{bad\n")).json()
    assert (told["stored"], told["skipped"], told["rejected"]) == (0, 1, 1)
    bad = await way.post(store, b"{bad\n")
    assert bad.status == 400
    assert (await bad.json())["errors"][0]["line"] == 1
    renamed = await store.client.post(
        "/insert/jsonline?_msg_field=text&_time_field=ts", data=b'{"text":"named","ts":5}\n'
    )
    assert renamed.status == 200
    assert await store.found() == ["x"]  # 1970 is older than the retention


async def test_loki_keeps_what_is_good_and_says_so(make: Make) -> None:
    store = await make(retention_days=3650)
    values = [[str(AT_NS), "good"], ["never", "bad"], [str(AT_NS + 1), "fine"]]
    body = json.dumps({"streams": [{"stream": {}, "values": values}]}).encode()
    assert (await WAYS["loki json"].post(store, body)).status == 204
    assert sorted(await store.found()) == ["fine", "good"]
    [event] = [text for text in map(str, store.scope.events.since(0)) if "entries refused" in text]
    assert "line 2 has the time 'never'" in event
    rejected = store.scope.metrics.get_sample_value("wharfinger_logstore_rejected_lines_total")
    assert rejected == 1
    bad = json.dumps({"streams": [{"stream": {}, "values": values[1:2]}]}).encode()
    answer = await WAYS["loki json"].post(store, bad)
    assert answer.status == 400
    assert "never" in await answer.text()


async def test_otlp_s_partial_success(make: Make) -> None:
    store = await make(retention_days=3650)
    deep: Any = "x"
    for _ in range(40):
        deep = [deep]
    records = [{"body": "good", "time_unix_nano": AT_NS}, {"body": deep}]
    body = otlp_request({}, *records).SerializeToString()
    answer = await WAYS["otlp protobuf"].post(store, body)
    assert (answer.status, answer.content_type) == (200, "application/x-protobuf")
    told = ExportLogsServiceResponse.FromString(await answer.read()).partial_success
    assert told.rejected_log_records == 1
    assert "nested" in told.error_message
    assert await store.found() == ["good"]
    records = [{"body": {"stringValue": "good 2"}}, {"body": 5}]
    whole = json.dumps({"resourceLogs": [{"scopeLogs": [{"logRecords": records}]}]}).encode()
    answer = await WAYS["otlp json"].post(store, whole)
    assert (await answer.json())["partialSuccess"]["rejectedLogRecords"] == "1"
    bad = json.dumps({"resourceLogs": [{"scopeLogs": [{"logRecords": [5]}]}]}).encode()
    answer = await WAYS["otlp json"].post(store, bad)
    assert (answer.status, answer.content_type) == (400, "application/json")
    assert (await answer.json())["code"] == 3
