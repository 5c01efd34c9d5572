"""What is sent to all who follow the fleet: each piece encoded and packed once, whoever reads."""

import zlib
from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

# RFC 1952: deflate, no name, no time, written by anything.
GZIP_HEADER: Final = b"\x1f\x8b\x08\x00\x00\x00\x00\x00\x00\xff"
_LEVEL: Final = 2
KEPT_BYTES: Final = 8 * 2**20
"""Of changes that are kept for those who are behind; plain and packed together."""


@dataclass(frozen=True, slots=True)
class Frame:
    """Some bytes of a stream, plain and packed.

    The packed form ends at a byte and looks back at nothing (a full flush, in zlib's words): one
    frame may follow any other, so it is packed once for all readers, wherever each of them is.
    """

    plain: bytes
    packed: bytes

    @classmethod
    def of(cls, plain: bytes) -> "Frame":
        """Packs it."""
        packing = zlib.compressobj(_LEVEL, zlib.DEFLATED, -zlib.MAX_WBITS)
        return cls(plain, packing.compress(plain) + packing.flush(zlib.Z_FULL_FLUSH))

    @property
    def size(self) -> int:
        """Of both, in bytes."""
        return len(self.plain) + len(self.packed)


def event(name: str, data: bytes) -> bytes:
    """One event of a stream; JSON holds no raw newline (HTML standard, 9.2)."""
    return b"event: %b\ndata: %b\n\n" % (name.encode(), data)


class Ring:
    """The latest changes, numbered; a reader remembers a number, and holds no queue.

    Args:
        kept_bytes: of the changes that are kept.

    Attributes:
        last: number of the latest change; 0 before the first.
    """

    def __init__(self, kept_bytes: int = KEPT_BYTES) -> None:
        self._kept_bytes = kept_bytes
        self._frames: deque[tuple[int, Frame]] = deque()
        self._bytes = 0
        self.last = 0

    def put(self, frame: Frame) -> None:
        """Adds a change; those that do not fit any more go, the oldest first."""
        self.last += 1
        self._frames.append((self.last, frame))
        self._bytes += frame.size
        while self._bytes > self._kept_bytes:
            self._bytes -= self._frames.popleft()[1].size

    def begin_anew(self) -> None:
        """Lets nobody go on from what was before: all is other than it was."""
        self.last += 1
        self._frames.clear()
        self._bytes = 0

    def after(self, number: int) -> list[Frame] | None:
        """The changes after one; None where some of them are not here any more."""
        if number == self.last:
            return []
        first = self._frames[0][0] if self._frames else self.last + 1
        if not first - 1 <= number <= self.last:
            return None
        return [frame for each, frame in self._frames if each > number]


def size(frames: Iterable[Frame]) -> int:
    """Of all of them, in bytes."""
    return sum(frame.size for frame in frames)
