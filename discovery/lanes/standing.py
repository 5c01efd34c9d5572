"""How all resources stand: what became of each publish, what is served, when to try again."""

import asyncio
import time
from collections.abc import Iterable
from typing import Any

from discovery.builtin.nginxfile import Site
from discovery.lanes.holding import wanted
from discovery.model import Snapshot
from discovery.publish.changes import Change, Outcome
from discovery.publish.history import History
from discovery.publish.publisher import Publisher
from discovery.resources.render import compile_template
from discovery.resources.resources import Resource
from discovery.services.difference import Differences
from discovery.state import Meters, State
from wharfinger.backoff import Backoff
from wharfinger.errors import Rejected
from wharfinger.lifecycle import Scope


class Standing:
    """The state of each resource, told to health, events, metrics and whoever waits.

    Attributes:
        states: by resource.
        served: the latest snapshot that was rendered or pushed.
        applied_revision: of etcd, that is served.
        applied: set when there may be something to tell of that.
        retry_at: when what failed is tried again, monotonic; None for never.
        meters: what is counted.
        others: how the resources stand that are published beside these.
        differences: between snapshots.

    Args:
        scope: of the daemon.
        history: knows what is held.
        beside: the standing that tells of these, too.
    """

    def __init__(self, scope: Scope, history: History, beside: "Standing | None" = None) -> None:
        self._scope = scope
        self._history = history
        self._beside = beside
        self._backoff = Backoff(first_seconds=0.5, cap_seconds=30.0)
        self._concluded_stamp = 0
        self._forgotten = False
        self.meters: Meters = beside.meters if beside else Meters(scope.metrics)
        self.others: tuple[Standing, ...] = ()
        self.differences: Differences = beside.differences if beside else Differences()
        self.states: dict[str, State] = {}
        self.served = Snapshot()
        self.applied_revision = 0
        self.applied = asyncio.Event()
        self.retry_at: float | None = None

    @property
    def nginx(self) -> State | None:
        """The built-in resource's, where it is on."""
        return next((s for s in self.states.values() if s.resource.nginx), None)

    @property
    def everything(self) -> tuple[State, ...]:
        """The state of each resource, of the others' as well."""
        others = (state for other in self.others for state in other.states.values())
        return (*self.states.values(), *others)

    @property
    def failures(self) -> tuple[str, ...]:
        """Of each resource that is not current, why."""
        return tuple(f"{s.resource.name}: {s.error}" for s in self.everything if s.error)

    def replace(self, resources: Iterable[Resource]) -> None:
        """Takes other resources; those that are as they were keep how they stand.

        Templates are compiled anew.
        """
        states = {resource.name: State(resource) for resource in resources}
        for name in self.states.keys() - states.keys():
            self._scope.health.forget(_check_name(name))
        before, self.states = self.states, states
        for name, state in states.items():
            old = before.get(name)
            if old is not None and old.resource == state.resource:
                state.serves, state.applied_revision = old.serves, old.applied_revision
            try:
                state.template = compile_template(state.resource.template)
            except Rejected as error:
                self.fail(state, str(error))

    def render(self, snapshot: Snapshot | None, site: Site) -> None:
        """Renders every resource; what each shall hold, or why not, is in its state then.

        Whoever stands well and can see nothing of what has changed since is passed over. Without
        a snapshot only those are rendered that were rolled back, which need none.
        """
        with self.meters.render.time():
            for state in self.states.values():
                self._render(state, snapshot, site)

    def _render(self, state: State, snapshot: Snapshot | None, site: Site) -> None:
        try:
            if snapshot is not None and self._is_as_wanted(state, snapshot):
                state.seen = snapshot
                return
            rendered = wanted(self._history, state, snapshot, site)
        except Rejected as error:
            state.change, state.error = None, str(error)
            return
        except Exception as error:  # noqa: BLE001 - a bug of ours must cost one file, not all
            state.change, state.error = None, f"{type(error).__name__}: {error}"
            return
        if rendered is None:
            return
        if state.change is None or state.change.rendered != rendered:
            state.change = Change(state.resource, rendered)
        state.refused, state.seen = rendered.refused, snapshot

    def _is_as_wanted(self, state: State, snapshot: Snapshot) -> bool:
        if not self._stands(state, snapshot):
            return False
        # A rollback may begin or end at any time.
        return not state.held and self._history.held(state.resource.name) is None

    def _stands(self, state: State, snapshot: Snapshot) -> bool:
        """Whether what serves is what this snapshot would give."""
        if state.change is None or state.seen is None or state.error or not state.serves:
            return False
        sight = state.change.rendered.sight
        return sight is not None and not sight.meets(self.differences.between(state.seen, snapshot))

    def sees(self, before: Snapshot, after: Snapshot) -> bool:
        """Whether any of these resources can see what is not the same in both."""
        difference = self.differences.between(before, after)
        changes = [state.change for state in self.states.values()]
        sights = [change.rendered.sight if change else None for change in changes]
        return any(sight is None or sight.meets(difference) for sight in sights)

    def passes_over(self, snapshot: Snapshot) -> bool:
        """Whether nothing of a snapshot concerns any of these: then all of them serve it.

        That is to be told with `tell`, once for all who stand side by side.
        """
        states = self.states.values()
        if not all(self._stands(state, snapshot) for state in states):
            return False
        for state in states:
            state.seen, state.applied_revision = snapshot, snapshot.revision
        return True

    def differing(self, publisher: Publisher) -> set[str]:
        """The names of those whose files are not what was rendered last."""
        return {
            name
            for name, state in self.states.items()
            if state.change is not None and publisher.differs(state.change)
        }

    async def publish(self, publisher: Publisher, states: Iterable[State]) -> tuple[Outcome, ...]:
        """Brings what was rendered of these into service; what became of it is for `take`."""
        with self.meters.publish.time():
            return await publisher.publish([s.change for s in states if s.change])

    def take(self, state: State, outcome: Outcome, revision: int) -> None:
        """Takes in what became of a publish."""
        state.outcome = outcome
        name, error = state.resource.name, outcome.error
        seconds = sum(ran.seconds for ran in outcome.commands)
        self.meters.publishes.labels(name, "failed" if error else "applied").inc()
        if error is None:
            self._scope.events.emit(
                "configuration applied",
                resource=name,
                revision=revision,
                generation=state.change.rendered.generation if state.change else "",
                command_seconds=seconds,
            )
            self.settled(state)
            return
        state.serves = False
        if not outcome.swapped and state.change is not None:
            state.failed = state.change.rendered.content
        if str(error) != state.error:  # the same again at each attempt is no news
            self._scope.events.emit(
                "configuration not applied", "error", resource=name, why=str(error)
            )
        self.fail(state, str(error))
        self.retry_later()

    def settled(self, state: State) -> None:
        """What was rendered last is served."""
        state.serves, state.failed, state.error = True, None, ""
        if not self._forgotten:
            self._scope.health.check(_check_name(state.resource.name)).ok()

    def fail(self, state: State, why: str) -> None:
        """It is not, and why."""
        state.error = why
        if not self._forgotten:
            self._scope.health.check(_check_name(state.resource.name)).fail(why)

    def retries(self) -> bool:
        """Whether what failed is tried again now; asked once for each pass."""
        due = self.retry_at is not None and self.retry_at <= time.monotonic()
        if due:
            self.retry_at = None
        return due

    def retry_later(self) -> None:
        """Another attempt, after a while that grows."""
        self.retry_at = time.monotonic() + self._backoff.next_delay_seconds()

    def conclude(self, snapshot: Snapshot, stamp: int) -> None:
        """What is served now.

        The revision that is reported is the one of the Nginx that we know how to ask, where
        there is one: a broken motd must not hold up a release.

        Args:
            snapshot: what was rendered.
            stamp: a push may have overtaken it, with a later one.
        """
        states = self.states.values()
        for state in states:
            if not state.error and state.serves:
                state.applied_revision = snapshot.revision
        if not any(state.error for state in states):
            self._backoff.reset()
            self.retry_at = None
        if stamp >= self._concluded_stamp:
            self._concluded_stamp, self.served = stamp, snapshot
        self.tell(snapshot.revision)

    def pushed(self, snapshot: Snapshot, stamp: int) -> None:
        """A push alone has brought all of a snapshot into service.

        That is not told to whoever waits before the file says the same: a Nginx that is
        restarted in between would serve what the file says.
        """
        if stamp >= self._concluded_stamp:
            self._concluded_stamp, self.served = stamp, snapshot

    def status(self) -> dict[str, Any]:
        """Resources and services, as they stand."""
        refused = [one for state in self.everything for one in state.refused]
        return {
            "applied_revision": self.applied_revision,
            "resources": [state.status for state in self.everything],
            "services": {
                service.name: [i.address for i in service.instances]
                for service in self.served.services
            },
            "rejected": [
                {"key": one.key, "reason": one.reason} for one in (*self.served.rejected, *refused)
            ],
        }

    def forget(self) -> None:
        """These resources are no more, however the publish ends that is under way."""
        self._forgotten = True
        for name in self.states:
            self._scope.health.forget(_check_name(name))

    def tell(self, revision: int) -> None:
        """Says which revision is served.

        Args:
            revision: the latest that is known, where nothing is kept at it.
        """
        if self._beside is not None:
            self._beside.tell(revision)
            return
        states = [self.nginx] if self.nginx else list(self.everything)
        applied = min((state.applied_revision for state in states), default=revision)
        if applied != self.applied_revision:
            self.applied_revision = applied
            self.meters.applied.set(applied)
        self.applied.set()


def _check_name(resource: str) -> str:
    return f"resource {resource}"
