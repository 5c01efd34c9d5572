"""Servers that hold a sink to the written rules of its protocol, and misbehave on order."""

import asyncio
import base64
import gzip
import hashlib
import hmac
import json
import ssl
from collections import Counter
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from typing import Any, Self

import lz4.block
import zstandard
from aiohttp import web
from google.protobuf import descriptor_pb2, descriptor_pool, message_factory
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import (
    ExportLogsServiceRequest,
    ExportLogsServiceResponse,
)

from tests.stack.listening import listening

Answer = Callable[["StrictServer", web.Request, bytes], Awaitable[web.StreamResponse]]


class StrictServer:
    """What they have in common: counts by id, moods, limits, secrets.

    Attributes:
        documents: by id, as first received.
        received: how often each id was stored or recognised.
        moods: answers for the next requests; then it behaves.
        limit_bytes: an unpacked body above it is answered 413.
        poison: texts that no document may hold.
        authorization: what that header must be; None lets everybody in.
    """

    content_type = ""
    path = "/"

    def __init__(self) -> None:
        self.documents: dict[str, dict[str, Any]] = {}
        self.received: Counter[str] = Counter()
        self.moods: list[Answer] = []
        self.limit_bytes = 64 * 2**20
        self.poison = "\0never"
        self.authorization: str | None = None
        self.headers: list[dict[str, str]] = []
        self.queries: list[dict[str, str]] = []
        self.complaints: list[str] = []
        self.port = 0
        self.tls: ssl.SSLContext | None = None

    @property
    def url(self) -> str:
        return f"http{'s' if self.tls else ''}://127.0.0.1:{self.port}"

    @property
    def messages(self) -> list[str]:
        return [document["message"] for document in self.documents.values()]

    async def __aenter__(self) -> Self:
        application = web.Application(client_max_size=2**30)
        application.router.add_route("*", "/{path:.*}", self._serve)
        # What a body is packed with is looked at here, not taken off before.
        self._runner = web.AppRunner(application, shutdown_timeout=0.1, auto_decompress=False)
        self.port = await listening(self._runner, self.port, self.tls)
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._runner.cleanup()
        assert self.complaints == []

    def complain(self, why: str) -> web.Response:
        """A request that no rule allows: the test fails for it."""
        self.complaints.append(why)
        return web.Response(status=501, text=why)

    async def _serve(self, request: web.Request) -> web.StreamResponse:
        self.headers.append(dict(request.headers))
        self.queries.append(dict(request.query))
        body = await request.read()
        if (request.method, request.path) != ("POST", self.path):
            return self.complain(f"{request.method} {request.path}")
        if request.headers.get("Content-Type") != self.content_type:
            return self.complain(f"type {request.headers.get('Content-Type')}")
        if self.authorization not in {None, request.headers.get("Authorization")}:
            return web.Response(status=401, text="who are you?")
        if self.moods:
            return await self.moods.pop(0)(self, request, body)
        body = _unpacked(request.headers.get("Content-Encoding", ""), body)
        if len(body) > self.limit_bytes:
            return web.Response(status=413, text="too large")
        return await self.take(request, body)

    async def take(self, request: web.Request, body: bytes) -> web.StreamResponse:
        """Stores what is good, and answers."""
        raise NotImplementedError

    def store(self, identity: str, document: dict[str, Any]) -> None:
        self.received[identity] += 1
        assert self.documents.setdefault(identity, document) == document


def _unpacked(encoding: str, body: bytes) -> bytes:
    match encoding:
        case "gzip":
            return gzip.decompress(body)
        case "zstd":
            return zstandard.ZstdDecompressor().decompressobj().decompress(body)
    assert encoding == ""
    return body


def answering(code: int, text: str = "no", **headers: str) -> Answer:
    """Answers so, and stores nothing."""

    async def answer(_: StrictServer, __: web.Request, ___: bytes) -> web.StreamResponse:
        told = {key.replace("_", "-"): value for key, value in headers.items()}
        return web.Response(status=code, text=text, headers=told)

    return answer


async def hanging(_: StrictServer, __: web.Request, ___: bytes) -> web.StreamResponse:
    """Accepts and never answers."""
    await asyncio.Event().wait()
    return web.Response()


async def deaf(server: StrictServer, request: web.Request, body: bytes) -> web.StreamResponse:
    """Stores everything, and the answer never arrives."""
    await server.take(request, _unpacked(request.headers.get("Content-Encoding", ""), body))
    assert request.transport is not None
    request.transport.abort()
    return web.Response()


class StrictLoki(StrictServer):
    """Loki 3 (docs: Enforce rate limits and push request validation; pkg/ingester/stream.go).

    Attributes:
        streams: newest time of each set of labels.
    """

    content_type = "application/json"
    path = "/loki/api/v1/push"
    behind_ns = 3600 * 10**9
    line_bytes = 256 * 2**10
    oldest_ns = 0

    def __init__(self) -> None:
        super().__init__()
        self.streams: dict[str, int] = {}

    async def take(self, request: web.Request, body: bytes) -> web.StreamResponse:
        told = json.loads(body)
        assert set(told) == {"streams"}
        assert told["streams"], "error at least one valid stream is required for ingestion"
        complaints = []
        for stream in told["streams"]:
            assert stream["stream"], "error at least one label pair is required per stream"
            for name, value in stream["stream"].items():
                assert name.isidentifier()
                assert isinstance(value, str)
            complaints += self._entries(stream["stream"], stream["values"])
        # The error of the last stream is the whole answer; what is good is stored.
        return (
            web.Response(status=400, text=complaints[-1])
            if complaints
            else web.Response(status=204)
        )

    def _entries(self, labels: dict[str, str], values: list[list[Any]]) -> list[str]:
        key = json.dumps(labels, sort_keys=True)
        failed = []
        for when, line, metadata in values:
            assert all(isinstance(each, str) for each in (when, line, *metadata.values()))
            newest = self.streams.get(key, 0)
            if int(when) < self.oldest_ns:
                oldest = datetime.fromtimestamp(self.oldest_ns // 10**9, UTC)
                why = f"has timestamp too old: {when}, oldest acceptable timestamp is:"
                return [f"entry for stream '{key}' {why} {oldest:%Y-%m-%dT%H:%M:%SZ}"]
            if len(line.encode()) > self.line_bytes:
                return [f"Max entry size '{self.line_bytes}' bytes exceeded for stream '{key}'"]
            if int(when) < newest - self.behind_ns:
                failed.append(
                    f"entry with timestamp {when} ignored, reason: 'entry too far behind'"
                )
                continue
            self.streams[key] = max(newest, int(when))
            self.store(metadata["id"], {**labels, **metadata, "when": when, "message": line})
        if not failed:
            return []
        return [
            ",\n".join([*failed, f"user 'x', total ignored: {len(failed)} out of {len(values)}"])
        ]


class StrictOtlp(StrictServer):
    """OTLP/HTTP (OpenTelemetry Protocol Specification), read with its own library."""

    content_type = "application/x-protobuf"
    path = "/v1/logs"
    partial: int = 0

    async def take(self, request: web.Request, body: bytes) -> web.StreamResponse:
        told = ExportLogsServiceRequest()
        told.ParseFromString(body)
        for resource in told.resource_logs:
            about = {a.key: a.value.string_value for a in resource.resource.attributes}
            for scope in resource.scope_logs:
                assert scope.scope.name == "wharfinger.logshipper"
                for record in scope.log_records:
                    said = {a.key: _value(a.value) for a in record.attributes}
                    if self.poison in record.body.string_value:
                        return web.Response(status=400, text="poison")
                    document = {
                        **about,
                        **said,
                        "message": record.body.string_value,
                        "when": record.time_unix_nano,
                        "severity": (record.severity_number, record.severity_text),
                    }
                    self.store(said["log.record.uid"], document)
        reply = ExportLogsServiceResponse()
        if self.partial:
            reply.partial_success.rejected_log_records = self.partial
            reply.partial_success.error_message = "too many attributes"
        return web.Response(body=reply.SerializeToString(), content_type=self.content_type)


def _value(value: Any) -> Any:
    kind = value.WhichOneof("value")
    return getattr(value, kind) if kind else None


class StrictJsonline(StrictServer):
    """One JSON object a line; nothing is said of single lines.

    Attributes:
        counts: keeps what is good, and says how many lines were not, as the log store does.
    """

    content_type = "application/stream+json"
    path = "/insert/jsonline"
    counts = False

    async def take(self, request: web.Request, body: bytes) -> web.StreamResponse:
        assert body.endswith(b"\n")
        rejected = 0
        for line in body.splitlines():
            document = json.loads(line)
            if self.poison not in document["message"]:
                self.store(document["_id"], document)
            elif self.counts:
                rejected += 1
            else:
                return web.Response(status=400, text="poison")
        return web.json_response({"rejected": rejected}) if self.counts else web.Response()


def _log_group() -> Any:
    """The message of SLS's documentation, "Data encoding"."""
    file = descriptor_pb2.FileDescriptorProto(name="sls.proto", package="sls", syntax="proto2")
    kinds = descriptor_pb2.FieldDescriptorProto

    def message(parent: Any, name: str, *fields: tuple[str, int, int, int, str]) -> Any:
        made = parent.add(name=name)
        for field, number, label, kind, of in fields:
            made.field.add(name=field, number=number, label=label, type=kind, type_name=of or None)
        return made

    need, may, many = kinds.LABEL_REQUIRED, kinds.LABEL_OPTIONAL, kinds.LABEL_REPEATED
    text, inner = kinds.TYPE_STRING, kinds.TYPE_MESSAGE
    log = message(
        file.message_type,
        "Log",
        ("Time", 1, need, kinds.TYPE_UINT32, ""),
        ("Contents", 2, many, inner, ".sls.Log.Content"),
        ("Time_ns", 4, may, kinds.TYPE_FIXED32, ""),
    )
    message(log.nested_type, "Content", ("Key", 1, need, text, ""), ("Value", 2, need, text, ""))
    message(file.message_type, "LogTag", ("Key", 1, need, text, ""), ("Value", 2, need, text, ""))
    message(
        file.message_type,
        "LogGroup",
        ("Logs", 1, many, inner, ".sls.Log"),
        ("Topic", 3, may, text, ""),
        ("Source", 4, may, text, ""),
        ("LogTags", 6, many, inner, ".sls.LogTag"),
    )
    pool = descriptor_pool.DescriptorPool()
    pool.Add(file)  # type: ignore[no-untyped-call]
    return message_factory.GetMessageClass(pool.FindMessageTypeByName("sls.LogGroup"))


LogGroup = _log_group()


class StrictSls(StrictServer):
    """PutLogs of Alibaba's SLS: headers, signature, and all or nothing (its documentation).

    Attributes:
        keys: secret of each AccessKey id.
    """

    content_type = "application/x-protobuf"
    path = "/logstores/logs/shards/lb"

    def __init__(self) -> None:
        super().__init__()
        self.keys = {"id": "secret"}
        self.groups: list[Any] = []

    async def take(self, request: web.Request, body: bytes) -> web.StreamResponse:
        headers = request.headers
        assert headers["Content-MD5"] == hashlib.md5(body).hexdigest().upper()
        assert headers["x-log-apiversion"] == "0.6.0"
        assert (headers["x-log-compresstype"], headers["x-log-signaturemethod"]) == (
            "lz4",
            "hmac-sha1",
        )
        scheme, _, credential = headers["Authorization"].partition(" ")
        identity, _, signed = credential.partition(":")
        assert scheme == "LOG"
        if signed != self._signature(request, self.keys.get(identity, "")):
            return self._error(401, "SignatureNotMatch")
        size = int(headers["x-log-bodyrawsize"])
        if size > 3 * 2**20:
            return self._error(400, "PostBodyTooLarge")
        group = LogGroup()
        group.ParseFromString(lz4.block.decompress(body, uncompressed_size=size))
        logs = []
        for log in group.Logs:
            said = {each.Key: each.Value for each in log.Contents}
            assert len(said) == len(log.Contents)
            logs.append({**said, "when": log.Time * 10**9 + log.Time_ns})
        if len(logs) > 4096 or any(self.poison in log["message"] for log in logs):
            return self._error(400, "PostBodyInvalid")
        self.groups.append(group)
        for log in logs:
            self.store(log["id"], log)
        return web.Response()

    def _signature(self, request: web.Request, secret: str) -> str:
        own = sorted((k.lower(), v) for k, v in request.headers.items() if k.lower()[:5] == "x-log")
        own += sorted(
            (k.lower(), v) for k, v in request.headers.items() if k.lower()[:5] == "x-acs"
        )
        named = "\n".join(f"{key}:{value}" for key, value in sorted(own))
        first = ("Content-MD5", "Content-Type", "Date")
        told = "\n".join(["POST", *(request.headers[each] for each in first), named, self.path])
        digest = hmac.new(secret.encode(), told.encode(), "sha1").digest()
        return base64.b64encode(digest).decode()

    def _error(self, status: int, code: str) -> web.Response:
        return web.json_response({"errorCode": code, "errorMessage": "no"}, status=status)
