"""What rendered files say of an instance and its rollout, in the same words for each engine."""

from collections.abc import Iterator, Mapping
from typing import Any, Final

import yaml

from deploy.release import serving
from deploy.release.app.model import EngineName
from deploy.release.rancher import labels as rancherlabels
from deploy.release.render import compose, rancher, swarm

Flat = Mapping[str, str]
_OF_ENGINES: Final = (*serving.LABELS, rancherlabels.GLOBAL, rancherlabels.DNS, rancher.HOST_RULE)


def flat(engine: EngineName, name: str, texts: Mapping[str, str]) -> Flat:
    """What the files say, each thing by its name; what is alike in all applications is left out.

    Args:
        engine: that reads them.
        name: of the service.
        texts: by the names of the files.
    """
    match engine:
        case EngineName.COMPOSE:
            service = _service(texts[compose.FILE], name)
            own = _compose(service, yaml.safe_load(texts[compose.FILE])[compose.ROLLOUT])
        case EngineName.SWARM:
            service = _service(texts[swarm.FILE], name)
            own = _swarm(service)
        case EngineName.RANCHER:
            service = _service(texts[rancher.COMPOSE], name)
            own = _rancher(service, _service(texts[rancher.RANCHER], name), texts[rancher.FLAGS])
    said = {"engine": engine.value, **dict(_common(service)), **dict(own)}
    return {where: str(value) for where, value in said.items() if value is not None}


def _service(text: str, name: str) -> dict[str, Any]:
    read: dict[str, Any] = yaml.safe_load(text)["services"][name]
    return read


def _common(service: Mapping[str, Any]) -> Iterator[tuple[str, object]]:
    yield "image", service["image"]
    yield "command", service.get("command")
    yield "network", service.get("network_mode") or service["networks"][0]
    yield "logging", sorted(service["logging"]["options"].items())
    for variable, text in service.get("environment", {}).items():
        yield f"environment.{variable}", text
    for label, text in service["labels"].items():
        if label not in _OF_ENGINES:
            yield f"labels.{label}", text
    for mount in service.get("volumes", ()):
        if isinstance(mount, str):
            source, target, *mode = mount.split(":")
        else:
            source, target = mount["source"], mount["target"]
            mode = ["ro"] if mount["read_only"] else []
        yield f"mounts.{target}", ":".join((source, *mode))


def _compose(
    service: Mapping[str, Any], rollout: Mapping[str, Any]
) -> Iterator[tuple[str, object]]:
    yield "replicas", service["scale"]
    yield "grace", service["stop_grace_period"]
    yield "memory", service.get("mem_limit")
    yield "cpus", _number(service.get("cpus"))
    for key, value in rollout.items():
        yield f"rollout.{key}", value


def _swarm(service: Mapping[str, Any]) -> Iterator[tuple[str, object]]:
    deploy = service["deploy"]
    limits = deploy.get("resources", {}).get("limits", {})
    update = deploy["update_config"]
    yield "replicas", deploy.get("replicas", "everywhere")
    yield "grace", service["stop_grace_period"]
    yield "memory", limits.get("memory")
    yield "cpus", _number(limits.get("cpus"))
    yield "rollout.batch", update["parallelism"]
    yield "rollout.order", update["order"]
    yield "rollout.monitor", update["monitor"]
    for constraint in deploy.get("placement", {}).get("constraints", ()):
        yield "hosts", constraint.removeprefix("node.labels.").replace(" == ", "=")


def _rancher(
    service: Mapping[str, Any], theirs: Mapping[str, Any], flags: str
) -> Iterator[tuple[str, object]]:
    _, batch, *_ = flags.split()
    quota = service.get("cpu_quota")
    first = theirs["upgrade_strategy"]["start_first"]
    yield "replicas", theirs.get("scale", "everywhere")
    yield "memory", service.get("mem_limit")
    yield "cpus", _number(None if quota is None else quota / rancher.CPU_PERIOD_US)
    yield "rollout.batch", batch
    yield "rollout.order", "start-first" if first else "stop-first"
    yield "hosts", service["labels"].get(rancher.HOST_RULE)


def _number(value: str | float | None) -> str | None:
    return None if value is None else f"{float(value):g}"
