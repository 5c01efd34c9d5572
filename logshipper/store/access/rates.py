"""How much each may, over time: buckets that fill steadily; the clock is the caller's."""

from collections import OrderedDict
from collections.abc import Hashable
from dataclasses import dataclass
from typing import Final

# Beyond it those that were not heard of for longest are forgotten: a flood of names or addresses
# must not take memory.
KEPT: Final = 10_000


@dataclass(slots=True)
class _Bucket:
    level: float
    at: float


class Rates:
    """A bucket for each key, which fills to `burst` and may be overdrawn by one use.

    What something costs is often known only when it is done: so whoever finds one in
    the bucket may go on, whatever that costs, and then waits until the debt is paid.

    Args:
        per_second: how fast it fills; None for no limit at all. May be changed.
        burst: how much it holds; that of two seconds, and one at least, if not given.
        kept: keys that are remembered.
    """

    def __init__(
        self, per_second: float | None, burst: float | None = None, *, kept: int = KEPT
    ) -> None:
        self.per_second = per_second
        self._burst = burst
        self._kept = kept
        self._buckets: OrderedDict[Hashable, _Bucket] = OrderedDict()

    def wait_seconds(self, key: Hashable, now: float) -> float:
        """How long this one has to wait before the next use; 0 if not at all.

        Args:
            key: who.
            now: monotonic seconds.
        """
        if self.per_second is None or key not in self._buckets:
            return 0.0
        return max(0.0, 1.0 - self._filled(key, now).level) / self.per_second

    def use(self, key: Hashable, amount: float, now: float) -> None:
        """Takes so much out of the bucket, which may be more than it holds."""
        if self.per_second is not None:
            self._filled(key, now).level -= amount

    def _filled(self, key: Hashable, now: float) -> _Bucket:
        rate = self.per_second or 0.0
        burst = self._burst if self._burst is not None else max(1.0, 2 * rate)
        bucket = self._buckets.get(key)
        if bucket is None:
            bucket = self._buckets[key] = _Bucket(burst, now)
        bucket.level = min(burst, bucket.level + max(0.0, now - bucket.at) * rate)
        bucket.at = now
        self._buckets.move_to_end(key)
        while len(self._buckets) > self._kept:
            self._buckets.popitem(last=False)
        return bucket
