"""stack.yml of format 3.8, as `docker stack deploy` reads it."""

from collections.abc import Mapping
from typing import Any, Final

from deploy.release import serving
from deploy.release.app.model import App, Environment
from deploy.release.render import document, labels
from deploy.release.render.container import LOG_OPTIONS, Container, seconds

FILE: Final = "stack.yml"


def files(
    app: App,
    environment: Environment,
    container: Container,
    *,
    release: str,
    replicas: int,
    remarks: list[str],
) -> Mapping[str, str]:
    """The file.

    Args:
        app: of wharf.yaml.
        environment: one of its.
        container: one instance.
        release: `r12`.
        replicas: how many; not looked at where there is one on each host.
        remarks: lines before it.
    """
    service: dict[str, Any] = {"image": container.image}
    if container.command:
        service["command"] = list(container.command)
    service |= {
        "networks": ["host"],
        "stop_grace_period": seconds(container.grace_seconds + serving.HOLD_SECONDS),
        # Without, Swarm stops an old instance as soon as the new process runs.
        "healthcheck": serving.healthcheck(app.health.start_seconds),
    }
    if container.environment:
        service["environment"] = dict(container.environment)
    service["labels"] = dict(sorted({**container.labels, **serving.LABELS}.items()))
    if container.mounts:
        service["volumes"] = [mount.bind for mount in container.mounts]
    service["logging"] = {"driver": "json-file", "options": LOG_OPTIONS}
    service["deploy"] = _deploy(environment, container, replicas)
    if placement := _placement(app, environment):
        service["deploy"]["placement"] = placement
    service["deploy"]["labels"] = dict(labels.service(app, environment, release))
    content = {
        "version": "3.8",
        "services": {app.name: service},
        "networks": {"host": {"external": True}},
    }
    return {FILE: document.dump(content, remarks)}


def _deploy(environment: Environment, container: Container, replicas: int) -> dict[str, Any]:
    rollout = environment.rollout
    deploy: dict[str, Any] = {"mode": "global"}
    if not environment.everywhere:
        deploy = {"mode": "replicated", "replicas": replicas}
    deploy |= {
        "update_config": {
            "parallelism": rollout.batch,
            "delay": "0s",
            "order": rollout.order.value,
            "monitor": seconds(rollout.monitor_seconds),
            "max_failure_ratio": 0,
            "failure_action": "rollback",
        },
        # What ran before is known to run: it is not watched, and a second failure is for people.
        "rollback_config": {
            "parallelism": rollout.batch,
            "delay": "0s",
            "order": rollout.order.value,
            "monitor": "0s",
            "max_failure_ratio": 0,
            "failure_action": "pause",
        },
        "restart_policy": {"condition": "any", "delay": "2s"},
    }
    limits = {}
    if container.cpus is not None:
        limits["cpus"] = f"{container.cpus:g}"
    if container.memory is not None:
        limits["memory"] = container.memory
    if limits:
        deploy["resources"] = {"limits": limits}
    return deploy


def _placement(app: App, environment: Environment) -> dict[str, Any]:
    placement: dict[str, Any] = {}
    if environment.hosts:
        label, _, value = environment.hosts.partition("=")
        placement["constraints"] = [f"node.labels.{label} == {value}"]
    if app.port.fixed is not None and not environment.everywhere:
        # A second one would find the port held, and be started again for ever.
        placement["max_replicas_per_node"] = 1
    return placement
