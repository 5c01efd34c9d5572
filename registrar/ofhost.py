"""What this host's record tells of its containers: who is drained, who is left out, and why."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

from registrar.drained import DRAINED, Drain, Drains
from registrar.model import Out, Ready, Seen, Verdict, Waiting
from wharfinger.hostrecord import Beside, Drained, Unregistered, text
from wharfinger.keys import InstanceKey

# Who has only just begun to wait is no news to the whole cluster.
WAITING_TOLD_AFTER_SECONDS: Final = 10.0


@dataclass(frozen=True, slots=True)
class OfHost:
    """What a host's record tells beside its registrar's own state.

    Attributes:
        drained: whether the whole host is.
        drains: instances that are kept out on request.
        unregistered: containers that ask for a place in etcd and have none; worst first.
        beside: the host's other daemons.
    """

    drained: bool = False
    drains: tuple[Drained, ...] = ()
    unregistered: tuple[Unregistered, ...] = ()
    beside: Mapping[str, Beside] = field(default_factory=dict)


def drains(
    held: Drains, containers: Mapping[str, Seen], ports: Mapping[str, int]
) -> tuple[Drained, ...]:
    """The instances that are out on request, by their keys; each told once.

    Args:
        held: all drains of this host.
        containers: that there are, by id.
        ports: that these were assigned.
    """
    by_port = {port: each for each, port in ports.items()}
    found: dict[str, Drained] = {}
    for container_id, drain in held.containers.items():
        name = _name(containers, container_id) or container_id[:12]
        if not drain.keys:
            found[container_id] = _drained(None, name, drain)
        for key in map(InstanceKey.parse, drain.keys):
            found[key.address] = _drained(key, name, drain)
    if held.host is not None:
        for key in map(InstanceKey.parse, held.host.keys):
            name = _name(containers, by_port.get(key.endpoint.port, ""))
            found.setdefault(key.address, _drained(key, name, held.host))
    return tuple(found[key] for key in sorted(found))


def unregistered(
    containers: Mapping[str, Seen],
    verdicts: Mapping[str, tuple[Verdict, ...]],
    waited_seconds: Mapping[str, float],
) -> tuple[Unregistered, ...]:
    """Who is not in etcd though it asks for it, and why; who is drained is told of elsewhere.

    Args:
        containers: that there are, by id.
        verdicts: the latest plan's.
        waited_seconds: for how long somebody has waited.
    """
    found = []
    for container_id, several in verdicts.items():
        waited = waited_seconds.get(container_id, 0.0)
        whys = {v.why: _rank(v) for v in several if _is_told(v, waited)}
        if whys:
            name = text(_name(containers, container_id) or container_id[:12])
            told = Unregistered(name=name, reason=text("; ".join(whys)))
            found.append((min(whys.values()), name, told))
    return tuple(told for *_, told in sorted(found, key=lambda each: each[:2]))


def _is_told(verdict: Verdict, waited_seconds: float) -> bool:
    match verdict:
        case Ready():
            return False
        case Out(why):
            return not why.startswith(DRAINED)
        case Waiting():
            return waited_seconds >= WAITING_TOLD_AFTER_SECONDS
        case _:
            return True


def _rank(verdict: Verdict) -> int:
    match verdict:
        case Out():
            return 2
        case Waiting():
            return 1
        case _:
            return 0


def _drained(key: InstanceKey | None, name: str, drain: Drain) -> Drained:
    return Drained(
        key=key.address if key else "",
        endpoint=key.endpoint.value if key else "",
        service=key.service.name if key else "",
        name=text(name),
        since=text(drain.since),
        by=text(drain.by),
    )


def _name(containers: Mapping[str, Seen], container_id: str) -> str:
    seen = containers.get(container_id)
    return seen.container.name if seen is not None else ""
