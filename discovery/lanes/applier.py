"""Brings snapshots into service: settles, renders every resource, publishes what differs."""

import asyncio
import contextlib
import time
from collections.abc import Awaitable, Callable, Iterable
from typing import Any, Final

from discovery.builtin.nginxfile import Site
from discovery.lanes.settle import Settle
from discovery.lanes.standing import Standing
from discovery.lanes.upkeep import Upkeep
from discovery.model import Snapshot
from discovery.nginx.pushing import Pushing, refuses_push
from discovery.nginx.roster import Noted
from discovery.nginx.running import reader_of
from discovery.publish.history import History
from discovery.publish.publisher import Change, Outcome, Publisher
from discovery.resources.render import require_instances
from discovery.resources.resources import Resource
from discovery.state import State
from wharfinger.errors import Rejected
from wharfinger.lifecycle import Scope

REWRITE_SECONDS: Final = 0.25


class Applier:
    """Keeps every resource's file at the latest snapshot, and Nginx's peers, too.

    Args:
        settle: when to render.
        resources: what to keep.
        snapshot: gives the latest.
        publisher: owns the files.
        pushing: owns the peers that Nginx holds.
        history: knows what is held.
        scope: of the daemon.
    """

    def __init__(
        self,
        settle: Settle,
        resources: tuple[Resource, ...],
        *,
        snapshot: Callable[[], Awaitable[Snapshot]],
        publisher: Publisher,
        pushing: Pushing,
        history: History,
        scope: Scope,
    ) -> None:
        self._snapshot = snapshot
        self._publisher = publisher
        self._pushing = pushing
        self._scope = scope
        self._standing = Standing(scope, history)
        self._settle = settle
        self._wake = asyncio.Event()
        self._news = asyncio.Event()
        self._rewrite_at: float | None = None
        self._applied_at = float("-inf")
        self._structure: tuple[object, ...] | None = None
        self._passing = asyncio.Lock()
        self._upkeep = Upkeep(
            self._standing,
            publisher,
            pushing,
            scope,
            changed=self.changed,
            wake=self._wake.set,
        )
        self._configure(settle, resources)

    async def reconfigure(self, settle: Settle, resources: tuple[Resource, ...]) -> None:
        """Takes other resources and settle times; templates are compiled anew."""
        async with self._passing:
            self._configure(settle, resources)

    def _configure(self, settle: Settle, resources: tuple[Resource, ...]) -> None:
        self._settle = settle
        self._structure = None
        self._pushing.configure(next((r.nginx for r in resources if r.nginx), None))
        self._standing.replace(resources)
        self.changed()

    def changed(self) -> None:
        """There may be something to push, or to render."""
        if self._pushing.carries:
            self._news.set()
        else:
            self._render_soon()

    def _render_soon(self) -> None:
        self._settle = self._settle.changed(time.monotonic())
        self._wake.set()

    @property
    def standing(self) -> Standing:
        """How these resources stand."""
        return self._standing

    def status(self) -> dict[str, Any]:
        """Resources, services and peers, as they stand."""
        return {**self._pushing.status(), **self._standing.status()}

    async def run(self) -> None:
        """Applies what comes, for ever."""
        while True:
            times = (self._settle.due_at, self._standing.retry_at, self._rewrite_at)
            due = [at for at in times if at is not None]
            delay = min(due) - time.monotonic() if due else None
            if delay is None or delay > 0:
                self._wake.clear()
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(delay):
                        await self._wake.wait()
                continue
            await self.apply()

    async def run_pushes(self) -> None:
        """Pushes peers as they come, for ever: a push never waits for quiet."""
        while True:
            await self._news.wait()
            self._news.clear()
            pushed = self._pushing.carries and await self._push()
            if not pushed or len(self._standing.states) > 1:
                self._render_soon()
            elif self._rewrite_at is None:
                # The file is for Nginx's next start: at once, since the revision counts as
                # applied then; but not after each push of a burst, which it would hold up.
                self._rewrite_at = self._applied_at + REWRITE_SECONDS
                self._wake.set()

    async def run_upkeep(self) -> None:
        """Looks, for ever, whether the files are still ours and still served."""
        await self._upkeep.run(self._passing)

    async def forget_failures(self) -> None:
        """Has Nginx take each peer for good, whatever it has seen of it."""
        async with self._passing:
            await self._upkeep.forget_failures()

    async def apply(self) -> None:
        """Renders everything once, and publishes what differs."""
        async with self._passing:
            self._settle = self._settle.rendered(time.monotonic())
            self._rewrite_at, self._applied_at = None, time.monotonic()
            forced = self._standing.retries()
            snapshot, noted = await self._taken()
            why = "" if self._pushing.why else await self._pushing.push(noted)
            if why and self._pushing.established:
                self._pushing.fail(why)
                # Anew: noted again, an older snapshot would pass for later than a newer one.
                snapshot, noted = await self._taken()
            await self._render_and_publish(snapshot, noted, forced=forced)
            state = self._standing.nginx
            if state is not None and self._gives_up(state):
                snapshot, noted = await self._taken()
                await self._render_and_publish(snapshot, noted, forced=True)
                if state.error:
                    self._pushing.take_back()
            await self._follow_up(state, noted)
            self._upkeep.tell_certificates()
            self._standing.conclude(snapshot, noted.stamp)

    async def apply_held(self) -> None:
        """Publishes what was rolled back, before etcd is heard for the first time."""
        async with self._passing:
            await asyncio.to_thread(self._standing.render, None, Site())
            await self._publish(0, forced=False)

    async def drained(self) -> None:
        """Returns when no publish is under way."""
        async with self._passing:
            pass

    async def _taken(self) -> tuple[Snapshot, Noted]:
        snapshot = await self._snapshot()
        state = self._standing.nginx
        # In one step with what was just returned: what is noted later must be later.
        if state is not None:
            try:
                require_instances(state.resource, snapshot)
            except Rejected:
                return snapshot, self._pushing.latest
        return snapshot, self._pushing.note(snapshot)

    async def _push(self) -> bool:
        """Whether a push alone has brought everything into service."""
        snapshot, noted = await self._taken()
        why = await self._pushing.push(noted)
        if why:
            self._pushing.fail(why)
            return False
        state = self._standing.nginx
        if (
            state is None
            or not state.serves
            or noted.revision != snapshot.revision
            or noted.structure != self._structure
        ):
            return False
        self._standing.pushed(snapshot, noted.stamp)
        return True

    def _gives_up(self, state: State) -> bool:
        """Whether a file that Nginx does not take is to be tried as plain upstreams."""
        if self._pushing.mode != "push" or not state.error or state.outcome is None:
            return False
        return refuses_push(state.outcome, state.resource.dest) and self._pushing.give_up(
            state.error
        )

    async def _follow_up(self, state: State | None, noted: Noted) -> None:
        """Once the file serves there is somebody to push to, and what it seeded may be old."""
        if state is None or self._pushing.mode != "push" or not state.serves or state.error:
            return
        if self._pushing.why:
            return
        why = await self._pushing.push(noted)
        if why:
            # Its seeds serve until the next change: that one is to come by reload.
            self._pushing.fail(why)
            self.changed()
        self._structure = noted.structure

    async def _render_and_publish(self, snapshot: Snapshot, noted: Noted, *, forced: bool) -> None:
        await asyncio.to_thread(self._standing.render, snapshot, noted.site)
        await self._publish(snapshot.revision, forced=forced)

    async def _publish(self, revision: int, *, forced: bool) -> None:
        waiting = []
        # One hop to a thread for all of them: hundreds may share a reload command.
        differing = await asyncio.to_thread(self._standing.differing, self._publisher)
        for name, state in self._standing.states.items():
            if state.change is None:
                if state.error:
                    self._standing.fail(state, state.error)
                continue
            if state.failed == state.change.rendered.content and not forced:
                continue
            if name in differing:
                if not await self._rewritten(state, state.change):
                    waiting.append(state)
            elif not state.serves:
                await self._serve(state)
            else:
                self._standing.settled(state)
        if not waiting:
            return
        self._structure = None
        self._take(await self._standing.publish(self._publisher, waiting), revision)

    def _take(self, outcomes: Iterable[Outcome], revision: int) -> None:
        for outcome in outcomes:
            state = self._standing.states[outcome.resource]
            if self._pushing.on_trial and refuses_push(outcome, state.resource.dest):
                # Whether Nginx has Lua is seen by asking it: that it has none is no fault.
                state.outcome, state.error, state.serves = outcome, str(outcome.error), False
            else:
                self._standing.take(state, outcome, revision)

    async def _rewritten(self, state: State, change: Change) -> bool:
        """Whether only peers differ that Nginx was pushed: the file is for its next start."""
        reader = reader_of(state.resource)
        if reader is None or not self._pushing.carries:
            return False
        answer = await reader.ask()
        if answer is None or answer.generation != change.rendered.generation:
            return False
        if not await asyncio.to_thread(self._publisher.rewrite, change):
            return False
        self._standing.settled(state)
        return True

    async def _serve(self, state: State) -> None:
        """The file is right; is it served? After a start, or when a reload could not be."""
        if state.change is None:
            return
        reader = reader_of(state.resource)
        if reader is None:
            self._standing.settled(state)
            return
        answer = await reader.ask()
        if answer is not None and answer.generation == state.change.rendered.generation:
            self._standing.settled(state)
        else:
            self._standing.take(state, await self._publisher.serve(state.change), 0)
