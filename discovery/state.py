"""How one resource stands, and what is counted of all of them."""

from dataclasses import dataclass
from typing import Any

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

from discovery.model import Rejection, Snapshot
from discovery.publish.history import name_of
from discovery.publish.publisher import Change, Outcome
from discovery.resources.render import Template
from discovery.resources.resources import Resource


@dataclass(slots=True)
class State:
    """One resource, and how it stands.

    Attributes:
        resource: what it is.
        template: compiled; None when it does not compile.
        change: what was rendered last.
        seen: the snapshot that it is true to.
        failed: content that did not get into service; not tried again before its time.
        error: why it is not current; empty when it is.
        serves: whether what was rendered last is confirmed.
        applied_revision: of etcd, that it serves.
        outcome: of the latest publish.
        refused: what the built-in resource left out.
        held: the generation that it was rolled back to; empty when it follows etcd.
    """

    resource: Resource
    template: Template | None = None
    change: Change | None = None
    seen: Snapshot | None = None
    failed: bytes | None = None
    error: str = ""
    serves: bool = False
    applied_revision: int = 0
    outcome: Outcome | None = None
    refused: tuple[Rejection, ...] = ()
    held: str = ""

    @property
    def status(self) -> dict[str, Any]:
        """What /status shows of it."""
        change, outcome = self.change, self.outcome
        return {
            "name": self.resource.name,
            "dest": str(self.resource.dest),
            "state": "failed" if self.error else "current" if self.serves else "waiting",
            "error": self.error,
            "applied_revision": self.applied_revision,
            "generation": change.rendered.generation if change else "",
            "held": self.held,
            "failed": name_of(self.failed) if self.failed is not None else "",
            "commands": [
                {"command": r.command, "code": r.code, "seconds": r.seconds, "output": r.output}
                for r in (outcome.commands if outcome else ())
            ],
        }


class Meters:
    """The metrics of rendering and publishing."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self.render = Histogram(
            "wharfinger_discovery_render_seconds", "Rendering of all resources.", registry=registry
        )
        self.publish = Histogram(
            "wharfinger_discovery_publish_seconds", "From check to confirmation.", registry=registry
        )
        self.publishes = Counter(
            "wharfinger_discovery_publishes",
            "New files, by resource and whether they got into service.",
            ["resource", "outcome"],
            registry=registry,
        )
        self.applied = Gauge(
            "wharfinger_discovery_applied_revision",
            "Revision of etcd that is served.",
            registry=registry,
        )
        self.old_workers = Gauge(
            "wharfinger_discovery_nginx_old_workers",
            "Workers of former configurations that still have connections.",
            registry=registry,
        )
