"""Resources that go together, kept at the latest snapshot beside all others."""

import asyncio
import contextlib
import time
from collections.abc import Awaitable, Callable
from functools import partial
from typing import Final

from discovery.builtin.nginxfile import Site
from discovery.lanes.settle import Settle
from discovery.lanes.standing import Standing
from discovery.lanes.threads import Pace, Threads
from discovery.model import Snapshot
from discovery.publish.publisher import Publisher
from discovery.resources.resources import Resource
from wharfinger.lifecycle import Scope

LOOK_AFTER_SECONDS: Final = 5.0


class Lane:
    """Renders and publishes its resources; whatever they take, nobody else waits.

    Args:
        resources: those that go together.
        settle: when to render.
        snapshot: gives the latest.
        publisher: owns the files.
        standing: how they stand.
        threads: to render in.
        pace: how long that takes.
        scope: of the daemon.
    """

    def __init__(
        self,
        resources: tuple[Resource, ...],
        settle: Settle,
        *,
        snapshot: Callable[[], Awaitable[Snapshot]],
        publisher: Publisher,
        standing: Standing,
        threads: Threads,
        pace: Pace,
        scope: Scope,
    ) -> None:
        self.resources = resources
        self.standing = standing
        self._settle = settle
        self._snapshot = snapshot
        self._publisher = publisher
        self._threads = threads
        self.pace = pace
        self._scope = scope
        self._offered: Snapshot | None = None
        self._late = False
        self._wake = asyncio.Event()
        self._passing = asyncio.Lock()
        standing.replace(resources)

    def changed(self) -> None:
        """There may be something to render."""
        self._settle = self._settle.busy(self._threads.deaf_until).changed(time.monotonic())
        self._wake.set()

    def offer(self, snapshot: Snapshot) -> None:
        """Renders the latest snapshot if it concerns any of these resources.

        If not, they serve it already; the caller says so (see `Standing.passes_over`).
        """
        if self._passing.locked():
            # What it will be true to, and see, is known at the end of the pass.
            self._late = True
            return
        before, self._offered = self._offered, snapshot
        waits = self._settle.first_at is not None
        if not waits and self.standing.passes_over(snapshot):
            return
        # Who waits for quiet does so for changes that concern it.
        if not waits or before is None or self.standing.sees(before, snapshot):
            self.changed()

    async def run(self, after: Callable[[], Awaitable[None]]) -> None:
        """Applies what comes, for ever.

        Args:
            after: returns when what had these files before has let go of them.
        """
        await after()
        look_at = time.monotonic() + LOOK_AFTER_SECONDS
        while True:
            self._settle = self._settle.busy(self._threads.deaf_until)
            due = [at for at in (self._settle.due_at, self.standing.retry_at) if at is not None]
            delay = min([look_at, *due]) - time.monotonic()
            if delay > 0:
                self._wake.clear()
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(delay):
                        await self._wake.wait()
                continue
            if due and min(due) <= time.monotonic():
                await self.apply()
            else:
                await self._look_after()
                look_at = time.monotonic() + LOOK_AFTER_SECONDS

    async def apply(self) -> None:
        """Renders everything once, and publishes what differs."""
        async with self._passing:
            self._settle = self._settle.rendered(time.monotonic())
            forced = self.standing.retries()
            snapshot = await self._snapshot()
            differing = await self._render(snapshot)
            await self._publish(snapshot.revision, differing, forced=forced)
            self.standing.conclude(snapshot, 0)
        if self._late:
            self._late = False
            latest = await self._snapshot()
            self.offer(latest)
            self.standing.tell(latest.revision)

    async def apply_held(self) -> None:
        """Publishes what was rolled back, before etcd is heard for the first time."""
        async with self._passing:
            differing = await self._render(None)
            await self._publish(0, differing, forced=False)

    async def drained(self) -> None:
        """Returns when no publish is under way."""
        async with self._passing:
            pass

    async def _render(self, snapshot: Snapshot | None) -> set[str]:
        """Renders everything; names what is to be published."""
        return await self._threads.render(self.pace, partial(self._rendered, snapshot))

    def _rendered(self, snapshot: Snapshot | None) -> set[str]:
        # One hop to a thread for both: on a busy host each costs milliseconds.
        self.standing.render(snapshot, Site())
        return self.standing.differing(self._publisher)

    async def _publish(self, revision: int, differing: set[str], *, forced: bool) -> None:
        waiting = []
        for name, state in self.standing.states.items():
            if state.change is None:
                if state.error:
                    self.standing.fail(state, state.error)
            elif state.failed == state.change.rendered.content and not forced:
                continue
            elif name in differing:
                waiting.append(state)
            else:
                self.standing.settled(state)
        if not waiting:
            return
        for outcome in await self.standing.publish(self._publisher, waiting):
            self.standing.take(self.standing.states[outcome.resource], outcome, revision)

    async def _look_after(self) -> None:
        """Notices that somebody wrote to a file of ours."""
        for state in self.standing.states.values():
            if state.change is None or not state.serves:
                continue
            if await asyncio.to_thread(self._publisher.differs, state.change):
                dest = str(state.resource.dest)
                self._scope.events.emit("file drifted", "warning", dest=dest)
                self.changed()
