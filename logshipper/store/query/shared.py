"""Work that several ask for at once is done once, and its result is kept while nothing changes."""

import asyncio
import time
from collections.abc import Awaitable, Callable, Hashable
from dataclasses import dataclass
from typing import Final, Generic, TypeVar

K = TypeVar("K", bound=Hashable)
T = TypeVar("T")

KEPT: Final = 16
KEPT_SECONDS: Final = 5.0


@dataclass(slots=True, eq=False)
class _Flight(Generic[T]):
    """Some work, and how many wait for it."""

    task: "asyncio.Task[T]"
    version: int
    began: float
    waiting: int = 0


class Shared(Generic[K, T]):
    """Results by key; for the event loop.

    A result serves who asks while the version is the one that it was begun at: what was
    acknowledged before a question is in its answer.

    Args:
        clock: monotonic seconds.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._flights: dict[K, _Flight[T]] = {}  # the oldest first

    async def get(self, key: K, version: int, work: Callable[[], Awaitable[T]]) -> T:
        """The result of the work, done for whoever asks for the key.

        Work that nobody waits for any more is cancelled.

        Args:
            key: what is asked.
            version: of what it is worked out from.
            work: how.
        """
        flight = self._usable(key, version)
        if flight is None:
            task = asyncio.ensure_future(work())
            assert isinstance(task, asyncio.Task)  # noqa: S101 - work gives a coroutine
            flight = _Flight(task, version, self._clock())
            self._flights.pop(key, None)
            self._flights[key] = flight
            self._forget_old()
        flight.waiting += 1
        try:
            return await asyncio.shield(flight.task)
        finally:
            flight.waiting -= 1
            if not flight.waiting and not flight.task.done():
                flight.task.cancel()

    def keys(self, version: int) -> list[K]:
        """Of what there is, or is being worked out."""
        return [key for key in self._flights if self._usable(key, version) is not None]

    def _usable(self, key: K, version: int) -> _Flight[T] | None:
        flight = self._flights.get(key)
        if flight is None or flight.version != version:
            return None
        if self._clock() - flight.began > KEPT_SECONDS and flight.task.done():
            return None
        if flight.task.cancelling() or (flight.task.done() and _failed(flight.task)):
            return None
        return flight

    def _forget_old(self) -> None:
        latest = list(self._flights)[-KEPT:]
        now = self._clock()
        self._flights = {
            key: flight
            for key in latest
            if not (flight := self._flights[key]).task.done() or now - flight.began <= KEPT_SECONDS
        }


def _failed(task: "asyncio.Task[T]") -> bool:
    return task.cancelled() or task.exception() is not None
