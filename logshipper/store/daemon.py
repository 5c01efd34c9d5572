"""The log store's wiring: folder, writer, readers, routes; its health and status."""

import asyncio
import contextlib
import resource
import time
from collections.abc import AsyncIterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, asynccontextmanager
from pathlib import Path
from typing import Any, Final

from logshipper.store.config import Config, LogstoreConfig
from logshipper.store.engine import schema, swap
from logshipper.store.engine.folder import DiskTrouble, Folder
from logshipper.store.engine.intake import Intake
from logshipper.store.engine.retention import Limits
from logshipper.store.engine.writer import Writer
from logshipper.store.fleet.fleet import Fleet
from logshipper.store.http.api import Api
from logshipper.store.http.elastic import Elastic
from logshipper.store.http.ingest import Ingest
from logshipper.store.http.loki.routes import Loki
from logshipper.store.http.pages import Pages
from logshipper.store.http.push import Push
from logshipper.store.http.signin import SignIn
from logshipper.store.metrics import Metrics
from logshipper.store.query.archive import Archive
from logshipper.store.query.embedded import Embedded
from logshipper.store.query.tail import Tails
from logshipper.store.query.turns import Turns
from logshipper.store.who import Who
from wharfinger.backoff import Backoff
from wharfinger.errors import ConfigError, Conflict, Finding, WharfingerError
from wharfinger.lifecycle import Scope

_WATCH_SECONDS: Final = 0.5
_READERS: Final = 4
# Far beyond any commit on a disk that answers.
_STUCK_SECONDS: Final = 20.0


class WriterEndedError(WharfingerError):
    """The writer's thread has ended by itself; nothing can be stored any more."""


class Logstore:
    """The log store.

    Args:
        config: all that it reads of the file.
        scope: what the lifecycle lends.
    """

    def __init__(self, config: Config, scope: Scope) -> None:
        self._config = config
        self._scope = scope
        self._loop = asyncio.get_running_loop()
        self._folder = Folder(config.data_dir)
        self._metrics = Metrics(scope.metrics)
        self._readers = Turns(_READERS, self._metrics.waiting.set)
        self._parser = ThreadPoolExecutor(1, "parser")
        self._archive = Archive(self._folder)
        self._tails = Tails(self._loop, self._metrics)
        self._intake = Intake(config.logstore.queue_bytes, self._metrics)
        self._writer = Writer(
            self._folder,
            self._intake,
            _limits(config.logstore),
            self._metrics,
            tell=self._tell,
            committed=self._tails.committed,
        )
        self._who = Who(config.logstore, scope, self._metrics)
        self._fleet: Fleet | None = None
        self._add_routes()

    def _add_routes(self) -> None:
        scope, who = self._scope, self._who
        ingest = Ingest(
            self._intake,
            self._metrics,
            who.door,
            who.sending,
            self._parser,
            denied=who.guard.count,
            highest_ns=lambda: self._writer.removal.highest_ns,
        )
        elastic = Elastic(ingest)
        backend = Embedded(self._archive, self._tails, self._readers)
        loki = Loki(backend, who.guard, tell=self._tell_failure)
        api = Api(
            backend,
            self._metrics,
            who.guard,
            tell=self._tell_failure,
        )
        scope.add_routes(elastic.routes())
        scope.add_routes(Push(ingest, scope.events.emit).routes())
        scope.add_routes(api.routes())
        fleet = self._config.logstore.fleet.enabled
        scope.add_routes(SignIn(who.guard, who.audit, fleet=fleet).routes())
        scope.add_routes(loki.routes())
        scope.add_routes(Pages(elastic.version, api.denied, fleet=fleet).routes())
        if fleet:
            self._fleet = Fleet(self._config, scope, who, backend)

    async def start(self) -> None:
        """Locks the folder, applies retention, begins to write.

        Raises:
            ConfigError: the folder cannot be written, or SQLite will not do.
            Unavailable: the folder is another's.
        """
        if missing := schema.missing_features():
            raise ConfigError([Finding("SQLite", missing, "use a Python whose SQLite has FTS5")])
        # Every sender and reader holds a connection, and SQLite must not go without.
        _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
        await self._scope.enter(self._open())
        await self._who.start(self._folder.root)
        if self._fleet is not None:
            await self._fleet.start()
        self._scope.spawn("watch writer", self._watch())

    async def drain(self) -> None:
        """Takes nothing more and commits what was taken."""
        self._intake.stop()
        await asyncio.to_thread(self._writer.close)

    def status(self) -> dict[str, Any]:
        """What it holds right now."""
        files = self._folder.files() if self._folder.root.is_dir() else []
        return {
            "data_dir": str(self._folder.root),
            "queue_bytes": self._intake.held_bytes,
            "refusing": self._writer.failing,
            "broken": self._broken(),
            **({"fleet": self._fleet.status()} if self._fleet is not None else {}),
            "days": [
                {"tenant": file.tenant, "day": path.stem, "bytes": file.size}
                for file in sorted(files, key=lambda file: (file.day, file.tenant), reverse=True)
                for path in (self._folder.path(file.tenant, file.day),)
            ],
        }

    async def reload(self, config: Config) -> None:
        """Swaps in tokens and limits.

        Raises:
            ConfigError: a token file cannot be used; nothing was changed.
        """
        await self._who.reload(config.logstore)
        self._writer.limits = _limits(config.logstore)
        self._intake.queue_bytes = config.logstore.queue_bytes
        self._config = config

    @asynccontextmanager
    async def _open(self) -> AsyncIterator[None]:
        with ExitStack() as stack:
            await self._lock(stack)
            # A day of which two files were changing places is there again before lines come;
            # where that cannot be, `logstore repair` says why.
            with contextlib.suppress(Conflict, OSError):
                await asyncio.to_thread(swap.finish_all, self._folder.root)
            await asyncio.to_thread(self._writer.start)
            try:
                yield
            finally:
                await asyncio.to_thread(self._writer.close)
                self._parser.shutdown(wait=False, cancel_futures=True)
                await asyncio.to_thread(self._readers.shutdown, wait=True, cancel_futures=True)
                self._archive.close()

    async def _lock(self, stack: ExitStack) -> None:
        """Waits for a disk that is read-only or full; what is stored can be read meanwhile."""
        backoff = Backoff(0.5, 5.0)
        while True:
            try:
                stack.enter_context(self._folder.locked())
            except DiskTrouble as trouble:
                self._writer.refuse(str(trouble))
                self._scope.health.check("disk").fail(str(trouble))
            else:
                return
            await asyncio.sleep(backoff.next_delay_seconds())

    async def _watch(self) -> None:
        disk = self._scope.health.check("disk")
        retention = self._scope.health.check("retention")
        files = self._scope.health.check("day files")
        writer = self._scope.health.check("writer")
        while self._writer.alive:
            for check, why in (
                (writer, self._stuck()),
                (disk, self._writer.failing),
                (retention, self._writer.removal.doubt or self._writer.removal.excess),
                (files, self._lost_files()),
            ):
                if why:
                    check.fail(why)
                else:
                    check.ok()
            await asyncio.sleep(_WATCH_SECONDS)
        if self._scope.stopping.is_set():
            await asyncio.Event().wait()
        raise WriterEndedError(repr(self._writer.failure))

    def _broken(self) -> dict[str, str]:
        """Day files that cannot be used, and why; one that was moved or repaired is none."""
        writer = self._writer
        others = {**writer.growing, **writer.removal.strays}
        return {
            **self._archive.damaged.told(),
            **writer.broken.told(),
            **{path: why for path, why in others.items() if Path(path).exists()},
        }

    def _stuck(self) -> str:
        """Why nothing is acknowledged although nothing fails: a disk or mount that hangs."""
        silent = time.monotonic() - self._writer.turned_at
        if silent < _STUCK_SECONDS:
            return ""
        return f"has been at one commit for {silent:.0f} s: does {self._folder.root} answer?"

    def _lost_files(self) -> str:
        broken = "; ".join(f"{path}: {why}" for path, why in self._broken().items())
        fix = "move it away with its -wal and `logstore repair` it there: all else goes on"
        return broken and f"{broken} ({fix})"

    def _tell_failure(self, kind: str, endpoint: str, error: str) -> None:
        self._scope.events.emit(kind, "error", endpoint=endpoint, error=error)

    def _tell(self, kind: str, level: str, **fields: object) -> None:
        """Records an event from the writer's thread."""
        self._loop.call_soon_threadsafe(lambda: self._scope.events.emit(kind, level, **fields))


def _limits(section: LogstoreConfig) -> Limits:
    return Limits(section.retention_days, section.retention_bytes, section.min_free_bytes)
