"""Whose the listening sockets are: looked up once each, and no container keeps another waiting."""

import asyncio
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path
from typing import Final

from registrar import sockets
from registrar.census import Census
from registrar.model import Identify
from registrar.ports.inside import Inside
from wharfinger.errors import Unavailable

# One with a million open files takes as long as it likes; the plan goes on without it.
PATIENCE_SECONDS: Final = 1.0


class Owners:
    """Finds out whether sockets are a container's own, and remembers it.

    Args:
        census: what is known of the containers.
        proc: where the host's processes are shown.

    Attributes:
        known: whether a socket is a container's own, by the container's id and the inode.
    """

    def __init__(self, census: Census, proc: Path = Path("/proc")) -> None:
        self._census = census
        self._inside = Inside(proc)
        self._asking: dict[str, asyncio.Task[bool]] = {}
        self.known: dict[tuple[str, int], bool] = {}

    async def identify(self, actions: Iterable[Identify]) -> bool:
        """Looks at the processes of containers, all at the same time.

        Returns:
            Whether anything has been found; nothing where all is under way still, or hangs.
        """
        begun = [self._begin(each) for each in actions if each.container_id not in self._asking]
        if not begun:
            return False
        done, _ = await asyncio.wait(begun, timeout=PATIENCE_SECONDS)
        return any(task.result() for task in done)

    def prune(self, inodes: set[int]) -> None:
        """Forgets sockets that are gone, and doubts each that seemed to be nobody's of ours."""
        self.known = {key: True for key, own in self.known.items() if own and key[1] in inodes}

    async def close(self) -> None:
        """Ends what is under way."""
        asking = list(self._asking.values())
        for task in asking:
            task.cancel()
        await asyncio.gather(*asking, return_exceptions=True)

    def _begin(self, action: Identify) -> asyncio.Task[bool]:
        task = asyncio.create_task(self._ask(action), name=f"identify {action.container_id[:12]}")
        self._asking[action.container_id] = task
        task.add_done_callback(lambda _: self._asking.pop(action.container_id, None))
        return task

    async def _ask(self, action: Identify) -> bool:
        """Looks for each socket in turn; whether anything was found of any."""
        seen = self._census.containers.get(action.container_id)
        if seen is None:
            return False
        who, found = action.container_id, False
        with suppress(TimeoutError, Unavailable):  # it is asked again by the next plan
            for inode in action.inodes:
                own = await self._inside.look(seen.container, sockets.owned, (inode,))
                self.known[who, inode] = own
                found = True
        return found
