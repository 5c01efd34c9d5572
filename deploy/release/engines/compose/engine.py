"""The engine of one environment on Compose: forwards, back where that fails, more and fewer."""

from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Final

from msgspec import structs

from deploy.release.app.model import App, Environment, Order
from deploy.release.engine import Replica, RolloutFailed, Target
from deploy.release.engines.compose.files import (
    MARK_LABEL,
    RELEASE_LABEL,
    Begun,
    Former,
    Kept,
    marked,
)
from deploy.release.engines.compose.plan import Wish
from deploy.release.engines.compose.program import Compose
from deploy.release.engines.compose.rollout import Rollout
from deploy.release.engines.compose.site import NotRunning, Site
from deploy.release.engines.containers import Containers
from deploy.release.engines.facts import PAUSED, UNHEALTHY, Facts
from deploy.release.engines.instances import Instances
from deploy.release.engines.place import Place
from deploy.release.engines.registered import by_container
from deploy.release.progress import Progress
from wharfinger.errors import Unavailable, WharfingerError
from wharfinger.keys import Service

FILE: Final = "docker-compose.yml"
_NOTHING: Final = "nothing"  # no container has this mark

Render = Callable[[Target], Mapping[str, str]]


class ComposeEngine:
    """One environment of an application on one Docker engine.

    Args:
        app: what wharf.yaml says.
        environment: one of its.
        place: where etcd, the engine and our state are.
        project: its name for Compose.
        render: makes the files of a release.
    """

    def __init__(
        self, app: App, environment: Environment, place: Place, *, project: str, render: Render
    ) -> None:
        self._app = app
        self._environment = environment
        self._place = place
        self._render = render
        docker_url = environment.docker or place.docker_url
        self._service = Service(app.name, environment.name)
        self._containers = Containers(docker_url)
        self._compose = Compose(docker_url, project, app.name)
        self._kept = Kept(place.folder(self._service), app.name)

    async def running(self) -> tuple[Replica, ...]:
        """What runs of the application there.

        Raises:
            Unavailable: the engine does not answer.
        """
        found = await self._containers.labelled(self._compose.labels)
        instances = self._instances(lambda _text: None)
        held = by_container(await instances.held())
        registering = bool((await instances.hosts()).registrars)
        replicas = []
        for each in found:
            own = held.get(each.id, ())
            state = _state(each, registered=bool(own) or not registering)
            host = own[0].host if own else ""
            replicas.append(
                Replica(id=each.id, name=each.name, host=host, image=each.image, state=state)
            )
        return tuple(replicas)

    async def require_room(self, target: Target) -> None:
        """What cannot run on one host is refused as wharf.yaml is read."""

    async def up(self, target: Target, progress: Progress) -> None:
        """Makes it run, in the order of the plan.

        Raises:
            RolloutFailed: it does not run; what ran before was put back, or could not be.
            Unavailable: engine, registry or etcd do not answer; the next `up` goes on from here.
        """
        text = self._text(target)
        mark = marked(text)
        progress.step(await self._compose.found())
        if await self._containers.pull(target.image):
            progress.step(f"{target.release}: image pulled")
        site = await self._site(progress)
        found = await site.found()
        begun = None if target.settled else self._kept.begun()
        goes_on = begun is not None and begun.mark == mark
        if goes_on:
            progress.step(f"{target.release}: goes on where an earlier run was cut off")
        former = _former(found, mark, begun, 0 if target.settled else target.replicas)
        files = self._kept.keep(mark, text)
        await self._compose.check(*files)
        self._kept.begin(Begun(mark=mark, former=former))
        rollout = self._rollout(site, mark, target.replicas, files)
        # What an earlier run has left half-way may go, but nothing that requests are sent to.
        rollout.kept = await self._serving(site, found) if goes_on else _running(found)
        await self._rolled(rollout, former)
        self._kept.end(mark)

    async def scale(self, target: Target, progress: Progress) -> None:
        """Changes only how many instances there are, of whatever release runs.

        Raises:
            RolloutFailed: as of `up`.
            Unavailable: the engine does not answer, or two releases run.
        """
        site = await self._site(progress)
        found = await site.found()
        marks = {each.labels.get(MARK_LABEL, "") for each in found}
        if len(marks) != 1:
            many = "a rollout was cut off and two releases run" if marks else "nothing runs"
            raise Unavailable(f"{many} in {self._environment.name}: `deploy up` first")
        now = _as_former(found, marks.pop())
        progress.step(await self._compose.found())
        rollout = self._rollout(site, now.mark, target.replicas, self._files(now))
        rollout.kept = _running(found)
        await self._rolled(rollout, now)

    async def _rolled(self, rollout: Rollout, former: Former | None) -> None:
        """Rolls, and back where that fails.

        Raises:
            RolloutFailed: it failed.
        """
        try:
            await rollout.run()
        except NotRunning as error:
            why = str(error)
        else:
            return
        rollout.site.progress.step("it does not run: what ran before is put back")
        try:
            await rollout.discard()
            restored = await self._restore(rollout, former)
        except WharfingerError as error:
            raise RolloutFailed(f"{why}\nand the way back: {error}", restored=False) from error
        raise RolloutFailed(why, restored=restored)

    async def _restore(self, failed: Rollout, former: Former | None) -> bool:
        """Puts back what ran before; whether there was such, and it serves as it did."""
        site = failed.site
        if former is not None:
            files = self._files(former)
            await self._rollout(site, former.mark, former.replicas, files).run()
            self._kept.end(former.mark)
            return True
        if not failed.kept:
            # Nothing ran before, so nothing runs after.
            await self._rollout(site, _NOTHING, 0, ()).run()
            self._kept.end(_NOTHING)
            return False
        # All that ran before was of this release already, or of the one that it goes back to.
        left = [each for each in await site.found() if each.runs]
        alone = {each.labels.get(MARK_LABEL, "") for each in left} == {failed.mark}
        if alone:
            self._kept.end(failed.mark)
        return alone and failed.kept <= _running(left)

    async def _serving(self, site: Site, found: Sequence[Facts]) -> frozenset[str]:
        """Those that requests are sent to; where nobody tells, all that run and are sound."""
        held = by_container(await site.instances.held()) if site.registering else None
        return frozenset(
            each.id
            for each in found
            if each.runs and each.health != UNHEALTHY and (held is None or each.id in held)
        )

    def _rollout(self, site: Site, mark: str, replicas: int, files: Sequence[Path]) -> Rollout:
        async def start(count: int) -> None:
            await self._compose.scale(count, *files, progress=site.progress)

        rollout = self._environment.rollout
        # A port can be held once: the new instance would wait for the old one's end for ever.
        fixed = self._app.port.fixed is not None
        order = Order.STOP_FIRST if fixed else rollout.order
        return Rollout(site, mark, Wish(replicas, rollout.batch, order), start)

    def _files(self, former: Former) -> tuple[Path, Path]:
        """The files of what runs; made anew where another machine has them."""
        text = self._kept.text(former.mark)
        if text is None:
            target = Target(
                app=self._app,
                environment=self._environment,
                image=former.image,
                release=former.release,
                replicas=former.replicas,
            )
            text = self._text(target)
        return self._kept.keep(former.mark, text)

    def _text(self, target: Target) -> str:
        # How many there are is said by a flag: a file that says it, too, would be another release's
        # for each number.
        return self._render(replace(target, replicas=1))[FILE]

    async def _site(self, progress: Progress) -> Site:
        instances = self._instances(progress.step)
        hosts = await instances.hosts()
        if not hosts.registrars:
            progress.step("no registrar tells of itself: who runs and is healthy counts as up")
        elif not hosts.discoveries:
            progress.step("no discovery tells of itself: nobody acknowledges a change")
        return Site(
            app=self._app,
            environment=self._environment,
            containers=self._containers,
            labels=self._compose.labels,
            instances=instances,
            registering=bool(hosts.registrars),
            progress=progress,
        )

    def _instances(self, tell: Callable[[str], None]) -> Instances:
        return Instances(self._place.etcd, self._service, by=self._place.by, tell=tell)


def _former(
    found: Sequence[Facts], mark: str, begun: Begun | None, least: int = 0
) -> Former | None:
    """What a rollout to `mark` goes back to: what ran before it, or before one that was cut off.

    None where nothing else ran, and on the way back from a rollout that was cut off as long as some
    of what ran before it is there: what was left half-way is nothing to go back to.

    Args:
        found: the containers.
        mark: of the release that shall run.
        begun: what was noted of a rollout that was cut off.
        least: how many there are to be, where another machine may have taken some already.
    """
    running = [each for each in found if each.runs]
    marks = Counter(each.labels.get(MARK_LABEL, "") for each in running)
    if begun is not None and begun.former is not None:
        if begun.former.mark != mark:
            return begun.former
        if mark in marks:
            return None
    several = [(count, key) for key, count in marks.items() if key != mark]
    if not several:
        return None
    former = _as_former(running, max(several)[1])
    # Half-way there are never more of both together than there were, and one batch.
    count = max(former.replicas, min(least, len(running)))
    return structs.replace(former, replicas=count)


def _running(found: Iterable[Facts]) -> frozenset[str]:
    return frozenset(each.id for each in found if each.runs)


def _as_former(found: Iterable[Facts], mark: str) -> Former:
    own = [each for each in found if each.labels.get(MARK_LABEL, "") == mark]
    newest = own[-1]
    return Former(
        mark=mark,
        image=newest.image,
        release=newest.labels.get(RELEASE_LABEL, ""),
        replicas=len(own),
    )


def _state(facts: Facts, *, registered: bool) -> str:
    if not facts.runs:
        return "exited"
    if facts.health == UNHEALTHY or facts.status == PAUSED:
        return "unhealthy"
    return "up" if registered and facts.health != "starting" else "starting"
