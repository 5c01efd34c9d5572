"""From figures to a number of instances; pure.

After Kubernetes' documentation, "Horizontal Pod Autoscaling", sections "Algorithm details" and
"Stabilization window": the largest of what each figure asks for counts, nothing is done within a
tenth of the target, and what is not known never makes a service smaller.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from deploy.release.app.model import Autoscale
from wharfinger.text import quantity

TOLERANCE: Final = 0.1
# No figure makes ten of one at once: it may be wrong, and the next one is seconds away.
MAX_FACTOR: Final = 4


@dataclass(frozen=True, slots=True, kw_only=True)
class Figures:
    """What is asked of the instances of an environment.

    Attributes:
        cpu_percent: of one core, by instance; None where nobody tells.
        requests_per_second: of all of them together, at all edges; None where no edge counts.
        whole: whether every edge has told; else the requests may be more.
    """

    cpu_percent: Mapping[str, float | None]
    requests_per_second: float | None = None
    whole: bool = True


@dataclass(frozen=True, slots=True)
class Asked:
    """What figures ask for.

    Attributes:
        count: so many instances; None: they say nothing.
        why: which figure, in words.
    """

    count: int | None
    why: str


@dataclass(frozen=True, slots=True)
class Judged:
    """One look, for those that follow: when, in seconds of the same clock, and what was asked."""

    at: float
    asked: int


@dataclass(frozen=True, slots=True)
class Decision:
    """What to do now.

    Attributes:
        count: so many instances shall be.
        why: in words.
        looks: what the next decision needs.
    """

    count: int
    why: str
    looks: tuple[Judged, ...]


def decide(
    rule: Autoscale,
    current: int,
    figures: Figures,
    looks: tuple[Judged, ...],
    *,
    now: float,
    changed_at: float | None,
) -> Decision:
    """How many instances there shall be.

    Args:
        rule: of wharf.yaml.
        current: how many shall be now.
        figures: of this moment.
        looks: of the decision before; empty at first.
        now: seconds, of any clock that does not jump.
        changed_at: when the number was last changed, by the same clock; None: not as far as known.
    """
    asked = judge(rule, current, figures)
    if asked.count is None:
        # What is not known must not count as calm later: the window begins anew.
        return Decision(current, asked.why, ())
    looks = (*looks, Judged(now, asked.count))
    if changed_at is not None and 0 <= now - changed_at < rule.cooldown_seconds:
        left = math.ceil(rule.cooldown_seconds - (now - changed_at))
        return Decision(current, f"{asked.why}; changed just now, waits {left} s", looks)
    if asked.count > current:
        return Decision(asked.count, asked.why, ())
    begun = now - rule.cooldown_seconds
    older = [each for each in looks if each.at <= begun]
    looks = (*older[-1:], *(each for each in looks if each.at > begun))
    highest = max(each.asked for each in looks)
    if highest >= current:
        return Decision(current, asked.why, looks)
    if not older:
        return Decision(current, f"{asked.why}; not yet for {rule.cooldown_seconds:g} s", looks)
    return Decision(highest, asked.why, ())


def judge(rule: Autoscale, current: int, figures: Figures) -> Asked:
    """What the figures of one moment ask for, within the rule's limits."""
    asked = [
        each
        for each in (_by_cpu(rule, current, figures), _by_requests(rule, current, figures))
        if each.count is not None
    ]
    if not asked:
        if current < rule.least or current > rule.most:
            count = min(max(current, rule.least), rule.most)
            return Asked(count, f"the rule is for {rule.least} to {rule.most}")
        return Asked(None, "no figures: nobody tells what is asked of it")
    largest = max(asked, key=lambda each: each.count or 0)
    count = min(largest.count or 0, max(current, 1) * MAX_FACTOR)
    limited = min(max(count, rule.least), rule.most)
    why = largest.why
    if limited != largest.count:
        why += f", of {largest.count} the rule allows {limited} now"
    return Asked(limited, why)


def _by_cpu(rule: Autoscale, current: int, figures: Figures) -> Asked:
    target = rule.cpu_percent
    told = [_sane(value) for value in figures.cpu_percent.values()]
    known = [value for value in told if value is not None]
    if target is None or not known:
        return Asked(None, "")
    average = sum(known) / len(known)
    why = f"{average:.0f} % of a core on average, {target:g} wanted"
    # One whose registrar is away is in no list, and may be sent requests all the same.
    count = max(len(told), current)
    silent = count - len(known)
    ratio = average / target
    # Those that tell nothing count for what they do not change: idle when more are asked for,
    # as busy as is wanted when fewer are.
    with_silent = (sum(known) + (0 if ratio > 1 else silent * target)) / count / target
    if (with_silent > 1) != (ratio > 1):
        return Asked(count, why)
    return Asked(_needed(with_silent, count), why)


def _by_requests(rule: Autoscale, current: int, figures: Figures) -> Asked:
    target = rule.requests_per_second
    total = _sane(figures.requests_per_second)
    if target is None or total is None:
        return Asked(None, "")
    why = f"{quantity(round(total), 'request')} a second, {target:g} for each wanted"
    # None at all were to be where there was one on each host, until the rule was written.
    current = max(current, 1)
    count = _needed(total / current / target, current)
    return Asked(count if figures.whole else max(count, current), why)


def _needed(ratio: float, count: int) -> int:
    if abs(ratio - 1) <= TOLERANCE:
        return count
    # What rounding left over must not cost an instance.
    return math.ceil(min(ratio * count, 1e6) - 1e-6)


def _sane(value: float | None) -> float | None:
    """A counter that began anew, or a hostile one, gives no figure."""
    return value if value is not None and math.isfinite(value) and value >= 0 else None
