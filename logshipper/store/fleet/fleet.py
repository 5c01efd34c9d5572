"""The fleet's wiring: what etcd says, to those who may see it; nothing of etcd unless it is on."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from importlib import import_module
from typing import Any, Final

from prometheus_client import Gauge

from logshipper.store.config import Config
from logshipper.store.fleet.live import Live
from logshipper.store.fleet.ordering import Ordering
from logshipper.store.fleet.routes import Routes
from logshipper.store.query.backend import Backend
from logshipper.store.who import Who
from wharfinger import __version__, certificatewatch, hostrecord
from wharfinger.hostrecord import Told
from wharfinger.scope import Scope

STALE_SECONDS: Final = 15.0
_LOOK_SECONDS: Final = 2.0
_DAEMON: Final = "logstore"


class Fleet:
    """Tells of the fleet, where `[logstore.fleet] enabled` is on.

    Args:
        config: all that the store reads of the file.
        scope: what the lifecycle lends.
        who: tells who may.
        backend: holds what the daemons said.
    """

    def __init__(
        self,
        config: Config,
        scope: Scope,
        who: Who,
        backend: Backend,
    ) -> None:
        # Here and not above: a store without a fleet carries no etcd client.
        following = import_module("logshipper.store.fleet.following")
        self._scope = scope
        self._config = config
        self._host = config.host.name
        self._check = scope.health.check("fleet", stale_after_seconds=STALE_SECONDS)
        self._live = Live(self._stale)
        self._following: Any = following.Following(config.etcd, self._live, self._check)
        ordering = Ordering(who.guard, who.audit, self._live, self._following.order)
        routes = Routes(self._live, who.guard, backend, ordering)
        scope.add_routes(routes.routes())
        self._measure()

    async def start(self) -> None:
        """Begins to follow; nobody waits for etcd."""
        await self._scope.enter(self._open())
        certificatewatch.begin(self._scope, self._config.etcd)
        self._scope.spawn("fleet", self._following.run())
        self._scope.spawn("fleet changes", self._live.run())
        self._scope.spawn("fleet itself", self._tell_of_itself())

    def status(self) -> dict[str, Any]:
        """What it holds right now."""
        snapshot = self._live.snapshot
        return {
            "revision": snapshot.revision,
            "stale": self._stale() or None,
            "instances": snapshot.instances,
            "hosts": snapshot.hosts,
            "readers": self._live.readers,
        }

    def _stale(self) -> str:
        report = self._check.report()
        if not report.healthy:
            return report.why
        return "" if self._live.synced else "not read yet"

    def _measure(self) -> None:
        def gauge(name: str, text: str, value: Callable[[], float]) -> None:
            full = f"wharfinger_logstore_fleet_{name}"
            Gauge(full, text, registry=self._scope.metrics).set_function(value)

        gauge("instances", "Instances in etcd.", lambda: self._live.snapshot.instances)
        gauge("hosts", "Hosts that tell of themselves.", lambda: self._live.snapshot.hosts)
        gauge("readers", "Readers that follow the fleet.", lambda: self._live.readers)

    async def _tell_of_itself(self) -> None:
        """Nobody else tells of the store, which may stand on a host without a registrar."""
        began = datetime.fromtimestamp(self._scope.started_at, UTC).isoformat(timespec="seconds")
        while True:
            checks = self._scope.health.report()
            red = [(check.name, check.why) for check in checks.checks if not check.healthy]
            told = Told(
                version=__version__,
                since=began,
                health="healthy" if checks.healthy else "unhealthy",
                troubles=hostrecord.troubles(red),
            )
            self._live.snapshot.set_own(self._host, _DAEMON, told)
            await asyncio.sleep(_LOOK_SECONDS)

    @asynccontextmanager
    async def _open(self) -> AsyncIterator[None]:
        try:
            yield
        finally:
            await self._following.close()
