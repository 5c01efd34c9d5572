"""The rolling loop: looks, takes the next step of the plan, and looks again, until it is done."""

from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final, assert_never

from deploy.release.engines.compose import leaving, plan
from deploy.release.engines.compose.arrivals import Arrivals
from deploy.release.engines.compose.files import MARK_LABEL
from deploy.release.engines.compose.plan import Seen, State, Wish
from deploy.release.engines.compose.site import NotRunning, Site
from deploy.release.engines.facts import Facts
from deploy.release.engines.instances import Came
from deploy.release.engines.registered import Instance, by_container
from wharfinger.errors import Unavailable
from wharfinger.text import quantity

# Between SIGTERM's arrival at the program, after the drain that with-port holds it for, and KILL.
STOP_SECONDS: Final = 15.0

StartSome = Callable[[int], Awaitable[None]]


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
        known: instances that etcd had when it was last looked at, by id of their container.
    """

    site: Site
    mark: str
    wish: Wish
    start: StartSome
    kept: frozenset[str] = frozenset()
    proven: set[str] = field(default_factory=set)
    out: set[str] = field(default_factory=set)
    known: dict[str, tuple[Instance, ...]] = field(default_factory=dict)

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
                await self._await(ids, found)
            case plan.Drain(ids):
                await self._drain(ids, found)
            case plan.Remove(ids):
                await self._remove(ids, found)
            case plan.Failed(ids):
                await self.site.fail(found[ids[0]], "it has ended")
            case plan.Done():
                pass
            case _:
                assert_never(step)

    async def _seen(self, found: Sequence[Facts]) -> list[Seen]:
        registered = await self._registered({each.id for each in found})
        return [
            Seen(each.id, self._wanted(each), self._state(each, registered), each.created)
            for each in found
        ]

    async def _registered(self, ids: set[str]) -> set[str]:
        """Those that are in etcd, or that were, if all of them is missing with their registrar."""
        if not self.site.registering:
            return ids
        held = by_container(await self.site.instances.held())
        self.known.update(held)
        if self.proven - self.out - held.keys():
            away = {each.host for several in self.known.values() for each in several}
            if not away & (await self.site.instances.hosts()).registrars.keys():
                # Discoveries keep what vanishes with its registrar and still answers; so do we.
                return {*held, *self.proven}
        return {*held}

    def _state(self, facts: Facts, registered: set[str]) -> State:
        if not facts.runs:
            return State.ENDED
        if facts.id in self.out:
            return State.OUT
        if self._wanted(facts) and facts.id not in self.proven:
            return State.DOUBTFUL
        return State.UP if facts.id in registered else State.DOUBTFUL

    async def _start(self, count: int, found: Mapping[str, Facts]) -> None:
        self.site.progress.step(quantity(count, "new instance starts", "new instances start"))
        try:
            await self.start(len(found) + count)
        except Unavailable as error:
            there = await self.site.found()
            for each in there:
                if each.id not in found and not each.runs:
                    await self.site.fail(each, "it could not be started")
            if found.keys() <= {each.id for each in there}:
                raise NotRunning(f"nothing could be started: {error}") from error
            # Somebody removed one while docker-compose counted them, and 1.29 ends for that.
            self.site.progress.step("a container was removed meanwhile: looked at again")

    async def _await(self, ids: Sequence[str], found: Mapping[str, Facts]) -> None:
        before = len((self.proven & found.keys()) - self.out - set(ids))
        await Arrivals(self.site, ids, before=before, of=self.wish.replicas).until_up()
        self.proven.update(ids)

    async def _drain(self, ids: Iterable[str], found: Mapping[str, Facts]) -> None:
        ids = list(ids)
        if self.site.registering and ids:
            names = ", ".join(found[key].name for key in ids)
            self.site.progress.step(f"{names}: traffic moves away")
            await leaving.drained(self.site, ids, found, self.known)
        self.out.update(ids)

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
            outcomes = await self.site.instances.undrain(
                names, timeout_seconds=leaving.ORDER_SECONDS
            )
            for each in outcomes:
                done = each.came == Came.DONE
                what = "let in again" if done else f"cannot be let in again: {each.why}"
                self.site.progress.step(f"{each.key.address}: {what}")

    def _wanted(self, facts: Facts) -> bool:
        return facts.labels.get(MARK_LABEL, "") == self.mark
