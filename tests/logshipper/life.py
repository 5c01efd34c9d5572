"""A shipment with all that belongs to it, on a real file system, into a strict sink."""

import asyncio
from collections.abc import Callable
from functools import partial
from pathlib import Path

from prometheus_client import CollectorRegistry

from logshipper.batch import Limits
from logshipper.checkpoint import Checkpoint
from logshipper.deadletter import DeadLetters
from logshipper.delivery import Delivery
from logshipper.keeper import Keeper
from logshipper.metrics import Metrics
from logshipper.model import Loss, Progress, Route
from logshipper.pipeline import Typed
from logshipper.retention import Retention
from logshipper.shipment import Shipment
from logshipper.sinkconfig import BulkConfig
from logshipper.sinks.bulk import Bulk
from logshipper.sinks.encoding.bulk import BulkEncoding
from logshipper.spool import Spool
from tests.logshipper.dockerlog import DockerLog
from tests.logshipper.strict_sink import StrictSink
from wharfinger.backoff import Backoff
from wharfinger.events import Events
from wharfinger.health import Health

SHIPPED = Route(ship=True, fields={"app": "shop", "env": "prod"})


class Life:
    """One life of a shipment; ends like a process that is killed unless it is drained."""

    def __init__(
        self,
        sink: StrictSink,
        folder: Path,
        *,
        size_bytes: int = 20_000,
        hold_limit_bytes: int = 2**30,
        spool_bytes: int = 0,
        timeout_seconds: float = 30.0,
    ) -> None:
        self.events = Events()
        self.health = Health(self.events)
        self.losses: list[Loss] = []
        self.armed: list[str] = []
        self.registry = CollectorRegistry()
        metrics = Metrics(self.registry)
        config = BulkConfig(url=sink.url, request_timeout_seconds=timeout_seconds)
        self.delivery = Delivery(
            "main",
            Bulk(config),
            DeadLetters(folder / "dead-letters.ndjson"),
            metrics=metrics,
            events=self.events,
            check=self.health.check("sink"),
            letters_check=self.health.check("dead letters"),
            backoff=Backoff(0.01, 0.05),
        )
        self.checkpoint = Checkpoint(folder)
        self.shipment = Shipment(
            Keeper(self.checkpoint, self.health.check("checkpoint")),
            self.delivery,
            limits=Limits(size_bytes=size_bytes, age_seconds=0.02),
            requests=3,
            compile_pipeline=self._compile,
            retention=partial(
                Retention,
                "main",
                Spool(folder / "spool", spool_bytes),
                hold_limit_bytes,
                metrics=metrics,
                check=self.health.check("spool"),
            ),
            arm=lambda container, _: self.armed.append(container),
            metrics=metrics,
            events=self.events,
            on_loss=lambda _, loss: self.losses.append(loss),
        )
        self.tasks: list[asyncio.Task[None]] = []

    def _compile(self, container_id: str, route: Route, progress: Progress | None) -> Typed:
        return Typed(
            container_id,
            route.fields,
            encoding=BulkEncoding(),
            limit_bytes=2**20,
            fallback_time="t",
            lines=route.lines,
            progress=progress,
        )

    def start(self) -> None:
        loop = asyncio.get_running_loop()
        self.tasks = [loop.create_task(each, name=name) for name, each in self.shipment.loops()]

    async def follow(self, *logs: DockerLog, route: Route = SHIPPED) -> None:
        for log in logs:
            await self.shipment.open(log.container_id, str(log.folder), log.base)
            self.shipment.direct(log.container_id, route)

    async def stir(self) -> None:
        """What inotify and the poll do."""
        await self.shipment.look()

    def troubles(self) -> dict[str, str]:
        """Why logs cannot be read now."""
        return {e.container_id: e.trouble for e in self.shipment.standings() if e.trouble}

    async def kill(self) -> None:
        for task in self.tasks:
            task.cancel()
        results = await asyncio.gather(*self.tasks, return_exceptions=True)
        assert all(isinstance(each, asyncio.CancelledError) for each in results), results
        await self.shipment.aclose()


Begin = Callable[..., Life]


def complete(sink: StrictSink, *logs: DockerLog) -> Callable[[], bool]:
    return lambda: len(sink.documents) >= sum(len(log.written) for log in logs)
