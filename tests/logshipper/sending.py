"""A delivery into any sink, with what it told."""

import json
from collections.abc import Sequence
from pathlib import Path

from prometheus_client import CollectorRegistry

from logshipper.deadletter import DeadLetters
from logshipper.decode import Record
from logshipper.delivery import Delivery
from logshipper.encoding import Encoder
from logshipper.metrics import Metrics
from logshipper.sinkconfig import AnySink
from logshipper.sinks.catalogue import make
from wharfinger.backoff import Backoff
from wharfinger.events import Events
from wharfinger.health import Health

CONTAINER = "c0ffee" + "0" * 58
FIELDS = {
    "app": "shop",
    "env": "prod",
    "host": "h1",
    "container": CONTAINER,
    "container_name": "web",
    "image": "shop:1",
}
PREFIX = f"{CONTAINER[:16]}.abc."


def encoded(encoder: Encoder, texts: Sequence[str], *, begin: int = 0) -> list[bytes]:
    """Documents with ids that follow each other, a millisecond apart."""
    records = [
        Record(f"{text}\n", "stdout", f"2026-07-01T10:00:07.{number:03}000001Z")
        for number, text in enumerate(texts)
    ]
    return encoder.lines(PREFIX, begin, records, [0] * len(texts), "2026-07-01T00:00:00Z")


class Sending:
    """A delivery into a sink; `folder` holds its dead letters."""

    def __init__(self, config: AnySink, folder: Path) -> None:
        self.sink = make(config)
        self.registry = CollectorRegistry()
        self.events = Events()
        self.health = Health(self.events)
        self.letters = DeadLetters(folder / "dead-letters.ndjson", config.type)
        self.delivery = Delivery(
            "main",
            self.sink,
            self.letters,
            metrics=Metrics(self.registry),
            events=self.events,
            check=self.health.check("sink"),
            letters_check=self.health.check("dead letters"),
            backoff=Backoff(0.01, 0.05),
        )

    def documents(self, *texts: str, begin: int = 0) -> list[bytes]:
        return encoded(self.sink.encoding.compile(FIELDS), texts, begin=begin)

    async def deliver(self, *texts: str) -> None:
        await self.delivery.deliver(self.documents(*texts))

    @property
    def buried(self) -> list[dict[str, object]]:
        if not self.letters.path.exists():
            return []
        return [json.loads(each) for each in self.letters.path.read_text().splitlines()]
