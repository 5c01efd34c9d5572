"""A service, its tasks and its nodes as Swarm's managers tell of them."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

RUNNING: Final = "running"
PENDING: Final = "pending"
# Docker Engine API, TaskState: a task comes by them in this order, and ends in one of ENDED.
COMING: Final = frozenset(
    {"new", "allocated", PENDING, "assigned", "accepted", "preparing", "ready", "starting"}
)
FAILED: Final = frozenset({"failed", "rejected", "orphaned"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Service:
    """The one service of the application's stack.

    Attributes:
        id: of the service.
        image: that its tasks shall have, as it was given.
        container: all that makes its containers; what differs in it is replaced.
        force: counts the updates that were forced.
        replicas: how many; None for one on each node.
        update: state of the last update or rollback; empty where there is none.
        message: what Swarm says of that.
        previous: image of the specification that a rollback goes back to; None for none.
    """

    id: str
    image: str
    container: Mapping[str, Any]
    force: int
    replicas: int | None
    update: str = ""
    message: str = ""
    previous: str | None = None

    @property
    def release(self) -> str:
        """The release that it says of its containers; empty where it says none."""
        return str(self.labels.get("wharfinger.release", ""))

    @property
    def labels(self) -> Mapping[str, Any]:
        """Those of its containers."""
        return self.container.get("Labels") or {}


@dataclass(frozen=True, slots=True, kw_only=True)
class Task:
    """One task: one container, or the place for it.

    Attributes:
        id: of the task.
        slot: its number among the replicas; 0 where there is one on each node.
        node: id of the node; empty before it has one.
        image: as its container was started.
        container: all that makes its container.
        force: counts the updates that were forced.
        desired: state that it shall come to.
        state: in which it is.
        error: what went wrong.
        container_id: of its container; empty before it has one.
    """

    id: str
    slot: int
    node: str
    image: str
    container: Mapping[str, Any]
    force: int
    desired: str
    state: str
    error: str = ""
    container_id: str = ""

    @property
    def wanted(self) -> bool:
        """Whether it shall run."""
        return self.desired in (RUNNING, "ready", "accepted")

    @property
    def runs(self) -> bool:
        """Whether it does, and shall."""
        return self.wanted and self.state == RUNNING

    def name(self, service: str) -> str:
        """What its container is called, by the name of the service."""
        return f"{service}.{self.slot or self.node}.{self.id}"

    def is_of(self, service: Service) -> bool:
        """Whether it is as the service is specified now."""
        return self.container == service.container and self.force == service.force


@dataclass(frozen=True, slots=True, kw_only=True)
class Node:
    """A node of the Swarm.

    Attributes:
        id: of the node.
        name: its host's.
        ready: whether managers hear of it; what runs on one that is not, nobody can know.
        active: whether it takes tasks.
        labels: `node.labels` of constraints.
    """

    id: str
    name: str
    ready: bool
    active: bool
    labels: Mapping[str, str]

    @property
    def usable(self) -> bool:
        """Whether it is there and takes tasks."""
        return self.ready and self.active
