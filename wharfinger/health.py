"""Named checks that go red by themselves when nobody confirms them: deaf is never green."""

import time
from collections.abc import Callable
from dataclasses import dataclass

from wharfinger.events import Events


@dataclass(frozen=True, slots=True)
class CheckReport:
    """One check at one moment; `since_seconds` tells how long it has been in this state."""

    name: str
    healthy: bool
    why: str
    since_seconds: float


@dataclass(frozen=True, slots=True)
class HealthReport:
    """Every check at one moment; the whole is healthy when each of them is."""

    checks: tuple[CheckReport, ...]

    @property
    def healthy(self) -> bool:
        """Whether every check is."""
        return all(check.healthy for check in self.checks)

    @property
    def why(self) -> str:
        """What is wrong, in a line; empty when nothing is."""
        return "; ".join(f"{c.name}: {c.why}" for c in self.checks if not c.healthy)


class Check:
    """One thing that must hold; red until it is first confirmed.

    Args:
        name: what is checked, as a noun (`etcd watch`).
        events: where each change of state is told.
        stale_after_seconds: red by itself when not confirmed for so long; None for never.
        clock: monotonic seconds.
    """

    def __init__(
        self,
        name: str,
        events: Events,
        *,
        stale_after_seconds: float | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.name = name
        self._events = events
        self._clock = clock
        self.stale_after_seconds = stale_after_seconds
        self._healthy = False
        self._why = "not yet confirmed"
        self._changed_at = self._confirmed_at = clock()
        self._told: bool | None = None
        self._stale = False

    def ok(self, why: str = "") -> None:
        """Confirms that it holds now."""
        self._confirmed_at = self._clock()
        self._set(healthy=True, why=why)

    def beat(self) -> None:
        """Confirms that it holds now, as often as one likes."""
        self.ok(self._why if self._healthy else "")

    def fail(self, why: str) -> None:
        """Says that it does not hold, and why, in words that name what to mend."""
        self._set(healthy=False, why=why)

    def report(self) -> CheckReport:
        """The state now; notices, and tells once, that a confirmation is overdue."""
        now = self._clock()
        overdue = now - self._confirmed_at
        limit = self.stale_after_seconds
        if (self._healthy or self._stale) and limit is not None and overdue > limit:
            self._set(healthy=False, why=f"stale: nothing heard for {overdue:.0f} s", stale=True)
        return CheckReport(self.name, self._healthy, self._why, now - self._changed_at)

    def _set(self, *, healthy: bool, why: str, stale: bool = False) -> None:
        if healthy != self._healthy:
            self._changed_at = self._clock()
        self._healthy, self._why, self._stale = healthy, why, stale
        if healthy != self._told:
            self._told = healthy
            state = "healthy" if healthy else "unhealthy"
            level = "info" if healthy else "warning"
            self._events.emit(f"check {state}", level, check=self.name, why=why)


class Health:
    """All checks of a daemon."""

    def __init__(self, events: Events, *, clock: Callable[[], float] = time.monotonic) -> None:
        self._events = events
        self._clock = clock
        self._checks: dict[str, Check] = {}

    def check(self, name: str, *, stale_after_seconds: float | None = None) -> Check:
        """The check of that name, made on first use; that one says when it is stale.

        Raises:
            ValueError: it is there already, with another time after which it is stale.
        """
        held = self._checks.get(name)
        if held is None:
            held = self._checks[name] = Check(
                name, self._events, stale_after_seconds=stale_after_seconds, clock=self._clock
            )
        elif stale_after_seconds not in (None, held.stale_after_seconds):
            # Ignored, it would stay green when deaf.
            message = f"check {name} is stale after {held.stale_after_seconds} s already"
            raise ValueError(message)
        return held

    def forget(self, name: str) -> None:
        """Takes a check away, when what it watched is no longer there."""
        self._checks.pop(name, None)

    def report(self) -> HealthReport:
        """Every check now."""
        return HealthReport(tuple(check.report() for check in self._checks.values()))
