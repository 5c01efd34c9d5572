"""Follows a rollout to its end, whoever has begun it."""

import asyncio
import time
from collections.abc import Callable, Collection, Iterable
from typing import Final

from deploy.release.app.model import App, Environment
from deploy.release.engines.swarm import judging
from deploy.release.engines.swarm.docker import Manager
from deploy.release.engines.swarm.judging import Judgement, Phase
from deploy.release.engines.swarm.model import Service, Task
from deploy.release.progress import Progress
from wharfinger.backoff import Backoff
from wharfinger.errors import Unavailable
from wharfinger.text import quantity

LOOK_SECONDS: Final = 0.5
# For so long managers may be without a leader, or away from us.
MANAGER_PATIENCE_SECONDS: Final = 60.0
# Beside the drain: acknowledgements, and the engine's own grace.
LEAVING_SECONDS: Final = 60.0


class Stuck(Exception):
    """Nothing has changed for too long."""


class Watching:
    """One who looks.

    Args:
        manager: is asked.
        app: of wharf.yaml.
        environment: one of its.
    """

    def __init__(self, manager: Manager, app: App, environment: Environment) -> None:
        self._manager = manager
        self._app = app
        self._environment = environment

    async def seen(self) -> tuple[Service, tuple[Task, ...]]:
        """The service and its tasks, though the managers elect a leader just now.

        Raises:
            Unavailable: no manager answers for a minute, or the service is gone.
        """
        backoff, deadline = Backoff(), time.monotonic() + MANAGER_PATIENCE_SECONDS
        while True:
            try:
                service = await self._manager.service()
                if service is not None:
                    return service, await self._manager.tasks()
            except Unavailable:
                if time.monotonic() > deadline:
                    raise
                await asyncio.sleep(backoff.next_delay_seconds())
            else:
                raise Unavailable(f"{self._manager.name} was removed meanwhile")

    async def until_settled(
        self, image: str, progress: Progress, *, known: Collection[str] = (), back: bool = True
    ) -> Judgement:
        """Waits until Swarm is done with what it was told, or has given it up.

        Args:
            image: that shall run in the end.
            progress: is told how far it is.
            known: ids of tasks whose failures are not this one's.
            back: whether Swarm's way back is waited for, too.

        Raises:
            Stuck: nothing changes any more; with what is to be seen.
            Unavailable: no manager answers.
        """
        under_way = {Phase.UNDER_WAY, Phase.ROLLING_BACK} if back else {Phase.UNDER_WAY}
        before, told = None, None
        since = time.monotonic()
        while True:
            service, tasks = await self.seen()
            nodes = await self._places(service)
            found = judging.judge(service, tasks, image, known=known, nodes=nodes)
            if found.phase not in under_way:
                return found
            now = (found, {(task.id, task.state, task.desired) for task in tasks})
            if now != before:
                before, since = now, time.monotonic()
            if found != told:
                told = found
                progress.waiting(f"{self._manager.name} {found.phase}", found.up, found.of)
            monitor = self._environment.rollout.monitor_seconds
            limit = judging.patience_seconds(self._app, monitor, tasks)
            if time.monotonic() - since > limit:
                raise Stuck(f"nothing has changed for {limit:g} s")
            await asyncio.sleep(LOOK_SECONDS)

    async def until_gone(
        self, leaving: Callable[[Iterable[Task]], int], progress: Progress
    ) -> None:
        """Waits until the old tasks have ended, at most for their drain and what ends them.

        Args:
            leaving: counts those that are to end and have not.
            progress: is told how many are left.

        Raises:
            Unavailable: no manager answers.
        """
        _, tasks = await self.seen()
        of = left = leaving(tasks)
        told, deadline = 0, time.monotonic() + self._app.drain_seconds + LEAVING_SECONDS
        while left and time.monotonic() < deadline:
            if left != told:
                told = left
                progress.waiting("old instances have ended", of - left, of)
            await asyncio.sleep(LOOK_SECONDS)
            _, tasks = await self.seen()
            left = leaving(tasks)
        if left:
            count = quantity(left, "old instance has", "old instances have")
            progress.step(f"{count} not ended yet")

    async def _places(self, service: Service) -> int:
        if service.replicas is not None:
            return 0
        return len(judging.fitting(await self._manager.nodes(), self._environment.hosts))
