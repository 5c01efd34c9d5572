"""What the shipper's encodings say is the same document, whichever protocol carries it."""

import json
from typing import Any

import pytest

from logshipper.decode import Record
from logshipper.encoding import Encoding
from logshipper.model import Message
from logshipper.sinks.encoding import loki as loki_sink
from logshipper.sinks.encoding import otlp as otlp_sink
from logshipper.sinks.encoding.bulk import BulkEncoding
from logshipper.sinks.encoding.jsonline import JsonlineEncoding
from logshipper.store.http.protocols import bulk, jsonline, loki, otlpwire
from logshipper.store.lines.times import Arrival
from logshipper.store.model import Document
from tests.logshipper.sending import FIELDS, PREFIX

NOW_NS = 1_795_417_140 * 10**9
TEXTS = (
    "plain", 'say "hi" \\ \t', "数据库连接超时", "", "ERROR at once", "x" * 100_000,
    "nul \0 and \x1b[31mred",
)  # fmt: skip
RECORDS = [
    Record(f"{text}\n", "stderr" if number % 2 else "stdout", f"2026-11-20T10:00:07.{number:09}Z")
    for number, text in enumerate(TEXTS)
]


def understood(name: str, documents: list[bytes]) -> list[Document]:
    match name:
        case "bulk":
            return list(bulk.parse(b"".join(documents), Arrival.of(NOW_NS)).documents)
        case "jsonline":
            return jsonline.parse(
                b"".join(documents), Arrival.of(NOW_NS), jsonline.Names()
            ).documents
        case "loki":
            return loki.parse_json(loki_sink.body(documents), Arrival.of(NOW_NS)).documents
    return otlpwire.parse(otlp_sink.body(documents), Arrival.of(NOW_NS)).documents


ENCODINGS: dict[str, Encoding] = {
    "bulk": BulkEncoding(""),
    "jsonline": JsonlineEncoding(),
    "loki": loki_sink.LokiEncoding(("app", "env", "host", "stream"), metadata=True),
    "otlp": otlp_sink.OtlpEncoding(),
}


def by_id(documents: list[Document]) -> dict[tuple[str, int], Document]:
    return {(document.source, document.offset): document for document in documents}


@pytest.mark.parametrize("name", ["jsonline", "loki", "otlp"])
def test_lines_that_nothing_rewrote(name: str) -> None:
    made = {
        way: understood(way, ENCODINGS[way].compile(FIELDS).lines(PREFIX, 0, RECORDS, [9] * 7, ""))
        for way in ("bulk", name)
    }
    assert len(made["bulk"]) == len(RECORDS)
    assert by_id(made[name]) == by_id(made["bulk"])


@pytest.mark.parametrize("level", ["", "info", "warn", "critical", "verbose"])
@pytest.mark.parametrize(
    ("identity", "more"),
    [
        ("1f", {}),
        ("1f", {"user": "7", "container": "evil", "message": "m"}),
        ("1f.3", {"deep": {"a": [1, None, "x"]}, "n": 7, "yes": True, "took": 0.5, "none": None}),
        ("1f.0-4000", {}),
    ],
)
@pytest.mark.parametrize("name", ["jsonline", "loki", "otlp"])
def test_messages_that_were_rewritten(
    name: str, identity: str, more: dict[str, Any], level: str
) -> None:
    more = dict(more)
    if name == "loki":  # its metadata are texts
        more = {key: value for key, value in more.items() if isinstance(value, str)}
    if name == "otlp":  # the sink writes what is nested as one text
        more.pop("deep", None)
    time = "2026-11-20T10:00:07.000000001Z"
    message = Message(
        f"{PREFIX}{identity}", "some text", "stderr", time, level=level, fields=more or None
    )
    made = [
        understood(way, [ENCODINGS[way].compile(FIELDS).message(message)]) for way in ("bulk", name)
    ]
    [expected], [found] = made
    assert fields_of(found) == fields_of(expected)


def fields_of(document: Document) -> tuple[Any, ...]:
    """A document without the order of its fields."""
    line = document.line
    extra = json.loads(line.extra or b"{}")
    return (line.time_ns, line.stream, line.level, line.message, extra, document.source,
            document.offset)  # fmt: skip
