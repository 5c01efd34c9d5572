"""Finds files of text again and again: when a folder changes, and slowly anyway."""

import asyncio
import contextlib
import os
from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Final, Protocol

from asyncinotify import Mask

from logshipper.files.places import Place
from logshipper.files.planted import Identity
from logshipper.files.walk import Found, Walk
from logshipper.globs import Globs
from logshipper.inotify import Watches
from logshipper.model import SavedLog
from logshipper.rotation import MAX_ROTATED, STAMP_SEPARATOR
from wharfinger.events import Events

MAX_FILES: Final = 100
MAX_OWNERS: Final = 20_000
# One notice for each scan, however busy a container is in its folders.
PACE_SECONDS: Final = 0.2
WATCHED: Final = (
    Mask.CREATE | Mask.MOVED_TO | Mask.MOVED_FROM | Mask.DELETE | Mask.ONLYDIR | Mask.ONESHOT
)


class Follower(Protocol):
    """Who is told of files."""

    async def follow_file(self, found: Found, siblings: tuple[str, ...], who: str) -> None:
        """A file is there, and these names in its folder are older files of its log."""

    async def leave_file(self, key: str) -> None:
        """Nobody asks for this file any more: it is read to its end."""

    def follows(self, key: str) -> bool:
        """Whether a log is open, or known to the checkpoint."""

    def asleep(self, place: Place) -> list[tuple[str, str]]:
        """Folder and name of the files below a place that only the checkpoint knows."""


@dataclass(slots=True)
class Wanted:
    """What one container, or the host, asks for.

    Attributes:
        who: container id, or the name of a table in the configuration.
        globs: of its files.
        places: where they are.
        problems: what of it cannot be had.
        open: keys of the logs that were found.
        told: what was told of it already.
    """

    who: str
    globs: Globs
    places: tuple[Place, ...]
    problems: tuple[str, ...] = ()
    open: set[str] = field(default_factory=set)
    told: frozenset[str] = frozenset()


class FileSources:
    """Watches the folders in which files of text are, or may appear.

    Args:
        follower: is told of each file.
        events: where problems are told.
        watches: inotify of its own: no container's folders hold up what Docker writes.
        poll_seconds: how often everything is looked at anyway.
    """

    def __init__(
        self, follower: Follower, *, events: Events, watches: Watches, poll_seconds: float
    ) -> None:
        self._follower = follower
        self._events = events
        self._watches = watches
        self._poll_seconds = poll_seconds
        self._wanted: dict[str, Wanted] = {}
        self._owners: dict[Identity, str] = {}
        self._due: set[str] = set()
        self._changed = asyncio.Event()
        self._turn = asyncio.Lock()

    def remember(self, key: str, saved: SavedLog) -> None:
        """Learns from a checkpoint which files a log consists of, whatever they are called now."""
        for each in saved.generations:
            stamp = each.fingerprint.partition(STAMP_SEPARATOR)[2]
            self._owners[Identity(each.device, each.inode, stamp)] = key

    def want(self, wanted: Wanted) -> None:
        """Follows what a container asks for; the latest word counts."""
        before = self._wanted.get(wanted.who)
        if before is not None:
            if (before.globs, before.places) == (wanted.globs, wanted.places):
                return
            wanted.open, wanted.told = before.open, before.told
        self._wanted[wanted.who] = wanted
        self._stir(wanted.who)

    async def gone(self, who: str) -> None:
        """A container is no more: what is open of it is read to its end."""
        async with self._turn:
            wanted = self._wanted.pop(who, None)
            others = set[str]().union(*(each.open for each in self._wanted.values()))
            for key in wanted.open - others if wanted else ():
                await self._follower.leave_file(key)

    def troubles(self) -> dict[str, list[str]]:
        """What of each container cannot be had, for `/status`."""
        return {each.who: sorted(each.told) for each in self._wanted.values() if each.told}

    async def watch(self) -> None:
        """Takes what inotify says, for ever."""
        while True:
            event, who = await self._watches.next()
            if Mask.Q_OVERFLOW in event:
                self._stir(*self._wanted)
            elif who is not None and Mask.IGNORED not in event:
                self._stir(who)

    async def poll(self) -> None:
        """Looks at everything, slowly, for ever."""
        while True:
            if self._watches.renew():
                self._stir(*self._wanted)
            self._watches.confirm()
            await asyncio.sleep(self._poll_seconds)
            self._stir(*self._wanted)

    async def scan(self) -> None:
        """Looks where something may have changed, for ever."""
        while True:
            await self._changed.wait()
            self._changed.clear()
            due, self._due = self._due, set()
            for who in due:
                async with self._turn:
                    wanted = self._wanted.get(who)
                    if wanted is not None:
                        await self._look(wanted)
            await asyncio.sleep(PACE_SECONDS)

    def _stir(self, *who: str) -> None:
        self._due.update(who)
        self._changed.set()

    async def _look(self, wanted: Wanted) -> None:
        walk = await asyncio.to_thread(_walked, wanted)
        try:
            for fd, changed_ns in walk.folders:
                # By descriptor: the path may lead elsewhere by now.
                self._watches.add(Path(f"/proc/self/fd/{fd}"), WATCHED, wanted.who)
                with contextlib.suppress(OSError):
                    if os.fstat(fd).st_mtime_ns != changed_ns:
                        self._stir(wanted.who)  # it changed between the list and the watch
        finally:
            walk.close()
        await self._take(wanted, walk)

    async def _take(self, wanted: Wanted, walk: Walk) -> None:
        heads, siblings = self._sorted(wanted, walk.files)
        heads += self._asleep(wanted, {found.key for found in heads})
        said = {*wanted.problems, *walk.refused}
        # What is open stays so, whatever appears beside it: new names must not push it out.
        wanted.open = {key for key in wanted.open if self._follower.follows(key)}
        for found in heads:
            if found.key not in wanted.open and len(wanted.open) >= MAX_FILES:
                said.add(f"more than {MAX_FILES} files; the others are not followed")
                continue
            wanted.open.add(found.key)
            self._own(found)
            await self._follower.follow_file(found, tuple(siblings[found.key]), wanted.who)
        for why in sorted(said - wanted.told):
            self._events.emit("files left out", "warning", source=wanted.who, why=why)
        wanted.told = frozenset(said)

    def _asleep(self, wanted: Wanted, awake: set[str]) -> list[Found]:
        """Files of an earlier life that no scan shows: rotated away or deleted meanwhile."""
        nowhere = Identity(0, 0, "")
        asleep = [
            Found(place, folder, name, nowhere)
            for place in wanted.places
            for folder, name in self._follower.asleep(place)
        ]
        return [f for f in asleep if f.key not in awake and wanted.globs.mean(f.path)]

    def _sorted(
        self, wanted: Wanted, files: Iterable[Found]
    ) -> tuple[list[Found], dict[str, list[str]]]:
        """Those that begin a log, and the names that older files of a log have now."""
        heads: dict[str, Found] = {}
        siblings: dict[str, list[str]] = defaultdict(list)
        seen: set[Identity] = set()
        for found in sorted(files, key=lambda found: found.key):
            if found.identity in seen:
                continue  # two globs of the host begin in different folders and meet
            seen.add(found.identity)
            owner = self._owners.get(found.identity)
            if owner not in {None, found.key}:
                # Renamed: it is, or was, read to its end under its first name.
                if str(owner).rpartition("/")[0] == found.key.rpartition("/")[0]:
                    siblings[str(owner)].append(found.name)
                continue
            head = replace(found, name=_rotated_of(found.name) or found.name)
            if head.name != found.name and wanted.globs.mean(head.path):
                # Seen for the first time when it was rotated already; the head's tail looks for
                # it by its number.
                heads.setdefault(head.key, head)
            elif not found.name.endswith(".gz"):
                heads[found.key] = found
        return list(heads.values()), siblings

    def _own(self, found: Found) -> None:
        self._owners[found.identity] = found.key
        if len(self._owners) > MAX_OWNERS:
            for identity in [*self._owners][: MAX_OWNERS // 2]:
                del self._owners[identity]


def _rotated_of(name: str) -> str:
    """The name of the file that this one was, if its name says that it was rotated."""
    stem = name.removesuffix(".gz")
    before, dot, number = stem.rpartition(".")
    rotated = dot and number.isascii() and number.isdigit() and 0 < int(number[:5]) <= MAX_ROTATED
    return before if rotated else ""


def _walked(wanted: Wanted) -> Walk:
    walk = Walk()
    try:
        for place in wanted.places:
            walk.into(place, wanted.globs)
    except BaseException:
        walk.close()
        raise
    return walk
