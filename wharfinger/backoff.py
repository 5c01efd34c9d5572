"""How long to wait before trying again: exponential, capped, with jitter."""

import random
from collections.abc import Callable
from dataclasses import dataclass


@dataclass(slots=True)
class Backoff:
    """Delays for one loop that tries again for ever.

    The delay before attempt n is drawn from the upper half of min(cap, first * factor**n),
    so that a thousand hosts that lost the same server do not come back in step, and none of
    them hammers it. (Full jitter would draw from zero: a tight loop for the unlucky.)

    Attributes:
        first_seconds: the longest first delay.
        cap_seconds: no delay is longer.
        uniform: the source of randomness, `random.uniform`-shaped; tests pass their own.
    """

    first_seconds: float = 0.1
    cap_seconds: float = 2.0
    factor: float = 2.0
    uniform: Callable[[float, float], float] = random.uniform
    attempts: int = 0

    def next_delay_seconds(self) -> float:
        """Counts one more failure and says how long to wait before the next attempt."""
        # 32 doublings pass every cap; without the bound a week of outage overflows a float.
        ceiling = min(self.cap_seconds, self.first_seconds * self.factor ** min(self.attempts, 32))
        self.attempts += 1
        return self.uniform(ceiling / 2, ceiling)

    def reset(self) -> None:
        """Starts again from the first delay, after a success."""
        self.attempts = 0
