"""Why a release does not run, and what ran before it."""

from collections.abc import Collection, Iterable
from dataclasses import dataclass, replace

from deploy.release.engines.swarm import judging
from deploy.release.engines.swarm.docker import Manager
from deploy.release.engines.swarm.model import Service, Task
from wharfinger.errors import Unavailable


@dataclass(frozen=True, slots=True)
class Former:
    """What there is to go back to.

    Attributes:
        image: of it; None where nothing ran before.
        release: as its containers say; empty where they do not.
        proven: whether it may be believed to be good; False where it was cut off as the first.
    """

    image: str | None
    release: str = ""
    proven: bool = True

    @classmethod
    def of(cls, service: Service | None) -> "Former":
        """What runs before an update."""
        return cls(None) if service is None else cls(service.image, service.release)

    @classmethod
    def previous(cls, service: Service) -> "Former":
        """What ran before an update that is under way."""
        return cls(service.previous)

    def judged(self, unproven: Collection[str], tasks: Iterable[Task]) -> "Former":
        """What is to be gone back to, where it may be a first release that was cut off.

        Args:
            unproven: digests that never came up, by what is on record.
            tasks: all that Swarm remembers.
        """
        if self.image is None or self.image.rpartition("@")[2] not in unproven:
            return self
        if any(task.runs and task.image == self.image for task in tasks):
            return replace(self, proven=False)
        return Former(None)

    @property
    def shown(self) -> str:
        """Its release, else its image."""
        return self.release or f"{self.image}"


async def explained(manager: Manager, why: str, image: str, known: Collection[str]) -> str:
    """Adds what a task of the image came to, on which node, and what its container said last."""
    try:
        names = {node.id: node.name for node in await manager.nodes()}
        task = judging.worst(await manager.tasks(), image, known)
    except Unavailable:
        return why
    if task is None:
        return why
    where = names.get(task.node, "no node")
    said = await manager.log(task)
    lines = "\n".join(f"    {line}" for line in said) or "    (nothing)"
    hint = f"\n{what}" if (what := judging.hint(task)) else ""
    return f"{why}\n{where}: {task.error}{hint}\nits container said last:\n{lines}"
