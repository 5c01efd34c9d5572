"""Tells containers that ask for it whether edges serve them: starts and stops can wait for that."""

import asyncio
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress
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
from wharfinger.keys import InstanceKey

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
        events: where it is said who was told, and who could not be.
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
        self._told: dict[Run, tuple[InstanceKey, ...]] = {}
        self._left: set[Run] = set()
        self._ready_since: dict[Run, float] = {}
        self._version = -1
        self._pending: tuple[Seen, ...] = ()
        self._leaving: tuple[Container, ...] = ()

    async def run(self) -> Never:
        """Tells for ever."""
        while True:
            await asyncio.sleep(LOOK_SECONDS)
            if self._census.version != self._version:
                self._version = self._census.version
                self._look()
            if self._leaving:
                await self._see_off(self._leaving)
                self._look()
            if ready := [seen for seen in self._pending if self._is_ready(seen)]:
                await self._see_to(ready)
                self._look()

    def _look(self) -> None:
        """Finds out who asks and was not told in this run, and who was, and is told to stop."""
        asking = {
            _run(seen.container): seen for seen in self._census.containers.values() if _asks(seen)
        }
        self._told = {run: keys for run, keys in self._told.items() if run in asking}
        self._left &= asking.keys()
        self._ready_since = {run: at for run, at in self._ready_since.items() if run in asking}
        self._pending = tuple(seen for run, seen in asking.items() if run not in self._told)
        self._leaving = tuple(
            seen.container
            for run, seen in asking.items()
            if seen.stopping is not None and run in self._told and run not in self._left
        )

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
                registered.append((seen.container, keys))
            elif self._is_late(seen.container):
                await self._tell(seen.container, "etcd does not have it")
        if not registered:
            return
        revisions = (self._registry.revision(key) for _, keys in registered for key in keys)
        why = await self._why_not(max(revisions))
        for container, keys in registered:
            if not why or self._is_late(container):
                await self._tell(container, why, keys)

    async def _see_off(self, leaving: Iterable[Container]) -> None:
        """Takes back what was said from those that no edge sends to any more."""
        removed: list[tuple[Container, list[int]]] = []
        for container in leaving:
            keys = self._told[_run(container)]
            at = [self._registry.ledger.removed_at(key) for key in keys]
            known = [revision for revision in at if revision is not None]
            if len(known) == len(keys):
                removed.append((container, known))
        # One question for all: an edge that is frozen must not make each wait for the others.
        revisions = [revision for _, several in removed for revision in several]
        why = await self._why_not(max(revisions)) if revisions else ""
        for container, known in removed:
            if known and why:
                continue
            self._left.add(_run(container))
            with suppress(TimeoutError, WharfingerError):
                await self._inside.look(container, containers.take_back_serving)
                self._events.emit("serving taken back", container=container.id[:12])

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

    async def _tell(
        self, container: Container, why: str, keys: tuple[InstanceKey, ...] = ()
    ) -> None:
        try:
            await self._inside.look(container, containers.tell_serving)
        except Unavailable:
            return  # it has ended, or the host has no thread for it now
        except (TimeoutError, WharfingerError) as error:
            why = f"{why}; {error or 'its /dev/shm does not answer'}".removeprefix("; ")
        self._told[_run(container)] = keys
        level, more = ("warning", {"why": why}) if why else ("info", {})
        self._events.emit("serving told", level, container=container.id[:12], **more)


def _asks(seen: Seen) -> bool:
    return seen.container.running and seen.container.labels.get(LABEL) == TELL


def _run(container: Container) -> Run:
    return container.id, container.started_at_ns
