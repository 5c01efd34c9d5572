"""Two looks at counters, made into figures; pure. A counter that began anew gives none."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field

from deploy.release.autoscale.rule import Figures


@dataclass(frozen=True, slots=True)
class Counter:
    """What somebody had counted at a moment of their own clock, in seconds since any time."""

    value: float
    at: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Look:
    """What was told at one time.

    Attributes:
        cpu: seconds of the processor that instances have used, by address; those that told.
        requests: that each edge has counted of the service; those that count.
        edges: every edge that there is, whether it told or not.
        troubles: who did not tell, and why.
    """

    cpu: Mapping[str, Counter] = field(default_factory=dict)
    requests: Mapping[str, Counter] = field(default_factory=dict)
    edges: Collection[str] = ()
    troubles: tuple[str, ...] = ()


def figures(before: Look, after: Look, instances: Collection[str]) -> Figures:
    """What was asked of instances between two looks.

    Args:
        before: the first look.
        after: the second.
        instances: the addresses of all that there are; one that nobody tells of is among them.
    """
    used = {
        address: _per_second(before.cpu.get(address), after.cpu.get(address))
        for address in instances
    }
    # One that etcd has just lost may serve on, and then there are more requests than are told.
    edges = sorted({*before.edges, *after.edges, *after.requests})
    counted = [_per_second(before.requests.get(e), after.requests.get(e)) for e in edges]
    known = [each for each in counted if each is not None]
    return Figures(
        cpu_percent={at: None if each is None else each * 100 for at, each in used.items()},
        requests_per_second=sum(known) if known else None,
        whole=len(known) == len(edges),
    )


def _per_second(before: Counter | None, after: Counter | None) -> float | None:
    if before is None or after is None or after.at <= before.at or after.value < before.value:
        return None
    return (after.value - before.value) / (after.at - before.at)
