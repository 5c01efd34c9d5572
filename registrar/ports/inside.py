"""Work in a container's own file system, which may hang for ever and must keep nobody waiting."""

import asyncio
import functools
import queue
import threading
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Final, Never, TypeVar

from registrar.ports import containers
from wharfinger.container import Container
from wharfinger.errors import Unavailable, WharfingerError

TIMEOUT_SECONDS: Final = 5.0

Outcome = TypeVar("Outcome")


class Inside:
    """Threads for work in containers: at most one job for each, and none that anybody waits for.

    Not those of the loop: these are few, all else on this host goes through them, and an exit
    waits for them. One that hangs is left to itself, and another one is begun in its place.

    Args:
        proc: where the host's processes are shown.
    """

    def __init__(self, proc: Path = Path("/proc")) -> None:
        self._proc = proc
        self._hanging: set[str] = set()
        self._jobs: queue.SimpleQueue[Callable[[], None]] = queue.SimpleQueue()
        self._threads = 0

    async def do(
        self, container_id: str, work: Callable[..., Outcome], *arguments: object
    ) -> Outcome:
        """Calls `work` with the container's id and the arguments; gives and raises what it does.

        Raises:
            TimeoutError: it hangs, now or from an attempt before.
            Unavailable: this host has no thread left.
        """
        if container_id in self._hanging:
            raise TimeoutError
        loop = asyncio.get_running_loop()
        done: asyncio.Future[Outcome] = loop.create_future()

        def settle(settled: Callable[..., None], *outcome: object) -> None:
            self._hanging.discard(container_id)
            if not done.done():
                settled(*outcome)

        def run() -> None:
            with suppress(RuntimeError):  # the loop has ended meanwhile
                try:
                    outcome = work(container_id, *arguments)
                except Exception as error:  # noqa: BLE001 - whoever waits raises it
                    loop.call_soon_threadsafe(settle, done.set_exception, error)
                else:
                    loop.call_soon_threadsafe(settle, done.set_result, outcome)

        self._require_thread()
        self._hanging.add(container_id)
        self._jobs.put(run)
        async with asyncio.timeout(TIMEOUT_SECONDS):
            return await done

    async def look(
        self, container: Container, work: Callable[..., Outcome], *arguments: object
    ) -> Outcome:
        """The same with the container's first process, and where processes are shown (`proc`)."""
        shown = functools.partial(work, proc=self._proc)
        return await self.do(container.id, shown, container.pid, *arguments)

    def _require_thread(self) -> None:
        """Sees to it that a thread is free for one more job; each is begun once, as that blocks."""
        if len(self._hanging) < self._threads:
            return
        try:
            threading.Thread(target=self._run, name="inside a container", daemon=True).start()
        except RuntimeError as error:  # a fork bomb has taken the last process of the host
            raise Unavailable(f"nobody can look into it: {error}") from error
        self._threads += 1

    def _run(self) -> Never:
        while True:
            self._jobs.get()()

    async def heard(self, container: Container) -> int | None:
        """The port that this run of a container was told, in its environment or its file."""
        ways = [containers.read_environment, containers.read_told]
        if "PORT" in container.env:  # not ours
            del ways[0]
        for way in ways:
            with suppress(TimeoutError, WharfingerError):
                told = await self.look(container, way)
                if told is not None:
                    return told.port
        return None
