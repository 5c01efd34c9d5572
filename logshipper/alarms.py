"""The checks of lag, loss and files: which log is worst, and what to do about it."""

import time
from collections.abc import Callable, Sequence
from typing import Final

from logshipper.account import Standing
from logshipper.config import LogshipperConfig
from logshipper.delivery import FIX as SINK_FIX
from logshipper.metrics import Metrics
from logshipper.model import Loss
from wharfinger.events import Events
from wharfinger.health import Health
from wharfinger.text import quantity

# A machine that loses of every log must not fill the memory with what it lost.
MAX_RECENT: Final = 1000
FIXES: Final = {
    "rotated": "let Docker keep more (max-size, max-file), or mend the sink that is behind",
    "truncated": "let Docker rotate (max-size, max-file) in place of whoever truncates its files",
    "removed": "remove containers when their logs are through, or mend the sink that is behind",
    "corrupt": "look at this host's disk",
    "zeroed": "the host lost power, or its disk is failing: look at it",
    "refused": "take away what stands in the log's place, and find out who put it there",
    "spool": "give the spool more room (spool_bytes), or mend the sink that is behind",
    "dead_letters_full": "mend what the sink refuses, then run logshipper dead-letter replay",
}
SLOW_FIX: Final = "give the sink more requests, or thin the log out (wharfinger.logs.sample, .rate)"


class Alarms:
    """Keeps the checks true.

    Args:
        health: the daemon's.
        events: where losses are told.
        metrics: where they are counted.
        config: the limits.
        clock: monotonic seconds.
    """

    def __init__(
        self,
        health: Health,
        events: Events,
        metrics: Metrics,
        config: LogshipperConfig,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._loss = health.check("loss")
        self._lag = health.check("lag")
        self._files = health.check("log files")
        self._events = events
        self._metrics = metrics
        self._config = config
        self._clock = clock
        self._recent: dict[tuple[str, str], tuple[float, str]] = {}

    def reload(self, config: LogshipperConfig) -> None:
        """Takes other limits."""
        self._config = config

    def lose(self, sink: str, container_id: str, called: str, loss: Loss) -> None:
        """Counts and tells a loss, and is red from now on.

        Args:
            sink: its name.
            container_id: whose log it was.
            called: the same, for people.
            loss: what was lost.
        """
        self._metrics.lost_bytes.labels(loss.reason).inc(loss.size_bytes)
        self._metrics.losses.labels(loss.reason).inc()
        fix = FIXES.get(loss.reason)
        whose = f"container {called} in sink {sink}" if called else f"sink {sink}"
        why = f"{whose}: {quantity(loss.size_bytes, 'byte')} {loss.reason}: {loss.why}"
        self._recent.pop((sink, container_id), None)
        if len(self._recent) >= MAX_RECENT:
            del self._recent[next(iter(self._recent))]
        self._recent[sink, container_id] = self._clock(), f"{why}; {fix}" if fix else why
        self._tell_losses()
        self._events.emit(
            "log lost",
            "error",
            sink=sink,
            container=container_id,
            reason=loss.reason,
            size_bytes=loss.size_bytes,
            why=loss.why,
        )

    def look(self, standings: Sequence[Standing], troubles: dict[str, str]) -> None:
        """Judges how all logs stand.

        Args:
            standings: of all logs in all sinks.
            troubles: why a sink takes nothing, by its name.
        """
        self._look_at_lag(standings, troubles)
        unread = [each for each in standings if each.trouble]
        if unread:
            first = f"container {unread[0].called}: {unread[0].trouble}"
            count = len({each.container_id for each in unread})
            self._files.fail(f"{count} cannot be read; {first}")
        else:
            self._files.ok()
        now = self._clock()
        for key, (at, _) in list(self._recent.items()):
            if now - at > self._config.loss_alarm_seconds:
                del self._recent[key]
        self._tell_losses()

    def _tell_losses(self) -> None:
        """The latest in full: the others are in the events."""
        if not self._recent:
            self._loss.ok()
            return
        more = len(self._recent) - 1
        _, latest = self._recent[next(reversed(self._recent))]
        self._loss.fail(f"{latest} (and {quantity(more, 'more log')})" if more else latest)

    def _look_at_lag(self, standings: Sequence[Standing], troubles: dict[str, str]) -> None:
        limit_bytes, limit_seconds = self._config.lag_alarm_bytes, self._config.lag_alarm_seconds
        late = [
            each
            for each in standings
            if each.lag_bytes > limit_bytes or each.lag_seconds > limit_seconds
        ]
        if not late:
            self._lag.ok()
            return
        worst = max(
            late, key=lambda e: max(e.lag_bytes / limit_bytes, e.lag_seconds / limit_seconds)
        )
        trouble = troubles.get(worst.sink)
        fix = worst.trouble or (f"{trouble}; {SINK_FIX}" if trouble else SLOW_FIX)
        behind = f"{quantity(worst.lag_bytes, 'byte')} and {worst.lag_seconds:.0f} s behind"
        more = f" (and {len(late) - 1} more)" if len(late) > 1 else ""
        self._lag.fail(f"container {worst.called} is {behind} in sink {worst.sink}{more}: {fix}")
