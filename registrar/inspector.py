"""Looks at single containers when events hint at them; a stuck one delays no other."""

import asyncio
from collections.abc import Callable
from typing import Final, Never

from wharfinger.container import Container
from wharfinger.dockerd import Docker
from wharfinger.errors import Rejected, Unavailable

WORKERS: Final = 8
RETRY_SECONDS: Final = 1.0


class Inspector:
    """A queue of containers to look at, each at most once in it and by one worker at a time.

    Args:
        docker: the engine.
        found: takes what was found: the id, and the container or None.
    """

    def __init__(self, docker: Docker, found: Callable[[str, Container | None], None]) -> None:
        self._docker = docker
        self._found = found
        self._queue: asyncio.Queue[str] = asyncio.Queue()
        self._busy: set[str] = set()
        self._again: set[str] = set()

    def look(self, container_id: str) -> None:
        """Has a container looked at, and again if somebody is just doing so."""
        if container_id in self._busy:
            self._again.add(container_id)
        else:
            self._busy.add(container_id)
            self._queue.put_nowait(container_id)

    def doubt(self) -> None:
        """Has those looked at again that are being looked at: a list has come meanwhile."""
        self._again |= self._busy

    async def run(self) -> Never:
        """Looks for ever."""
        async with asyncio.TaskGroup() as group:
            for _ in range(WORKERS):
                group.create_task(self._work())
        raise AssertionError

    async def _work(self) -> Never:
        while True:
            container_id = await self._queue.get()
            looking = True
            while looking:
                self._again.discard(container_id)
                await self._inspect(container_id)
                looking = container_id in self._again
            self._busy.discard(container_id)

    async def _inspect(self, container_id: str) -> None:
        try:
            container = await self._docker.inspect(container_id)
        except Rejected:
            return
        except Unavailable:
            # Not waited for here: a few containers that dockerd chokes on would keep all workers.
            asyncio.get_running_loop().call_later(RETRY_SECONDS, self.look, container_id)
        else:
            # What was asked before the latest hint may have been answered before it, too: a
            # container that has died or gone since would be alive again for moments.
            if container_id not in self._again:
                self._found(container_id, container)
