"""A spooled file: what was left of a deleted log, compressed on our own disk, read like the log."""

import base64
import os
import struct
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import msgspec
from isal import isal_zlib
from isal.igzip_lib import IsalError

from logshipper.logfile import CorruptLogError
from logshipper.model import Route
from wharfinger.errors import Rejected

MAGIC: Final = b"wharfinger-segment 1\n"
BLOCK_BYTES: Final = 256 * 2**10
COMPRESSION_LEVEL: Final = 1
HEADER_LIMIT_BYTES: Final = 4 * 2**20
# Checksum of the payload, its size, and the size of what it holds.
FRAME: Final = struct.Struct(">III")


@dataclass(frozen=True, slots=True)
class Header:
    """What a segment is of.

    Attributes:
        container: 64 hexadecimal digits.
        sequence: counts segments; the lowest is the oldest.
        name: that the file had.
        device: of the file.
        inode: of the file.
        start: where in the file the segment begins; what is before was acknowledged.
        size_bytes: of the file, where the segment ends.
        gap: bytes before it were lost.
        head: the file's first line, which it is known by (base64).
        route: what was known of its container then; None if that was nothing.
    """

    container: str
    sequence: int
    name: str
    device: int
    inode: int
    start: int
    size_bytes: int
    gap: bool
    head: str
    route: Route | None = None

    @property
    def line(self) -> bytes:
        """The file's first line."""
        return base64.b64decode(self.head)


def encoded(header: Header, blocks: Iterator[bytes]) -> Iterator[bytes]:
    """The bytes of a segment, piece by piece."""
    yield MAGIC
    yield _frame(msgspec.json.encode(header))
    for block in blocks:
        yield _frame(block)


def _frame(data: bytes) -> bytes:
    payload = isal_zlib.compress(data, COMPRESSION_LEVEL)
    return FRAME.pack(zlib.crc32(payload), len(payload), len(data)) + payload


class Segment:
    """A file of a log, as its tail reads it; offsets and sizes are those of the file it was.

    Args:
        path: of the segment.

    Attributes:
        ordinal: of the file within its log; None as long as no tail has said so.

    Raises:
        Rejected: it is none, or its header is damaged.
        OSError: it cannot be read.
    """

    compressed = True
    spooled = True
    stamp = ""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.ordinal: int | None = None
        self._disk = path.open("rb")
        try:
            self.header, begin = self._header()
            self._frames = self._index(begin)
        except BaseException:
            self._disk.close()
            raise
        self.fd = self._disk.fileno()
        self.name = self.header.name
        self.device = self.header.device
        self.inode = self.header.inode
        self.start = self.header.start
        self.stored_bytes = os.fstat(self.fd).st_size
        self._line = self.header.line
        self._window = (0, b"")

    def size(self) -> int:
        """How many bytes of text the file held."""
        return self.header.size_bytes

    def linked(self) -> bool:
        """Whether it can be opened again: that is what it was made for."""
        return True

    def pread(self, offset: int, size: int) -> bytes:
        """Up to `size` bytes at `offset`; fewer only at the end.

        Raises:
            CorruptLogError: what is there is damaged, or was acknowledged and is not kept.
        """
        if offset < self.start:
            return self._line[offset : offset + size]
        parts: list[bytes] = []
        while size > 0 and offset < self.header.size_bytes:
            try:
                begin, data = self._block(offset)
            except CorruptLogError:
                if parts:
                    break  # what came before the damage is whole; the next read tells
                raise
            part = data[offset - begin : offset - begin + size]
            parts.append(part)
            offset += len(part)
            size -= len(part)
        return b"".join(parts)

    def let_go(self) -> None:
        """Nobody needs it any more: any checkpoint that is written from now on frees it."""
        self.ordinal = -1
        self.close()

    def close(self) -> None:
        """Lets it go; it stays on the disk."""
        self._disk.close()

    def _header(self) -> tuple[Header, int]:
        magic = os.pread(self._disk.fileno(), len(MAGIC), 0)
        if magic != MAGIC:
            raise Rejected("is no segment")
        try:
            data, end = self._frame(len(MAGIC))
            return msgspec.json.decode(data, type=Header), end
        except (CorruptLogError, msgspec.DecodeError) as error:
            raise Rejected(f"has a damaged header: {error}") from error

    def _index(self, at: int) -> list[tuple[int, int]]:
        """Where in the file each block begins, and where it lies in the segment."""
        frames, offset = [], self.header.start
        while len(head := os.pread(self._disk.fileno(), FRAME.size, at)) == FRAME.size:
            _, stored, size = FRAME.unpack(head)
            if not 0 < size <= BLOCK_BYTES:
                break
            frames.append((offset, at))
            offset += size
            at += FRAME.size + stored
        return frames

    def _block(self, offset: int) -> tuple[int, bytes]:
        begin, data = self._window
        if not begin <= offset < begin + len(data):
            number = (offset - self.start) // BLOCK_BYTES  # all blocks but the last are whole
            if number >= len(self._frames):
                raise CorruptLogError(f"{self.path.name} is torn")
            begin, at = self._frames[number]
            data, _ = self._frame(at)
            self._window = (begin, data)
        if not begin <= offset < begin + len(data):
            raise CorruptLogError(f"{self.path.name} is damaged")
        return begin, data

    def _frame(self, at: int) -> tuple[bytes, int]:
        fd = self._disk.fileno()
        head = os.pread(fd, FRAME.size, at)
        if len(head) < FRAME.size:
            raise CorruptLogError(f"{self.path.name} is torn")
        checksum, stored, size = FRAME.unpack(head)
        payload = os.pread(fd, min(stored, HEADER_LIMIT_BYTES), at + FRAME.size)
        if len(payload) != stored or zlib.crc32(payload) != checksum:
            raise CorruptLogError(f"{self.path.name} is damaged")
        try:
            data = isal_zlib.decompress(payload)
        except IsalError as error:  # type: ignore[misc]  # its stub errs
            raise CorruptLogError(f"{self.path.name} is damaged: {error}") from error
        if len(data) != size:
            raise CorruptLogError(f"{self.path.name} is damaged")
        return data, at + FRAME.size + stored
