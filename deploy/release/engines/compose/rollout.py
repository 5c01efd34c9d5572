"""The rolling loop: looks, takes the next step of the plan, and looks again, until it is done."""

import asyncio
import time
from collections.abc import Awaitable, Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final, assert_never

from deploy.release.app.model import App, Environment
from deploy.release.engines.compose import plan
from deploy.release.engines.compose.files import MARK_LABEL
from deploy.release.engines.compose.judging import Patience, Waited
from deploy.release.engines.compose.plan import Seen, State, Wish
from deploy.release.engines.containers import Containers
from deploy.release.engines.facts import Facts
from deploy.release.engines.instances import Came, Instances
from deploy.release.engines.registered import Instance, by_container
from deploy.release.progress import Progress
from wharfinger.errors import Rejected, Unavailable, WharfingerError

LOOK_SECONDS: Final = 0.3
# What etcd, the discoveries and registrars have to do beside the drain itself.
ORDER_SECONDS: Final = 60.0
# Between SIGTERM's arrival at the program, after the drain that with-port holds it for, and KILL.
STOP_SECONDS: Final = 15.0

StartSome = Callable[[int], Awaitable[None]]


class NotRunning(WharfingerError):
    """The release does not run, or what ran before does not leave; the message says why."""


@dataclass(frozen=True, slots=True)
class Site:
    """Where it rolls.

    Attributes:
        app: what is rolled.
        environment: of it.
        containers: of the engine.
        labels: that each of the application's carries.
        instances: of the service in etcd.
        registering: whether there are registrars, so that who serves is in etcd.
        progress: is told.
    """

    app: App
    environment: Environment
    containers: Containers
    labels: Mapping[str, str]
    instances: Instances
    registering: bool
    progress: Progress

    async def found(self) -> tuple[Facts, ...]:
        """All containers of the application.

        Raises:
            Unavailable: the engine does not answer.
        """
        return await self.containers.labelled(self.labels)


@dataclass(slots=True)
class Rollout:
    """One release on its way, forwards or back.

    Attributes:
        site: where.
        mark: of the release that shall run.
        wish: how many, and in which order.
        start: has the engine run so many in all, the new ones being of that release.
        kept: ids of those that are not taken away though they do not come up: they ran before.
        proven: ids of those that were up for long enough.
        out: ids of those that nobody is sent to any more.
    """

    site: Site
    mark: str
    wish: Wish
    start: StartSome
    kept: frozenset[str] = frozenset()
    proven: set[str] = field(default_factory=set)
    out: set[str] = field(default_factory=set)

    async def run(self) -> None:
        """Goes on until it is done.

        Raises:
            NotRunning: it cannot be.
            Unavailable: engine or etcd do not answer any more.
        """
        found = await self.site.found()
        ended = [each for each in found if not each.runs]
        if ended:
            names = ", ".join(each.name for each in ended)
            self.site.progress.step(f"{names}: left by an earlier run, removed")
            await self.site.containers.remove([each.id for each in ended])
        await self._let_in([each for each in found if self._wanted(each) and each.runs])
        while True:
            found = await self.site.found()
            step = plan.next_step(await self._seen(found), self.wish)
            if isinstance(step, plan.Done):
                return
            await self._take(step, {each.id: each for each in found})

    async def discard(self) -> None:
        """Takes away what was started and never came up, so that nothing but its words is left.

        Raises:
            NotRunning: its traffic does not move away.
            Unavailable: engine or etcd do not answer.
        """
        found = {each.id: each for each in await self.site.found()}
        left = [
            key
            for key, each in found.items()
            if self._wanted(each) and key not in self.proven and key not in self.kept
        ]
        if left:
            await self._drain([key for key in left if found[key].runs], found)
            await self._remove(left, found)

    async def _take(self, step: plan.Step, found: Mapping[str, Facts]) -> None:
        match step:
            case plan.Start(count):
                await self._start(count, found)
            case plan.Await(ids):
                await self._await(ids)
            case plan.Drain(ids):
                await self._drain(ids, found)
            case plan.Remove(ids):
                await self._remove(ids, found)
            case plan.Failed(ids):
                await self._fail(found[ids[0]], "")
            case plan.Done():
                pass
            case _:
                assert_never(step)

    async def _seen(self, found: Sequence[Facts]) -> list[Seen]:
        held = by_container(await self.site.instances.held()) if self.site.registering else {}
        return [
            Seen(each.id, self._wanted(each), self._state(each, held), each.created)
            for each in found
        ]

    def _state(self, facts: Facts, held: Mapping[str, object]) -> State:
        if not facts.runs:
            return State.ENDED
        if facts.id in self.out:
            return State.OUT
        serves = facts.id in held or not self.site.registering
        if self._wanted(facts) and facts.id not in self.proven:
            return State.DOUBTFUL
        return State.UP if serves else State.DOUBTFUL

    async def _start(self, count: int, found: Mapping[str, Facts]) -> None:
        self.site.progress.step(_counted("new instance", count, "starts", "start"))
        try:
            await self.start(len(found) + count)
        except Unavailable as error:
            for each in await self.site.found():
                if each.id not in found and not each.runs:
                    await self._fail(each, "it could not be started")
            raise NotRunning(f"nothing could be started: {error}") from error

    async def _await(self, ids: Sequence[str]) -> None:
        await self._until_up(ids)
        if self.site.registering:
            held = by_container(await self.site.instances.held())
            await self._until_served([each for key in ids for each in held.get(key, ())], "sent")
        self.proven.update(ids)

    async def _until_up(self, ids: Sequence[str]) -> None:
        patience = Patience.of(self.site.app, self.site.environment)
        began = time.monotonic()
        steady: dict[str, float] = {}
        restarts: dict[str, int] = {}
        while True:
            found = await self._inspected(ids)
            asked = time.monotonic()
            held = by_container(await self.site.instances.held()) if self.site.registering else {}
            now = time.monotonic()
            # While etcd is away nobody can register: that time is not its own.
            began += now - asked
            several = []
            for facts in found:
                waited = Waited(
                    facts,
                    facts.id in held if self.site.registering else None,
                    now - began,
                    now - steady.get(facts.id, now),
                    restarts.setdefault(facts.id, facts.restarts),
                )
                if waited.is_up:
                    steady.setdefault(facts.id, now)
                else:
                    steady.pop(facts.id, None)
                await self._require_hope(waited, patience)
                several.append(waited)
            done = sum(each.proven(patience) for each in several)
            self.site.progress.waiting("new instances that are up", done, len(ids))
            if done == len(ids):
                return
            await asyncio.sleep(LOOK_SECONDS)

    async def _inspected(self, ids: Sequence[str]) -> tuple[Facts, ...]:
        found = tuple(each for each in await self.site.found() if each.id in ids)
        if len(found) < len(ids):
            raise NotRunning("a new instance was removed by somebody else")
        return found

    async def _require_hope(self, waited: Waited, patience: Patience) -> None:
        if waited.broken(patience, "") is not None:
            hosts = await self.site.instances.hosts() if self.site.registering else None
            reason = hosts.reason(waited.facts.name) if hosts is not None else ""
            await self._fail(waited.facts, waited.broken(patience, reason) or "")

    async def _until_served(self, changed: Collection[Instance], what: str) -> None:
        """Waits until requests are sent to those that came."""
        revision = max((each.revision for each in changed), default=0)
        if not revision:
            return
        behind = await self.site.instances.served(revision, on_waiting=self._waiting_for)
        if behind:
            raise NotRunning(
                f"no requests are {what} to it by the discovery on {', '.join(behind)}: it does "
                "not apply what etcd holds; see its /healthz"
            )

    def _waiting_for(self, hosts: tuple[str, ...]) -> None:
        if hosts:
            self.site.progress.waiting(f"discovery on {', '.join(hosts)}", 0, len(hosts))

    async def _drain(self, ids: Iterable[str], found: Mapping[str, Facts]) -> None:
        ids = list(ids)
        if self.site.registering and ids:
            names = ", ".join(found[key].name for key in ids)
            self.site.progress.step(f"{names}: traffic moves away")
            await self._drained(ids, found)
        self.out.update(ids)

    async def _drained(self, ids: Sequence[str], found: Mapping[str, Facts]) -> None:
        instances, timeout = self.site.instances, self.site.app.drain_seconds + ORDER_SECONDS
        held = by_container(await instances.held())
        leaving = [each for key in ids for each in held.get(key, ())]
        others = [found[key].name for key in ids if key not in held]
        outcomes = (
            *await instances.drain(leaving, timeout_seconds=timeout),
            *(await instances.drain_again(others, timeout_seconds=timeout) if others else ()),
        )
        for each in outcomes:
            if each.came == Came.FAILED:
                raise NotRunning(f"{each.key.address} cannot be drained: {each.why}")
        untaken = {each.key: each.why for each in outcomes if each.came == Came.UNTAKEN}
        if untaken:
            why = next(iter(untaken.values()))
            self.site.progress.step(f"{why}: its keys are deleted from here")
            await self._removed_by_us([each for each in leaving if each.key in untaken])

    async def _removed_by_us(self, leaving: Sequence[Instance]) -> None:
        """Takes out of etcd what no registrar does, and gives the traffic its time."""
        try:
            revision = await self.site.instances.removed(leaving)
        except Rejected as error:
            self.site.progress.step(f"etcd refuses that ({error}): the stop alone moves traffic")
            return
        behind = await self.site.instances.served(revision, on_waiting=self._waiting_for)
        if behind:
            raise NotRunning(f"the discovery on {', '.join(behind)} still sends requests there")
        await asyncio.sleep(self.site.app.drain_seconds)

    async def _remove(self, ids: Sequence[str], found: Mapping[str, Facts]) -> None:
        running = [key for key in ids if found[key].runs]
        names = ", ".join(found[key].name for key in ids)
        self.site.progress.step(f"{names}: {'stopped' if running else 'removed'}")
        if running:
            grace = self.site.app.drain_seconds + STOP_SECONDS
            await self.site.containers.stop(running, grace_seconds=grace)
        await self.site.containers.remove(ids)
        self.out.difference_update(ids)

    async def _let_in(self, wanted: Sequence[Facts]) -> None:
        """Ends drains of those that shall serve: of a person, or of a run on its way elsewhere."""
        if self.site.registering and wanted:
            names = [each.name for each in wanted]
            outcomes = await self.site.instances.undrain(names, timeout_seconds=ORDER_SECONDS)
            for each in outcomes:
                self.site.progress.step(f"{each.key.address}: let in again ({each.came})")

    async def _fail(self, facts: Facts, reason: str) -> None:
        raise NotRunning(await self.site.containers.explained(facts, reason))

    def _wanted(self, facts: Facts) -> bool:
        return facts.labels.get(MARK_LABEL) == self.mark


def _counted(what: str, count: int, one: str, more: str) -> str:
    return f"{count} {what} {one}" if count == 1 else f"{count} {what}s {more}"
