"""rancher-compose.yml: scale, health and upgrades, of which any misspelt key is silently lost."""

import re
from typing import Final

from deploy.release.rancher import labels
from deploy.release.rancher.shapes import (
    Shape,
    flag,
    hold,
    mapping,
    number_or_text,
    sequence,
    text,
    texts,
    whole,
)
from deploy.release.yamllines import Reading, Value

LOST: Final = "rancher-compose drops it without a word"
TOP: Final[dict[str, Shape]] = {
    "version": text,
    "services": mapping,
    "catalog": mapping,
    ".catalog": mapping,
}
SERVICE: Final[dict[str, Shape]] = {
    **dict.fromkeys(("scale", "vcpu", "memory"), number_or_text),
    **dict.fromkeys(("type", "userdata", "hostname", "default_cert"), text),
    **dict.fromkeys(("external_ips", "certs"), texts),
    **dict.fromkeys(
        (
            *("lb_config", "load_balancer_config", "metadata", "scale_policy", "service_schemas"),
            *("storage_driver", "network_driver", "health_check", "upgrade_strategy"),
        ),
        mapping,
    ),
    "retain_ip": flag,
    "disks": sequence,
}
HEALTH: Final[dict[str, Shape]] = {
    "port": number_or_text,
    "request_line": text,
    "name": text,
    "strategy": text,
    "recreate_on_quorum_strategy_config": mapping,
    **dict.fromkeys(
        (
            *("interval", "response_timeout", "healthy_threshold", "unhealthy_threshold"),
            *("initializing_timeout", "reinitializing_timeout"),
        ),
        whole,
    ),
}
STRATEGIES: Final = ("none", "recreate", "recreateOnQuorum")
REQUEST_LINE: Final = re.compile(r"(|[A-Z]+ /\S* HTTP/1\.[01])", re.ASCII)
UPGRADE: Final[dict[str, Shape]] = {"start_first": flag}
# Rancher's API has them here, rancher-compose takes them from its command line alone.
FLAGS: Final = {"batch_size": "--batch-size", "interval_millis": "--interval"}
CATALOG: Final[dict[str, Shape]] = {
    **dict.fromkeys(
        (
            *("name", "uuid", "description", "version"),
            *("minimum_rancher_version", "maximum_rancher_version", "upgrade_from"),
        ),
        text,
    ),
    "questions": sequence,
}
QUESTION: Final[dict[str, Shape]] = {
    **dict.fromkeys(
        ("variable", "label", "description", "type", "default", "group"),
        text,
    ),
    "valid_chars": text,
    "invalid_chars": text,
    "required": flag,
    **dict.fromkeys(("min_length", "max_length", "min", "max"), whole),
    "options": texts,
}
TYPES: Final = (
    *("string", "int", "boolean", "password"),
    *("service", "enum", "multiline", "certificate"),
)
HIGHEST_PORT: Final = 2**16 - 1


def check(reading: Reading, services: dict[str, Value]) -> dict[str, Value]:
    """Notes what would be lost, refused or ignored; gives the services.

    Args:
        reading: the file, which takes the faults.
        services: those of docker-compose.yml.
    """
    top = reading.top.entries or {}
    hold(reading, top, TOP, LOST)
    if "version" not in top or top["version"].scalar != "2":
        reading.fault(
            top.get("version", reading.top),
            "without version '2' its services are read from the top",
            "write version: '2', in quotes",
        )
    ours = (top["services"].entries or {}) if "services" in top else {}
    for name, service in ours.items():
        if name not in services:
            reading.fault(service, f"docker-compose.yml has no such service: {LOST}", "mend one")
        elif service.entries is None:
            reading.fault(service, f"is {service.kind}, not a mapping", "take it out")
        else:
            _service(reading, service.entries, services[name])
    return ours


def _service(reading: Reading, entries: dict[str, Value], launched: Value) -> None:
    hold(reading, entries, SERVICE, LOST)
    its_labels = labels.read(launched)
    network = (launched.entries or {}).get("network_mode")
    on_host = network is not None and network.scalar == "host"
    if "scale" in entries and labels.is_global(its_labels):
        reading.fault(entries["scale"], "a global service has no scale", "take it out")
    if health := entries.get("health_check"):
        _health(reading, health, named=on_host and not _has_dns(its_labels))
    if upgrade := entries.get("upgrade_strategy"):
        _upgrade(reading, upgrade, held=on_host and labels.is_global(its_labels))


def _has_dns(its_labels: dict[str, Value]) -> bool:
    return labels.DNS in its_labels and its_labels[labels.DNS].scalar == "true"


def _health(reading: Reading, health: Value, *, named: bool) -> None:
    entries = health.entries or {}
    hold(reading, entries, HEALTH, LOST)
    if named:
        # rancher/rancher#2515; since cattle#1153 the label puts it within the checkers' reach.
        reading.fault(
            health,
            "on the host's network it would stay `initializing` for ever",
            f"give the service the label {labels.DNS}: 'true' in docker-compose.yml",
        )
    port = entries.get("port")
    if port is None or not _is_port(port):
        reading.fault(port or health, "has no port to ask", f"write 1 to {HIGHEST_PORT}")
    strategy = entries.get("strategy")
    if strategy is not None and strategy.scalar not in STRATEGIES:
        reading.fault(strategy, "is no strategy", f"write {', '.join(STRATEGIES)}")
    line = entries.get("request_line")
    if line is not None and not REQUEST_LINE.fullmatch(str(line.scalar)):
        reading.fault(line, "is no request line", "write GET /healthz HTTP/1.0")
    for key, value in entries.items():
        if HEALTH.get(key) is whole and isinstance(value.scalar, int) and value.scalar <= 0:
            reading.fault(value, "is not above zero", "write milliseconds, or a count")


def _is_port(value: Value) -> bool:
    if isinstance(value.scalar, str):
        return value.scalar.startswith("$") or value.scalar.isdecimal()
    return isinstance(value.scalar, int) and 0 < value.scalar <= HIGHEST_PORT


def _upgrade(reading: Reading, upgrade: Value, *, held: bool) -> None:
    entries = dict(upgrade.entries or {})
    for key in FLAGS.keys() & entries.keys():
        value = entries.pop(key)
        reading.fault(
            value,
            "rancher-compose reads it from its command line alone",
            f"give it {FLAGS[key]} {value.scalar}",
        )
    hold(reading, entries, UPGRADE, LOST)
    first = entries.get("start_first")
    if held and first is not None and first.scalar is True:
        reading.fault(
            first,
            "the new container would find its port held by the old one, which waits for it",
            "write start_first: false",
        )


def questions(reading: Reading) -> dict[str, str]:
    """The variables that are asked for, with their defaults; notes what is wrong with them."""
    top = reading.top.entries or {}
    catalog = top.get("catalog") or top.get(".catalog")
    entries = (catalog.entries or {}) if catalog else {}
    hold(reading, entries, CATALOG, LOST)
    asked = entries["questions"].items or () if "questions" in entries else ()
    return dict(filter(None, (_question(reading, each) for each in asked)))


def _question(reading: Reading, question: Value) -> tuple[str, str] | None:
    entries = question.entries or {}
    hold(reading, entries, QUESTION, LOST)
    if "variable" not in entries:
        reading.fault(question, "asks for no variable", "name it with `variable`")
        return None
    kind = entries.get("type")
    if kind is not None and kind.scalar not in TYPES:
        reading.fault(kind, "is no type of a question", f"write {', '.join(TYPES)}")
    default = entries.get("default")
    options = entries.get("options")
    if kind is not None and kind.scalar == "enum" and not (options and options.items):
        reading.fault(question, "an enum needs options", "list them")
    return str(entries["variable"].scalar), str(default.scalar) if default else ""
