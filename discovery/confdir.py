"""The resource files and templates on disk: read again as soon as one of them changes."""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from discovery.config import Config
from discovery.lanes.lanes import Lanes
from discovery.publish import holds
from discovery.publish.history import History
from discovery.publish.holds import digest, files_below
from discovery.resources.resources import Found, Resource, find_resources
from wharfinger.errors import ConfigError
from wharfinger.lifecycle import Scope

LOOK_SECONDS: Final = 1.0
CHECK: Final = "resource files"


@dataclass(frozen=True, slots=True)
class Seen:
    """What one look found.

    Attributes:
        found: resources and faults.
        fingerprints: of their templates, by resource.
        marks: of everything that was looked at.
        held: of what is held.
    """

    found: Found = field(default_factory=lambda: Found(()))
    fingerprints: dict[str, str] = field(default_factory=dict)
    marks: str = ""
    held: str = ""


class Confdir:
    """Owns what is known of the resource files.

    A broken file costs nothing but its own news: what stood there before goes on.

    Args:
        config: where they are.
        history: whose holds end when a source changes.
        scope: of the daemon.
    """

    def __init__(self, config: Config, history: History, scope: Scope) -> None:
        self._config = config
        self._history = history
        self._scope = scope
        self._told: tuple[str, ...] = ()
        self._mentioned: set[str] = set()
        self.seen = Seen()
        self.seen = self.look(config)
        self._hold(self.seen)
        self._tell(self.seen.found)

    async def run(self, lanes: Lanes, changed: Callable[[tuple[Resource, ...]], None]) -> None:
        """Looks, for ever.

        Args:
            lanes: take what was found.
            changed: called with all resources when there are others.
        """
        while True:
            await asyncio.sleep(LOOK_SECONDS)
            config = self._config
            try:
                seen = await asyncio.to_thread(self.look, config)
            except OSError as error:
                self._scope.health.check(CHECK).fail(f"cannot be looked at: {error}")
                continue
            if config is not self._config:
                continue  # a reload has overtaken it
            before, self.seen = self.seen, seen
            if (seen.marks, seen.held) != (before.marks, before.held):
                self._hold(seen)
            if seen.marks != before.marks:
                self._tell(seen.found)
            if (seen.found, seen.fingerprints) != (before.found, before.fingerprints):
                self._scope.events.emit("resource files read", resources=len(seen.found.resources))
                await lanes.reconfigure(self._config, seen.found.resources, seen.fingerprints)
                changed(seen.found.resources)
            elif seen.held != before.held:
                lanes.renew()

    async def reload(self, config: Config) -> Seen:
        """Reads everything for another configuration.

        Raises:
            ConfigError: one of them has a fault; nothing is taken.
        """
        seen = await asyncio.to_thread(self.look, config)
        if seen.found.findings:
            raise ConfigError(seen.found.findings)
        self._hold(seen)
        self._config, self.seen = config, seen
        self._tell(seen.found)
        return seen

    def look(self, config: Config) -> Seen:
        """What there is now; nothing of it is taken yet.

        Raises:
            OSError: it cannot be looked at.
        """
        folder = config.discovery.confdir
        marks = _marks(folder / "conf.d") + _marks(folder / "templates")
        held = "".join(_marks(self._history.holds))
        whole = digest(marks)
        if whole == self.seen.marks and config is self._config:
            return Seen(self.seen.found, self.seen.fingerprints, whole, held)
        found = find_resources(config.discovery, self.seen.found)
        return Seen(found, holds.fingerprints(found.resources, folder / "templates"), whole, held)

    def _hold(self, seen: Seen) -> None:
        for name in holds.renew(self._history, seen.fingerprints):
            why = "its template or its file changed"
            self._scope.events.emit("rollback ended", resource=name, why=why)

    def _tell(self, found: Found) -> None:
        check = self._scope.health.check(CHECK)
        told = tuple(str(finding) for finding in found.findings)
        for why in told:
            if why not in self._told:
                self._scope.events.emit("resource file refused", "error", why=why)
        self._told = told
        for finding in found.passed_over:
            if (said := str(finding)) not in self._mentioned:
                self._mentioned.add(said)
                self._scope.events.emit("resource file is taken as by confd", "warning", what=said)
        if told:
            check.fail("; ".join(told))
        else:
            check.ok()


def _marks(folder: Path) -> list[str]:
    return sorted(_mark(path) for path in files_below(folder))


def _mark(path: Path) -> str:
    """Tells a file from what it was before."""
    try:
        found = path.stat()
    except OSError:
        return f"{path} -"
    return f"{path} {found.st_dev} {found.st_ino} {found.st_size} {found.st_mtime_ns}"
