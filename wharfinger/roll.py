"""Who, by a list of containers, is as he was when he was last inspected: a list costs little."""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Any, Final

from wharfinger.container import Container

TOLD: Final = ("Names", "Image", "ImageID", "Labels", "NetworkSettings", "HostConfig")
FIELDS: Final = (*TOLD, "State", "Status", "Ports")
"""What of an entry is looked at, beside its `Id`."""
SHARE: Final = 10
"""Of those that seem to be as they were, one in so many is inspected each time all the same."""

# `Up 3 hours (healthy)`, `Exited (0) About a minute ago` (docker/go-units, HumanDuration).
_LASTS: Final = re.compile(
    r"\b(?:Less than a|About an?|([0-9]{1,9})) (second|minute|hour|day|week|month|year)s?\b",
    re.ASCII,
)
_SECONDS: Final = {
    "second": 1.0,
    "minute": 60.0,
    "hour": 3_600.0,
    "day": 86_400.0,
    "week": 604_800.0,
    "month": 2_592_000.0,
    "year": 31_536_000.0,
}
_ROUNDED_FROM: Final = 3_600.0
_ROUNDED_DOWN: Final = 0.7  # one hour and a half is two hours there
_SLACK_SECONDS: Final = 2.0


@dataclass(frozen=True, slots=True)
class _Line:
    """One container.

    Attributes:
        said: what the list says of it, but for how long it has been so.
        since: it was so at this moment, or later; monotonic seconds.
    """

    said: tuple[object, ...]
    container: Container
    since: float


class Roll:
    """What lists and inspections have told so far.

    All that an inspection tells and that can change stands in the list's entry as well, but for
    what a new run of the container brings. An entry says how long this run, or the rest after it,
    has lasted: who had it before the last list has it still.
    """

    def __init__(self) -> None:
        self._lines: dict[str, _Line] = {}  # who was inspected longest ago comes first

    def forget(self) -> None:
        """Takes nobody for known."""
        self._lines.clear()

    def same(
        self, entries: Iterable[Mapping[str, Any]], *, began: float, now: float
    ) -> dict[str, Container]:
        """Of those listed, who need not be inspected; by id.

        Args:
            entries: of `GET /containers/json`.
            began: when the list was asked for, monotonic seconds.
            now: when it was there.
        """
        listed = {each["Id"]: each for each in entries}
        self._lines = {each: line for each, line in self._lines.items() if each in listed}
        known = list(self._lines.items())
        found = {}
        for container_id, line in known[-(-len(known) // SHARE) :]:
            entry = listed[container_id]
            lasts = _lasts(entry)
            if lasts < now - line.since + _SLACK_SECONDS or _said(entry) != line.said:
                continue
            self._lines[container_id] = replace(line, since=began)
            found[container_id] = line.container
        return found

    def inspected(self, entry: Mapping[str, Any], container: Container, *, began: float) -> None:
        """Takes what was found of one that was listed; `began` as ever."""
        self._lines.pop(container.id, None)
        self._lines[container.id] = _Line(_said(entry), container, began)


def _said(entry: Mapping[str, Any]) -> tuple[object, ...]:
    # The engine lists ports in any order.
    ports = sorted(map(repr, entry.get("Ports") or ()))
    status = _LASTS.sub("", str(entry.get("Status")))
    return (entry.get("State"), status, ports, *map(entry.get, TOLD))


def _lasts(entry: Mapping[str, Any]) -> float:
    """For how many seconds at least this run, or the rest after it, has lasted."""
    match = _LASTS.search(str(entry.get("Status")))
    if match is None:
        # One that was never begun has no run; of all else nothing is known.
        return float("inf") if entry.get("State") == "created" else 0.0
    unit = _SECONDS[match[2]]
    least = 0.0 if match[0].startswith("Less") else unit * int(match[1] or 1)
    return least * _ROUNDED_DOWN if unit >= _ROUNDED_FROM else least
