"""Whether what runs on a Swarm is in etcd, and served by every edge."""

import asyncio
import time
from collections import Counter
from collections.abc import Awaitable, Callable, Sequence
from typing import Final

from deploy.release.app.model import App
from deploy.release.engines import departure, registered
from deploy.release.engines.instances import Instances
from deploy.release.engines.swarm.model import Task
from deploy.release.progress import Progress
from wharfinger.text import quantity

LOOK_SECONDS: Final = 0.5
# What Swarm calls running has had its time; the registrar may just be starting anew.
MARGIN_SECONDS: Final = 20.0


class Registration:
    """Of one service.

    Args:
        instances: what etcd holds of it.
        app: of wharf.yaml.
    """

    def __init__(self, instances: Instances, app: App) -> None:
        self._instances = instances
        self._patience_seconds = app.health.start_seconds + MARGIN_SECONDS

    async def until_served(
        self,
        service: str,
        look: Callable[[], Awaitable[Sequence[Task]]],
        of: int,
        progress: Progress,
    ) -> str:
        """Waits until all tasks are in etcd and every edge serves them; gives why not, or nothing.

        Args:
            service: as Swarm calls it.
            look: gives the tasks that run now: one that dies meanwhile is replaced by another.
            of: how many there shall be.
            progress: is told how many are.

        Raises:
            Unavailable: etcd or the managers do not answer.
        """
        if not (await self._instances.hosts()).registrars:
            progress.step("no registrar is known to etcd: goes by Swarm's word")
            return ""
        deadline = time.monotonic() + self._patience_seconds
        before = -1
        while True:
            tasks = await look()
            held = registered.by_container(await self._instances.held())
            mine = [each for task in tasks for each in held.get(task.container_id, ())]
            there = len({each.container for each in mine})
            if there != before:
                before = there
                progress.waiting("in etcd", there, of)
            if there >= of:
                break
            if time.monotonic() > deadline:
                return await self._why(service, of - there, tasks)
            await asyncio.sleep(LOOK_SECONDS)
        behind = await self._instances.served(max((each.revision for each in mine), default=0))
        if behind:
            # It runs, and others serve it: to go back would not make these edges any better.
            progress.step(f"not served yet by the edges on {', '.join(behind)}")
        return ""

    async def until_gone(self, progress: Progress) -> None:
        """Waits until requests are sent to nothing of it.

        Raises:
            Unavailable: something is left, which is not this Swarm's; or etcd does not answer.
        """
        await departure.until_gone(self._instances, progress)

    async def others(self, tasks: Sequence[Task]) -> dict[str, int]:
        """How many instances by host stand in etcd that none of these tasks is.

        On a node that managers do not hear a container lives on, and so does its key.
        """
        mine = {task.container_id for task in tasks}
        held = await self._instances.held()
        return dict(Counter(each.host for each in held if each.container not in mine))

    async def _why(self, service: str, missing: int, tasks: Sequence[Task]) -> str:
        hosts = await self._instances.hosts()
        reasons = (hosts.reason(task.name(service)) for task in tasks)
        why = next((reason for reason in reasons if reason), hosts.silence)
        count = quantity(missing, "instance is", "instances are")
        return f"{count} not in etcd after {self._patience_seconds:g} s: {why}"
