"""One configuration out of a file, the environment and flags; every finding at once."""

import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Generic, TypeVar

from wharfinger import sources
from wharfinger.errors import ConfigError, Finding
from wharfinger.schema import SECTIONS, Field, Section, doc, fields, needs_restart, walk
from wharfinger.sources import DEFAULT_PATH, ENVIRONMENT_PREFIX
from wharfinger.validation import DEFAULT_ORIGIN, Reading, checked

__all__ = [
    "DEFAULT_ORIGIN",
    "DEFAULT_PATH",
    "ENVIRONMENT_PREFIX",
    "MASK",
    "SECTIONS",
    "Field",
    "Loaded",
    "Section",
    "doc",
    "fields",
    "load",
    "needs_restart",
    "walk",
]

MASK: Final = "********"

M = TypeVar("M", bound=Section)


@dataclass(frozen=True, slots=True)
class Loaded(Generic[M]):
    """A configuration that holds, and where each of its values came from.

    Attributes:
        value: the whole configuration.
        origins: dotted key to `default`, `file ...`, `environment ...` or `flag ...`.
        path: the file that was read, if there was one.
    """

    value: M
    origins: Mapping[str, str]
    path: Path | None

    def origin(self, key: str) -> str:
        """Where the value of a dotted key came from, be it with the table that holds it."""
        while key and key not in self.origins:
            key = key[: max(key.rfind("."), key.rfind("["), 0)]
        return self.origins.get(key, "")


def load(
    model: type[M],
    *,
    path: Path | None = None,
    environment: Mapping[str, str] | None = None,
    flags: Mapping[str, str] | None = None,
    amend: Callable[[sources.Table], None] = lambda _file: None,
) -> Loaded[M]:
    """Reads the configuration: flags > environment > file > defaults.

    Args:
        model: the section whose fields are the file's tables that this daemon reads.
        path: the file; without it `WHARFINGER_CONFIG`, then /etc/wharfinger/wharfinger.toml if
            that exists, then no file at all.
        environment: the process's own unless given.
        flags: dotted key to text, as given on the command line.
        amend: changes what the file says, in place, before it is checked.

    Raises:
        ConfigError: with every finding; nothing of the configuration may be used.
    """
    environment = os.environ if environment is None else environment
    reading = Reading()
    path = sources.chosen_path(path, environment)
    tree = sources.from_file(path, reading.findings) if path is not None else sources.Table()
    amend(tree)
    sources.merge(tree, sources.from_environment(environment, reading.findings))
    foreign = set(SECTIONS) - {f.name for f in fields(model)}
    above = sources.from_flags(flags or {})
    reading.findings += _foreign_flags(above, foreign)
    sources.merge(tree, above)
    for name in foreign:
        tree.entries.pop(name, None)  # another daemon's section: its own `check` reads it
    value = checked(model, tree, reading)
    if reading.findings or value is None:
        raise ConfigError(reading.findings)
    return Loaded(value, reading.origins, path)


def _foreign_flags(flags: sources.Table, foreign: set[str]) -> list[Finding]:
    # In the file they are another daemon's business; on this command line they are a mistake.
    return [
        Finding(name, "is a section that this daemon does not read", "", sources.origin(node))
        for name, node in flags.entries.items()
        if name in foreign
    ]
