"""Which containers a sink takes: patterns in its configuration, and a label of theirs; pure."""

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import replace
from fnmatch import fnmatchcase
from functools import partial
from types import MappingProxyType
from typing import Final

from logshipper.model import Route
from logshipper.sinksection import SinkConfig

SINKS_LABEL: Final = "wharfinger.logs.sinks"
_SHOWN_CHARACTERS: Final = 80


# What the patterns of a sink are held against, by the name of the setting: a field, or a pair.
_FIELDS: Final = {"apps": "app", "envs": "env", "names": "container_name", "images": "image"}


def selected(
    sink: SinkConfig,
    decided: Route,
    labels: Mapping[str, str],
    known: Collection[str],
    *,
    variables: Mapping[str, str] = MappingProxyType({}),
) -> Route:
    """The route of a container's log into one sink.

    Args:
        sink: whose patterns must all agree.
        decided: what holds for every sink.
        labels: the container's; `wharfinger.logs.sinks` names the sinks that may have its log.
        known: the names of all sinks.
        variables: the container's.
    """
    if not decided.ship:
        return decided
    named, wrong = named_sinks(labels, known)
    if named and sink.name not in named:
        return Route(ship=False, reason=f"label {SINKS_LABEL} names other sinks")
    for setting, name in _FIELDS.items():
        text = decided.fields.get(name, "")
        if not _allowed(getattr(sink, setting), partial(fnmatchcase, text)):
            return _left_out(sink, f"{setting} leave out {text[:_SHOWN_CHARACTERS]!r}")
    for setting, held in (("labels", labels), ("variables", variables)):
        if not _allowed(getattr(sink, setting), partial(_holds, held)):
            return _left_out(sink, f"{setting} leave it out")
    reasons = [decided.reason] if decided.reason else []
    if wrong:
        reasons.append(f"label {SINKS_LABEL} names no sink of ours: {', '.join(wrong)}")
    return replace(decided, reason="; ".join(reasons))


def named_sinks(
    labels: Mapping[str, str], known: Collection[str]
) -> tuple[frozenset[str], tuple[str, ...]]:
    """The sinks that a container's label names, and what of it names none."""
    asked = [name.strip() for name in labels.get(SINKS_LABEL, "").split(",")]
    right = frozenset(name for name in asked if name in known)
    return right, tuple(name[:_SHOWN_CHARACTERS] for name in asked if name and name not in known)


def _left_out(sink: SinkConfig, why: str) -> Route:
    return Route(ship=False, reason=f"sink {sink.name}: its {why}")


def _allowed(patterns: Sequence[str], matches: Callable[[str], bool]) -> bool:
    excluded = [pattern[1:] for pattern in patterns if pattern.startswith("!")]
    wanted = [pattern for pattern in patterns if not pattern.startswith("!")]
    if any(matches(pattern) for pattern in excluded):
        return False
    return not wanted or any(matches(pattern) for pattern in wanted)


def _holds(held: Mapping[str, str], pattern: str) -> bool:
    name, equals, value = pattern.partition("=")
    return name in held and (not equals or fnmatchcase(held[name], value))
