"""Rancher's labels: the scheduler's above all, since a misspelt one is an ordinary label."""

from typing import Final

from deploy.release.rancher.shapes import nearest
from deploy.release.yamllines import Reading, Value

PREFIX: Final = "io.rancher."
GLOBAL: Final = "io.rancher.scheduler.global"
DNS: Final = "io.rancher.container.dns"
SIDEKICKS: Final = "io.rancher.sidekicks"
AFFINITY: Final = "io.rancher.scheduler.affinity:"
RULES: Final = ("host_label", "container_label", "container")
SUFFIXES: Final = ("", "_ne", "_soft", "_soft_ne")
# Rancher 1.6, "Labels in Rancher" and "Scheduling"; the values that one may have, empty for any.
KNOWN: Final[dict[str, tuple[str, ...]]] = {
    GLOBAL: ("true", "false"),
    DNS: ("true", "false"),
    SIDEKICKS: (),
    "io.rancher.container.pull_image": ("always",),
    "io.rancher.container.start_once": ("true", "false"),
    "io.rancher.container.hostname_override": ("container_name",),
    "io.rancher.container.network": ("true",),
    "io.rancher.container.requested_ip": (),
    "io.rancher.container.agent.role": (),
    "io.rancher.container.create_agent": ("true", "false"),
    "io.rancher.container.dns.priority": (),
    "io.rancher.service.selector.container": (),
    "io.rancher.service.selector.link": (),
    **{f"{AFFINITY}{rule}{suffix}": () for rule in RULES for suffix in SUFFIXES},
}
# Of these alone the scheduler asks where a global service's containers go.
HARD: Final = frozenset({f"{AFFINITY}host_label", f"{AFFINITY}host_label_ne"})


def read(service: Value) -> dict[str, Value]:
    """The labels of a service, whichever of the two ways they are written."""
    labels = (service.entries or {}).get("labels")
    if labels is None:
        return {}
    if labels.entries is not None:
        return labels.entries
    split = ((each, str(each.scalar).partition("=")) for each in labels.items or ())
    return {
        name: Value(each.line, f"{labels.where}.{name}", scalar=value)
        for each, (name, _, value) in split
    }


def is_global(labels: dict[str, Value]) -> bool:
    """Whether one container of it runs on every host that its rules allow."""
    return GLOBAL in labels and labels[GLOBAL].scalar == "true"


def check(reading: Reading, labels: dict[str, Value]) -> None:
    """Notes labels of Rancher's that do nothing."""
    for name, value in labels.items():
        if not name.startswith(PREFIX):
            continue
        if name not in KNOWN:
            reading.fault(value, "Rancher knows no such label", nearest(name, KNOWN))
        elif KNOWN[name] and value.scalar not in KNOWN[name] and "$" not in str(value.scalar):
            reading.fault(
                value,
                f"{value.scalar!r} is none of its values",
                f"write {' or '.join(map(repr, KNOWN[name]))}",
            )
        elif name.startswith(AFFINITY) and name not in HARD and is_global(labels):
            reading.fault(
                value,
                "a global service is placed by hard rules on host labels only; this one is ignored",
                f"use {AFFINITY}host_label or host_label_ne",
            )
