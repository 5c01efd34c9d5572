"""docker-compose.yml of format 2.4, as docker-compose 1.29 and `docker compose` read it."""

from collections.abc import Mapping
from typing import Any, Final

from deploy.release.app.model import App, Environment
from deploy.release.render import document
from deploy.release.render.container import LOG_OPTIONS, Container, seconds

FILE: Final = "docker-compose.yml"
# No key of Compose's, which has no such thing: what `deploy up` does.
ROLLOUT: Final = "x-rollout"


def files(
    app: App, environment: Environment, container: Container, replicas: int, remarks: list[str]
) -> Mapping[str, str]:
    """The file.

    Args:
        app: of wharf.yaml.
        environment: one of its.
        container: one instance.
        replicas: how many.
        remarks: lines before it.
    """
    service: dict[str, Any] = {"image": container.image}
    if container.command:
        service["command"] = list(container.command)
    service |= {
        "network_mode": "host",
        "restart": "unless-stopped",
        "scale": replicas,
        "stop_grace_period": seconds(container.grace_seconds),
    }
    if container.memory is not None:
        service["mem_limit"] = container.memory
    if container.cpus is not None:
        service["cpus"] = container.cpus
    if container.environment:
        service["environment"] = dict(container.environment)
    service["labels"] = dict(container.labels)
    if container.mounts:
        service["volumes"] = [mount.bind for mount in container.mounts]
    service["logging"] = {"driver": "json-file", "options": LOG_OPTIONS}
    content = {
        "version": "2.4",
        "services": {app.name: service},
        ROLLOUT: {
            "batch": environment.rollout.batch,
            "order": environment.rollout.order.value,
            "monitor": seconds(environment.rollout.monitor_seconds),
        },
    }
    text = document.dump(
        content, [*remarks, "Never a bare `up -d`: it would stop all instances at once."]
    )
    return {FILE: text}
