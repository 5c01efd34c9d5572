"""Tells containers that ask for it when every edge serves them: a HEALTHCHECK can wait for that."""

import asyncio
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Final, Never

from registrar.census import Census
from registrar.model import Ready, Seen, Verdict, Wanted
from registrar.ports import containers
from registrar.ports.inside import Inside
from registrar.registry.registry import Registry
from wharfinger.acknowledgement import acknowledged
from wharfinger.container import Container
from wharfinger.errors import Unavailable, WharfingerError
from wharfinger.etcd import Etcd
from wharfinger.events import Events

LABEL: Final = "wharfinger.serving"
TELL: Final = "tell"
LOOK_SECONDS: Final = 0.1
ACKNOWLEDGED_SECONDS: Final = 5.0
# An engine ends what is not healthy in time. With etcd away, or an edge frozen, that would help
# nobody: from then on an instance that is ready is told so whoever has heard of it.
PATIENCE_SECONDS: Final = 10.0

Run = tuple[str, int]


class Serving:
    """One loop that looks after those with the label `wharfinger.serving: tell`.

    Args:
        etcd: where discoveries tell what they serve.
        census: what is known of the containers.
        registry: what etcd holds of this host.
        verdicts: what was planned for each container, by its id.
        events: where it is told who was told, and who could not be.
        proc: where the host's processes are shown.
        clock: monotonic seconds.
    """

    def __init__(
        self,
        etcd: Etcd,
        census: Census,
        registry: Registry,
        *,
        verdicts: Callable[[], Mapping[str, Sequence[Verdict]]],
        events: Events,
        proc: Path = Path("/proc"),
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._etcd = etcd
        self._census = census
        self._registry = registry
        self._verdicts = verdicts
        self._events = events
        self._inside = Inside(proc)
        self._clock = clock
        self._told: set[Run] = set()
        self._ready_since: dict[Run, float] = {}
        self._version = -1
        self._pending: tuple[Seen, ...] = ()

    async def run(self) -> Never:
        """Tells for ever."""
        while True:
            await asyncio.sleep(LOOK_SECONDS)
            if self._census.version != self._version:
                self._version = self._census.version
                self._look()
            if ready := [seen for seen in self._pending if self._is_ready(seen)]:
                await self._see_to(ready)
                self._look()

    def _look(self) -> None:
        """Finds out who asks and was not told in this run."""
        asking = [seen for seen in self._census.containers.values() if _asks(seen)]
        runs = {_run(seen.container) for seen in asking}
        self._told &= runs
        self._ready_since = {run: at for run, at in self._ready_since.items() if run in runs}
        self._pending = tuple(seen for seen in asking if _run(seen.container) not in self._told)

    def _is_ready(self, seen: Seen) -> bool:
        """Whether it is to be served; since when, is kept."""
        verdicts = self._verdicts().get(seen.container.id, ())
        run = _run(seen.container)
        if verdicts and all(isinstance(verdict, Ready) for verdict in verdicts):
            self._ready_since.setdefault(run, self._clock())
            return True
        self._ready_since.pop(run, None)
        return False

    async def _see_to(self, ready: Iterable[Seen]) -> None:
        held = self._registry.by_container
        registered = []
        for seen in ready:
            keys = held.get(seen.container.id, ())
            if len(keys) >= sum(isinstance(ask, Wanted) for ask in seen.asks):
                registered.append((seen.container, max(map(self._registry.revision, keys))))
            elif self._is_late(seen.container):
                await self._tell(seen.container, "etcd does not have it")
        if not registered:
            return
        why = await self._why_not(max(revision for _, revision in registered))
        for container, _ in registered:
            if not why or self._is_late(container):
                await self._tell(container, why)

    async def _why_not(self, revision: int) -> str:
        """Waits until every discovery serves a revision; gives why one does not, or nothing."""
        try:
            behind = await acknowledged(self._etcd, revision, timeout_seconds=ACKNOWLEDGED_SECONDS)
        except WharfingerError as error:
            return str(error)
        return f"not served by {', '.join(behind)}" if behind else ""

    def _is_late(self, container: Container) -> bool:
        since = self._ready_since.get(_run(container), self._clock())
        return self._clock() - since >= PATIENCE_SECONDS

    async def _tell(self, container: Container, why: str) -> None:
        try:
            await self._inside.look(container, containers.tell_serving)
        except Unavailable:
            return  # it has ended, or the host has no thread for it now
        except (TimeoutError, WharfingerError) as error:
            why = f"{why}; {error or 'its /dev/shm does not answer'}".removeprefix("; ")
        self._told.add(_run(container))
        level, more = ("warning", {"why": why}) if why else ("info", {})
        self._events.emit("serving told", level, container=container.id[:12], **more)


def _asks(seen: Seen) -> bool:
    return seen.container.running and seen.container.labels.get(LABEL) == TELL


def _run(container: Container) -> Run:
    return container.id, container.started_at_ns
