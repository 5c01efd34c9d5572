"""Kafka, through aiokafka: acknowledged by every replica in sync, and once for each attempt."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import dataclass, field
from importlib import import_module
from typing import Any, Final

from logshipper.encoding import Encoding
from logshipper.model import Refusal, Verdict
from logshipper.sinkconfig import KafkaConfig
from logshipper.sinks.certificates import Certificates
from logshipper.sinks.credentials import secret_lines
from logshipper.sinks.encoding.jsonline import JsonlineEncoding, container_of
from logshipper.sinks.reach import reachable
from wharfinger.errors import ConfigError, Finding, Unavailable

TOO_LARGE_STATUS: Final = 413
# aiokafka tries a batch again for ever, be it given up by us or not, and its stop waits for that.
STOP_SECONDS: Final = 3.0


@dataclass(slots=True)
class Running:
    """A producer that was started.

    Attributes:
        producer: aiokafka's.
        settings: it was made with: certificates and a password among them.
        users: batches that are on their way with it.
    """

    producer: Any
    settings: dict[str, Any] = field(repr=False)
    users: int = 0


class Kafka:
    """One topic; the key of a message is its container, so its lines stay in order.

    Args:
        config: the sink's.
        make: of the producer; aiokafka's own unless given.

    Attributes:
        encoding: of the documents that it takes.
        limit_documents: more are never sent at once.

    Raises:
        ConfigError: aiokafka is not installed, or a secret or certificate cannot be used.
    """

    remote = True
    limit_documents = 20_000

    def __init__(self, config: KafkaConfig, make: Callable[..., Any] | None = None) -> None:
        self._config = config
        self.encoding: Encoding = JsonlineEncoding()
        self._make = make or _producer()
        self.certificates = Certificates(config) if config.tls else None
        self._password = self._read_password()
        self._running: Running | None = None
        self._starting = asyncio.Lock()
        self._ending: set[asyncio.Task[None]] = set()
        self._failures = import_module("aiokafka.errors")

    async def send(self, documents: Sequence[bytes]) -> Verdict:
        """Sends documents and tells what became of each.

        Raises:
            Unavailable: no broker answers.
        """
        limit = self._config.request_timeout_seconds
        try:
            async with asyncio.timeout(limit), self._lent() as producer:
                waits = [
                    await producer.send(self._config.topic, document[:-1], container_of(document))
                    for document in documents
                ]
                results = await asyncio.gather(*waits, return_exceptions=True)
        except TimeoutError as error:
            raise Unavailable(f"{self._config.servers[0]} did not answer in {limit:g} s") from error
        except (self._failures.KafkaError, OSError) as error:
            renewed = await self._renewed()
            raise Unavailable(f"{self._config.servers[0]}: {error!r:.200}{renewed}") from error
        return self._judged(documents, results)

    async def reach(self) -> None:
        """Looks whether one of the brokers is there."""
        troubles = await asyncio.gather(*map(self._unreachable, self._config.servers))
        if all(troubles):
            raise Unavailable("; ".join(troubles))

    def refresh(self) -> None:
        """Reads the password and certificates again, for the next batch."""
        self._password = self._read_password()
        if self.certificates is not None:
            self.certificates.refresh()

    async def close(self) -> None:
        """Closes its connections."""
        if self._running is not None:
            self._end(self._running)
            self._running = None
        await asyncio.gather(*self._ending)

    async def _unreachable(self, server: str) -> str:
        host, _, port = server.rpartition(":")
        place = host.strip("[]"), int(port)
        try:
            if self.certificates is None:
                await reachable(*place)
            else:
                await self.certificates.reach(*place)
        except Unavailable as error:
            return f"{server}: {error}"
        return ""

    @contextlib.asynccontextmanager
    async def _lent(self) -> AsyncIterator[Any]:
        running = await self._latest()
        running.users += 1
        try:
            yield running.producer
        except (self._failures.KafkaError, OSError):
            if self._running is running:
                self._running = None
            raise
        finally:
            running.users -= 1
            if self._running is not running and not running.users:
                self._end(running)

    async def _latest(self) -> Running:
        """The producer that has what is read of secrets; a batch on its way keeps its own."""
        async with self._starting:
            running, settings = self._running, self._settings()
            if running is not None and running.settings != settings:
                self._running = None  # its last user ends it
                if not running.users:
                    # All is acknowledged, or was given up: it ends before another begins.
                    await asyncio.shield(self._end(running))
            if self._running is None:
                producer = self._make(**settings)
                try:
                    await producer.start()
                except BaseException:
                    await producer.stop()
                    raise
                self._running = Running(producer, settings)
            return self._running

    def _end(self, running: Running) -> "asyncio.Task[None]":
        """Stops a producer in a task of its own: one whose end is cut short is left half open."""
        ending = asyncio.create_task(_stopped(running.producer))
        self._ending.add(ending)
        ending.add_done_callback(self._ending.discard)
        return ending

    def _settings(self) -> dict[str, Any]:
        config = self._config
        settings: dict[str, Any] = {
            "bootstrap_servers": list(config.servers),
            "client_id": "wharfinger-logshipper",
            "acks": "all",
            "enable_idempotence": True,
            "compression_type": None if config.compression == "none" else config.compression,
            "linger_ms": 5,
        }
        if config.user:
            settings |= {
                "sasl_mechanism": config.mechanism,
                "sasl_plain_username": config.user,
                "sasl_plain_password": self._password,
            }
        if self.certificates is not None:
            settings["ssl_context"] = self.certificates.latest
        kinds = {(0, 0): "PLAINTEXT", (0, 1): "SSL", (1, 0): "SASL_PLAINTEXT", (1, 1): "SASL_SSL"}
        settings["security_protocol"] = kinds[int(bool(config.user)), int(config.tls)]
        return settings

    async def _renewed(self) -> str:
        """What was rotated is taken up by the next attempt; what there is to say of it."""
        try:
            self._password = await asyncio.to_thread(self._read_password)
        except ConfigError as error:
            return f"; and its password cannot be read again: {error}"
        if self.certificates is None:
            return ""
        return await asyncio.to_thread(self.certificates.renewed)

    def _read_password(self) -> str:
        if self._config.password_file is None:
            return ""
        return secret_lines(self._config, "password_file")[0]

    def _judged(self, documents: Sequence[bytes], results: Sequence[object]) -> Verdict:
        again, refused = [], []
        for document, result in zip(documents, results, strict=True):
            if isinstance(result, self._failures.MessageSizeTooLargeError):
                refused.append(Refusal(document, TOO_LARGE_STATUS, f"{result!r:.200}"))
            elif isinstance(result, BaseException):
                again.append(document)
        accepted = len(documents) - len(again) - len(refused)
        return Verdict(accepted, tuple(again), tuple(refused))


async def _stopped(producer: Any) -> None:
    """Stops it; what it has not brought by then was given up, and is sent again by another."""
    stopping = asyncio.create_task(producer.stop())
    _, late = await asyncio.wait([stopping], timeout=STOP_SECONDS)
    # Nothing that is public ends its sender, for which `stop` waits, too.
    sender = producer._sender.sender_task if late else None  # noqa: SLF001
    if sender is not None:
        while not sender.done():
            sender.cancel()  # the first time it still waits for requests under way
            await asyncio.sleep(0)
        producer._message_accumulator.fail_all(TimeoutError())  # noqa: SLF001
    await stopping


def _producer() -> Callable[..., Any]:
    try:
        made: Callable[..., Any] = import_module("aiokafka").AIOKafkaProducer
    except ImportError as error:
        fix = "pip install 'wharfinger[kafka]'"
        raise ConfigError([Finding("logshipper.sinks", f"type kafka: {error}", fix)]) from error
    return made
