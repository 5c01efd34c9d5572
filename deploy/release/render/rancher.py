"""What rancher-compose reads for Rancher 1.6: two files, and the flags that are in neither."""

from collections.abc import Mapping
from typing import Any, Final

from deploy.release.app.model import App, Environment, Order
from deploy.release.rancher import labels as rancherlabels
from deploy.release.render import document
from deploy.release.render.container import LOG_OPTIONS, Container
from deploy.release.render.document import literal

COMPOSE: Final = "docker-compose.yml"
RANCHER: Final = "rancher-compose.yml"
FLAGS: Final = "rancher-compose.flags"
HOST_RULE: Final = f"{rancherlabels.AFFINITY}host_label"
CPU_PERIOD_US: Final = 100_000


def files(
    app: App, environment: Environment, container: Container, replicas: int, remarks: list[str]
) -> Mapping[str, str]:
    """The files.

    Args:
        app: of wharf.yaml.
        environment: one of its.
        container: one instance.
        replicas: how many; not looked at where there is one on each host.
        remarks: lines before each.
    """
    drain = f"Rancher kills ten seconds after a stop: a drain of {app.drain_seconds:g} s is cut."
    if container.drain_seconds < app.drain_seconds:
        remarks = [*remarks, drain]
    services = {app.name: _service(app, environment, container)}
    theirs = {app.name: _rancher(app, environment, replicas)}
    return {
        COMPOSE: document.dump({"version": "2", "services": services}, remarks),
        RANCHER: document.dump({"version": "2", "services": theirs}, [*remarks, *_unasked(app)]),
        FLAGS: _flags(app, environment),
    }


def _service(app: App, environment: Environment, container: Container) -> dict[str, Any]:
    service: dict[str, Any] = {"image": container.image}
    if container.command:
        service["command"] = list(container.command)
    service["network_mode"] = "host"
    if container.memory is not None:
        service["mem_limit"] = container.memory
    if container.cpus is not None:
        service |= {"cpu_period": CPU_PERIOD_US, "cpu_quota": round(container.cpus * CPU_PERIOD_US)}
    if container.environment:
        service["environment"] = dict(container.environment)
    scheduled = dict(container.labels)
    if environment.everywhere:
        scheduled[rancherlabels.GLOBAL] = "true"
    if environment.hosts:
        scheduled[HOST_RULE] = environment.hosts
    if app.port.fixed is not None:
        # Without, a check of a service on the host's network stays `initializing` (rancher#2515).
        scheduled[rancherlabels.DNS] = "true"
    service["labels"] = dict(sorted(scheduled.items()))
    if container.mounts:
        service["volumes"] = [
            f"{literal(each.source)}:{literal(each.target)}" + (":ro" if each.read_only else "")
            for each in container.mounts
        ]
    service["logging"] = {"driver": "json-file", "options": LOG_OPTIONS}
    return service


def _rancher(app: App, environment: Environment, replicas: int) -> dict[str, Any]:
    service: dict[str, Any] = {} if environment.everywhere else {"scale": replicas}
    if app.port.fixed is not None:
        health = app.health
        check: dict[str, Any] = {"port": app.port.fixed}
        if health.http is not None:
            check["request_line"] = f"GET {health.http} HTTP/1.0"
        service["health_check"] = check | {
            "interval": _milliseconds(health.every_seconds),
            "response_timeout": _milliseconds(health.timeout_seconds),
            "initializing_timeout": _milliseconds(health.start_seconds),
            "reinitializing_timeout": _milliseconds(health.start_seconds),
            "healthy_threshold": health.healthy,
            "unhealthy_threshold": health.unhealthy,
            # Registrars take it out of traffic; another container of it would be no better.
            "strategy": "none",
        }
    first = environment.rollout.order is Order.START_FIRST and not environment.everywhere
    service["upgrade_strategy"] = {"start_first": first}
    return service


def _unasked(app: App) -> list[str]:
    if app.port.fixed is not None:
        return []
    return [
        "No health_check: it asks one port, and here each instance is given another by the",
        "registrar, which asks each of them (wharfinger.check).",
    ]


def _flags(app: App, environment: Environment) -> str:
    """Words for `rancher-compose up --upgrade`, which reads neither from its files.

    Rancher takes an instance without a health check for good as soon as it runs; so the next
    batch waits as long as a new instance may take.
    """
    pause = environment.rollout.monitor_seconds
    if app.port.fixed is None:
        pause += app.health.start_seconds
    return f"--batch-size {environment.rollout.batch} --interval {_milliseconds(pause)}\n"


def _milliseconds(duration: float) -> int:
    return max(1, round(duration * 1000))
