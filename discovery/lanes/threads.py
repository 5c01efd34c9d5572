"""The threads in which lanes render: what takes long holds up neither the rest nor the loop."""

import asyncio
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Final, TypeVar

# Of their own: whoever writes files, and the built-in resource, must not wait for templates. Few:
# the loop has its turn after each of them.
THREADS: Final = 4
SLOW_SECONDS: Final = 0.5
# While templates take longer than that, the loop hears little of what etcd says.
DEAF_SECONDS: Final = 0.01

T = TypeVar("T")


@dataclass(slots=True)
class Pace:
    """How one lane renders.

    Attributes:
        slow: whether it computed for long the last time.
    """

    slow: bool = False


class Threads:
    """Renders side by side; those that take long one by one.

    Attributes:
        deaf_until: when the latest render ended that has kept the loop from hearing, monotonic.
    """

    def __init__(self) -> None:
        self.deaf_until = float("-inf")
        self._pool = ThreadPoolExecutor(THREADS, "render")
        self._slow = asyncio.Semaphore(1)

    async def render(self, pace: Pace, work: Callable[[], T]) -> T:
        """Does it in a thread, in its turn."""
        began = time.monotonic()
        try:
            if not pace.slow:
                return await self._run(pace, work)
            async with self._slow:
                return await self._run(pace, work)
        finally:
            ended = time.monotonic()
            if ended - began > DEAF_SECONDS:
                self.deaf_until = ended

    async def _run(self, pace: Pace, work: Callable[[], T]) -> T:
        loop = asyncio.get_running_loop()
        result, seconds = await loop.run_in_executor(self._pool, _timed, work)
        pace.slow = seconds > SLOW_SECONDS
        return result


def _timed(work: Callable[[], T]) -> tuple[T, float]:
    """What it gives, and the seconds that it computes: who waits for others is not slow."""
    began = time.thread_time()
    result = work()
    return result, time.thread_time() - began
