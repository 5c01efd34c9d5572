"""Finds containers' logs: Docker's events, inotify on their folders, a slow poll behind both."""

import asyncio
import contextlib
import errno
import math
import os
import re
from collections.abc import AsyncGenerator, AsyncIterator, Callable
from pathlib import Path
from typing import Final, Protocol

from asyncinotify import Event, Mask

from logshipper.inotify import Watches
from logshipper.inquiry import Inquiry, Registry
from wharfinger.backoff import Backoff
from wharfinger.container import Container, DockerEvent, EngineInfo, Listed
from wharfinger.errors import Rejected, Unavailable
from wharfinger.events import Events
from wharfinger.health import Check

CONTAINER_ID: Final = re.compile(r"[0-9a-f]{64}", re.ASCII)
ROOT: Final = ""  # in a container's place, where the folder of all is meant
# Without inotify only the poll sees a container that lives for seconds.
DEAF_POLL_SECONDS: Final = 0.5
ROOT_MASK: Final = Mask.CREATE | Mask.MOVED_TO | Mask.ONLYDIR
FOLDER_MASK: Final = (
    Mask.CREATE | Mask.MOVED_TO | Mask.DELETE_SELF | Mask.ONLYDIR | Mask.DONT_FOLLOW
)
# One event, not one for each line that dockerd writes; the reader asks again when it has read.
# ATTRIB: the last name of an open file was taken away (inotify(7)).
FILE_MASK: Final = Mask.MODIFY | Mask.ATTRIB | Mask.ONESHOT


class Engine(Registry, Protocol):
    """What is needed of Docker."""

    async def info(self) -> EngineInfo:
        """What the engine says of itself."""

    def watch(
        self, *, on_alive: Callable[[], None], on_trouble: Callable[[str], None]
    ) -> AsyncGenerator[Listed | DockerEvent, None]:
        """All containers, and then what happens to them, for ever."""


class Follower(Protocol):
    """Who is told of logs."""

    async def open(self, container_id: str, folder: str, base: str) -> None:
        """A log is, or will be, at this place: open it now, before it goes."""

    async def look(self, *container_ids: str) -> None:
        """Files in these folders have come or gone; in any, without ids."""

    def wake(self, container_id: str) -> None:
        """Something was written to the log."""

    def learn(self, container: Container) -> None:
        """What Docker says of a container."""

    def gone(self, container_id: str) -> None:
        """The container's folder is no more."""


class Sources:
    """Watches the folder that Docker keeps containers in.

    A container that lives for a tenth of a second is gone before Docker's API has answered a
    question about it: its log is opened when its folder appears, and asked about afterwards.

    Args:
        engine: Docker.
        follower: is told of each log.
        events: where discoveries are told.
        check: red while Docker does not answer.
        folder_check: red while the folder of the containers cannot be read.
        watches: inotify.
        poll_seconds: how often everything is looked at anyway: inotify's queue overflows.
    """

    def __init__(
        self,
        engine: Engine,
        follower: Follower,
        *,
        events: Events,
        check: Check,
        folder_check: Check,
        watches: Watches,
        poll_seconds: float,
    ) -> None:
        self._engine = engine
        self._follower = follower
        self._events = events
        self._check = check
        self._folder_check = folder_check
        self._watches = watches
        self._poll_seconds = poll_seconds
        self._root = Path()
        self._unwatched: set[str] = {ROOT}
        self._folders: dict[str, Path] = {}
        self._inquiry = Inquiry(
            engine, follower.learn, locate=self._locate, is_there=self._folders.__contains__
        )

    @contextlib.asynccontextmanager
    async def opened(self) -> AsyncIterator["Sources"]:
        """Waits for Docker, then watches its folder and opens every log that is there."""
        self._root = Path(await self._data_root()) / "containers"
        try:
            self._rewatch()
            await self._scan()
            self._watches.confirm()
            yield self
        finally:
            self._watches.close()

    async def follow(self, container_id: str) -> None:
        """Follows a container that may be gone already: one that a checkpoint knows of."""
        if container_id not in self._folders and CONTAINER_ID.fullmatch(container_id):
            await self._found(self._root / container_id)
            self._inquiry.ask(container_id)

    def is_there(self, container_id: str) -> bool:
        """Whether the container has a folder of Docker's."""
        return container_id in self._folders

    def arm(self, container_id: str, fd: int) -> None:
        """Asks for one notice when the file behind the descriptor changes."""
        # By descriptor: the path may lead to the next file by now.
        self._watches.add(Path(f"/proc/self/fd/{fd}"), FILE_MASK, container_id)

    async def watch_docker(self) -> None:
        """Learns of containers from Docker, for ever."""
        updates = self._engine.watch(on_alive=self._check.beat, on_trouble=self._check.fail)
        async with contextlib.aclosing(updates):
            async for update in updates:
                if isinstance(update, Listed):
                    await self._follow_root()
                    for container in update.containers:
                        await self._inquiry.learned(container)
                        await asyncio.sleep(0)  # thousands of them would hold up every sink
                elif update.action in {"create", "start", "rename"}:
                    self._inquiry.ask(update.container_id, update.attributes)

    async def watch_files(self) -> None:
        """Opens logs as they appear, for ever."""
        while True:
            await self._noticed(*await self._watches.next())

    async def answer_questions(self) -> None:
        """Asks Docker about containers, for ever."""
        await self._inquiry.answer()

    async def poll(self) -> None:
        """Looks at everything, slowly, for ever."""
        while True:
            unknown = [each for each in self._folders if not self._inquiry.knows(each)]
            limit = math.inf if self._watches.whole else DEAF_POLL_SECONDS
            await asyncio.sleep(min(self._poll_seconds, limit))
            refused = self._watches.refused
            self._rewatch()
            await self._scan()
            await self._follower.look()
            # A file's watch is asked for when it was read to its end: that takes a round.
            if not refused:
                self._watches.confirm()
            for container_id in unknown:
                if container_id in self._folders and not self._inquiry.knows(container_id):
                    self._inquiry.ask(container_id)

    async def _locate(self, container: Container) -> None:
        if container.id not in self._folders:
            path = Path(container.log_path)
            folder = path.parent if container.log_path else self._root / container.id
            await self._found(folder, container.id, path.name)

    async def _follow_root(self) -> None:
        """Docker may have come back with its data elsewhere."""
        root = Path(await self._data_root()) / "containers"
        if root != self._root:
            self._events.emit("docker moved", "warning", path=str(root), before=str(self._root))
            self._root = root
            self._unwatched.add(ROOT)
            self._rewatch()
            await self._scan()

    async def _data_root(self) -> str:
        backoff = Backoff(0.2, 5.0)
        while True:
            try:
                return (await self._engine.info()).data_root
            except (Unavailable, Rejected) as error:
                self._check.fail(str(error))
                await asyncio.sleep(backoff.next_delay_seconds())

    async def _scan(self) -> None:
        root, before = self._root, list(self._folders.items())
        try:
            names = await asyncio.to_thread(os.listdir, root)
        except OSError as error:
            self._unwatched.add(ROOT)
            self._folder_check.fail(f"{root} cannot be read: {error.strerror}{_fix(error)}")
            return
        self._folder_check.ok()
        for name in names:
            if CONTAINER_ID.fullmatch(name) and name not in self._folders:
                await self._found(root / name)
        present = set(names)
        for container_id, folder in before:
            # One that has appeared since the folder was listed is not gone.
            if folder.parent == root and container_id not in present:
                self._forget(container_id)
                self._follower.gone(container_id)

    def _rewatch(self) -> None:
        """Asks for the watches that are missing."""
        if self._watches.renew():
            self._unwatched = {ROOT, *self._folders}
        for container_id in tuple(self._unwatched):
            self._watch(container_id)

    def _watch(self, container_id: str) -> None:
        path = self._folders[container_id] if container_id else self._root
        mask = FOLDER_MASK if container_id else ROOT_MASK
        if self._watches.add(path, mask, container_id):
            self._unwatched.discard(container_id)
        else:
            self._unwatched.add(container_id)

    async def _found(self, folder: Path, container_id: str = "", base: str = "") -> None:
        container_id = container_id or folder.name
        self._folders[container_id] = folder
        # Watched before it is looked into: what appears in between is seen either way.
        self._watch(container_id)
        await self._follower.open(container_id, str(folder), base or f"{container_id}-json.log")
        self._inquiry.claim(container_id, folder)

    async def _noticed(self, event: Event, container_id: str | None) -> None:
        watch = event.watch
        if Mask.Q_OVERFLOW in event:
            self._events.emit("inotify overflowed", "warning")
            await self._scan()
            await self._follower.look()
        elif watch is not None and container_id == ROOT:
            name = str(event.name)
            if Mask.IGNORED in event:
                if watch.path == self._root:
                    self._unwatched.add(ROOT)  # deleted; it may come back
            elif CONTAINER_ID.fullmatch(name) and name not in self._folders:
                await self._found(watch.path / name)
        elif watch is not None and container_id is not None:
            await self._happened(event.mask, str(event.name), container_id)

    async def _happened(self, mask: Mask, name: str, container_id: str) -> None:
        if Mask.IGNORED in mask:
            return
        if Mask.DELETE_SELF in mask:
            self._forget(container_id)
            await self._follower.look(container_id)
            self._follower.gone(container_id)
        elif mask & (Mask.MODIFY | Mask.ATTRIB):
            self._follower.wake(container_id)
        elif "-json.log" in name:
            await self._follower.look(container_id)
            folder = self._folders.get(container_id)  # the poll may have missed it meanwhile
            if folder is not None:
                self._inquiry.claim(container_id, folder)

    def _forget(self, container_id: str) -> None:
        if self._folders.pop(container_id, None) is None:
            return
        self._unwatched.discard(container_id)
        self._inquiry.gone(container_id)


def _fix(error: OSError) -> str:
    return "; run as root" if error.errno in {errno.EACCES, errno.EPERM} else ""
