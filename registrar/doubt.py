"""Of which containers it is not known whether they still run, after this process stood still."""

from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Final

# dockerd lists 500 containers within a second, and is back within three after a restart. Discovery
# goes on with what vanished with a lease and answers: those that live do not miss so much.
PATIENCE_SECONDS: Final = 5.0


@dataclass(frozen=True, slots=True)
class Doubt:
    """What is known of them may be older than the lease that was lost: they are put by no word.

    Attributes:
        count: how often there was reason to doubt.
        since: the latest, in monotonic seconds.
        of: ids of containers that nobody has looked at since.
    """

    count: int = 0
    since: float = 0.0
    of: frozenset[str] = frozenset()

    def raised(self, now: float, containers: Iterable[str]) -> "Doubt":
        """All that is known of these may be over."""
        return Doubt(self.count + 1, now, frozenset(containers))

    def listed(
        self, began: float, containers: Iterable[str], unknown: frozenset[str] = frozenset()
    ) -> "Doubt":
        """After a list; one that was asked for before the doubt settles none, and brings more.

        Args:
            began: when it was asked for, in monotonic seconds.
            containers: ids of all that are known by it.
            unknown: ids of those on it that Docker could not describe.
        """
        if began < self.since:
            # Who is new on it may have ended, too, and the next list has been asked for.
            return replace(self, of=self.of.union(containers))
        return self.settled(self.of - unknown)

    def settled(self, containers: Iterable[str]) -> "Doubt":
        """These were looked at."""
        rest = self.of.difference(containers)
        return self if len(rest) == len(self.of) else replace(self, of=rest)

    def overdue(self, now: float) -> bool:
        """Whether Docker was waited for long enough.

        With dockerd dead for an hour its containers serve on, and would be out for an hour. Then
        their processes are asked: who has none any more stays out until Docker answers.
        """
        return bool(self.of) and now - self.since >= PATIENCE_SECONDS


def stood_still(seconds: float, lease_ttl_seconds: float) -> bool:
    """Whether so long a time between two ticks is more than the lease of this host lives."""
    return seconds > lease_ttl_seconds
