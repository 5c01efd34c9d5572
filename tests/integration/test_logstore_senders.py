"""The log store taken by real senders for what they know: Elasticsearch, OpenSearch, OTLP, Loki."""

import asyncio
import json
import logging
import warnings
from collections import Counter
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import aiohttp
import elasticsearch
import opensearchpy
import pytest
from elasticsearch import helpers as elastic_helpers
from opensearchpy import helpers as opensearch_helpers
from opentelemetry.exporter.otlp.proto.http import Compression
from opentelemetry.exporter.otlp.proto.http._log_exporter import OTLPLogExporter
from opentelemetry.sdk._logs import LoggerProvider, LoggingHandler
from opentelemetry.sdk._logs.export import BatchLogRecordProcessor
from opentelemetry.sdk.resources import Resource

from logshipper.sinkconfig import AnySink, BulkConfig, JsonlineConfig, LokiConfig, OtlpConfig
from tests.integration.test_logstore import Server
from tests.logshipper.sending import CONTAINER, PREFIX, Sending
from tests.stack.rsyslog import ElasticRsyslog
from wharfinger.operator.parts.process import until

TOKEN = "0123456789abcdef0123456789abcdef"
TEXTS = ["plain", 'say "hi" \\ \t', "\N{SNOWMAN} 数据库连接超时", "", "x" * 5000, "ERROR: no"]
OURS = {"app": "shop", "env": "prod", "host": "h1", "container": CONTAINER, "stream": "stdout"}


@pytest.fixture
async def store(tmp_path: Path) -> AsyncIterator[Server]:
    tokens = tmp_path / "tokens"
    tokens.write_text(f"{TOKEN}\n")
    tokens.chmod(0o600)
    async with aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=60)) as client:
        made = Server(tmp_path, client, ingest_token_file=tokens, retention_days=3650)
        await made.start()
        yield made
        await made.process.kill()


async def lines(store: Server) -> list[dict[str, Any]]:
    async with store.client.get(f"{store.url}/api/export") as answer:
        return [json.loads(line) for line in (await answer.text()).splitlines()]


WAYS: dict[str, Callable[..., AnySink]] = {
    "bulk": lambda url, **more: BulkConfig(url=url, **more),
    "loki": lambda url, **more: LokiConfig(url=url, **more),
    "otlp": lambda url, **more: OtlpConfig(url=url, **more),
    "jsonline": lambda url, **more: JsonlineConfig(url=f"{url}/insert/jsonline", **more),
}


@pytest.mark.parametrize("compression", ["gzip", "zstd", "none"])
@pytest.mark.parametrize("way", WAYS)
async def test_the_shipper_s_sinks(
    store: Server, tmp_path: Path, way: str, compression: str
) -> None:
    """Every line once, however often it is sent, with the fields that it had."""
    secret = tmp_path / "secret"
    secret.write_text(f"{TOKEN}\n")
    config = WAYS[way](store.url, token_file=secret, compression=compression)
    sending = Sending(config, tmp_path)
    documents = sending.documents(*TEXTS)
    for _ in range(2):  # the answer to the first was lost
        verdict = await sending.sink.send(documents)
        assert verdict.accepted == len(TEXTS)
        assert (verdict.again, verdict.refused) == ((), ())
    await sending.delivery.close()
    found = await lines(store)
    assert Counter(line["message"] for line in found) == Counter(TEXTS)
    for line in found:
        number = TEXTS.index(line["message"])
        assert line["time"] == f"2026-07-01T10:00:07.{number:03}000001Z"
        assert OURS.items() <= line.items()
        assert (line["container_name"], line["image"]) == ("web", "shop:1")
        assert line.get("level") == ("error" if number == TEXTS.index("ERROR: no") else None)
        assert set(line) - {"level"} == {"id", "time", "message", "container_name", "image", *OURS}


async def test_json_lines_that_the_store_refuses_are_dead_letters(
    store: Server, tmp_path: Path
) -> None:
    secret = tmp_path / "secret"
    secret.write_text(f"{TOKEN}\n")
    sending = Sending(WAYS["jsonline"](store.url, token_file=secret), tmp_path)
    documents = sending.documents(*(f"line {n}" for n in range(40)))
    for number in (7, 31):
        documents[number] = documents[number].replace(b'"2026-07-01T', b'"some day ')
    await sending.delivery.deliver(documents)
    await sending.delivery.close()
    buried = [json.dumps(letter) for letter in sending.buried]
    assert ["line 7" in buried[0], "line 31" in buried[1], len(buried)] == [True, True, 2]
    assert all("neither RFC 3339" in letter for letter in buried)
    found = Counter(line["message"] for line in await lines(store))
    assert found == Counter(f"line {n}" for n in range(40) if n not in {7, 31})


@pytest.mark.parametrize("way", WAYS)
async def test_a_store_that_is_killed_has_each_line_once(
    store: Server, tmp_path: Path, way: str
) -> None:
    secret = tmp_path / "secret"
    secret.write_text(f"{TOKEN}\n")
    sending = Sending(WAYS[way](store.url, token_file=secret), tmp_path)
    texts = [f"{way} {n}" for n in range(8_000)]

    async def send() -> None:
        for begin in range(0, len(texts), 200):
            documents = sending.documents(*texts[begin : begin + 200], begin=begin)
            await sending.delivery.deliver(documents)

    running = asyncio.create_task(send())
    for share in (4, 2):
        await until(
            lambda share=share: arrived(store, len(texts) // share),  # type: ignore[misc]
            timeout_seconds=60,
            what="some of it is stored",
        )
        await store.process.kill()
        await store.start()
    await running
    await sending.delivery.close()
    assert sending.buried == []
    assert Counter(line["message"] for line in await lines(store)) == Counter(texts)


async def test_a_line_is_one_line_whichever_way_it_came(store: Server, tmp_path: Path) -> None:
    """A sink may be changed for another: what was sent by the first is known to the second."""
    secret = tmp_path / "secret"
    secret.write_text(f"{TOKEN}\n")
    for way in WAYS.values():
        sending = Sending(way(store.url, token_file=secret), tmp_path)
        await sending.deliver(*TEXTS)
        assert sending.buried == []
        await sending.delivery.close()
    assert len(await lines(store)) == len(TEXTS)
    assert PREFIX.startswith(CONTAINER[:16])


async def test_loki_without_metadata_knows_a_line_by_its_time_and_text(
    store: Server, tmp_path: Path
) -> None:
    secret = tmp_path / "secret"
    secret.write_text(f"{TOKEN}\n")
    config = LokiConfig(url=store.url, token_file=secret, structured_metadata=False)
    sending = Sending(config, tmp_path)
    for _ in range(2):
        await sending.deliver(*TEXTS)
    await sending.delivery.close()
    assert Counter(line["message"] for line in await lines(store)) == Counter(TEXTS)


async def test_elasticsearch_s_client(store: Server) -> None:
    def send() -> None:
        given = {"basic_auth": ("elastic", TOKEN)}, {"api_key": TOKEN}
        for number, auth in enumerate(given):
            with elasticsearch.Elasticsearch(store.url, http_compress=True, **auth) as client:
                assert client.info()["cluster_name"] == "wharfinger"
                assert client.cluster.health()["status"] == "green"
                assert client.license.get()["license"]["status"] == "active"
                if not client.indices.exists_index_template(name="logs"):
                    client.indices.put_index_template(name="logs", index_patterns=["logs-*"])
                if not client.indices.exists(index="logs-x"):
                    client.indices.create(index="logs-x")
                actions = [
                    {"_op_type": kind, "_index": "logs-x", "_id": f"{kind}-{number}",
                     "@timestamp": "2026-07-01T10:00:07Z", "message": f"{kind} {number}",
                     "host": {"name": "h1"}, "n": 7}
                    for kind in ("create", "index")
                ]  # fmt: skip
                for _ in range(2):
                    assert elastic_helpers.bulk(client, actions) == (2, [])
                bad = [{"_index": "logs-x", "@timestamp": "never", "message": "bad"}]
                done, errors = elastic_helpers.bulk(client, bad, raise_on_error=False)
                assert (done, errors[0]["index"]["status"]) == (0, 400)

    await asyncio.to_thread(send)
    found = await lines(store)
    assert sorted(line["message"] for line in found) == [
        "create 0",
        "create 1",
        "index 0",
        "index 1",
    ]
    assert {(line["host"], line["n"], line["fields.host"]["name"]) for line in found} == {
        ("h1", 7, "h1")
    }


async def test_opensearch_s_client(store: Server) -> None:
    def send() -> None:
        client = opensearchpy.OpenSearch(
            store.url, http_auth=("any", TOKEN), http_compress=True, timeout=30
        )
        assert client.info()["cluster_name"] == "wharfinger"
        actions = [
            {"_op_type": "create", "_index": "logs", "_id": str(n), "message": f"line {n}"}
            for n in range(1_000)
        ]
        for _ in range(2):
            done, errors = opensearch_helpers.bulk(client, actions, chunk_size=300)
            assert (done, errors) == (1_000, [])
        client.close()

    await asyncio.to_thread(send)
    assert Counter(line["message"] for line in await lines(store)) == Counter(
        f"line {n}" for n in range(1_000)
    )


@pytest.mark.parametrize("compression", list(Compression))
async def test_opentelemetry_s_exporter(store: Server, compression: Compression) -> None:
    def send() -> None:
        resource = Resource.create({"service.name": "shop", "deployment.environment.name": "prod"})
        provider = LoggerProvider(resource=resource)
        exporter = OTLPLogExporter(
            f"{store.url}/v1/logs",
            headers={"Authorization": f"Bearer {TOKEN}"},
            compression=compression,
        )
        provider.add_log_record_processor(BatchLogRecordProcessor(exporter))
        logger = logging.getLogger("wharfinger-test-otlp")
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # its handler has moved to another package
            handler = LoggingHandler(logger_provider=provider)
        logger.addHandler(handler)
        logger.propagate = False
        try:
            logger.warning("from the SDK", extra={"user": 7, "tags": ["a", "b"]})
            logger.error("second %s", "line")
            assert provider.force_flush()
        finally:
            logger.removeHandler(handler)
            provider.shutdown()

    await asyncio.to_thread(send)
    second, first = sorted(await lines(store), key=lambda line: str(line["message"]), reverse=True)
    assert (first["message"], second["message"]) == ("from the SDK", "second line")
    assert (first["level"], second["level"]) == ("warn", "error")
    assert (first["app"], first["env"], first["user"], first["tags"]) == (
        "shop",
        "prod",
        7,
        ["a", "b"],
    )
    assert first["otel.scope.name"] == "wharfinger-test-otlp"


@pytest.mark.real
async def test_rsyslog_s_omelasticsearch(store: Server, tmp_path: Path) -> None:
    """It asks `_cat/health`, sends bulks, and sends again what was not taken."""
    rsyslog = ElasticRsyslog(tmp_path / "rsyslog", store.url, TOKEN)
    await rsyslog.start()
    try:
        expected = [f"message {n}" for n in range(300)]
        await asyncio.to_thread(rsyslog.log, expected[:150])
        await until(lambda: arrived(store, 150), timeout_seconds=60, what="half is stored")
        await store.process.kill()
        await asyncio.to_thread(rsyslog.log, expected[150:])
        await store.start()
        await until(lambda: arrived(store, 300), timeout_seconds=90, what="all is stored")
    finally:
        await rsyslog.process.terminate()
    found = await lines(store)
    assert sorted(line["message"] for line in found) == sorted(expected)
    assert {(line["app"], line["level"]) for line in found} == {("shop", "warn")}


async def arrived(store: Server, count: int) -> bool:
    return len({line["message"] for line in await lines(store)}) >= count
