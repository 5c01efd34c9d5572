"""What a daemon is lent while it lives: tasks, resources, health, events, metrics, routes."""

import asyncio
import ssl
import time
from collections.abc import Coroutine, Iterable
from contextlib import AbstractAsyncContextManager
from pathlib import Path
from typing import Any, Final, TypeVar

from aiohttp import web
from prometheus_client import CollectorRegistry

from wharfinger.errors import ConfigError, WharfingerError
from wharfinger.events import Events
from wharfinger.health import Health
from wharfinger.notify import Notifier

# For the tasks together and for each resource; systemd's patience is 90 s for all of a stop.
CLOSE_LIMIT_SECONDS: Final = 10.0
MAX_BODY_BYTES: Final = 64 * 2**20

T = TypeVar("T")


class TaskEndedError(WharfingerError):
    """A task that must run for ever has ended by itself."""


class Scope:
    """What the lifecycle lends a daemon while it lives.

    Attributes:
        name: the daemon's.
        events: where every decision and state change is told.
        health: the checks behind /healthz.
        metrics: the registry behind /metrics.
        notify: systemd.
        stopping: set when a stop has begun.
        ready: set when `start` has returned.
        hangup: set by SIGHUP, until the reload that it asks for begins.
        failure: carries the error of the first task that ended by itself.
        drain_seconds: what the daemon's drain may need, where that is more than is usual.
        config_path: the file that its configuration came from; None for none.
        tls: what its address is served with; None without TLS. Set while the daemon is made.
    """

    def __init__(self, name: str, notifier: Notifier) -> None:
        self.name = name
        self.events = Events()
        self.health = Health(self.events)
        self.metrics = CollectorRegistry()
        self.notify = notifier
        self.stopping = asyncio.Event()
        self.ready = asyncio.Event()
        self.hangup = asyncio.Event()
        self.drain_seconds = 0.0
        self.config_path: Path | None = None
        self.tls: ssl.SSLContext | None = None
        self.started_at = time.time()
        self.application = web.Application(client_max_size=MAX_BODY_BYTES)
        self.failure: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._tasks: set[asyncio.Task[None]] = set()
        self._resources: list[AbstractAsyncContextManager[Any]] = []

    def spawn(self, name: str, coroutine: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        """Runs a loop for the daemon's whole life; if it ends before, the daemon fails.

        Only its owner may end it early, by the task's own `cancel`.
        """
        task = asyncio.get_running_loop().create_task(coroutine, name=name)
        self._tasks.add(task)
        task.add_done_callback(self._ended)
        return task

    async def enter(self, resource: AbstractAsyncContextManager[T]) -> T:
        """Opens a resource that is closed after the daemon's tasks have ended, last one first."""
        value = await resource.__aenter__()
        self._resources.append(resource)
        return value

    def add_routes(self, routes: "Iterable[web.RouteDef]") -> None:
        """Serves more on the daemon's address; only while the daemon is being made."""
        self.application.add_routes(routes)

    async def failed(self) -> None:
        """Waits for ever, unless a task ends by itself; then raises why."""
        await asyncio.shield(self.failure)

    async def close(self) -> list[Exception]:
        """Ends every task, then closes every resource, whatever goes wrong; gives what did."""
        errors = await self._end_tasks()
        while self._resources:
            resource = self._resources.pop()
            try:
                async with asyncio.timeout(CLOSE_LIMIT_SECONDS):
                    await resource.__aexit__(None, None, None)
            except Exception as error:  # noqa: BLE001 - the others must be closed all the same
                self.events.emit(
                    "close failed", "error", resource=type(resource).__name__, error=repr(error)
                )
                errors.append(error)
        if self.failure.done():
            self.failure.exception()  # told already; asyncio would call it unretrieved
        return errors

    async def _end_tasks(self) -> list[Exception]:
        tasks = list(self._tasks)
        for task in tasks:
            task.remove_done_callback(self._ended)
            task.cancel()
        if not tasks:
            return []
        done, hanging = await asyncio.wait(tasks, timeout=CLOSE_LIMIT_SECONDS)
        for task in hanging:
            self.events.emit("task hangs", "error", task=task.get_name())
        errors = []
        for task in done:
            error = None if task.cancelled() else task.exception()
            if isinstance(error, Exception):
                self._tell(task, error)
                errors.append(error)
        return errors

    def _ended(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        if task.cancelled() and task.cancelling():
            return  # on purpose; a cancellation out of nowhere counts no request
        error = None if task.cancelled() else task.exception()
        if error is None and self.stopping.is_set():
            return  # it saw the stop and left
        self._tell(task, error)
        if self.failure.done():
            return
        if isinstance(error, ConfigError):
            self.failure.set_exception(error)
            return
        ended = TaskEndedError(f"task {task.get_name()} ended by itself: {error!r}")
        ended.__cause__ = error
        self.failure.set_exception(ended)

    def _tell(self, task: asyncio.Task[None], error: BaseException | None) -> None:
        self.events.emit("task failed", "error", task=task.get_name(), error=repr(error))
