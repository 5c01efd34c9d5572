"""When to render: a lone change at once, a burst when it is over, and never too often."""

from dataclasses import dataclass, replace


@dataclass(frozen=True, slots=True)
class Settle:
    """What is known of the changes that wait; all times are monotonic seconds.

    The first change after a quiet time is due at once. One that follows close behind another
    change, or behind a render, waits until nothing more has come for `quiet_seconds`, yet at
    most `longest_seconds` since the first that waits. Between two renders lie at least
    `interval_seconds`; what comes in that time is due at its end.

    Attributes:
        quiet_seconds: how long it must be quiet.
        longest_seconds: no change waits longer for quiet.
        interval_seconds: from one render to the next.
        splay_seconds: each render is so much later: many hosts shall not reload at once.
        patient: the first change waits for quiet as well.
        rest_seconds: only after such a quiet time is a change the first of something new; before
            that it may be a burst that has faltered.
        first_at: of the changes that wait, when the first came; None when none waits.
        latest_at: when the latest change came, waiting or not.
        rendered_at: when the latest render began.
        alone: the changes that wait began after a quiet time.
    """

    quiet_seconds: float = 0.05
    longest_seconds: float = 0.5
    interval_seconds: float = 0.0
    splay_seconds: float = 0.0
    patient: bool = False
    rest_seconds: float = 0.0
    first_at: float | None = None
    latest_at: float = float("-inf")
    rendered_at: float = float("-inf")
    alone: bool = False

    def changed(self, now: float) -> "Settle":
        """A change came."""
        if self.first_at is not None:
            return replace(self, latest_at=now, alone=False)
        # Counted from the latest change, not from the render: a render that took long must not
        # hold back the next change, which has nothing to do with the burst before.
        rest = max(self.quiet_seconds, self.rest_seconds)
        alone = not self.patient and now - self.latest_at >= rest
        return replace(self, first_at=now, latest_at=now, alone=alone)

    def busy(self, now: float) -> "Settle":
        """Until now changes may have come unheard: that time was no quiet one."""
        return replace(self, latest_at=max(self.latest_at, now))

    def rendered(self, now: float) -> "Settle":
        """A render begins, with everything that came before."""
        return replace(self, first_at=None, rendered_at=now, alone=False)

    @property
    def due_at(self) -> float | None:
        """When to render; None when nothing waits. May lie in the past: then at once."""
        if self.first_at is None:
            return None
        settled = self.first_at
        if not self.alone:
            quiet_at = self.latest_at + self.quiet_seconds
            settled = min(quiet_at, self.first_at + self.longest_seconds)
        return max(settled + self.splay_seconds, self.rendered_at + self.interval_seconds)
