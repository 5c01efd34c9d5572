"""What is to be said of the latest verdicts: who waits since when, and who is out, and why."""

import time
from collections.abc import Callable, Iterable, Mapping

from registrar.model import Ready, Refused, Verdict, Waiting
from wharfinger.events import Events


class Remarks:
    """Follows the verdicts from plan to plan.

    Args:
        events: where refusals are told.
        name: of a container, by its id.

    Attributes:
        waiting_since: since when somebody waits, by container id; monotonic seconds.
        reasons: why a container has no instance, by its id.
    """

    def __init__(self, events: Events, name: Callable[[str], str]) -> None:
        self._events = events
        self._name = name
        self._refusals: dict[str, str] = {}
        self.waiting_since: dict[str, float] = {}
        self.reasons: dict[str, str] = {}

    def take(self, news: Mapping[str, tuple[Verdict, ...]], gone: Iterable[str]) -> None:
        """Takes the verdicts that are new, by container id, and who is judged no more."""
        now = time.monotonic()
        for container_id, several in news.items():
            if any(isinstance(verdict, Waiting) for verdict in several):
                self.waiting_since.setdefault(container_id, now)
            else:
                self.waiting_since.pop(container_id, None)
            self.reasons.pop(container_id, None)
            for verdict in several:
                if not isinstance(verdict, Ready):
                    self.reasons[container_id] = verdict.why
            self._tell_refusals(container_id, several)
        for container_id in gone:
            for told in (self.waiting_since, self.reasons, self._refusals):
                told.pop(container_id, None)

    def _tell_refusals(self, container_id: str, several: tuple[Verdict, ...]) -> None:
        whys = dict.fromkeys(each.why for each in several if isinstance(each, Refused))
        if whys:
            self._tell_refusal(container_id, "; ".join(whys))
        elif not any(isinstance(each, Waiting) for each in several):
            # That it is being tried again is no news.
            self._refusals.pop(container_id, None)

    def _tell_refusal(self, container_id: str, why: str) -> None:
        if self._refusals.get(container_id) == why:
            return
        self._refusals[container_id] = why
        self._events.emit(
            "container refused",
            "warning",
            container=container_id[:12],
            name=self._name(container_id),
            why=why,
        )
