"""Notices that this process stood still, and doubts what it knew of the containers before."""

import asyncio
import time
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Final, Never

from registrar import doubt
from registrar.census import Census
from registrar.processes import runs
from wharfinger.container import Container
from wharfinger.events import Events

TICK_SECONDS: Final = 1.0


class Wakefulness:
    """Has Docker asked again after a time in which this host may have gone on without us.

    A process is stopped, its cgroup frozen, its machine paused; when it goes on its lease is lost,
    and with what it remembers it would put the keys of containers that have ended meanwhile.

    Args:
        census: what is known of the containers.
        events: where doubts are told.
        lease_ttl_seconds: of this host's lease.
        ask: has Docker list its containers now; called whenever there is a doubt.
        changed: called when one was settled without Docker.
        proc: where the host's processes are shown.
        clock: monotonic seconds.
    """

    def __init__(
        self,
        census: Census,
        events: Events,
        *,
        lease_ttl_seconds: float,
        ask: Callable[[], None],
        changed: Callable[[], None],
        proc: Path = Path("/proc"),
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._census = census
        self._events = events
        self._ttl_seconds = lease_ttl_seconds
        self._ask = ask
        self._changed = changed
        self._proc = proc
        self._clock = clock

    def doubt(self, why: str) -> None:
        """Takes nothing for known of who runs, until somebody has looked."""
        self._census.doubted(self._clock())
        count = len(self._census.doubt.of)
        self._events.emit("containers doubted", "warning", containers=count, why=why)
        self._ask()

    async def run(self) -> Never:
        """Ticks for ever."""
        before = self._clock()
        while True:
            await asyncio.sleep(TICK_SECONDS)
            now = self._clock()
            if doubt.stood_still(now - before, self._ttl_seconds):
                self.doubt(f"this process stood still for {now - before:.0f} s")
            before = now
            if self._census.doubt.overdue(now):
                await self._look()

    async def _look(self) -> None:
        doubted = self._census.doubt
        seen = self._census.containers
        asked = [seen[each].container for each in doubted.of & seen.keys()]
        running = await asyncio.to_thread(self._running, asked)
        # What was found before another doubt says nothing about it.
        if running and self._census.doubt.count == doubted.count:
            self._census.settled(running)
            why = "Docker does not answer, and their processes run"
            self._events.emit("containers believed", "warning", containers=len(running), why=why)
            self._changed()

    def _running(self, containers: Iterable[Container]) -> list[str]:
        return [each.id for each in containers if runs(each.id, each.pid, proc=self._proc)]
