"""Looks after what was published: files that drifted, a Nginx that serves something else."""

import asyncio
import time
from collections.abc import Callable
from typing import Final

from discovery.lanes.standing import Standing
from discovery.nginx.oldworkers import OldWorkers
from discovery.nginx.pushing import Pushing
from discovery.nginx.running import reader_of
from discovery.publish.publisher import Publisher
from discovery.state import State
from wharfinger.lifecycle import Scope

LOOK_AFTER_SECONDS: Final = 5.0
CERTIFICATES: Final = "certificates"


class Upkeep:
    """Notices what changed without etcd.

    Args:
        standing: of all resources.
        publisher: owns the files.
        pushing: knows the certificates.
        scope: of the daemon.
        changed: called when something must be rendered.
        wake: called when there is something to try again.
    """

    def __init__(
        self,
        standing: Standing,
        publisher: Publisher,
        pushing: Pushing,
        scope: Scope,
        *,
        changed: Callable[[], None],
        wake: Callable[[], None],
    ) -> None:
        self._standing = standing
        self._publisher = publisher
        self._pushing = pushing
        self._scope = scope
        self._changed = changed
        self._wake = wake
        self._old_workers = OldWorkers(scope)

    async def run(self, passing: asyncio.Lock) -> None:
        """Looks, for ever, whether the files are still ours and still served.

        Args:
            passing: held while anything is published.
        """
        while True:
            await asyncio.sleep(LOOK_AFTER_SECONDS)
            async with passing:
                if await asyncio.to_thread(self._pushing.certificates.changed):
                    self._scope.events.emit("certificates changed")
                    self._changed()
                for state in self._standing.states.values():
                    await self._look_after(state)

    async def forget_failures(self) -> None:
        """Has Nginx take each peer for good, whatever it has seen of it; by a reload if need be.

        The caller sees to it that nothing is published meanwhile.
        """
        state = self._standing.nginx
        if state is None or state.change is None or not state.serves:
            return
        if await self._pushing.forget_failures():
            self._scope.events.emit("failures forgotten", by="push")
            return
        # New workers know of no failure: Nginx keeps these in memory that a reload makes anew.
        outcome = await self._publisher.serve(state.change)
        if outcome.error is None:
            self._scope.events.emit("failures forgotten", by="reload")
        else:
            self._scope.events.emit("failures not forgotten", "warning", why=str(outcome.error))

    def tell_certificates(self) -> None:
        """Says which pair cannot be served."""
        problems = self._pushing.certificates.problems
        if problems:
            self._scope.health.check(CERTIFICATES).fail("; ".join(problems))
        elif self._pushing.certificates.folder is not None:
            self._scope.health.check(CERTIFICATES).ok()
        else:
            self._scope.health.forget(CERTIFICATES)

    async def _look_after(self, state: State) -> None:
        if state.change is None:
            return
        if not state.serves:
            await self._look_for(state, state.change.rendered.generation)
            return
        if await asyncio.to_thread(self._publisher.differs, state.change):
            self._scope.events.emit("file drifted", "warning", dest=str(state.resource.dest))
            self._changed()
            return
        reader = reader_of(state.resource)
        if reader is None:
            return
        answer = await reader.ask()
        if answer is None:
            state.serves = False
            self._standing.fail(state, "Nginx does not answer")
        elif answer.generation != state.change.rendered.generation:
            state.serves = False
            self._standing.fail(state, f"Nginx serves generation {answer.generation}, not ours")
        else:
            count = reader.old_workers(answer.worker_pid)
            self._standing.meters.old_workers.set(count)
            self._old_workers.take(count)
        if not state.serves:
            self._standing.retry_later()
            self._wake()

    async def _look_for(self, state: State, generation: str) -> None:
        """What waits for a Nginx that is started by hand need not wait for its next attempt."""
        reader = reader_of(state.resource)
        answer = await reader.ask() if reader and self._standing.retry_at is not None else None
        if answer is not None and answer.generation == generation:
            self._standing.retry_at = time.monotonic()
            self._wake()
