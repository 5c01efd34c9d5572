"""What to make of a service and its tasks: how far a rollout is, and how it ended."""

from collections import Counter
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from deploy.release.app.model import App
from deploy.release.engines.swarm.model import (
    COMING,
    FAILED,
    PENDING,
    Node,
    Service,
    Task,
)
from wharfinger.text import quantity

# One may fall victim to a node that goes meanwhile; so many fail for a reason of their own.
FAILURES: Final = 3
PULL_SECONDS: Final = 300.0
UPDATING: Final = ("updating", "rollback_started")
# Where a port is the same for all, a node has one at most.
ROOM: Final = (
    "write fewer `replicas` (after `deploy scale`, scale anew), or let the registrar give ports "
    "(take port.fixed out)"
)


class Phase(StrEnum):
    """How far what was asked for is.

    Attributes:
        UNDER_WAY: Swarm works on it.
        DONE: all runs as specified, and nothing else.
        PAUSED: Swarm has stopped in the middle and waits for a person.
        ROLLING_BACK: it failed, and Swarm is on its way back.
        ROLLED_BACK: what ran before runs.
        LOST: it failed, and so did the way back.
        FAILING: it fails again and again, and Swarm goes on with it.
    """

    UNDER_WAY = "under way"
    DONE = "done"
    PAUSED = "paused"
    ROLLING_BACK = "rolling back"
    ROLLED_BACK = "rolled back"
    LOST = "lost"
    FAILING = "failing"


_STANDING: Final = {"updating": Phase.UNDER_WAY, "paused": Phase.PAUSED}


@dataclass(frozen=True, slots=True)
class Judgement:
    """What is to be seen of a rollout.

    Attributes:
        phase: how far it is.
        up: how many run as specified now.
        of: how many shall.
    """

    phase: Phase
    up: int
    of: int


def judge(
    service: Service,
    tasks: Sequence[Task],
    image: str,
    *,
    known: Collection[str] = (),
    nodes: int = 0,
) -> Judgement:
    """Says how far it is.

    Args:
        service: as it is.
        tasks: all of it.
        image: that shall run.
        known: ids of tasks that were there before.
        nodes: how many there are for a service that runs on each.
    """
    up = sum(task.runs and task.is_of(service) for task in tasks)
    of = nodes if service.replicas is None else service.replicas
    others = any(task.runs and not task.is_of(service) for task in tasks)
    settled = up >= of and not others
    failing = len(failures(service, tasks, known)) >= FAILURES
    if service.image != image or service.update.startswith("rollback_"):
        phase = _way_back(service.update, settled=settled, failing=failing)
    elif service.update in _STANDING:
        phase = _STANDING[service.update]
    elif settled:
        phase = Phase.DONE
    else:
        phase = Phase.FAILING if failing else Phase.UNDER_WAY
    return Judgement(phase, up, of)


def _way_back(update: str, *, settled: bool, failing: bool) -> Phase:
    # Nothing watches what has been gone back to: it may be started again and again for ever.
    if update == "rollback_paused" or (failing and not settled):
        return Phase.LOST
    # `rollback_completed` is said before the last task is there.
    return Phase.ROLLED_BACK if settled and update != "rollback_started" else Phase.ROLLING_BACK


def in_words(service: Service, phase: Phase) -> str:
    """Why a phase is no good end; Swarm's own words where they say more."""
    match phase:
        case Phase.ROLLED_BACK:
            return "Swarm has rolled it back"
        case Phase.FAILING:
            return f"{FAILURES} tasks have failed"
        case _:
            return f"the update is {phase}: {service.message or 'Swarm does not say why'}"


def failures(service: Service, tasks: Iterable[Task], known: Collection[str]) -> tuple[Task, ...]:
    """The tasks as specified now that have failed, but for those that were there before."""
    return tuple(
        task
        for task in tasks
        if task.id not in known and task.state in FAILED and task.is_of(service)
    )


def worst(tasks: Iterable[Task], image: str, known: Collection[str]) -> Task | None:
    """The task of an image that says best why it does not run; None where none does.

    One that failed tells more than one that waits.
    """
    said = [task for task in tasks if task.image == image and task.id not in known and task.error]
    ended = [task for task in said if task.state in FAILED]
    return next(iter(ended or said), None)


def patience_seconds(app: App, monitor_seconds: float, tasks: Iterable[Task]) -> float:
    """How long nothing may change before a rollout counts as stuck.

    An image may be long on its way; a task that no node takes waits for nothing that comes.
    """
    step = app.health.start_seconds + monitor_seconds
    coming = [task for task in tasks if task.wanted and task.state in COMING]
    if coming and all(task.state == PENDING and task.error for task in coming):
        return step
    return step + app.drain_seconds + PULL_SECONDS


def constraint(hosts: str | None) -> tuple[str, str] | None:
    """Label and value that a node must have, of `label=value`; None for any node."""
    if hosts is None:
        return None
    label, _, value = hosts.partition("=")
    return label, value


def fitting(nodes: Iterable[Node], hosts: str | None) -> tuple[Node, ...]:
    """The nodes that take tasks of an environment."""
    needed = constraint(hosts)
    return tuple(
        node
        for node in nodes
        if node.usable and (needed is None or node.labels.get(needed[0]) == needed[1])
    )


def crowded(port: int, replicas: int, nodes: Sequence[Node]) -> str:
    """Why so many tasks that all have one port cannot run, and what to do; empty where they can.

    Where no node takes any, Swarm says which of its rules each one breaks.
    """
    if not 0 < len(nodes) < replicas:
        return ""
    names = ", ".join(sorted(node.name for node in nodes))
    there = quantity(len(nodes), "node takes", "nodes take")
    return f"{replicas} instances cannot all have port {port}: {there} them ({names}); {ROOM}"


def hint(task: Task) -> str:
    """What to do about a task that no node takes; empty where Swarm's own words are enough."""
    if "max replicas per node" not in task.error:
        return ""
    return f"no node is free of its port, which is always the same: {ROOM}"


def spread(tasks: Iterable[Task], nodes: Iterable[Node]) -> Mapping[str, int]:
    """How many tasks run on each of these nodes, by its name."""
    counts = Counter(task.node for task in tasks if task.runs)
    return {node.name: counts[node.id] for node in nodes}


def moves(counts: Mapping[str, int]) -> int:
    """How many tasks are to be elsewhere, so that no node has two more than another.

    The loss of a node would take more than it needs to. Swarm starts first where it may, so that
    a node that is about to lose its task counts as busy, and never moves what runs
    (moby/moby#24103, #40797).
    """
    if not counts or max(counts.values()) - min(counts.values()) <= 1:
        return 0
    least, rest = divmod(sum(counts.values()), len(counts))
    # Those that have most keep the one more that some must have.
    wanted = [least + (n < rest) for n in range(len(counts))]
    held = sorted(counts.values(), reverse=True)
    return sum(max(0, has - keeps) for has, keeps in zip(held, wanted, strict=True))


def shown(counts: Mapping[str, int]) -> str:
    """A spread in words."""
    return ", ".join(f"{name} {count}" for name, count in sorted(counts.items()))
