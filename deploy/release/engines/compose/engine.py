"""The engine of one environment on Compose: forwards, back where that fails, more and fewer."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Final

from deploy.release.app.model import App, Environment, Order
from deploy.release.engine import Replica, RolloutFailed, Target
from deploy.release.engines.compose.files import (
    MARK_LABEL,
    Begun,
    Former,
    Kept,
    marked,
)
from deploy.release.engines.compose.former import as_former, former_of, running_ids
from deploy.release.engines.compose.plan import Wish
from deploy.release.engines.compose.program import Compose
from deploy.release.engines.compose.rollout import Rollout
from deploy.release.engines.compose.site import NotRunning, Site
from deploy.release.engines.containers import Containers
from deploy.release.engines.departure import until_gone
from deploy.release.engines.facts import PAUSED, UNHEALTHY, Facts
from deploy.release.engines.instances import Instances
from deploy.release.engines.place import Place
from deploy.release.engines.registered import by_container
from deploy.release.progress import Progress
from deploy.release.render.labels import whose
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
        self._own = whose(app, environment)
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
            is_own = self._own.items() <= each.labels.items()
            replicas.append(
                Replica(
                    id=each.id,
                    name=each.name,
                    host=host,
                    image=each.image,
                    state=state,
                    own=is_own,
                )
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
        former = former_of(found, mark, begun, 0 if target.settled else target.replicas)
        files = self._kept.keep(mark, text)
        await self._compose.check(*files)
        self._kept.begin(Begun(mark=mark, former=former))
        rollout = self._rollout(site, mark, target.replicas, files)
        # What an earlier run has left half-way may go, but nothing that requests are sent to.
        rollout.kept = await self._serving(site, found) if goes_on else running_ids(found)
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
        now = as_former(found, marks.pop())
        progress.step(await self._compose.found())
        rollout = self._rollout(site, now.mark, target.replicas, self._files(now))
        rollout.kept = running_ids(found)
        await self._rolled(rollout, now)

    async def down(self, progress: Progress) -> None:
        """Takes away its containers: those of its project whose labels say that they are its.

        Raises:
            Unavailable: engine or etcd do not answer, or something of it is left.
        """
        site = await self._site(progress)
        site = replace(site, labels={**self._compose.labels, **self._own})
        # What an `up` was cut off from is not gone on with after this.
        self._kept.forget()
        try:
            await self._rollout(site, _NOTHING, 0, ()).run()
        except NotRunning as error:
            raise Unavailable(str(error)) from error
        await until_gone(site.instances, progress)
        self._kept.end(_NOTHING)

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
        return alone and failed.kept <= running_ids(left)

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


def _state(facts: Facts, *, registered: bool) -> str:
    if not facts.runs:
        return "exited"
    if facts.health == UNHEALTHY or facts.status == PAUSED:
        return "unhealthy"
    return "up" if registered and facts.health != "starting" else "starting"
