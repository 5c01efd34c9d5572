"""Who may be probed now: slow targets share slots of their own, and keep nobody else waiting."""

from collections import deque
from dataclasses import dataclass
from typing import Final, Generic, TypeVar

SLOW_AFTER_SECONDS: Final = 0.5

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Slots:
    """How many probes run at once.

    Attributes:
        fast: of targets whose latest probe was quick, or that have none yet.
        slow: of the others, and of those that turn out slow.
    """

    fast: int
    slow: int


class Lanes(Generic[T]):
    """Two queues with their slots; each entrant holds one slot from `start` to `end`."""

    def __init__(self, slots: Slots) -> None:
        self._slots = slots
        self._fast: deque[T] = deque()
        self._slow: deque[T] = deque()
        self._running_fast: set[T] = set()
        self._running_slow: set[T] = set()

    @property
    def running(self) -> int:
        """How many hold a slot."""
        return len(self._running_fast) + len(self._running_slow)

    def enter(self, entrant: T, *, slow: bool) -> None:
        """Has it wait for its turn."""
        (self._slow if slow else self._fast).append(entrant)

    def start(self) -> T | None:
        """The next whose turn it is, which holds a slot now; None when all shall wait."""
        if self._fast and len(self._running_fast) < self._slots.fast:
            entrant = self._fast.popleft()
            self._running_fast.add(entrant)
            return entrant
        if self._slow and len(self._running_slow) < self._slots.slow:
            entrant = self._slow.popleft()
            self._running_slow.add(entrant)
            return entrant
        return None

    def slows(self, entrant: T) -> bool:
        """Moves one that takes long to a slow slot; False when none is free."""
        if entrant in self._running_fast and len(self._running_slow) < self._slots.slow:
            self._running_fast.discard(entrant)
            self._running_slow.add(entrant)
        return entrant not in self._running_fast

    def end(self, entrant: T) -> None:
        """Gives its slot back."""
        self._running_fast.discard(entrant)
        self._running_slow.discard(entrant)
