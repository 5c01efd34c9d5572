"""Counts by stream and level of many blocks together, kept: what is sealed never changes."""

import threading
from array import array
from collections import Counter
from collections.abc import Iterable
from itertools import repeat
from operator import add, mul
from typing import Final, NamedTuple

from logshipper.store.engine.block import Columnar

RUN_BLOCKS: Final = 256
_MAX_KINDS: Final = 1_000_000  # 16 bytes for each
_LEVELS: Final = 8


class Kinds(NamedTuple):
    """Lines of each kind, which is the number of a stream times eight, and the level."""

    kinds: "array[int]"
    lines: "array[int]"


class Runs:
    """What was counted of sealed runs; for any thread.

    Args:
        most: how many kinds are kept, of all runs; the ones used longest ago go first.
    """

    def __init__(self, most: int = _MAX_KINDS) -> None:
        self._most = most
        self._lock = threading.Lock()
        self._held: dict[tuple[object, ...], Kinds] = {}
        self._size = 0

    def get(self, key: tuple[object, ...]) -> Kinds | None:
        """What is known of a run."""
        with self._lock:
            found = self._held.pop(key, None)
            if found is not None:
                self._held[key] = found
            return found

    def put(self, key: tuple[object, ...], kinds: Kinds) -> None:
        """Keeps what was counted."""
        with self._lock:
            self._size -= len(self._held.pop(key, kinds).kinds) if key in self._held else 0
            self._held[key] = kinds
            self._size += len(kinds.kinds)
            while self._size > self._most and len(self._held) > 1:
                oldest = next(iter(self._held))
                self._size -= len(self._held.pop(oldest).kinds)


def count(blocks: Iterable[Columnar]) -> Kinds:
    """Counts all lines of some blocks."""
    counts: Counter[int] = Counter()
    for columns in blocks:
        counts.update(map(add, map(mul, columns.stream_ids, repeat(_LEVELS)), columns.levels))
    return Kinds(array("Q", counts.keys()), array("Q", counts.values()))


def kinds(held: Kinds) -> Iterable[tuple[int, int, int]]:
    """Stream, level and lines of each kind."""
    for kind, lines in zip(held.kinds, held.lines, strict=True):
        yield kind // _LEVELS, kind % _LEVELS, lines
