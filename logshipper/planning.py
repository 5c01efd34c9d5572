"""What is decided for a container by the whole configuration, and how that is told."""

from collections.abc import Callable, Mapping
from dataclasses import fields
from typing import Any, Final

from logshipper.config import Config
from logshipper.linesettings import LineSettings
from logshipper.model import Route
from logshipper.route import FILES_LABEL, file_route, route, through
from logshipper.selection import selected
from wharfinger.container import Container

# What the containers' fields and the sources are about, and not the lines.
_ELSEWHERE: Final = frozenset({"fields", "charset"})


def decide(config: Config, container: Container) -> dict[str, Route]:
    """Whether a container's log goes into each sink, and how; by the sinks' names."""
    return _decided(config, container, route)


def decide_files(config: Config, container: Container) -> dict[str, Route]:
    """Whether the files inside a container go into each sink, and how; by the sinks' names."""
    return _decided(config, container, file_route)


def into_sinks(
    config: Config, common: Route, container: Container | None = None
) -> dict[str, Route]:
    """The route into each sink, by the sinks' names.

    Args:
        config: whole.
        common: what holds for every sink.
        container: none for files of the host.
    """
    sinks = config.logshipper.sinks
    names = [sink.name for sink in sinks]
    labels = container.labels if container else {}
    variables = container.env if container else {}
    return {sink.name: selected(sink, common, labels, names, variables=variables) for sink in sinks}


def _decided(config: Config, container: Container, rule: Callable[..., Route]) -> dict[str, Route]:
    lines = config.logshipper.lines
    common = rule(
        container,
        host=config.host.name,
        lines=lines.settings(),
        labels=lines.labels,
        variables=lines.variables,
    )
    return into_sinks(config, common, container)


def planned(container: Container, decisions: Mapping[str, Route]) -> dict[str, Any]:
    """The same, for programs."""
    shipped = [decided for decided in decisions.values() if decided.ship]
    told = [text for each in decisions.values() for text in (through(each), each.reason)]
    reasons = dict.fromkeys(filter(None, told))
    return {
        "container": container.id,
        "name": container.name,
        "state": container.state,
        "ship": bool(shipped),
        "sinks": [name for name, decided in decisions.items() if decided.ship],
        "why": "; ".join(reasons),
        "path": container.log_path if shipped else "",
        "driver": container.log_driver,
        "files": container.labels.get(FILES_LABEL, ""),
        "fields": dict(shipped[0].fields) if shipped else {},
        "lines": asked(shipped[0].lines) if shipped else {},
    }


def asked(lines: LineSettings) -> dict[str, Any]:
    """What is done to lines, without all that is not."""
    plain = LineSettings()
    return {
        each.name: getattr(lines, each.name)
        for each in fields(lines)
        if each.name not in _ELSEWHERE and getattr(lines, each.name) != getattr(plain, each.name)
    }
