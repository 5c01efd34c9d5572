"""The one life of every daemon: start, ready, serve, drain, stop; and SIGHUP in between."""

import asyncio
import signal
import time
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from typing import Any, Final, Protocol, TypeVar

from prometheus_client import Gauge

from wharfinger import __version__, notify
from wharfinger.endpoints import Endpoints, serving
from wharfinger.errors import ConfigError, WharfingerError
from wharfinger.scope import Scope, TaskEndedError

__all__ = ["Daemon", "Scope", "TaskEndedError", "live"]

DRAIN_LIMIT_SECONDS: Final = 20.0
HEALTH_TICK_SECONDS: Final = 1.0
EXTEND_SECONDS: Final = 30.0

C = TypeVar("C")
C_contra = TypeVar("C_contra", contravariant=True)


class Daemon(Protocol[C_contra]):
    """What a daemon brings; the lifecycle brings the rest."""

    async def start(self) -> None:
        """Connects (waiting for ever where need be), syncs, spawns its loops; then READY."""

    async def drain(self) -> None:
        """Takes no new work and finishes what was begun.

        Given up after DRAIN_LIMIT_SECONDS, or after the scope's `drain_seconds` if that is more.
        """

    def status(self) -> dict[str, Any]:
        """All that it holds right now."""

    async def reload(self, config: C_contra) -> None:
        """SIGHUP: swaps in a configuration that was read and checked whole.

        Raises:
            ConfigError: the new one is refused; the old one stays.
        """


async def live(
    name: str,
    listen: str,
    make: Callable[[Scope], Daemon[C]],
    reread: Callable[[], C],
    *,
    notifier: notify.Notifier | None = None,
    applied: Callable[[C], None] = lambda _config: None,
) -> None:
    """Runs a daemon until SIGTERM or SIGINT, or until one of its tasks fails.

    Args:
        name: the daemon's.
        listen: HOST:PORT of its endpoints.
        make: builds the daemon around its scope.
        reread: reads the configuration again, whole, or raises ConfigError; runs in a thread.
        notifier: systemd, unless given.
        applied: told of each configuration that a reload has swapped in.

    Raises:
        ConfigError: the daemon cannot run so; nothing was begun.
        TaskEndedError: a task that must not end has ended; what ended it is the cause.
        Exception: whatever `start`, `drain` or the close of a resource raised.
    """
    scope = Scope(name, notifier or notify.Notifier())
    with _signals(scope):
        try:
            await _lived(scope, listen, make(scope), reread, applied)
        except Exception as error:
            scope.notify.status(f"failed: {error}")
            scope.events.emit(f"{name} failed", "error", error=repr(error))
            raise
        finally:
            scope.stopping.set()
            errors = await scope.close()
    if errors:
        raise errors[0]
    scope.events.emit(f"{name} stopped")


async def _lived(
    scope: Scope,
    listen: str,
    daemon: Daemon[C],
    reread: Callable[[], C],
    applied: Callable[[C], None],
) -> None:
    _add_endpoints(scope, daemon)
    await scope.enter(serving(listen, scope.application, scope.tls))
    scope.events.emit(f"{scope.name} started", version=__version__, listen=listen)
    scope.spawn("health", _tick(scope))
    await _until_stopping(scope, daemon.start())
    if scope.stopping.is_set():
        return  # half a daemon has nothing to drain
    scope.ready.set()
    scope.notify.ready("ready")
    scope.events.emit(f"{scope.name} ready", seconds=time.time() - scope.started_at)
    scope.spawn("reload", _reload_on_hangup(scope, daemon, reread, applied))
    await _until_stopping(scope, scope.failed())
    await _drain(scope, daemon)


async def _until_stopping(scope: Scope, work: Awaitable[None]) -> None:
    """Awaits `work` until it is done, a stop begins, or a task fails; then raises why.

    `work` runs in this very task: what it enters is closed by the task that opened it, as task
    groups and timeouts demand.
    """
    loop = asyncio.get_running_loop()
    stopping = loop.create_task(scope.stopping.wait(), name="stopping")
    try:
        async with asyncio.timeout(None) as limit:

            def interrupt(_: object) -> None:
                if not limit.expired():
                    limit.reschedule(loop.time())

            stopping.add_done_callback(interrupt)
            scope.failure.add_done_callback(interrupt)
            try:
                await work
            finally:
                stopping.remove_done_callback(interrupt)
                scope.failure.remove_done_callback(interrupt)
    except TimeoutError:
        if not limit.expired():
            raise
    finally:
        stopping.cancel()
    if scope.failure.done():
        scope.failure.result()


async def _drain(scope: Scope, daemon: Daemon[Any]) -> None:
    scope.notify.stopping("draining")
    scope.events.emit(f"{scope.name} draining")
    longest = max(DRAIN_LIMIT_SECONDS, scope.drain_seconds)
    try:
        async with asyncio.timeout(longest) as limit:
            await daemon.drain()
    except TimeoutError:
        if not limit.expired():
            raise
        scope.events.emit("drain given up", "warning", after_seconds=longest)
    except WharfingerError as error:
        # etcd or a sink is down just now: that is no reason to call the stop a failure.
        scope.events.emit("drain failed", "warning", error=str(error))


async def _tick(scope: Scope) -> None:
    """Feeds the watchdog from the loop, notices stale checks, keeps systemd's line true."""
    healthy = Gauge(
        f"wharfinger_{scope.name}_check_healthy",
        "1 when the check holds",
        ["check"],
        registry=scope.metrics,
    )
    interval = min(HEALTH_TICK_SECONDS, scope.notify.watchdog_interval_seconds or 60.0)
    told, counted = "", set[str]()
    while True:
        report = scope.health.report()
        names = {check.name for check in report.checks}
        for forgotten in counted - names:  # must not be counted for ever
            healthy.remove(forgotten)
        counted = names
        for check in report.checks:
            healthy.labels(check.name).set(check.healthy)
        scope.notify.watchdog()
        if not scope.ready.is_set():
            # systemd would kill a start that waits long for etcd; it waits as we do.
            scope.notify.starting(f"starting: {report.why}", extend_seconds=EXTEND_SECONDS)
        elif not scope.stopping.is_set() and (text := report.why or "healthy") != told:
            scope.notify.status(text)
            told = text
        await asyncio.sleep(interval)


async def _reload_on_hangup(
    scope: Scope, daemon: Daemon[C], reread: Callable[[], C], applied: Callable[[C], None]
) -> None:
    # Red after a refusal: the daemon serves on, but its next start would fail.
    check = scope.health.check("configuration")
    check.ok()
    while True:
        await scope.hangup.wait()
        scope.hangup.clear()
        if scope.stopping.is_set():
            continue
        scope.notify.reloading()
        try:
            # In a thread: a configuration on a file system that hangs must not stop the loop.
            config = await asyncio.to_thread(reread)
            await daemon.reload(config)
        except (WharfingerError, OSError) as error:
            told = error.findings if isinstance(error, ConfigError) else (error,)
            for finding in told:
                scope.events.emit("configuration refused", "error", why=str(finding))
            check.fail(f"refused, the old one is kept: {told[0]}")
            scope.notify.ready("the new configuration was refused; the old one is kept")
        else:
            applied(config)
            check.ok()
            scope.events.emit("configuration reloaded")
            scope.notify.ready("reloaded")


@contextmanager
def _signals(scope: Scope) -> Iterator[None]:
    loop = asyncio.get_running_loop()
    asked = False

    def stop(number: signal.Signals) -> None:
        nonlocal asked
        if asked:
            # Asked twice: whoever asks does not want to wait for a drain.
            signal.signal(number, signal.SIG_DFL)
            signal.raise_signal(number)
        asked = True
        scope.events.emit("stop requested", signal=number.name)
        scope.stopping.set()

    before = {n: signal.getsignal(n) for n in (signal.SIGHUP, signal.SIGTERM, signal.SIGINT)}
    # From the first moment: its default action would kill a daemon that waits for etcd.
    loop.add_signal_handler(signal.SIGHUP, scope.hangup.set)
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop, number)
    try:
        yield
    finally:
        for number, handler in before.items():
            loop.remove_signal_handler(number)
            signal.signal(number, handler)


def _add_endpoints(scope: Scope, daemon: Daemon[Any]) -> None:
    endpoints = Endpoints(
        scope.name,
        health=scope.health,
        events=scope.events,
        metrics=scope.metrics,
        status=lambda: _status(scope, daemon),
        ready=lambda: scope.ready.is_set() and not scope.stopping.is_set(),
        started=scope.ready.is_set,
        began=scope.started_at,
    )
    scope.add_routes(endpoints.routes())


def _status(scope: Scope, daemon: Daemon[Any]) -> dict[str, Any]:
    state = "ready" if scope.ready.is_set() else "starting"
    own: dict[str, Any] = {}
    try:
        own = daemon.status()
    except Exception:
        # Half a daemon may hold nothing yet that it could tell of.
        if scope.ready.is_set():
            raise
    return {
        "daemon": scope.name,
        "version": __version__,
        "state": "stopping" if scope.stopping.is_set() else state,
        "since_seconds": time.time() - scope.started_at,
        **own,
    }
