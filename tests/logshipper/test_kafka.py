"""What aiokafka is handed, and what is made of its results: no broker is asked, none is tested."""

import asyncio
from pathlib import Path
from typing import Any

import pytest
from aiokafka.errors import (
    KafkaConnectionError,
    MessageSizeTooLargeError,
    NotLeaderForPartitionError,
)

from logshipper.sinkconfig import KafkaConfig
from logshipper.sinks.kafka import Kafka
from tests.logshipper.sending import CONTAINER, FIELDS, encoded
from wharfinger.errors import Unavailable


class Producer:
    """Stands where aiokafka's producer stands."""

    made: list["Producer"] = []  # noqa: RUF012
    errors: list[Exception | None] = []  # noqa: RUF012
    unreachable = False

    def __init__(self, **settings: Any) -> None:
        self.settings = settings
        self.sent: list[tuple[str, bytes, bytes]] = []
        self.stopped = False
        self.made.append(self)

    async def start(self) -> None:
        if self.unreachable:
            raise KafkaConnectionError("nobody there")

    async def stop(self) -> None:
        self.stopped = True

    async def send(self, topic: str, value: bytes, key: bytes) -> "asyncio.Future[None]":
        self.sent.append((topic, value, key))
        result = asyncio.get_running_loop().create_future()
        error = self.errors.pop(0) if self.errors else None
        if error is not None:
            result.set_exception(error)
        else:
            result.set_result(None)
        return result


@pytest.fixture
def producers(monkeypatch: pytest.MonkeyPatch) -> list[Producer]:
    monkeypatch.setattr(Producer, "made", [])
    monkeypatch.setattr(Producer, "errors", [])
    monkeypatch.setattr(Producer, "unreachable", False)
    return Producer.made


async def test_lines_are_keyed_by_container_and_wait_for_every_replica(
    producers: list[Producer],
) -> None:
    sink = Kafka(KafkaConfig(topic="t"), Producer)
    documents = encoded(sink.encoding.compile(FIELDS), ["one", "two"])
    assert (await sink.send(documents)).accepted == 2
    [producer] = producers
    assert producer.settings["acks"] == "all"
    assert producer.settings["enable_idempotence"] is True
    assert producer.settings["security_protocol"] == "PLAINTEXT"
    assert [(topic, key) for topic, _, key in producer.sent] == [("t", CONTAINER[:16].encode())] * 2
    assert producer.sent[0][1] == documents[0][:-1]
    await sink.close()
    assert producer.stopped


async def test_each_message_has_its_own_fate(producers: list[Producer]) -> None:
    sink = Kafka(KafkaConfig(), Producer)
    Producer.errors = [None, MessageSizeTooLargeError(), NotLeaderForPartitionError()]
    documents = encoded(sink.encoding.compile(FIELDS), ["good", "long", "again"])
    verdict = await sink.send(documents)
    assert verdict.accepted == 1
    assert [refusal.document for refusal in verdict.refused] == [documents[1]]
    assert verdict.again == (documents[2],)


async def test_no_broker_is_unavailable_and_asked_again(producers: list[Producer]) -> None:
    sink = Kafka(KafkaConfig(), Producer)
    Producer.unreachable = True
    documents = encoded(sink.encoding.compile(FIELDS), ["one"])
    with pytest.raises(Unavailable):
        await sink.send(documents)
    assert producers[0].stopped
    Producer.unreachable = False
    assert (await sink.send(documents)).accepted == 1
    assert len(producers) == 2


async def test_the_password_goes_to_sasl_alone(producers: list[Producer], tmp_path: Path) -> None:
    secret = tmp_path / "password"
    secret.write_text("s3cret\n")
    sink = Kafka(KafkaConfig(user="me", password_file=secret), Producer)
    await sink.send(encoded(sink.encoding.compile(FIELDS), ["one"]))
    assert producers[0].settings["sasl_plain_password"] == "s3cret"
    assert producers[0].settings["security_protocol"] == "SASL_PLAINTEXT"


async def test_aiokafka_takes_the_settings() -> None:
    sink = Kafka(KafkaConfig(servers=("127.0.0.1:1",), request_timeout_seconds=20))
    with pytest.raises(Unavailable):
        await sink.send(encoded(sink.encoding.compile(FIELDS), ["one"]))
    await sink.close()
