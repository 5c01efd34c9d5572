"""A log file that is held open until it is read to its end."""

from dataclasses import dataclass
from pathlib import Path
from typing import Final, Protocol, Self

from logshipper.logfile import READ_BYTES, CorruptLogError, LogFile, first_line, probe
from logshipper.model import Chunk, Generation, Position
from logshipper.segment import Segment

LINE_LIMIT_BYTES: Final = 2**20
MARK_BYTES: Final = 24
PAST_BYTES: Final = 64
LEADING_BYTE: Final = 0xC0
CONTINUING_BYTE: Final = 0x80


class Store(Protocol):
    """What copies a file into the spool; None if there is no room for it."""

    def __call__(self, file: LogFile, *, start: int, gap: bool, line: bytes) -> Segment | None:
        """Copies it from `start` on; `line` is its head, `gap` tells of bytes lost before it."""


@dataclass(slots=True)
class Held:
    """An open file and how far it was read.

    Attributes:
        file: the open file.
        ordinal: place in the order of the log's files.
        offset: what is before it was read.
        generation: its name in ids; None as long as its first line is not complete.
        seen_bytes: its size when last looked at.
        gap: bytes between the file before and this one were lost.
        anew: it was truncated, and is what has begun since.
    """

    file: LogFile
    ordinal: int
    offset: int = 0
    generation: Generation | None = None
    seen_bytes: int = 0
    gap: bool = False
    anew: bool = False
    _probe: tuple[int, bytes] | None = None
    _last: bytes = b""

    @classmethod
    def resumed(cls, file: LogFile, ordinal: int, offset: int) -> Self:
        """One that an earlier life left."""
        gap = False
        if isinstance(file, Segment):
            file.ordinal = ordinal
            # Before its start all was acknowledged once, even if the checkpoint does not know.
            gap = file.header.gap or file.start > offset
            offset = max(offset, file.start)
        return cls(file, ordinal, offset, seen_bytes=offset, gap=gap)

    def spool(self, store: Store, start: int) -> Segment | None:
        """Reads on from a copy, and lets the file go; without room for one, nothing changes.

        Raises:
            OSError: it could not be written.
        """
        try:
            line = self.head(final=True) or b""
            segment = store(self.file, start=start, gap=self.gap and not start, line=line)
        except CorruptLogError:
            return None  # told when it is read
        if segment is not None:
            segment.ordinal = self.ordinal
            self.file.close()
            self.file = segment
        return segment

    @property
    def unread_bytes(self) -> int:
        """How much of it was not read."""
        return max(0, self.file.size() - self.offset)

    def told(self, acknowledged: Position | None) -> dict[str, object]:
        """Where it stands, for `/status`; `acknowledged` is the log's."""
        size, at, name = self.file.size(), acknowledged or Position(-1, 0), self.file.name
        done = at.offset if at.generation == self.ordinal else size
        if not self.file.spooled:
            # What it is called now: rotation renames it.
            name = Path(f"/proc/self/fd/{self.file.fd}").readlink().name
        return {
            "name": name.removesuffix(" (deleted)"),
            "generation": self.generation.token if self.generation else None,
            "ordinal": self.ordinal,
            "inode": self.file.inode,
            "size_bytes": size,
            "read_bytes": self.offset,
            "acknowledged_bytes": done if at.generation >= self.ordinal else 0,
            "deleted": not self.file.linked(),
            "spooled": self.file.spooled,
        }

    def passed_by(self, position: Position) -> bool:
        """Whether all of it is before `position`."""
        return position >= Position(self.ordinal, self.file.size())

    def is_file(self, other: LogFile) -> bool:
        """Whether `other` is the same file; certain as long as this one is open."""
        return (self.file.device, self.file.inode) == (other.device, other.inode)

    def head(self, *, final: bool) -> bytes | None:
        """Its first line, or all there is of it if nothing more will come."""
        line = first_line(self.file)
        if line is None and final:
            line = self.file.pread(0, LINE_LIMIT_BYTES) or None
        return line

    def name(self, token: str, line: bytes) -> Generation:
        """Gives it its name in ids; `line` is its head."""
        self._probe = probe(line)
        self.generation = Generation(self.ordinal, token, self.file.device, self.file.inode)
        return self.generation

    def mark(self, offset: int) -> str:
        """What stands before `offset`, hexadecimal: the end of a record's time, as a rule."""
        if self.file.compressed:
            return ""
        begin = max(0, offset - MARK_BYTES)
        return self.file.pread(begin, offset - begin).hex()

    def truncated_bytes(self) -> int | None:
        """How much was cut off unread, if it was truncated since the last look; else None."""
        if self.file.compressed:
            return None
        size = self.file.size()
        if size >= self.offset and not self._has_another_head() and not self._has_another_past():
            self.seen_bytes = size
            return None
        return max(0, self.seen_bytes - self.offset)

    def begin_anew(self) -> None:
        """Goes back to its head; it must be given another name.

        Of one that was cut short but not to nothing (a host that lost power) nobody knows where
        the new lines begin; they stand at offsets whose ids the sink has for other lines.
        """
        self.generation = self._probe = None
        self.anew = True
        self.offset, self._last = 0, b""
        self.seen_bytes = self.file.size()
        self.gap = True

    def take(self, *, final: bool) -> Chunk | None:
        """The next whole lines; with `final` what is behind the last newline, too.

        Raises:
            CorruptLogError: it cannot be decompressed further.
        """
        if self.generation is None:
            return None
        data, torn = self._lines(final=final)
        if not data:
            return None
        if more := torn and len(data) >= LINE_LIMIT_BYTES:
            data = _whole_characters(data)
        chunk = Chunk(self.generation, self.offset, data, torn, self.gap, more)
        self.offset += len(data)
        if self.file.stamp:
            self._last = data[-PAST_BYTES:]
        self.seen_bytes = max(self.seen_bytes, self.offset)
        self.gap = False
        return chunk

    def _has_another_head(self) -> bool:
        return self._probe is not None and (
            self.file.pread(self._probe[0], len(self._probe[1])) != self._probe[1]
        )

    def _has_another_past(self) -> bool:
        """Text that began anew may begin as before, without a time that tells."""
        if not self._last:
            return False
        begin = self.offset - len(self._last)
        return self.file.pread(begin, len(self._last)) != self._last

    def _lines(self, *, final: bool) -> tuple[bytes, bool]:
        size = READ_BYTES
        while True:
            data = self.file.pread(self.offset, size)
            if end := data.rfind(b"\n") + 1:
                return data[:end], False
            if len(data) < size:
                return (data, True) if final else (b"", False)
            if size >= LINE_LIMIT_BYTES:
                return data, True
            size = min(size * 2, LINE_LIMIT_BYTES)


def _whole_characters(data: bytes) -> bytes:
    """Without the first bytes of a character of UTF-8 whose last ones are not there."""
    for back in range(1, 4):
        if data[-back] >= LEADING_BYTE:
            return data[:-back]
        if data[-back] < CONTINUING_BYTE:
            break
    return data
