"""Reads what the `docker` command prints of a Swarm, as JSON of the engine's API."""

from typing import Any, TypeVar

import msgspec

from deploy.release.engines.swarm.model import Node, Service, Task
from wharfinger.errors import Unavailable

Type = TypeVar("Type")


class _ContainerStatus(msgspec.Struct, rename="pascal"):
    container: str = msgspec.field(name="ContainerID", default="")


class _TaskStatus(msgspec.Struct, rename="pascal"):
    state: str = ""
    err: str = ""
    container_status: _ContainerStatus | None = None


class _TaskSpec(msgspec.Struct, rename="pascal"):
    container_spec: dict[str, Any] = msgspec.field(default_factory=dict)
    force_update: int = 0


class _Task(msgspec.Struct, rename="pascal"):
    id: str = msgspec.field(name="ID")
    spec: _TaskSpec
    status: _TaskStatus
    desired_state: str
    slot: int = 0
    node: str = msgspec.field(name="NodeID", default="")


class _Replicated(msgspec.Struct, rename="pascal"):
    replicas: int = 1


class _Mode(msgspec.Struct, rename="pascal"):
    replicated: _Replicated | None = None


class _ServiceSpec(msgspec.Struct, rename="pascal"):
    task_template: _TaskSpec
    mode: _Mode = msgspec.field(default_factory=_Mode)


class _Update(msgspec.Struct, rename="pascal"):
    state: str = ""
    message: str = ""


class _Service(msgspec.Struct, rename="pascal"):
    id: str = msgspec.field(name="ID")
    spec: _ServiceSpec
    previous_spec: _ServiceSpec | None = None
    update_status: _Update | None = None


class _NodeSpec(msgspec.Struct, rename="pascal"):
    availability: str = ""
    labels: dict[str, str] | None = None


class _Description(msgspec.Struct, rename="pascal"):
    hostname: str = ""


class _NodeStatus(msgspec.Struct, rename="pascal"):
    state: str = ""


class _Node(msgspec.Struct, rename="pascal"):
    id: str = msgspec.field(name="ID")
    spec: _NodeSpec
    description: _Description = msgspec.field(default_factory=_Description)
    status: _NodeStatus = msgspec.field(default_factory=_NodeStatus)


def service(text: str) -> Service:
    """Reads what `docker service inspect` prints of one service.

    Raises:
        Unavailable: it cannot be understood.
    """
    (found,) = _decoded(text, tuple[_Service])
    template, update = found.spec.task_template, found.update_status or _Update()
    replicated, previous = found.spec.mode.replicated, found.previous_spec
    return Service(
        id=found.id,
        image=_image(template),
        container=_said(template.container_spec),
        force=template.force_update,
        replicas=None if replicated is None else replicated.replicas,
        update=update.state,
        message=update.message,
        previous=None if previous is None else _image(previous.task_template),
    )


def tasks(text: str) -> tuple[Task, ...]:
    """Reads what `docker inspect --type task` prints.

    Raises:
        Unavailable: it cannot be understood.
    """
    return tuple(
        Task(
            id=each.id,
            slot=each.slot,
            node=each.node,
            image=_image(each.spec),
            container=_said(each.spec.container_spec),
            force=each.spec.force_update,
            desired=each.desired_state,
            state=each.status.state,
            error=each.status.err,
            container_id=(each.status.container_status or _ContainerStatus()).container,
        )
        for each in _decoded(text, tuple[_Task, ...])
    )


def nodes(text: str) -> tuple[Node, ...]:
    """Reads what `docker node inspect` prints.

    Raises:
        Unavailable: it cannot be understood.
    """
    return tuple(
        Node(
            id=each.id,
            name=each.description.hostname,
            ready=each.status.state == "ready",
            active=each.spec.availability == "active",
            labels=each.spec.labels or {},
        )
        for each in _decoded(text, tuple[_Node, ...])
    )


def _said(spec: dict[str, Any]) -> dict[str, Any]:
    """Without what says nothing: of services and of tasks the command prints it differently."""
    found = {name: _said(each) if isinstance(each, dict) else each for name, each in spec.items()}
    return {name: each for name, each in found.items() if each}


def _image(spec: _TaskSpec) -> str:
    return str(spec.container_spec.get("Image", ""))


def _decoded(text: str, kind: type[Type]) -> Type:
    try:
        return msgspec.json.decode(text.encode(), type=kind)
    except (msgspec.MsgspecError, RecursionError) as error:
        raise Unavailable(f"docker says something else than expected: {error}") from None
