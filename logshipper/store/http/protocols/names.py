"""What others call our fields, and how two fields of one name live beside each other."""

from collections.abc import Mapping
from typing import Any, Final

from wharfinger import levels

# OpenTelemetry's semantic conventions; the shipper's own sink sends these.
OPENTELEMETRY: Final = {
    "service.name": "app",
    "deployment.environment.name": "env",
    "deployment.environment": "env",
    "host.name": "host",
    "container.id": "container",
    "container.name": "container_name",
    "container.image.name": "image",
    "log.iostream": "stream",
}
# Loki's labels have no dots; these are what its own senders and its OTLP endpoint make of them.
LOKI: Final = {name.replace(".", "_"): own for name, own in OPENTELEMETRY.items()}
_LOKI_LEVELS: Final = ("detected_level", "severity_text", "severity", "lvl")


def renamed(fields: Mapping[str, Any], names: Mapping[str, str]) -> dict[str, Any]:
    """Fields under our names, where they have one that is not taken by a field of that name."""
    told: dict[str, Any] = {}
    for name, value in fields.items():
        own = names.get(name, name)
        told[name if own is not name and (own in fields or own in told) else own] = value
    return told


def with_level(labels: dict[str, str]) -> dict[str, str]:
    """Labels of Loki with their level under our name, if it is one."""
    for name in _LOKI_LEVELS:
        if "level" not in labels and levels.level_of(labels.get(name, "")):
            labels["level"] = labels.pop(name)
    return labels


def beside(fields: dict[str, Any], more: Mapping[str, Any]) -> dict[str, Any]:
    """Fields, and others that give way: what has a name that is taken gets Loki's ending."""
    for name, value in more.items():
        if name not in fields:
            fields[name] = value
        elif fields[name] != value:
            fields[f"{name}_extracted"] = value
    return fields
