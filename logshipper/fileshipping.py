"""Files of text in every shipment: who asked for each, and what its documents carry."""

import asyncio
from collections.abc import Callable, Coroutine, Iterator, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any, Final

from logshipper.config import Config, FilesConfig
from logshipper.files.places import Place, host_places, places_of
from logshipper.files.tail import TextTail
from logshipper.files.walk import Found
from logshipper.files.watcher import FileSources, Wanted
from logshipper.globs import parse_globs
from logshipper.inotify import Watches
from logshipper.model import Route, SavedLog
from logshipper.planning import decide_files, into_sinks
from logshipper.route import FILES_LABEL, of_file
from logshipper.shipment import Shipment
from wharfinger.container import Container
from wharfinger.events import Events

CONTAINER_DIGITS: Final = 64
VOLUME: Final = "volume:"
# Where the files of one of its volumes are (moby, volume/local).
VOLUME_DATA: Final = "_data"
FORGET_SECONDS: Final = 600.0


class FileShipping:
    """Brings files of text into every sink.

    Args:
        config: whole.
        shipments: in the order of the configuration's sinks.
        events: where decisions are told.
        watches: inotify for these files' folders alone.
    """

    def __init__(
        self, config: Config, shipments: Sequence[Shipment], *, events: Events, watches: Watches
    ) -> None:
        self._config = config
        self._shipments = shipments
        self._events = events
        self._sources = FileSources(
            self, events=events, watches=watches, poll_seconds=config.logshipper.poll_seconds
        )
        self._routes: dict[str, dict[str, Route]] = {}
        self._whose: dict[str, str] = {}
        self._leaving: asyncio.Queue[str] = asyncio.Queue()

    def begin_on_host(self) -> None:
        """Takes up the host's own files and volumes, whether Docker is there or not."""
        for shipment in self._shipments:
            for key in shipment.known():
                whose, colon, _ = key.partition(":")
                if colon and len(whose) != CONTAINER_DIGITS:
                    self._remember(shipment, key)
        for number, table in enumerate(self._config.logshipper.files):
            self._want_on_host(f"files {number}", table)

    def begin_in_containers(self, is_there: Callable[[str], bool]) -> None:
        """Takes up what the checkpoints hold of containers.

        Args:
            is_there: whether a container still is.
        """
        for shipment in self._shipments:
            for key in shipment.known():
                whose, colon, _ = key.partition(":")
                if not colon or len(whose) != CONTAINER_DIGITS:
                    continue
                if is_there(whose):
                    self._remember(shipment, key)
                else:
                    shipment.abandon(key)

    def _remember(self, shipment: Shipment, key: str) -> None:
        if (saved := shipment.saved(key)) is not None:
            self._sources.remember(key, saved)

    def loops(self) -> Iterator[tuple[str, Coroutine[Any, Any, None]]]:
        """What must run for its whole life, by name."""
        yield "text file watch", self._sources.watch()
        yield "text file poll", self._sources.poll()
        yield "text file scan", self._sources.scan()
        yield "text file farewells", self._say_farewells()
        yield "removed volumes", self._forget_volumes()

    def learn(self, container: Container) -> None:
        """Follows the files that a container's label names."""
        label = container.labels.get(FILES_LABEL, "")
        # What is known of a container that is gone already says nothing of where its files were.
        if not label or not (container.upper_dir or container.mounts):
            return
        decided = decide_files(self._config, container)
        known = container.id in self._routes
        if not known and not any(each.ship for each in decided.values()):
            return
        self._routes[container.id] = decided
        globs, wrong = parse_globs(label.split(","))
        places, unread = places_of(container, self._config.host.name)
        problems = [f"label {FILES_LABEL}: {why}" for why in wrong]
        asked = [why for why in unread if globs.parts]
        self._sources.want(Wanted(container.id, globs, places, tuple(problems + asked)))

    def reload(self, config: Config) -> None:
        """Takes another configuration; `direct` follows when every container was told again."""
        self._config = config
        for number, table in enumerate(config.logshipper.files):
            self._want_on_host(f"files {number}", table)

    def direct(self) -> None:
        """Has the files that are open read by what is decided for them now."""
        for key, who in self._whose.items():
            for shipment in self._shipments:
                log, common = shipment.logs.get(key), self._routes.get(who)
                if log is not None and log.route is not None and common is not None:
                    path = log.route.fields["file"]
                    shipment.direct(key, of_file(common[shipment.name], log.route.owner, path))

    def gone(self, container_id: str) -> None:
        """A container is no more."""
        self._leaving.put_nowait(container_id)

    def troubles(self) -> dict[str, list[str]]:
        """What cannot be shipped, by who asked for it."""
        return self._sources.troubles()

    # What the sources tell.

    async def follow_file(self, found: Found, siblings: tuple[str, ...], who: str) -> None:
        """Has a file read in every shipment, in the name of the latest who asked."""
        key = found.key
        # The latest who asked has it: a volume's next container may be there before the news
        # that the one before is gone.
        asked = [*self._routes]
        before = self._whose.get(key, who)
        if who not in asked or (before in asked and asked.index(before) > asked.index(who)):
            return
        self._whose[key] = who
        for shipment in self._shipments:
            common = self._routes[who][shipment.name]
            if not common.ship:
                continue
            log = shipment.logs.get(key)
            if log is not None and isinstance(log.tail, TextTail):
                if log.finished:
                    continue  # left, and on its way out; the next look takes it up again
                log.tail.left = False
                log.tail.rename(siblings)
            await shipment.follow(key, partial(_tail, found, siblings))
            if shipment.direct(key, of_file(common, found.place.owner, found.path)):
                self._events.emit("file shipped", sink=shipment.name, file=key, source=who)

    async def leave_file(self, key: str) -> None:
        """Has a file read to its end."""
        self._whose.pop(key, None)
        for shipment in self._shipments:
            log = shipment.logs.get(key)
            if log is not None and isinstance(log.tail, TextTail):
                log.tail.left = True
                await shipment.look(key)
                shipment.gone(key)
                self._events.emit("file left", sink=shipment.name, file=key)

    def follows(self, key: str) -> bool:
        """Whether a log is open, or known to the checkpoint."""
        return any(key in s.logs or s.saved(key) is not None for s in self._shipments)

    def asleep(self, place: Place) -> list[tuple[str, str]]:
        """Folder and name of the files below a place that only the checkpoint knows."""
        prefix = f"{place.key}:/"
        found: set[tuple[str, str]] = set()
        for shipment in self._shipments:
            for key in shipment.known():
                if key.startswith(prefix) and key not in shipment.logs:
                    folder, _, name = key.removeprefix(prefix).rpartition("/")
                    found.add((folder, name))
        return sorted(found)

    def _want_on_host(self, who: str, table: FilesConfig) -> None:
        host = self._config.host.name
        fields = {"app": table.app, "env": table.env, "host": host}
        lines = replace(self._config.logshipper.lines.settings(), charset=table.charset)
        common = Route(ship=True, fields={k: v for k, v in fields.items() if v}, lines=lines)
        self._routes[who] = into_sinks(self._config, common)
        globs, _ = parse_globs(table.paths)
        self._sources.want(Wanted(who, globs, host_places(host, globs)))

    async def _forget_volumes(self) -> None:
        """The position in a volume outlives its container, but not the volume, for ever."""
        while True:
            for shipment in self._shipments:
                asleep = [
                    key
                    for key in shipment.known()
                    if key.startswith(VOLUME) and key not in shipment.logs
                ]
                for key in await asyncio.to_thread(removed, asleep):
                    if key not in shipment.logs:
                        shipment.abandon(key)
            await asyncio.sleep(FORGET_SECONDS)

    async def _say_farewells(self) -> None:
        while True:
            who = await self._leaving.get()
            await self._sources.gone(who)
            self._whose = {key: each for key, each in self._whose.items() if each != who}
            self._routes.pop(who, None)


def removed(keys: Sequence[str]) -> list[str]:
    """Which of these logs are in volumes of Docker's that are no more."""
    gone = []
    for key in keys:
        volume = Path(key.removeprefix(VOLUME).partition(f"/{VOLUME_DATA}:/")[0])
        # Where the folder of all volumes is not there either, only its disk may be away.
        if f"/{VOLUME_DATA}:/" in key and volume.parent.is_dir() and not volume.exists():
            gone.append(key)
    return gone


def _tail(found: Found, siblings: tuple[str, ...], saved: SavedLog | None) -> TextTail:
    place = found.place
    tail = TextTail(place.root, found.folder, found.name, lasting=place.lasting, saved=saved)
    tail.rename(siblings)
    return tail
