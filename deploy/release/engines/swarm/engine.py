"""Swarm as the engine of an environment: Swarm rolls, and this sees to it that it ends well."""

import contextlib
from collections.abc import Callable, Collection, Iterable

from deploy.release.app.model import App, Environment
from deploy.release.engine import NoRoom, Replica, RolloutFailed, Target
from deploy.release.engines.swarm import judging
from deploy.release.engines.swarm.docker import Manager
from deploy.release.engines.swarm.failure import Former, explained
from deploy.release.engines.swarm.judging import UPDATING, Phase
from deploy.release.engines.swarm.model import COMING, RUNNING, Service, Task
from deploy.release.engines.swarm.registration import Registration
from deploy.release.engines.swarm.removal import Removal, stranger
from deploy.release.engines.swarm.watching import Stuck, Watching
from deploy.release.progress import Progress
from deploy.release.render.labels import whose
from wharfinger.errors import Rejected, Unavailable
from wharfinger.text import quantity


class SwarmEngine:
    """One environment on one Swarm.

    Args:
        manager: of the Swarm, for the application's service.
        app: of wharf.yaml.
        environment: one of its.
        render: makes the stack's file.
        registration: knows who is in etcd; None where nobody is to be asked.
    """

    def __init__(
        self,
        manager: Manager,
        app: App,
        environment: Environment,
        *,
        render: Callable[[Target], str],
        registration: Registration | None,
    ) -> None:
        self._manager = manager
        self._app = app
        self._environment = environment
        self._render = render
        self._registration = registration
        self._watching = Watching(manager, app, environment)

    async def running(self) -> tuple[Replica, ...]:
        """What runs of the application on this Swarm, on the way there and back included.

        On a node that managers do not hear of a container may live on that shall not.

        Raises:
            Unavailable: no manager answers.
        """
        if (service := await self._manager.service()) is None:
            return ()
        is_own = not stranger(service, whose(self._app, self._environment))
        nodes = await self._manager.nodes()
        names = {node.id: node.name for node in nodes}
        there = {node.id for node in nodes if node.ready}
        return tuple(
            Replica(
                id=task.container_id or task.id,
                name=task.name(self._manager.name),
                host=names.get(task.node, ""),
                image=task.image,
                state=_state(task),
                own=is_own,
            )
            for task in await self._manager.tasks()
            if task.wanted or (task.state == RUNNING and task.node in there)
        )

    async def require_room(self, target: Target) -> None:
        """Refuses more tasks with one port than nodes: what has none would wait, or fail for ever.

        Raises:
            NoRoom: there are fewer nodes that take them.
        """
        port = self._app.port.fixed
        if port is None or self._environment.everywhere:
            return
        with contextlib.suppress(Unavailable):  # `up` asks again, and says so.
            nodes, kept = await self._manager.nodes(), await self._kept(target)
            takes = {node.id for node in judging.fitting(nodes, self._environment.hosts)}
            there = [node for node in nodes if node.id in takes | kept]
            if why := judging.crowded(port, target.replicas, there):
                raise NoRoom(why)

    async def up(self, target: Target, progress: Progress) -> None:
        """Deploys the stack and follows it to its end.

        An update of the same release that is under way already is followed, and not begun anew:
        Swarm would forget what it has to go back to.

        Raises:
            RolloutFailed: it does not run; what ran before was put back, or could not be.
            Unavailable: no manager answers.
        """
        service, goes_on = await self._manager.service(), False
        if service is not None:
            service = await self._calmed(service, target, progress)
        if service is not None and _is_rolling(service, target):
            progress.step(f"{self._manager.name} is being updated to {target.release}: goes on")
            tasks = await self._manager.tasks()
            before = frozenset(task.id for task in tasks if not task.is_of(service))
            former = Former.previous(service).judged(target.unproven, tasks)
            await self._followed(target, former, before, progress)
            # wharf.yaml may say something else since; where it does not, nothing is replaced.
            service, _ = await self._watching.seen()
            goes_on = True
        tasks = () if service is None else await self._manager.tasks()
        former = Former.of(service).judged(target.unproven, tasks)
        known = frozenset(task.id for task in tasks)
        progress.step(f"docker stack deploy {self._manager.stack}: {target.release}")
        await self._manager.deploy(self._render(target), progress.output)
        try:
            await self._followed(target, former, known, progress)
        except RolloutFailed as error:
            # What Swarm goes back to now is what was followed, and not what ran before that.
            raise RolloutFailed(str(error), restored=error.restored and not goes_on) from error
        await self._gone(progress)
        await self._spread(target, progress)
        await self._tell_others(progress)

    async def scale(self, target: Target, progress: Progress) -> None:
        """Changes how many tasks there are; what cannot run is taken back.

        Raises:
            RolloutFailed: the new ones do not run.
            Rejected: there is one on each node.
            Unavailable: no manager answers, or nothing is deployed.
        """
        service = await self._manager.service()
        if service is None:
            raise Unavailable(f"{self._manager.name} is not deployed: run `deploy up` first")
        if service.replicas is None:
            raise Rejected(f"{self._manager.name} runs on each host: there is nothing to scale")
        await self._awaited(service, progress)
        known, before = await self._known(service), service.replicas
        progress.step(f"docker service scale {self._manager.name}={target.replicas}")
        await self._manager.scale(target.replicas)
        why = await self._trouble(service.image, known, progress)
        if why:
            said = await explained(self._manager, why, service.image, known)
            progress.step(f"scaled back to {before}: {why}")
            await self._manager.scale(before)
            restored = not await self._trouble(service.image, await self._known(service), progress)
            count = quantity(target.replicas, "instance does", "instances do")
            raise RolloutFailed(f"{count} not run: {said}", restored=restored)
        await self._gone(progress)

    async def down(self, progress: Progress) -> None:
        """Ends the tasks, and takes the service away; the stack is nothing else.

        Raises:
            Unavailable: no manager answers, the service is somebody else's, or something is left.
        """
        removal = Removal(
            self._manager,
            labels=whose(self._app, self._environment),
            drain_seconds=self._app.drain_seconds,
            progress=progress,
        )
        await removal.run()
        if self._registration is not None:
            await self._registration.until_gone(progress)

    async def _followed(
        self, target: Target, former: Former, known: Collection[str], progress: Progress
    ) -> None:
        # Where there is nothing to go back to, what failed is looked at while Swarm knows of it.
        back = former.image is not None
        why = await self._trouble(target.image, known, progress, back=back)
        if not why:
            return
        said = await explained(self._manager, why, target.image, known)
        what = f"{target.release} does not run on {self._manager.name}: {said}"
        progress.step(f"{target.release} does not run: {why}")
        if former.image is None:
            await self._manager.remove()
            raise RolloutFailed(f"{what}\nnothing ran before; the stack is removed", restored=False)
        try:
            restored = await self._restored(former.image, known, progress)
            if restored and not former.proven:
                runs = sum(task.runs for task in await self._manager.tasks())
                restored = not await self._unserved(runs, progress)
        except Unavailable as error:
            if former.proven:
                raise RolloutFailed(f"{what}\nand the way back: {error}", restored=False) from error
            restored = False
        end = "runs again" if restored else "does not run either: look at `docker service ps`"
        if not (restored or former.proven):
            await self._manager.remove()
            end = "was cut off and does not run either; the stack is removed"
        raise RolloutFailed(f"{what}\n{former.shown} {end}", restored=restored)

    async def _trouble(
        self, image: str, known: Collection[str], progress: Progress, *, back: bool = True
    ) -> str:
        """Waits for the end of what Swarm was told; gives why it is none, or nothing."""
        try:
            found = await self._watching.until_settled(image, progress, known=known, back=back)
        except Stuck as error:
            return str(error)
        if found.phase is not Phase.DONE:
            service, _ = await self._watching.seen()
            return judging.in_words(service, found.phase)
        return await self._unserved(found.of, progress)

    async def _unserved(self, of: int, progress: Progress) -> str:
        """Waits until so many are in etcd and served; gives why they are not, or nothing."""
        if self._registration is None:
            return ""

        async def mine() -> list[Task]:
            service, tasks = await self._watching.seen()
            return [task for task in tasks if task.runs and task.is_of(service)]

        return await self._registration.until_served(self._manager.name, mine, of, progress)

    async def _restored(self, image: str, known: Collection[str], progress: Progress) -> bool:
        """Sees to it that what ran before runs again; whether it does."""
        service, _ = await self._watching.seen()
        # The image does not tell: what ran before may be of the same, with other settings.
        if not service.update.startswith("rollback_"):
            progress.step(f"docker service update --rollback {self._manager.name}")
            await self._manager.roll_back()
        try:
            found = await self._watching.until_settled(image, progress, known=known)
        except Stuck:
            return False
        service, tasks = await self._watching.seen()
        runs = [task.image for task in tasks if task.runs]
        settled = found.phase in (Phase.DONE, Phase.ROLLED_BACK)
        return settled and service.image == image and bool(runs) and {*runs} == {image}

    async def _calmed(self, service: Service, target: Target, progress: Progress) -> Service:
        """Sees another update to its end first: Swarm would go back to the middle of it."""
        if not _is_rolling(service, target):
            await self._awaited(service, progress)
        return (await self._watching.seen())[0]

    async def _awaited(self, service: Service, progress: Progress) -> None:
        if service.update in UPDATING:
            progress.step(f"another update of {self._manager.name} is under way: waits for its end")
            known = await self._known(service)
            try:
                await self._watching.until_settled(service.image, progress, known=known)
            except Stuck as error:
                progress.step(f"it does not end: {error}")
            service, _ = await self._watching.seen()
        if service.update in ("updating", "paused") and service.previous is not None:
            await self._restored(service.previous, await self._known(service), progress)

    async def _gone(self, progress: Progress) -> None:
        """Waits until what was told to stop has done with its requests."""
        there = {node.id for node in await self._manager.nodes() if node.ready}

        def leaving(tasks: Iterable[Task]) -> int:
            return sum(not t.wanted and t.state == RUNNING and t.node in there for t in tasks)

        await self._watching.until_gone(leaving, progress)

    async def _spread(self, target: Target, progress: Progress) -> None:
        """Moves tasks that Swarm has put upon each other: some more, which go where few are.

        Told to have fewer, Swarm ends those first whose node has most. Nothing else is touched,
        and nobody goes before somebody new is there, as they would with an update by force.
        """
        service, tasks = await self._watching.seen()
        nodes = judging.fitting(await self._manager.nodes(), self._environment.hosts)
        counts = judging.spread(tasks, nodes)
        moves = judging.moves(counts)
        if service.replicas is None or not moves:
            progress.step(f"runs on {judging.shown(counts)}")
            return
        progress.step(f"uneven ({judging.shown(counts)}): {moves} more, then so many fewer")
        known = await self._known(service)
        await self._manager.scale(target.replicas + moves)
        why = await self._trouble(target.image, known, progress)
        await self._manager.scale(target.replicas)
        if trouble := await self._trouble(target.image, await self._known(service), progress):
            raise RolloutFailed(f"while spreading {target.release}: {trouble}", restored=False)
        await self._gone(progress)
        counts = judging.spread((await self._watching.seen())[1], nodes)
        still = f", still uneven{f': {why}' if why else ''}" if judging.moves(counts) else ""
        progress.step(f"runs on {judging.shown(counts)}{still}")

    async def _tell_others(self, progress: Progress) -> None:
        if self._registration is None:
            return
        _, tasks = await self._watching.seen()
        others = await self._registration.others([task for task in tasks if task.wanted])
        if others:
            where = judging.shown(others)
            progress.step(f"of another release, and still served: {where}; do managers hear them?")

    async def _kept(self, target: Target) -> frozenset[str]:
        """Ids of the nodes whose task stays: a node that is paused takes none, and ends none."""
        service = await self._manager.service()
        if service is None or (service.image, service.release) != (target.image, target.release):
            return frozenset()
        return frozenset(task.node for task in await self._manager.tasks() if task.runs)

    async def _known(self, service: Service | None) -> frozenset[str]:
        if service is None:
            return frozenset()
        return frozenset(task.id for task in await self._manager.tasks())


def _is_rolling(service: Service, target: Target) -> bool:
    same = service.image == target.image and service.release == target.release
    return same and service.update == "updating"


def _state(task: Task) -> str:
    if not task.wanted:
        return "stopping"
    if task.state == RUNNING:
        return "up"
    return "starting" if task.state in COMING else "exited"
