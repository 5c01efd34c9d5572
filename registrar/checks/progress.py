"""From answers to a decision: rise, fall, grace, and when to ask next."""

import math
from dataclasses import dataclass, replace
from typing import Final

from registrar.checks.model import Answer, Check, Outcome

UNASKED: Final = "was not asked yet"
FIRST_SECONDS: Final = 0.1
# Who took a second to come up is found an eighth of a second later, who took a minute 8 s later.
EAGERNESS: Final = 8
JITTER: Final = 0.1
# Probes that are begun together share the loop's wake-ups: half the CPU for hundreds of checks.
BEAT_SECONDS: Final = 0.25
BEATS_A_DELAY: Final = 40


@dataclass(frozen=True, slots=True)
class Progress:
    """How far the answers have led.

    Attributes:
        passing: None until decided.
        successes: in a row.
        failures: in a row, of those that count.
        has_passed: at any time in this run.
        settled: has waited for one whole interval since it passed first.
        begun_at: when it was wanted first, in monotonic seconds.
        grace_until: failures before count only for one that has passed, in monotonic seconds.
        why: what the latest probe found.
    """

    passing: bool | None
    begun_at: float
    grace_until: float
    successes: int = 0
    failures: int = 0
    has_passed: bool = False
    settled: bool = False
    why: str = UNASKED

    @property
    def outcome(self) -> Outcome:
        """As others see it."""
        return Outcome(self.passing, self.why, self.successes, self.failures)


def begin(check: Check, *, now: float, age_seconds: float, stands: bool) -> Progress:
    """Before the first probe.

    Args:
        check: what decides.
        now: monotonic seconds.
        age_seconds: since the container was started.
        stands: it passed in an earlier life of the registrar: it is out only when it fails.
    """
    passing = True if stands or check.initially_passing else None
    return Progress(
        passing=passing,
        begun_at=now,
        grace_until=now + max(0.0, check.grace_seconds - max(0.0, age_seconds)),
        # One that merely begins as passing has not come up yet, and keeps its grace.
        has_passed=stands,
    )


def advance(progress: Progress, check: Check, answer: Answer, now: float) -> Progress:
    """After one more answer.

    As with HAProxy and Nomad, `rise` successes in a row make it pass and `fall` failures in a
    row make it fail. As with Docker's start period, a failure within the grace counts for nothing
    until the first pass; after that the grace is over.
    """
    if answer.good is None:
        return replace(progress, why=answer.why)
    if answer.good:
        successes = progress.successes + 1
        risen = successes >= check.rise
        return replace(
            progress,
            passing=True if risen else progress.passing,
            successes=successes,
            failures=0,
            has_passed=progress.has_passed or risen,
            why=answer.why,
        )
    if not progress.has_passed and now < progress.grace_until:
        return replace(progress, successes=0, why=answer.why)
    failures = progress.failures + 1
    return replace(
        progress,
        passing=False if failures >= check.fall else progress.passing,
        successes=0,
        failures=failures,
        why=answer.why,
    )


def wait(progress: Progress, check: Check, now: float, chance: float) -> tuple[Progress, float]:
    """How many seconds to wait for the next probe.

    Until it passes for the first time, an eighth of the time that it was waited for so far, so
    that nobody waits a whole interval to come up. Then the interval, give or take a tenth; the
    first one is cut short by chance, so that what was started together is not probed together.

    Args:
        progress: after the latest answer.
        check: says the interval.
        now: monotonic seconds.
        chance: evenly distributed, from 0 up to 1.
    """
    interval = check.interval_seconds
    jitter = 1 - JITTER + 2 * JITTER * chance
    if not progress.has_passed:
        eager = max(FIRST_SECONDS, (now - progress.begun_at) / EAGERNESS)
        return progress, min(interval, eager) * jitter
    if not progress.settled:
        return replace(progress, settled=True), interval * (0.25 + 0.75 * chance)
    return progress, interval * jitter


def on_beat(due: float, delay: float) -> float:
    """The next beat of a clock that all share: at most a fortieth of the delay later.

    Args:
        due: monotonic seconds.
        delay: how long it was waited for.
    """
    beat = BEAT_SECONDS
    while beat > max(delay, FIRST_SECONDS / 10) / BEATS_A_DELAY:
        beat /= 2
    return math.ceil(due / beat) * beat
