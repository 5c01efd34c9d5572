"""Who a container is: what Docker says, or, for one that is gone before, what its folder told."""

import asyncio
import contextlib
import os
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Final, Protocol

import msgspec

from logshipper.logfile import OPEN_FLAGS, open_folder
from logshipper.route import DRIVER
from wharfinger.container import Container, parse_container
from wharfinger.errors import Rejected, Unavailable

CLAIM_LIMIT_BYTES: Final = 2**20
HOST_FILE: Final = "hostconfig.json"
QUESTIONERS: Final = 4


class Registry(Protocol):
    """What is asked about containers: Docker."""

    async def inspect(self, container_id: str) -> Container | None:
        """One container; None when there is none."""


class Inquiry:
    """Asks about containers, each once at a time, and tells who they are.

    Args:
        registry: Docker.
        learn: told of each container.
        locate: opens the log of a container that is known to Docker, if it is not open yet.
        is_there: whether a container's folder is there.
    """

    def __init__(
        self,
        registry: Registry,
        learn: Callable[[Container], None],
        locate: Callable[[Container], Awaitable[None]],
        is_there: Callable[[str], bool],
    ) -> None:
        self._registry = registry
        self._learn = learn
        self._locate = locate
        self._is_there = is_there
        self._known: set[str] = set()
        self._claims: dict[str, Container] = {}
        self._asked: dict[str, Mapping[str, str]] = {}
        self._questions: asyncio.Queue[str] = asyncio.Queue()

    def knows(self, container_id: str) -> bool:
        """Whether Docker itself has said who it is."""
        return container_id in self._known

    async def learned(self, container: Container) -> None:
        """Takes Docker's word."""
        self._known.add(container.id)
        self._claims.pop(container.id, None)
        await self._locate(container)
        self._learn(container)

    def ask(self, container_id: str, attributes: Mapping[str, str] | None = None) -> None:
        """Has Docker asked about a container: once, however long it takes to answer."""
        if container_id not in self._asked:
            self._questions.put_nowait(container_id)
        self._asked[container_id] = attributes or self._asked.get(container_id, {})

    def claim(self, container_id: str, folder: Path) -> None:
        """Keeps what dockerd wrote of the container, should it be gone before Docker is asked.

        A log that only Docker's API gives must be asked for before its container has started:
        dockerd answers nobody while it starts one, and gives nothing of one on its way out.
        """
        if container_id in self._known:
            return
        with contextlib.suppress(OSError, Rejected, msgspec.DecodeError):
            claim = self._claims[container_id] = read_claim(folder, container_id)
            if claim.log_driver not in {DRIVER, ""}:
                self._learn(claim)

    def gone(self, container_id: str) -> None:
        """The container's folder is no more: the last chance to learn who it was."""
        if container_id not in self._known:
            self.ask(container_id)
        self._known.discard(container_id)

    async def answer(self) -> None:
        """Brings the answers, for ever."""
        async with asyncio.TaskGroup() as group:
            for _ in range(QUESTIONERS):
                group.create_task(self._answer())

    async def _answer(self) -> None:
        while True:
            container_id = await self._questions.get()
            attributes = self._asked.pop(container_id, {})
            answered, container = True, None
            try:
                container = await self._registry.inspect(container_id)
            except Rejected:
                pass
            except Unavailable:
                answered = False
            if container is not None:
                await self.learned(container)
            elif container_id not in self._known:
                self._presume(container_id, attributes, answered=answered)

    def _presume(self, container_id: str, attributes: Mapping[str, str], *, answered: bool) -> None:
        """Takes what the folder told, or the event that carried its labels, for the truth."""
        there = self._is_there(container_id)
        claim = (self._claims.get if there else self._claims.pop)(container_id, None)
        if claim is not None:
            self._learn(claim)
        elif attributes or answered or not there:
            self._learn(_of_event(container_id, attributes))
        # Else its labels are not known, and Docker will answer one day: its lines wait in its file.


def read_claim(folder: Path, container_id: str) -> Container:
    """Reads the description that dockerd keeps beside a container's log.

    The file is dockerd's own affair and may change; it is asked only about containers that are
    gone when Docker's API is asked.

    Raises:
        OSError: it is not there.
        Rejected: it describes another container, or nothing.
        msgspec.DecodeError: it is not JSON.
    """
    folder_fd = open_folder(str(folder))
    try:
        told = _read(folder_fd, "config.v2.json")
        host = None
        with contextlib.suppress(OSError):  # written last
            host = _read(folder_fd, HOST_FILE)
    finally:
        os.close(folder_fd)
    if not isinstance(told, dict) or told.get("ID") != container_id:
        raise Rejected("config.v2.json describes something else")
    claim = parse_container({**told, "Id": container_id, "HostConfig": host})
    return claim if claim.running or claim.started_at_ns else replace(claim, state="created")


def _read(folder_fd: int, name: str) -> object:
    with os.fdopen(os.open(name, OPEN_FLAGS, dir_fd=folder_fd), "rb") as file:
        return msgspec.json.decode(file.read(CLAIM_LIMIT_BYTES))


def _of_event(container_id: str, attributes: Mapping[str, str]) -> Container:
    return Container(
        id=container_id,
        name=attributes.get("name", ""),
        image=attributes.get("image", ""),
        labels=attributes,
    )
