"""What aiokafka is handed, and what is made of its results: no broker of Kafka's own is asked."""

import asyncio
import ssl
from collections.abc import AsyncIterator, Callable
from datetime import UTC, datetime, timedelta
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
from tests.stack.kafka import Broker
from tests.stack.tls import Authority, KeyPair
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
    assert "s3cret" not in repr(sink._running)


async def test_aiokafka_takes_the_settings() -> None:
    sink = Kafka(KafkaConfig(servers=("127.0.0.1:1",), request_timeout_seconds=20))
    with pytest.raises(Unavailable):
        await sink.send(encoded(sink.encoding.compile(FIELDS), ["one"]))
    await sink.close()


async def test_a_rotated_password_is_tried_after_a_refusal(
    producers: list[Producer], tmp_path: Path
) -> None:
    secret = tmp_path / "password"
    secret.write_text("old\n")
    sink = Kafka(KafkaConfig(user="me", password_file=secret), Producer)
    documents = encoded(sink.encoding.compile(FIELDS), ["one"])
    Producer.unreachable = True
    secret.write_text("new\n")
    with pytest.raises(Unavailable):
        await sink.send(documents)
    Producer.unreachable = False
    await sink.send(documents)
    assert [each.settings["sasl_plain_password"] for each in producers] == ["old", "new"]
    secret.unlink()
    Producer.unreachable = True
    sink._running = None
    with pytest.raises(Unavailable, match="password cannot be read again"):
        await sink.send(documents)


async def until(condition: Callable[[], object]) -> None:
    async with asyncio.timeout(20):
        while not condition():  # noqa: ASYNC110 - of sockets, not of a task
            await asyncio.sleep(0.005)


class Guarded:
    """A sink, and a broker that wants to see certificates of the same authority."""

    def __init__(self, folder: Path) -> None:
        self.authority = Authority(folder)
        self._theirs = self.authority.issue("broker", "127.0.0.1")
        context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH, cafile=self.authority.ca_file)
        context.load_cert_chain(self._theirs.cert_file, self._theirs.key_file)
        context.verify_mode = ssl.CERT_REQUIRED
        self.broker = Broker(context, "logs")
        self.pair = self.issue()

    def issue(self, ends: datetime | None = None) -> KeyPair:
        return self.authority.issue("shipper", ends=ends)

    def sink(self, **settings: Any) -> Kafka:
        config = KafkaConfig(
            servers=(f"127.0.0.1:{self.broker.port}",),
            tls=True,
            requests=2,
            ca_file=self.authority.ca_file,
            cert_file=self.pair.cert_file,
            key_file=self.pair.key_file,
            **settings,
        )
        return Kafka(config)

    @property
    def brought(self) -> list[str]:
        """The texts that the broker has, as often as it has them."""
        return [value.decode().partition('"message":"')[2][:5] for _, value in self.broker.taken]

    @property
    def shown(self) -> list[str]:
        """The certificates that came with them, each once."""
        return list(dict.fromkeys(serial for serial, _ in self.broker.taken))


@pytest.fixture
async def guarded(tmp_path: Path) -> AsyncIterator[Guarded]:
    made = Guarded(tmp_path)
    async with made.broker:
        yield made


async def looked(sink: Kafka) -> None:
    """As it is looked again and again."""
    assert sink.certificates is not None
    for _ in range(2):
        await sink.certificates.look()


async def test_a_renewed_pair_is_shown_between_two_batches(guarded: Guarded) -> None:
    sink = guarded.sink()
    encoder = sink.encoding.compile(FIELDS)
    for batch in ("a", "b"):
        assert (
            await sink.send(encoded(encoder, [f"{batch}-{n:03}" for n in range(9)]))
        ).accepted == 9
    assert len(guarded.shown) == 1
    await looked(sink)
    guarded.issue()
    await looked(sink)
    assert (await sink.send(encoded(encoder, [f"c-{n:03}" for n in range(9)]))).accepted == 9
    assert len(guarded.shown) == 2
    assert guarded.brought == [f"{batch}-{n:03}" for batch in "abc" for n in range(9)]
    await until(lambda: guarded.broker.connections <= 2)  # one for metadata, one for records
    await sink.close()
    await until(lambda: not guarded.broker.connections)


async def test_a_batch_on_its_way_keeps_its_connection_to_its_end(guarded: Guarded) -> None:
    sink = guarded.sink()
    encoder = sink.encoding.compile(FIELDS)
    guarded.broker.answering.clear()
    first = asyncio.create_task(sink.send(encoded(encoder, ["a-000", "a-001"])))
    await until(lambda: len(guarded.broker.taken) == 2)
    await looked(sink)
    guarded.issue()
    await looked(sink)
    second = asyncio.create_task(sink.send(encoded(encoder, ["b-000"])))
    await until(lambda: len(guarded.broker.taken) == 3)
    assert len(guarded.shown) == 2
    assert not first.done()
    guarded.broker.answering.set()
    assert ((await first).accepted, (await second).accepted) == (2, 1)
    assert guarded.brought == ["a-000", "a-001", "b-000"]
    await sink.close()
    await until(lambda: not guarded.broker.connections)


@pytest.mark.parametrize("renewed", [False, True])
async def test_what_was_given_up_holds_no_producer_open(
    guarded: Guarded, monkeypatch: pytest.MonkeyPatch, renewed: bool
) -> None:
    """aiokafka itself would try it again for ever."""
    monkeypatch.setattr("logshipper.sinks.kafka.STOP_SECONDS", 0.1)
    sink = guarded.sink(request_timeout_seconds=2.0)
    documents = encoded(sink.encoding.compile(FIELDS), ["a-000"])
    assert (await sink.send(documents)).accepted == 1
    guarded.broker.answering.clear()
    with pytest.raises(Unavailable, match="did not answer in 2 s"):
        await sink.send(documents)
    if renewed:
        await looked(sink)
        guarded.issue()
        await looked(sink)
        guarded.broker.answering = asyncio.Event()
        guarded.broker.answering.set()
        assert (await sink.send(documents)).accepted == 1
        assert len(guarded.shown) == 2
    async with asyncio.timeout(20):
        await sink.close()
    # Nothing goes on with what was given up.
    assert not [each for each in asyncio.all_tasks() if "aiokafka" in repr(each)]


async def test_a_pair_that_has_ended_is_told_and_a_new_one_is_tried_next(guarded: Guarded) -> None:
    guarded.issue(ends=datetime.now(UTC) - timedelta(hours=2))
    sink = guarded.sink()
    documents = encoded(sink.encoding.compile(FIELDS), ["a-000"])
    with pytest.raises(Unavailable, match=r"cert_file .* ended at .*: put a new pair"):
        await sink.send(documents)
    with pytest.raises(Unavailable):
        await sink.reach()
    guarded.issue()
    await sink.reach()
    assert (await sink.send(documents)).accepted == 1
    await sink.close()


async def test_one_broker_that_answers_is_enough(guarded: Guarded) -> None:
    sink = guarded.sink()
    away = KafkaConfig(
        servers=("127.0.0.1:1", *sink._config.servers), tls=True, ca_file=guarded.authority.ca_file,
        cert_file=guarded.pair.cert_file, key_file=guarded.pair.key_file,
    )  # fmt: skip
    await Kafka(away).reach()
    nobody = Kafka(KafkaConfig(servers=("127.0.0.1:1", "127.0.0.1:2")))
    with pytest.raises(Unavailable, match=r"127.0.0.1:1: .*; 127.0.0.1:2: "):
        await nobody.reach()
