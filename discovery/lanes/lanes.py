"""All resources: the built-in one and what goes with it, and a lane for each that goes alone."""

import asyncio
import hashlib
from collections.abc import Awaitable, Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Final

from discovery.config import Config
from discovery.lanes.applier import Applier
from discovery.lanes.grouping import grouped
from discovery.lanes.lane import Lane
from discovery.lanes.settle import Settle
from discovery.lanes.standing import Standing
from discovery.lanes.threads import Pace, Threads
from discovery.model import Snapshot
from discovery.nginx.pushing import Pushing
from discovery.publish.history import History
from discovery.publish.publisher import Publisher
from discovery.resources.resources import Resource
from wharfinger.lifecycle import Scope

# Of a burst, what each resource can see of it is not asked more often.
SIFT_SECONDS: Final = 0.01
# A burst falters where etcd waits for its disk; twice the pause that ends it is not enough.
REST_TIMES: Final = 4


@dataclass(frozen=True, slots=True)
class _Running:
    """A lane, what made it, and its task once it runs."""

    lane: Lane
    made_of: tuple[object, ...]
    task: asyncio.Task[None] | None = None


async def _at_once() -> None:
    """Where nothing is watched there is nothing to wait for."""


class Lanes:
    """Keeps every resource at the latest snapshot, none of them waiting for another.

    Args:
        config: settle times.
        resources: what to keep.
        snapshot: gives the latest.
        caught_up: returns when that is the latest, after a time in which this process stood still.
        publisher: owns the files.
        pushing: owns the peers that Nginx holds.
        history: of the files.
        scope: of the daemon.
        fingerprints: of the templates, by resource.
    """

    def __init__(
        self,
        config: Config,
        resources: tuple[Resource, ...],
        *,
        snapshot: Callable[[], Awaitable[Snapshot]],
        publisher: Publisher,
        pushing: Pushing,
        history: History,
        scope: Scope,
        fingerprints: Mapping[str, str] = {},
        caught_up: Callable[[], Awaitable[None]] = _at_once,
    ) -> None:
        self._snapshot = snapshot
        self._caught_up = caught_up
        self._taking = asyncio.Lock()
        self._arranging = asyncio.Lock()
        self._threads = Threads()
        self._taken = Snapshot()
        self._changes, self._taken_at = 0, -1
        self._news = asyncio.Event()
        self._publisher = publisher
        self._history = history
        self._scope = scope
        builtin, others = _divided(resources)
        self._applier = Applier(
            settle_of(config, builtin),
            builtin,
            snapshot=snapshot,
            publisher=publisher,
            pushing=pushing,
            history=history,
            scope=scope,
        )
        self._builtin = _made_of(builtin, config, fingerprints)
        self._lanes: tuple[_Running, ...] = ()
        self._running = False
        self._retiring: set[asyncio.Task[None]] = set()
        self._arrange(config, others, fingerprints)

    @property
    def applied_revision(self) -> int:
        """Of etcd, that is served."""
        return self._applier.standing.applied_revision

    @property
    def feeds_nginx(self) -> bool:
        """Whether the built-in resource is among them."""
        return self._applier.standing.nginx is not None

    @property
    def applied(self) -> asyncio.Event:
        """Set when there may be something to tell of that."""
        return self._applier.standing.applied

    @property
    def failures(self) -> tuple[str, ...]:
        """Of each resource that is not current, why."""
        return self._applier.standing.failures

    def status(self) -> dict[str, Any]:
        """Resources, services and peers, as they stand."""
        return self._applier.status()

    def changed(self) -> None:
        """There may be something to render, for whoever can see it."""
        self._changes += 1
        self._applier.changed()
        self._news.set()

    def renew(self) -> None:
        """There may be something to render that snapshots do not tell of."""
        self.changed()
        for running in self._lanes:
            running.lane.changed()

    async def apply(self) -> None:
        """Renders everything once, side by side, and publishes what differs."""
        lanes = (running.lane.apply() for running in self._lanes)
        await asyncio.gather(self._applier.apply(), *lanes)

    async def apply_held(self) -> None:
        """Publishes what was rolled back, before etcd is heard for the first time."""
        lanes = (running.lane.apply_held() for running in self._lanes)
        await asyncio.gather(self._applier.apply_held(), *lanes)

    async def forget_failures(self) -> None:
        """Has Nginx, where there is one, take each peer for good, whatever it has seen of it."""
        await self._applier.forget_failures()

    async def drained(self) -> None:
        """Returns when no publish is under way."""
        lanes = (running.lane.drained() for running in self._lanes)
        await asyncio.gather(self._applier.drained(), *lanes)

    def run(self) -> None:
        """Begins all loops."""
        self._scope.spawn("apply", self._applier.run())
        self._scope.spawn("pushes", self._applier.run_pushes())
        self._scope.spawn("upkeep", self._applier.run_upkeep())
        self._scope.spawn("sift", self._run_sift())
        self._running = True
        self._lanes = tuple(self._begun(running, []) for running in self._lanes)

    async def reconfigure(
        self,
        config: Config,
        resources: tuple[Resource, ...],
        fingerprints: Mapping[str, str],
    ) -> None:
        """Takes other resources; what is as it was is not touched.

        Args:
            config: settle times.
            resources: what to keep.
            fingerprints: of their templates, by resource.
        """
        builtin, others = _divided(resources)
        made_of = _made_of(builtin, config, fingerprints)
        async with self._arranging:
            # Nobody may write a file that another has not let go of yet.
            await _retired(one for one in self._lanes if _overlap(one.lane.resources, builtin))
            if made_of != self._builtin:
                self._builtin = made_of
                await self._applier.reconfigure(settle_of(config, builtin), builtin)
            self._arrange(config, others, fingerprints)

    def _arrange(
        self,
        config: Config,
        groups: tuple[tuple[Resource, ...], ...],
        fingerprints: Mapping[str, str],
    ) -> None:
        before = {running.made_of: running for running in self._lanes}
        wanted = {_made_of(group, config, fingerprints): group for group in groups}
        gone = [running for made_of, running in before.items() if made_of not in wanted]
        for running in gone:
            running.lane.standing.forget()
        lanes = []
        for made_of, group in wanted.items():
            if made_of in before:
                lanes.append(before[made_of])
                continue
            former = [one for one in gone if _overlap(one.lane.resources, group)]
            lane = self._lane(config, group, former)
            lanes.append(self._begun(_Running(lane, made_of), former))
        self._lanes = tuple(lanes)
        self._applier.standing.others = tuple(one.lane.standing for one in lanes)
        if gone and self._running:
            task = asyncio.get_running_loop().create_task(_retired(gone))
            self._retiring.add(task)
            task.add_done_callback(self._retiring.discard)

    def _lane(self, config: Config, group: tuple[Resource, ...], former: list[_Running]) -> Lane:
        standing = Standing(self._scope, self._history, self._applier.standing)
        names = {resource.name for resource in group}
        for running in former:
            states = running.lane.standing.states
            standing.states.update((name, states[name]) for name in states.keys() & names)
        lane = Lane(
            group,
            settle_of(config, group),
            snapshot=self._latest,
            publisher=self._publisher,
            standing=standing,
            threads=self._threads,
            pace=Pace(slow=any(one.lane.pace.slow for one in former)),
            scope=self._scope,
        )
        lane.changed()
        return lane

    async def _run_sift(self) -> None:
        """Offers each snapshot to all lanes, for ever: most can see nothing of what changed."""
        while True:
            await self._news.wait()
            self._news.clear()
            if self._lanes:
                snapshot = await self._latest()
                for running in self._lanes:
                    running.lane.offer(snapshot)
                self._applier.standing.tell(snapshot.revision)
                await asyncio.sleep(SIFT_SECONDS)

    async def _latest(self) -> Snapshot:
        """One snapshot for all lanes: a hundred of them would make the same one each."""
        async with self._taking:
            await self._caught_up()
            if self._taken_at != self._changes:
                changes = self._changes
                self._taken = await self._snapshot()
                self._taken_at = changes
            return self._taken

    def _begun(self, running: _Running, former: list[_Running]) -> _Running:
        if not self._running:
            return running
        names = "+".join(resource.name for resource in running.lane.resources)
        run = running.lane.run(lambda: _retired(former))
        return _Running(running.lane, running.made_of, self._scope.spawn(f"lane {names}", run))


async def _retired(gone: Iterable[_Running]) -> None:
    """Ends lanes that are no more, each when its publish is done."""
    for running in gone:
        await running.lane.drained()
        if running.task is not None:
            running.task.cancel()


def settle_of(config: Config, group: tuple[Resource, ...]) -> Settle:
    """When to render these."""
    discovery = config.discovery
    builtin = any(one.nginx for one in group)
    debounce = max((one.debounce_seconds for one in group), default=0.0)
    quiet = max(discovery.settle_seconds, debounce)
    interval = [one.min_reload_interval_seconds for one in group]
    return Settle(
        quiet_seconds=quiet,
        # consul-template's: a source that is never quiet must not hold back its changes for ever
        longest_seconds=max(discovery.settle_max_seconds, 4 * debounce),
        interval_seconds=max([discovery.min_reload_interval_seconds, *interval]),
        splay_seconds=splay_of(config.host.name, discovery.splay_seconds),
        patient=debounce > 0,
        # Its own burst is pushed; a reload is for what is new, and that is awaited by somebody.
        rest_seconds=0.0 if builtin else REST_TIMES * discovery.settle_seconds,
    )


def splay_of(host: str, longest_seconds: float) -> float:
    """This host's share: always the same, and spread evenly over all hosts."""
    digest = hashlib.sha256(host.encode()).digest()
    return longest_seconds * int.from_bytes(digest[:4], "big") / 2**32


def _made_of(
    group: tuple[Resource, ...], config: Config, fingerprints: Mapping[str, str]
) -> tuple[object, ...]:
    """What a lane is made of: when that is another, so is the lane."""
    prints = tuple(fingerprints.get(resource.name, "") for resource in group)
    return group, prints, config.discovery


def _overlap(before: tuple[Resource, ...], after: tuple[Resource, ...]) -> bool:
    names = {one.name for one in before} & {one.name for one in after}
    return bool(names) or bool({one.dest for one in before} & {one.dest for one in after})


def _divided(
    resources: tuple[Resource, ...],
) -> tuple[tuple[Resource, ...], tuple[tuple[Resource, ...], ...]]:
    """The group of the built-in resource, and all others."""
    groups = grouped(resources)
    builtin = next((group for group in groups if any(one.nginx for one in group)), ())
    return builtin, tuple(group for group in groups if group is not builtin)
