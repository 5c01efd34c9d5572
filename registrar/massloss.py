"""When Docker seems to have lost most of a host at once: who is let go only if it is silent."""

from collections.abc import Container, Mapping
from dataclasses import dataclass

from registrar.model import Holder, Plan, Seen
from wharfinger.keys import InstanceKey


@dataclass(frozen=True, slots=True)
class Loss:
    """What a plan would take out of etcd.

    Attributes:
        registered: whose each instance of this host is, by key.
        plan: what is planned now.
        containers: all that Docker knows of, by id.
        farewells: ids of containers that were heard to end.
    """

    registered: Mapping[InstanceKey, Holder]
    plan: Plan
    containers: Mapping[str, Seen]
    farewells: Container[str]


def unexplained(loss: Loss) -> dict[InstanceKey, str]:
    """The instances that a plan loses though nobody heard their containers end."""
    kept = loss.plan.instances
    return {
        key: holder.container_id
        for key, holder in loss.registered.items()
        if key not in kept and _vanished(holder.container_id, loss)
    }


def suspicious(loss: Loss) -> dict[InstanceKey, str]:
    """The same, if they are more than half of all that this host has registered; else none.

    A list that lost half a host is rather a broken answer (an engine with another data root, a
    swarm node whose dockerd has just come up) than the truth; one container may go by itself.
    """
    lost = unexplained(loss)
    return lost if 2 * len(lost) > len(loss.registered) else {}


def _vanished(container_id: str, loss: Loss) -> bool:
    seen = loss.containers.get(container_id)
    # One that runs is judged by what was seen of it; its verdict needs no second opinion.
    return container_id not in loss.farewells and (seen is None or not seen.container.running)
