"""The logs that are worst off, out of what a log shipper tells of all; pure."""

from collections.abc import Iterator, Mapping
from typing import Any, Final

TITLES: Final = ("CONTAINER", "ID", "SINK", "LAG", "OLDEST", "LOST", "REJECTED", "TROUBLE")
SHOWN: Final = 10
# A log that is shipped as it is written has lines on their way at nearly any moment.
LATE_SECONDS: Final = 2.0
_UNITS: Final = (("GiB", 2**30), ("MiB", 2**20), ("KiB", 2**10))


def worst(held: Any) -> list[dict[str, Any]]:
    """The logs of which something is to be said, the worst first.

    What was lost comes first, then what cannot be read, then who has waited longest.

    Args:
        held: what /status gave; whatever listens there may have answered anything.
    """
    return sorted(filter(_bad, _logs(held)), key=_badness, reverse=True)


def size(count: float) -> str:
    """A number of bytes as people say it."""
    for unit, length in _UNITS:
        if count >= length:
            return f"{count / length:.1f} {unit}"
    return f"{count:.0f} B"


def number(log: Mapping[str, Any], name: str) -> float:
    """A number of a log's; 0 where there is none."""
    value = log.get(name)
    return value if isinstance(value, int | float) else 0


def lost(log: Mapping[str, Any]) -> dict[str, float]:
    """How many bytes of it were lost, by reason."""
    told = log.get("lost_bytes")
    return {str(key): number(told, key) for key in told} if isinstance(told, dict) else {}


def entries(held: Any, name: str) -> list[dict[str, Any]]:
    """The tables in the list of that name; none where a stranger answered something else."""
    listed = held.get(name) if isinstance(held, dict) else None
    return [each for each in listed if isinstance(each, dict)] if isinstance(listed, list) else []


def _logs(held: Any) -> Iterator[dict[str, Any]]:
    for sink in entries(held, "sinks"):
        trouble = str(sink.get("trouble") or "")
        for log in entries(sink, "logs"):
            said = str(log.get("trouble") or "") or (trouble if number(log, "lag_bytes") else "")
            yield {**log, "sink": sink.get("sink"), "trouble": said}
        for log in entries(sink, "ended"):
            yield {**log, "sink": sink.get("sink"), "trouble": "its log is gone"}


def _bad(log: dict[str, Any]) -> bool:
    late = number(log, "lag_seconds") >= LATE_SECONDS
    return late or bool(lost(log) or log["trouble"] or number(log, "rejected"))


def _badness(log: dict[str, Any]) -> tuple[bool, bool, float, float]:
    troubled = bool(log["trouble"])
    return bool(lost(log)), troubled, number(log, "lag_seconds"), number(log, "lag_bytes")
