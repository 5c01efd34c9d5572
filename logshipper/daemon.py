"""The log shipper: its parts, wired."""

import asyncio
import contextlib
import resource
from collections.abc import Awaitable, Callable, Iterator
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

from logshipper import sinkcertificates
from logshipper.account import Standing, label
from logshipper.alarms import Alarms
from logshipper.api.entries import Entries
from logshipper.apishipping import ApiShipping
from logshipper.batch import Limits
from logshipper.checkpoint import Checkpoint
from logshipper.config import Config
from logshipper.daemonevents.follower import following
from logshipper.deadletter import FILE_NAME, DeadLetters
from logshipper.decisions import Decisions
from logshipper.delivery import Delivery
from logshipper.encoding import Encoding
from logshipper.files.text import TextLines
from logshipper.fileshipping import FileShipping
from logshipper.inotify import Watches
from logshipper.keeper import Keeper
from logshipper.metrics import LogCollector, Metrics
from logshipper.model import Loss, Progress, Route
from logshipper.pipeline import Pipeline, Typed
from logshipper.retention import Retention
from logshipper.shipment import Shipment
from logshipper.sinkconfig import AnySink
from logshipper.sinks.catalogue import make
from logshipper.sinks.contract import Sink
from logshipper.sources import Sources
from logshipper.spool import Spool
from wharfinger import neighbours
from wharfinger.backoff import Backoff
from wharfinger.container import Container
from wharfinger.dockerd import Docker
from wharfinger.dockerlogs import DockerLogs
from wharfinger.errors import ConfigError, Finding
from wharfinger.health import Check
from wharfinger.lifecycle import Scope
from wharfinger.lock import holding

DOCKER_STALE_SECONDS = 30.0
WATCH_SECONDS = 1.0

T = TypeVar("T")


class Logshipper:
    """Brings the log of every container into every sink."""

    name = "logshipper"

    def __init__(self, config: Config, scope: Scope) -> None:
        self._config = config
        self._scope = scope
        self._metrics = Metrics(scope.metrics)
        scope.metrics.register(LogCollector(self._standings))
        self._alarms = Alarms(scope.health, scope.events, self._metrics, config.logshipper)
        self._shipments: list[Shipment] = []
        self._sinks: dict[str, Sink] = {}
        self._deliveries: dict[str, Delivery] = {}
        self._sources: Sources | None = None
        self._files: FileShipping | None = None
        self._decisions: Decisions | None = None
        self._api: ApiShipping | None = None

    async def start(self) -> None:
        """Opens the checkpoints and every log; waits for Docker as long as it takes.

        The host's own files are shipped meanwhile.
        """
        _raise_file_limit()
        config = self._config.logshipper
        urls = neighbours.urls(self._scope.config_path) if config.events else {}
        if config.events:
            urls[self.name] = f"http://{config.listen}"
        for sink in config.sinks:
            keeper = await self._keeper(sink)
            shipment = self._shipment(sink, keeper, await self._retention(sink.name, keeper.folder))
            await self._scope.enter(contextlib.aclosing(shipment))
            self._shipments.append(shipment)
            for name, loop in following(
                urls,
                self._config.host.name,
                keeper.folder,
                delivery=self._deliveries[sink.name],
                encoding=self._sinks[sink.name].encoding,
                metrics=self._metrics,
            ):
                self._scope.spawn(name, loop)
        docker = await self._scope.enter(Docker(self._config.docker))
        logs = await self._scope.enter(DockerLogs(self._config.docker))
        api = self._api = ApiShipping(self._shipments, logs, docker, events=self._scope.events)
        files = self._files = FileShipping(
            self._config,
            self._shipments,
            events=self._scope.events,
            watches=Watches(self._scope.health.check("inotify of files")),
        )
        # Before Docker is waited for: the host's own files must not wait with the containers.
        files.begin_on_host()
        self._spawn_shipping(files)
        sources = Sources(
            docker,
            self,
            events=self._scope.events,
            check=self._scope.health.check("docker", stale_after_seconds=DOCKER_STALE_SECONDS),
            folder_check=self._scope.health.check("containers folder"),
            watches=Watches(self._scope.health.check("inotify")),
            poll_seconds=config.poll_seconds,
        )
        self._sources = sources
        self._decisions = Decisions(
            self._config,
            self._shipments,
            api,
            files,
            events=self._scope.events,
            folder_of=sources.folder,
        )
        await self._scope.enter(sources.opened())
        for container_id in {each for shipment in self._shipments for each in shipment.known()}:
            await sources.follow(container_id)
        files.begin_in_containers(is_there=sources.is_there)
        self._scope.spawn("docker watch", sources.watch_docker())
        self._scope.spawn("file watch", sources.watch_files())
        self._scope.spawn("file poll", sources.poll())
        self._scope.spawn("container questions", sources.answer_questions())
        self._scope.spawn("docker logs", api.run())

    def _spawn_shipping(self, files: FileShipping) -> None:
        for shipment in self._shipments:
            for name, loop in shipment.loops():
                self._scope.spawn(name, loop)
        for name, loop in files.loops():
            self._scope.spawn(name, loop)
        self._scope.spawn("lag and loss", self._watch_over())

    async def drain(self) -> None:
        """Reads no more, and waits until all that was read is acknowledged."""
        # At once: a sink that is down must not keep the others from their last acknowledgement.
        await asyncio.gather(*(shipment.drain() for shipment in self._shipments))

    def status(self) -> dict[str, Any]:
        """Where each log stands in each sink."""
        told: dict[str, Any] = {"sinks": [shipment.status() for shipment in self._shipments]}
        if self._files is not None:
            told["files_left_out"] = self._files.troubles()
        return told

    async def reload(self, config: Config) -> None:
        """Takes the new configuration, and reads the secrets again that it names.

        What is done to lines and which sink takes which container changes without a restart.
        """
        findings: list[Finding] = []
        for sink in self._sinks.values():
            try:
                await asyncio.to_thread(sink.refresh)
            except ConfigError as error:
                findings += error.findings
        if findings:
            raise ConfigError(findings)
        self._config = config
        self._alarms.reload(config.logshipper)
        if self._decisions is not None:
            self._decisions.reload(config)
            await self.look()

    # What the sources tell; each shipment has files and positions of its own.

    async def open(self, container_id: str, folder: str, base: str) -> None:
        """Opens a log in every shipment."""
        for shipment in self._shipments:
            await shipment.open(container_id, folder, base)

    async def look(self, *container_ids: str) -> None:
        """Looks for new files in every shipment."""
        for shipment in self._shipments:
            await shipment.look(*container_ids)

    def wake(self, container_id: str) -> None:
        """Has a log read in every shipment."""
        for shipment in self._shipments:
            shipment.wake(container_id)

    def learn(self, container: Container) -> None:
        """Decides what happens to a container's log."""
        if self._decisions is not None:
            self._decisions.learn(container)

    def started(self, container_id: str) -> None:
        """Reads what a container says that was stopped."""
        if self._api is not None:
            self._api.started(container_id)

    def gone(self, container_id: str) -> None:
        """Lets a log end in every shipment."""
        if self._files is not None:
            self._files.gone(container_id)
        if self._api is not None:
            self._api.gone(container_id)
        for shipment in self._shipments:
            shipment.gone(container_id)

    async def _keeper(self, sink: AnySink) -> Keeper:
        """Reads a sink's checkpoint, which no other shipper may move meanwhile."""
        checkpoint = Checkpoint(self._config.folder_of(sink))
        check = self._scope.health.check(f"checkpoint {sink.name}")
        who = f"{self.name} of {self._config.host.name}"

        async def lock() -> None:
            checkpoint.folder.mkdir(parents=True, exist_ok=True, mode=0o700)
            await self._scope.enter(holding(checkpoint.folder / "lock", who))

        async def read() -> Keeper:
            return Keeper(checkpoint, check)

        await _once_the_disk_lets(lock, check, checkpoint.folder)
        keeper = await _once_the_disk_lets(read, check, checkpoint.folder)
        for refusal in checkpoint.refused:
            self._scope.events.emit("checkpoint refused", "error", sink=sink.name, why=refusal)
        return keeper

    async def _retention(self, name: str, folder: Path) -> partial[Retention]:
        """Reads a sink's spool; its shipment makes the retention."""
        config = self._config.logshipper
        check = self._scope.health.check(f"spool {name}")

        async def read() -> Spool:
            return await asyncio.to_thread(Spool, folder / "spool", config.spool_bytes)

        spool = await _once_the_disk_lets(read, check, folder)
        for refusal in spool.refused:
            self._scope.events.emit("spool refused", "error", sink=name, why=refusal)
            self._lose(name, "", Loss("corrupt", 0, f"spool of {name}: {refusal}"))
        return partial(
            Retention, name, spool, config.hold_deleted_bytes, metrics=self._metrics, check=check
        )

    def _shipment(self, sink: AnySink, keeper: Keeper, retention: partial[Retention]) -> Shipment:
        scope = self._scope
        made = make(sink)
        self._sinks[sink.name] = made
        sinkcertificates.begin(scope, sink.name, made)
        delivery = Delivery(
            sink.name,
            made,
            DeadLetters(keeper.folder / FILE_NAME, sink.type, limit_bytes=sink.dead_letter_bytes),
            metrics=self._metrics,
            events=scope.events,
            check=scope.health.check(f"sink {sink.name}"),
            letters_check=scope.health.check(f"dead letters {sink.name}"),
        )
        self._deliveries[sink.name] = delivery
        return Shipment(
            keeper,
            delivery,
            limits=Limits(sink.batch_bytes, made.limit_documents, sink.batch_seconds),
            requests=sink.requests,
            compile_pipeline=partial(self._compile, made.encoding),
            retention=retention,
            arm=self._arm,
            metrics=self._metrics,
            events=scope.events,
            on_loss=partial(self._lose, sink.name),
        )

    def _compile(
        self, encoding: Encoding, container_id: str, decided: Route, progress: Progress | None
    ) -> Pipeline:
        if decided.owner:
            return TextLines(
                decided.owner,
                decided.fields,
                encoding=encoding,
                limit_bytes=self._config.logshipper.max_message_bytes,
                now=_now,
                lines=decided.lines,
                progress=progress,
            )
        return (Entries if decided.driver else Typed)(
            container_id,
            decided.fields,
            encoding=encoding,
            limit_bytes=self._config.logshipper.max_message_bytes,
            fallback_time=_now(),
            lines=decided.lines,
            progress=progress,
        )

    def _arm(self, container_id: str, fd: int) -> None:
        if self._sources is not None:
            self._sources.arm(container_id, fd)

    def _lose(self, sink: str, container_id: str, loss: Loss) -> None:
        names = [each.called(container_id) for each in self._shipments if each.name == sink]
        self._alarms.lose(sink, container_id, next(iter(names), label(container_id)), loss)

    def _standings(self) -> Iterator[Standing]:
        for shipment in self._shipments:
            yield from shipment.standings()

    async def _watch_over(self) -> None:
        """Keeps the checks of lag, loss and files true, for ever."""
        while True:
            troubles = {each.name: each.trouble for each in self._shipments if each.trouble}
            self._alarms.look(tuple(self._standings()), troubles)
            if self._decisions is not None:
                self._decisions.forget_ended()
            await asyncio.sleep(WATCH_SECONDS)


def _now() -> str:
    return datetime.now(UTC).isoformat().replace("+00:00", "Z")


def _raise_file_limit() -> None:
    """Takes all open files that the machine grants: every log is held open, for each sink."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))


async def _once_the_disk_lets(work: Callable[[], Awaitable[T]], check: Check, folder: Path) -> T:
    """Waits for a disk that is full, read-only or not there yet.

    To go on without the checkpoint would be to ship every log again.
    """
    backoff = Backoff(0.5, 5.0)
    while True:
        try:
            return await work()
        except OSError as error:
            why = f"{folder} cannot be made or read: {error.strerror}"
            check.fail(f"{why}; is [host] state_dir right?")
        await asyncio.sleep(backoff.next_delay_seconds())
