"""A service taken away from a Swarm: its tasks end first, one by one as they are drained."""

import asyncio
import time
from collections.abc import Awaitable, Callable, Iterable, Mapping
from typing import Final, TypeVar

from deploy.release.engines.swarm.docker import Manager
from deploy.release.engines.swarm.model import COMING, RUNNING, Service, Task
from deploy.release.progress import Progress
from wharfinger.backoff import Backoff
from wharfinger.errors import Unavailable
from wharfinger.text import printable, shortened

LOOK_SECONDS: Final = 0.5
# For so long managers may be without a leader, or away from us.
MANAGER_PATIENCE_SECONDS: Final = 60.0
# Beside the drain: acknowledgements, and the engine's own grace.
LEAVING_SECONDS: Final = 60.0
_TEXT_LENGTH: Final = 80

T = TypeVar("T")


def stranger(service: Service, labels: Mapping[str, str]) -> str:
    """Why a service is not ours, though it is called so; empty where it is."""
    for name, wanted in labels.items():
        if (said := service.labels.get(name)) != wanted:
            told = "says nothing of it" if said is None else f"says {shown(str(said))}"
            return f"label {name} {told}, not {wanted}"
    return ""


def left(tasks: Iterable[Task], ready: Iterable[str]) -> tuple[Task, ...]:
    """Those that have not ended, of nodes that managers hear of.

    On another node a container may live on until that is heard again, and told to end it.

    Args:
        tasks: all that Swarm remembers.
        ready: ids of the nodes that managers hear of.
    """
    heard = {*ready, ""}
    return tuple(task for task in tasks if task.node in heard and task.state in (RUNNING, *COMING))


def shown(text: str) -> str:
    """What somebody else wrote, as a message may hold it."""
    return ascii(printable(shortened(text, _TEXT_LENGTH)))


class Removal:
    """One service's.

    Args:
        manager: of the Swarm.
        labels: that its containers must carry.
        drain_seconds: that an instance has between its order to stop and its end.
        progress: is told.
    """

    def __init__(
        self,
        manager: Manager,
        *,
        labels: Mapping[str, str],
        drain_seconds: float,
        progress: Progress,
    ) -> None:
        self._manager = manager
        self._labels = labels
        self._drain_seconds = drain_seconds
        self._progress = progress

    async def run(self) -> None:
        """Ends its tasks, then takes it away; where there is none, nothing is done.

        Raises:
            Unavailable: no manager answers, it is somebody else's, or its tasks do not end.
        """
        service = await self._patiently(self._manager.service)
        if service is None:
            self._progress.step(f"{self._manager.name} is not on this Swarm")
            return
        if why := stranger(service, self._labels):
            raise Unavailable(f"{self._manager.name} is not taken away: its {why}")
        if service.replicas:
            self._progress.step(f"docker service scale {self._manager.name}=0")
            await self._manager.scale(0, service_id=service.id)
            await self._until_ended(self._manager.tasks)
        tasks = await self._patiently(self._manager.tasks)
        ids = [task.id for task in tasks]
        self._progress.step(f"docker service rm {self._manager.name}")
        await self._manager.remove_service(service.id)
        await self._until_ended(lambda: self._manager.remembered(ids))

    async def _until_ended(self, look: Callable[[], Awaitable[tuple[Task, ...]]]) -> None:
        deadline = time.monotonic() + self._drain_seconds + LEAVING_SECONDS
        of = 0
        while there := await self._left(look):
            if time.monotonic() > deadline:
                names = ", ".join(task.name(self._manager.name) for task in there)
                raise Unavailable(f"not ended yet: {names}")
            of = max(of, len(there))
            self._progress.waiting("instances have ended", of - len(there), of)
            await asyncio.sleep(LOOK_SECONDS)

    async def _left(self, look: Callable[[], Awaitable[tuple[Task, ...]]]) -> tuple[Task, ...]:
        nodes = await self._patiently(self._manager.nodes)
        return left(await self._patiently(look), [node.id for node in nodes if node.ready])

    async def _patiently(self, ask: Callable[[], Awaitable[T]]) -> T:
        """Asks, though the managers elect a leader just now."""
        backoff, deadline = Backoff(), time.monotonic() + MANAGER_PATIENCE_SECONDS
        while True:
            try:
                return await ask()
            except Unavailable:
                if time.monotonic() > deadline:
                    raise
            await asyncio.sleep(backoff.next_delay_seconds())
