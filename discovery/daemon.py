"""Discovery's wiring: etcd to typed services, to files, to a Nginx that serves them, and back."""

import asyncio
import contextlib
import gc
import sys
from collections.abc import AsyncIterator, Iterator
from contextlib import ExitStack, asynccontextmanager, contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

from discovery.announcer import Announcer, Report
from discovery.child import Child
from discovery.confd.store import watched
from discovery.confdir import Confdir
from discovery.config import Config
from discovery.lanes.lanes import Lanes
from discovery.lookout import Lookout
from discovery.model import Service
from discovery.nginx.pushing import Pushing
from discovery.nginx.running import reader_of
from discovery.observer import Observer
from discovery.publish.history import History
from discovery.publish.publisher import Publisher
from discovery.resources.resources import Resource
from discovery.usage import Usage
from wharfinger import __version__, certificatewatch, hostrecord, keys, lock
from wharfinger.errors import ConfigError, Finding
from wharfinger.etcd import Etcd
from wharfinger.lifecycle import Scope

AFTER_KILL_SECONDS: Final = 5.0
RELIST_TICK_SECONDS: Final = 1.0
# A thread that renders hands over to the loop after so long (Python's own 5 ms are a whole push).
SWITCH_SECONDS: Final = 0.0002
HELD_TICK_SECONDS: Final = 1.0


class Discovery:
    """The daemon; see `wharfinger.lifecycle.Daemon`.

    Raises:
        ConfigError: its own folder cannot be made.
    """

    name = "discovery"

    def __init__(self, config: Config, scope: Scope) -> None:
        self._config = config
        self._scope = scope
        self._since = datetime.now(UTC).isoformat(timespec="seconds")
        self._state_dir = state_dir = state_dir_of(config)
        history = History(state_dir)
        self._confdir = Confdir(config, history, scope)
        resources = self._confdir.seen.found.resources
        self._etcd = Etcd(config.etcd)
        self._publisher = Publisher(
            state_dir, reader_of, keep_staged=config.discovery.keep_stage_file
        )
        self._observer = Observer(
            self._etcd,
            prefixes_of(resources),
            scope=scope,
            state_dir=state_dir,
            on_change=self._changed,
        )
        self._pushing = Pushing(scope, config.host.runtime_dir, self._changed)
        scope.add_routes(Usage(self._pushing.requests).routes())
        with nothing_collected():
            self._lanes = Lanes(
                config,
                resources,
                snapshot=self._observer.served,
                caught_up=self._observer.caught_up,
                publisher=self._publisher,
                pushing=self._pushing,
                history=history,
                scope=scope,
                fingerprints=self._confdir.seen.fingerprints,
            )
        self._announcer = Announcer(
            self._etcd,
            key=keys.host_key(config.host.name, self.name),
            report=self._report,
            news=self._lanes.applied,
            scope=scope,
            lease_file=state_dir / "lease.json",
            owner=config.host.name,
        )
        self._lookout = Lookout(
            scope,
            config.host.name,
            hears=lambda: self._observer.hears,
            served=self._fed,
            forget=self._lanes.forget_failures,
        )
        self._child = self._made_child(config, scope)
        if not resources:
            scope.events.emit(
                "nothing to do",
                "warning",
                fix=f"write [discovery.nginx], or {config.discovery.confdir}/conf.d/NAME.toml",
            )

    async def start(self) -> None:
        """Mends what a crash left, waits for etcd's list, applies it once, begins its loops."""
        sys.setswitchinterval(SWITCH_SECONDS)
        await self._scope.enter(locked(self._state_dir))
        for name in await self._publisher.recover():
            self._scope.events.emit("last good file put back", "warning", resource=name)
        await self._scope.enter(closing(self._etcd))
        certificatewatch.begin(self._scope, self._config.etcd)
        self._scope.spawn("watch", self._observer.run())
        await self._listed()
        with nothing_collected():
            await self._lanes.apply()
        # What was listed stays, most of it: a collection that went through all of it again would
        # hold up a push for tens of milliseconds.
        gc.collect()
        gc.freeze()
        self._scope.spawn("guard", self._observer.run_guard())
        self._scope.spawn("lookout", self._lookout.run())
        self._scope.spawn("memory", self._observer.run_memory())
        self._lanes.run()
        self._scope.spawn("push upkeep", self._pushing.run())
        self._scope.spawn("resource files", self._confdir.run(self._lanes, self._watch))
        self._scope.spawn("relist", self._run_relist())
        self._scope.spawn("announce", self._announcer.run())
        if self._child is not None:
            await self._scope.enter(self._child)
            self._scope.spawn("child", self._child.run())

    async def drain(self) -> None:
        """Finishes the publish that is under way, and ends the child."""
        if self._child is not None:
            await self._child.stop()
        await self._lanes.drained()

    def status(self) -> dict[str, Any]:
        """All that it holds."""
        child = self._child.status() if self._child else {}
        return {**self._observer.status(), **self._lanes.status(), **child}

    async def reload(self, config: Config) -> None:
        """Takes other resources and settle times, and renders everything anew.

        Raises:
            ConfigError: a resource file has a fault; everything stays as it was.
        """
        seen = await self._confdir.reload(config)
        self._config = config
        self._publisher.keep_staged = config.discovery.keep_stage_file
        await self._lanes.reconfigure(config, seen.found.resources, seen.fingerprints)
        self._watch(seen.found.resources)
        # Whoever asks for that has changed something; not all that a template reads is watched.
        self._observer.relist()

    async def _listed(self) -> None:
        """Waits for etcd's list; who rolls a file back meanwhile does not."""
        while not self._observer.listed.is_set():
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(HELD_TICK_SECONDS):
                    await self._observer.listed.wait()
                    return
            await self._lanes.apply_held()

    def _made_child(self, config: Config, scope: Scope) -> Child | None:
        if config.discovery.exec is None:
            return None
        scope.drain_seconds = config.discovery.exec.kill_timeout_seconds + AFTER_KILL_SECONDS

        def rendered() -> bool:
            return all(one.dest.exists() for one in self._confdir.seen.found.resources)

        return Child(config.discovery.exec, scope, rendered=rendered, news=self._publisher.news)

    async def _run_relist(self) -> None:
        """Lists everything anew now and then: a watch that misses something would never know."""
        waited = 0.0
        while True:
            await asyncio.sleep(RELIST_TICK_SECONDS)
            waited += RELIST_TICK_SECONDS
            if 0 < self._config.discovery.interval_seconds <= waited:
                waited = 0.0
                self._observer.relist()

    async def _fed(self) -> tuple[Service, ...]:
        """The services whose instances Nginx asks."""
        return (await self._observer.served()).services if self._lanes.feeds_nginx else ()

    def _watch(self, resources: tuple[Resource, ...]) -> None:
        self._observer.watch_prefixes(prefixes_of(resources))

    def _changed(self) -> None:
        # Before `start` has applied the first list there is no loop to wake.
        self._lanes.changed()

    def _report(self) -> Report:
        health = self._scope.health.report()
        return Report(
            version=__version__,
            since=self._since,
            health="healthy" if health.healthy else "unhealthy",
            ip=self._config.host.ip or "",
            why=health.why,
            troubles=hostrecord.troubles((c.name, c.why) for c in health.checks if not c.healthy),
            applied_revision=self._lanes.applied_revision,
            mode=self._pushing.mode,
        )


def prefixes_of(resources: tuple[Resource, ...]) -> tuple[str, ...]:
    """What must be watched for these resources: their keys, and what describes those instances.

    No more than that: etcd refuses a watch whole when its user may not read all of it.
    """
    wanted = {prefix for one in resources for prefix in watched(one.keys, one.prefix)}
    described = {f"{keys.INSTANCES.rstrip('/')}{prefix}" for prefix in wanted}
    return tuple(sorted(wanted | described)) or (keys.INSTANCES,)


def state_dir_of(config: Config) -> Path:
    """The daemon's own folder, made where it is missing.

    Raises:
        ConfigError: it cannot be made.
    """
    path = config.host.state_dir / "discovery"
    try:
        path.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        why, fix = f"{path} cannot be made: {error.strerror}", "run as root, or name another"
        raise ConfigError([Finding("host.state_dir", why, fix)]) from error
    return path


@contextmanager
def nothing_collected() -> Iterator[None]:
    """For a while in which nearly all that is made stays, and is gone through again and again."""
    gc.disable()
    try:
        yield
    finally:
        gc.enable()


@asynccontextmanager
async def closing(etcd: Etcd) -> AsyncIterator[None]:
    """Closes the session at the end; it connects by itself, whenever etcd is there."""
    try:
        yield
    finally:
        await etcd.close()


@asynccontextmanager
async def locked(state_dir: Path) -> AsyncIterator[None]:
    """Holds the folder for this process alone: two would undo each other's swaps.

    Raises:
        ConfigError: it cannot be written.
        Unavailable: another process holds it, and which.
    """
    with ExitStack() as stack:
        try:
            stack.enter_context(lock.held(state_dir / "lock", "discovery"))
        except OSError as error:
            problem, fix = f"{error.filename}: {error.strerror}", "run as root, or name another"
            raise ConfigError([Finding("host.state_dir", problem, fix)]) from error
        yield
