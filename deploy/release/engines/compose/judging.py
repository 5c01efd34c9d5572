"""Whether a container that was started is up by now, or never will be; pure."""

from dataclasses import dataclass
from typing import Final

from deploy.release.app.model import App, Environment
from deploy.release.engines.facts import HEALTHY, UNHEALTHY, Facts

# A registrar says why one is not in etcd after ten seconds, and news every five.
TOLD_SECONDS: Final = 20.0


@dataclass(frozen=True, slots=True)
class Patience:
    """How long a new instance is waited for, and watched.

    Attributes:
        start_seconds: until it is registered and healthy.
        monitor_seconds: for which it must stay so.
    """

    start_seconds: float
    monitor_seconds: float

    @classmethod
    def of(cls, app: App, environment: Environment) -> "Patience":
        """As wharf.yaml says; the probes that make it healthy come on top of its start."""
        health = app.health
        probes = health.healthy * (health.every_seconds + health.timeout_seconds)
        return cls(health.start_seconds + probes, environment.rollout.monitor_seconds)


@dataclass(frozen=True, slots=True)
class Waited:
    """What is known of one that is waited for.

    Attributes:
        facts: of its container.
        registered: whether etcd has it; None where no registrar is there to put it there.
        seconds: for how long it has been waited for.
        steady_seconds: for how long it has been up without a break.
        restarts: how often it had been restarted when the waiting began.
    """

    facts: Facts
    registered: bool | None
    seconds: float
    steady_seconds: float = 0.0
    restarts: int = 0

    @property
    def is_up(self) -> bool:
        """Whether it serves at this moment."""
        healthy = self.facts.health in ("", HEALTHY)
        return self.facts.status == "running" and healthy and self.registered is not False

    def proven(self, patience: Patience) -> bool:
        """Whether it has been up for long enough."""
        return self.is_up and self.steady_seconds >= patience.monitor_seconds

    def broken(self, patience: Patience, reason: str | None = None) -> str | None:
        """Why it is not waited for any longer; None while it is.

        Args:
            patience: with it.
            reason: a registrar's word for why it is not registered; empty where none says so,
                which is waited for; None where none was asked.
        """
        if not self.facts.runs:
            return "it has ended"
        if self.facts.restarts > self.restarts:
            return "it has ended, and was started again"
        if self.facts.health == UNHEALTHY:
            return "it is not healthy"
        if self.is_up or self.seconds <= patience.start_seconds:
            return None
        if self.registered is False:
            return self._unregistered(patience, reason)
        return f"not healthy within {patience.start_seconds:g} s"

    def _unregistered(self, patience: Patience, reason: str | None) -> str | None:
        if reason == "" and self.seconds <= TOLD_SECONDS:
            return None
        why = reason or "no registrar says why"
        return f"not registered within {patience.start_seconds:g} s: {why}"
