"""Kafka, through aiokafka: acknowledged by every replica in sync, and once for each attempt."""

import asyncio
import ssl
from collections.abc import Callable, Sequence
from importlib import import_module
from typing import Any, Final

from logshipper.encoding import Encoding
from logshipper.model import Refusal, Verdict
from logshipper.sinkconfig import KafkaConfig
from logshipper.sinks.credentials import secret_lines, tls
from logshipper.sinks.encoding.jsonline import JsonlineEncoding, container_of
from logshipper.sinks.reach import reachable
from wharfinger.errors import ConfigError, Finding, Unavailable

TOO_LARGE_STATUS: Final = 413


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
        self._tls: ssl.SSLContext | None = None
        self._password = ""
        self._started: Any = None
        self._starting = asyncio.Lock()
        self._failures = import_module("aiokafka.errors")
        self.refresh()

    async def send(self, documents: Sequence[bytes]) -> Verdict:
        """Sends documents and tells what became of each.

        Raises:
            Unavailable: no broker answers.
        """
        limit = self._config.request_timeout_seconds
        try:
            async with asyncio.timeout(limit):
                producer = await self._running()
                waits = [
                    await producer.send(self._config.topic, document[:-1], container_of(document))
                    for document in documents
                ]
                results = await asyncio.gather(*waits, return_exceptions=True)
        except TimeoutError as error:
            raise Unavailable(f"{self._config.servers[0]} did not answer in {limit:g} s") from error
        except (self._failures.KafkaError, OSError) as error:
            await self._stop()
            raise Unavailable(f"{self._config.servers[0]}: {error!r:.200}") from error
        return self._judged(documents, results)

    async def reach(self) -> None:
        """Looks whether one of the brokers is there."""
        troubles = []
        for server in self._config.servers:
            host, _, port = server.rpartition(":")
            try:
                await reachable(host.strip("[]"), int(port), self._tls)
            except Unavailable as error:
                troubles.append(f"{server}: {error}")
            else:
                return
        raise Unavailable("; ".join(troubles))

    def refresh(self) -> None:
        """Reads the password and certificates again, for the next connection."""
        if self._config.password_file is not None:
            self._password = secret_lines(self._config, "password_file")[0]
        if self._config.tls:
            self._tls = tls(self._config)

    async def close(self) -> None:
        """Closes its connections."""
        await self._stop()

    async def _running(self) -> Any:
        async with self._starting:
            if self._started is None:
                producer = self._make(**self._settings())
                try:
                    await producer.start()
                except BaseException:
                    await producer.stop()
                    raise
                self._started = producer
            return self._started

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
        if self._tls is not None:
            settings["ssl_context"] = self._tls
        kinds = {(0, 0): "PLAINTEXT", (0, 1): "SSL", (1, 0): "SASL_PLAINTEXT", (1, 1): "SASL_SSL"}
        settings["security_protocol"] = kinds[int(bool(config.user)), int(self._tls is not None)]
        return settings

    async def _stop(self) -> None:
        producer, self._started = self._started, None
        if producer is not None:
            await producer.stop()

    def _judged(self, documents: Sequence[bytes], results: Sequence[object]) -> Verdict:
        again, refused = [], []
        for document, result in zip(documents, results, strict=True):
            if isinstance(result, self._failures.MessageSizeTooLargeError):
                refused.append(Refusal(document, TOO_LARGE_STATUS, f"{result!r:.200}"))
            elif isinstance(result, BaseException):
                again.append(document)
        accepted = len(documents) - len(again) - len(refused)
        return Verdict(accepted, tuple(again), tuple(refused))


def _producer() -> Callable[..., Any]:
    try:
        made: Callable[..., Any] = import_module("aiokafka").AIOKafkaProducer
    except ImportError as error:
        fix = "pip install 'wharfinger[kafka]'"
        raise ConfigError([Finding("logshipper.sinks", f"type kafka: {error}", fix)]) from error
    return made
