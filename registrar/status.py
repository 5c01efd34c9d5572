"""What /status says of each container, in words for its owner."""

from collections.abc import Mapping
from typing import Any, assert_never

from registrar.model import Ask, Out, Ready, Refused, Seen, Verdict, Waiting, Wanted


def describe(
    containers: Mapping[str, Seen],
    ports: Mapping[str, int],
    verdicts: Mapping[str, tuple[Verdict, ...]],
) -> list[dict[str, Any]]:
    """One entry for each thing that a container asks for, sorted by the container's name."""
    entries = []
    for container_id, several in verdicts.items():
        seen = containers.get(container_id)
        # It may have been looked at again since: what it asks for now was not judged yet.
        for ask, verdict in zip(seen.asks if seen else (), several, strict=False):
            state, why = _state(verdict)
            entries.append(
                {
                    "id": container_id,
                    "name": seen.container.name if seen else "",
                    "service": ask.service.name if isinstance(ask, Wanted) else "",
                    "port": _port(ask, ports.get(container_id)),
                    "state": state,
                    "why": why,
                }
            )
    return sorted(entries, key=lambda entry: (str(entry["name"]), str(entry["id"])))


def _port(ask: Ask, assigned: int | None) -> int | None:
    declared = ask.port if isinstance(ask, Wanted) else None
    return declared or assigned


def _state(verdict: Verdict) -> tuple[str, str]:
    match verdict:
        case Ready(instance, why):
            return "registered", why or instance.key.address
        case Waiting(why):
            return "waiting", why
        case Out(why):
            return "out", why
        case Refused(why):
            return "refused", why
        case _:
            assert_never(verdict)
