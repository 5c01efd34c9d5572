"""The kinds of [[logshipper.sinks]] tables, one for each type."""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Final, Literal, TypeAlias

from logshipper.sinksection import (
    Compression,
    HttpConfig,
    SinkConfig,
    TlsConfig,
    address_problems,
    url_problems,
)
from wharfinger.errors import Finding
from wharfinger.schema import doc

INDEX_PATTERN: Final = re.compile(r'[^\s"\\/?#*<>|,A-Z_+.-][^\s"\\/?#*<>|,A-Z]*')
# What of a date may stand in the name of an index.
DATE_MARKS: Final = ("%Y", "%m", "%d")
MAX_DATAGRAM_BYTES: Final = 65_507
Labels: TypeAlias = Literal["app", "env", "host", "stream", "level", "container_name"]


class BulkConfig(HttpConfig, frozen=True, kw_only=True):
    """`_bulk`: logstore, OpenSearch, Elasticsearch, VictoriaLogs, Quickwit."""

    type: Annotated[
        Literal["bulk"],
        doc(
            "bulk: logstore, OpenSearch, Elasticsearch, VictoriaLogs, Quickwit. Else: loki, otlp, "
            "jsonline, sls, syslog, file, stdout, kafka.",
            restart=True,
        ),
    ] = "bulk"
    url: Annotated[str, doc("Where it listens; `/_bulk` is added.", restart=True)] = (
        "http://127.0.0.1:7280"
    )
    index: Annotated[
        str,
        doc(
            "Index or data stream; %Y, %m and %d stand for the day of the line (UTC). "
            "Needed by all but logstore and VictoriaLogs.",
            shown='"logs-%Y.%m.%d"',
            restart=True,
        ),
    ] = ""
    server: Annotated[
        Literal["elasticsearch", "quickwit"],
        doc(
            "quickwit: it gives no result for each document, and ids mean nothing to it.",
            restart=True,
        ),
    ] = "elasticsearch"

    def problems(self) -> Iterator[Finding]:
        """Says what a type cannot."""
        yield from super().problems()
        name = self.index
        for mark in DATE_MARKS:
            name = name.replace(mark, "0")
        if self.index and ("%" in name or not INDEX_PATTERN.fullmatch(name)):
            fix = 'use lower case without spaces and , / \\ * ? " < > |; %Y %m %d for the date'
            yield Finding("index", f"{self.index[:80]!r} cannot be an index", fix)
        if self.server == "quickwit" and (not self.index or "%" in self.index):
            yield Finding("index", "Quickwit wants one index", 'write index = "NAME"')


class LokiConfig(HttpConfig, frozen=True, kw_only=True):
    """Loki's push API; VictoriaLogs has it below /insert."""

    type: Annotated[Literal["loki"], doc("Loki.", restart=True)] = "loki"
    url: Annotated[str, doc("Where it listens; `/loki/api/v1/push` is added.", restart=True)] = (
        "http://127.0.0.1:3100"
    )
    stream_labels: Annotated[
        tuple[Labels, ...],
        doc(
            "What makes a stream; all else is metadata. Few, and none with many values.",
            restart=True,
        ),
    ] = ("app", "env", "host", "stream")
    structured_metadata: Annotated[
        bool,
        doc("Send the container's other fields, and what was parsed (Loki 3).", restart=True),
    ] = True
    batch_bytes: Annotated[
        int, doc("Size of a body before compression.", ge=1024, restart=True)
    ] = 2**20

    def problems(self) -> Iterator[Finding]:
        """Says what a type cannot."""
        yield from super().problems()
        if not {"host", "stream"} & set(self.stream_labels):
            fix = 'add "host" or "stream": a container may be without app and env'
            yield Finding("stream_labels", "may leave a stream without any label", fix)


class OtlpConfig(HttpConfig, frozen=True, kw_only=True):
    """OTLP over HTTP, protobuf: the OpenTelemetry collector, and whoever speaks its protocol."""

    type: Annotated[Literal["otlp"], doc("OTLP/HTTP.", restart=True)] = "otlp"
    url: Annotated[str, doc("Where it listens; `/v1/logs` is added.", restart=True)] = (
        "http://127.0.0.1:4318"
    )


class JsonlineConfig(HttpConfig, frozen=True, kw_only=True):
    """One JSON object a line: VictoriaLogs' /insert/jsonline, and anything that takes NDJSON."""

    type: Annotated[Literal["jsonline"], doc("NDJSON over HTTP.", restart=True)] = "jsonline"
    url: Annotated[str, doc("The whole address; nothing is added.", restart=True)] = (
        "http://127.0.0.1:9428/insert/jsonline"
    )
    parameters: Annotated[
        dict[str, str],
        doc(
            "What stands behind the `?` of the address; VictoriaLogs reads these.",
            shown='{ _msg_field = "message", _time_field = "@timestamp", '
            '_stream_fields = "app,env,host,stream" }',
            restart=True,
        ),
    ] = {}  # noqa: RUF012


class SlsConfig(TlsConfig, frozen=True, kw_only=True):
    """Alibaba Cloud's log service (SLS), PutLogs."""

    type: Annotated[Literal["sls"], doc("Alibaba SLS.", restart=True)] = "sls"
    url: Annotated[str, doc("Of the project: https://PROJECT.ENDPOINT.", restart=True)] = (
        "https://project.cn-hangzhou.log.aliyuncs.com"
    )
    logstore: Annotated[str, doc("Name of the Logstore.", restart=True)] = "logs"
    topic: Annotated[str, doc("Topic of every line.", shown='"containers"', restart=True)] = ""
    access_key_file: Annotated[
        Path | None,
        doc(
            "File with the AccessKey id and, on the next line, its secret; a security token "
            "may follow on a third.",
            shown='"/path"',
            restart=True,
        ),
    ] = None
    batch_bytes: Annotated[
        int, doc("Size of a body before compression.", ge=1024, le=3_000_000, restart=True)
    ] = 2**20

    def problems(self) -> Iterator[Finding]:
        """Says what a type cannot."""
        yield from super().problems()
        yield from url_problems(self.url)
        if not re.fullmatch(r"[a-z0-9][a-z0-9_-]{1,61}[a-z0-9]", self.logstore):
            yield Finding("logstore", f"{self.logstore[:64]!r} cannot be a Logstore's name")
        if self.access_key_file is None:
            yield Finding("access_key_file", "is missing", "name the file with id and secret")


class SyslogConfig(TlsConfig, frozen=True, kw_only=True):
    """Syslog, RFC 5424: rsyslog, syslog-ng, and appliances."""

    type: Annotated[Literal["syslog"], doc("Syslog.", restart=True)] = "syslog"
    address: Annotated[str, doc("HOST:PORT.", restart=True)] = "127.0.0.1:514"
    transport: Annotated[
        Literal["tcp", "tls", "udp"],
        doc("tcp and tls count octets (RFC 6587, 5425); udp may lose lines unseen.", restart=True),
    ] = "tcp"
    facility: Annotated[
        int, doc("Number of the facility; 1 is user.", ge=0, le=23, restart=True)
    ] = 1
    structured_data_id: Annotated[
        str, doc("Name of the element with the container's fields.", restart=True)
    ] = "wharfinger@32473"
    max_datagram_bytes: Annotated[
        int,
        doc("Longer messages cannot go by udp: they become dead letters.", ge=480,
            le=MAX_DATAGRAM_BYTES, restart=True),
    ] = MAX_DATAGRAM_BYTES  # fmt: skip
    requests: Annotated[int, doc("Connections.", ge=1, le=64, restart=True)] = 1

    def problems(self) -> Iterator[Finding]:
        """Says what a type cannot."""
        yield from super().problems()
        yield from address_problems("address", self.address)
        if not re.fullmatch(r"[!#-<>-\\^-~]{1,32}", self.structured_data_id):
            fix = 'use at most 32 printable characters without space, "=", "]" and quotes'
            yield Finding("structured_data_id", "is no SD-ID (RFC 5424, 6.3.2)", fix)


class FileConfig(SinkConfig, frozen=True, kw_only=True):
    """A file of JSON lines on this host; what moves it away (logrotate) needs no signal."""

    type: Annotated[Literal["file"], doc("A file.", restart=True)] = "file"
    path: Annotated[Path, doc("Where it is.", restart=True)] = Path(
        "/var/log/wharfinger/containers.ndjson"
    )
    rotate_bytes: Annotated[
        int, doc("Begin a new file at this size; 0 leaves that to others.", ge=0, restart=True)
    ] = 256 * 2**20
    rotate_keep: Annotated[int, doc("Older files that stay.", ge=1, le=1000, restart=True)] = 4
    requests: Annotated[int, doc("Writes at the same time.", ge=1, le=1, restart=True)] = 1


class StdoutConfig(SinkConfig, frozen=True, kw_only=True):
    """The shipper's own standard output, as JSON lines."""

    type: Annotated[Literal["stdout"], doc("Standard output.", restart=True)] = "stdout"
    requests: Annotated[int, doc("Writes at the same time.", ge=1, le=1, restart=True)] = 1


class KafkaConfig(TlsConfig, frozen=True, kw_only=True):
    """Kafka, with the extra wharfinger[kafka]; the lines of a container stay in order."""

    type: Annotated[Literal["kafka"], doc("Kafka.", restart=True)] = "kafka"
    requests: Annotated[
        int,
        doc("Batches on their way; more than one may change places.", ge=1, le=64, restart=True),
    ] = 1
    servers: Annotated[tuple[str, ...], doc("HOST:PORT of some brokers.", restart=True)] = (
        "127.0.0.1:9092",
    )
    topic: Annotated[str, doc("Topic of every line.", restart=True)] = "logs"
    compression: Annotated[Compression, doc("Of batches.", restart=True)] = "gzip"
    tls: Annotated[bool, doc("Speak TLS to the brokers.", restart=True)] = False
    user: Annotated[str, doc("For SASL.", shown='"name"', restart=True)] = ""
    password_file: Annotated[
        Path | None, doc("File with the password.", shown='"/path"', restart=True)
    ] = None
    mechanism: Annotated[
        Literal["PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512"], doc("Of SASL.", restart=True)
    ] = "SCRAM-SHA-512"

    def problems(self) -> Iterator[Finding]:
        """Says what a type cannot."""
        yield from super().problems()
        if not self.servers:
            yield Finding("servers", "is empty", "name a broker: HOST:PORT")
        for server in self.servers:
            yield from address_problems("servers", server)
        if not re.fullmatch(r"[A-Za-z0-9._-]{1,249}", self.topic):
            yield Finding("topic", f"{self.topic[:64]!r} cannot be a topic")
        if bool(self.user) != (self.password_file is not None):
            yield Finding("user", "user and password_file go together", "write both")


AnySink: TypeAlias = (
    BulkConfig
    | LokiConfig
    | OtlpConfig
    | JsonlineConfig
    | SlsConfig
    | SyslogConfig
    | FileConfig
    | StdoutConfig
    | KafkaConfig
)
