"""How much is asked for of the lines that fit, from where, and which come first; pure."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import accumulate
from typing import Self

from logshipper.store.model import Hit, Key


@dataclass(frozen=True, slots=True)
class Order:
    """Which lines come first, and from where.

    Attributes:
        newest_first: downward in time.
        beyond: only lines after this place in that order; None from the beginning.
        limit: so many lines.
        limit_characters: the line with which they have so many is the last one; None for any.
    """

    newest_first: bool = True
    beyond: Key | None = None
    limit: int = 100
    limit_characters: int | None = None

    def is_filled(self, hits: Sequence[Hit]) -> bool:
        """Whether these are as much as was asked for, so that there may be more."""
        return len(hits) >= self.limit or self._has_enough(sum(map(size, hits)))

    def left(self, hits: Sequence[Hit]) -> Self:
        """What is still asked for beside these."""
        characters = self.limit_characters
        if characters is not None:
            characters -= sum(map(size, hits))
        return replace(self, limit=self.limit - len(hits), limit_characters=characters)

    def cut(self, hits: list[Hit]) -> None:
        """Puts hits in order, and takes away what is more than was asked for."""
        hits.sort(key=lambda hit: hit.key, reverse=self.newest_first)
        del hits[self.limit :]
        for number, characters in enumerate(accumulate(map(size, hits)), 1):
            if self._has_enough(characters):
                del hits[number:]
                return

    def _has_enough(self, characters: int) -> bool:
        return self.limit_characters is not None and characters >= self.limit_characters


def size(hit: Hit) -> int:
    """The characters of a line, by which a reply is long."""
    return len(hit.line.message) + len(hit.line.extra)
