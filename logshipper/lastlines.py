"""Where in a log reading must begin so that its last lines come, without all before them."""

from dataclasses import dataclass
from typing import Final

from logshipper.age import line_time
from logshipper.folder import LogFolder, close_from, describe
from logshipper.logfile import FIRST_LINE_LIMIT_BYTES, LogFile
from logshipper.model import Generation, Position, Progress, SavedLog

STEP_BYTES: Final = 64 * 2**10


@dataclass(frozen=True, slots=True)
class Beginning:
    """A place in a log.

    Attributes:
        saved: as a checkpoint would name it; None for the head of the oldest file.
        time: of the first line there, Unix seconds; None if it does not say.
    """

    saved: SavedLog | None = None
    time: float | None = None


def begin(folder: str, base: str, size_bytes: int) -> Beginning:
    """The first line within the last `size_bytes` of a log, across its rotated files.

    Raises:
        FileNotFoundError: there is no such folder.
        OSError: it cannot be read.
        CorruptLogError: a compressed file cannot be.
    """
    log = LogFolder(folder, base)
    with log.opened() as descriptor:
        files = log.open_newest_first(descriptor, None)
    try:
        for file in files:
            size = file.size()
            found = describe(file)
            if size >= size_bytes and found.fingerprint:
                offset, line = _line_after(file, size - size_bytes)
                known = Generation(0, found.fingerprint, file.device, file.inode)
                saved = SavedLog(Progress(Position(0, offset)), (known,))
                return Beginning(saved, line_time(line, 0, len(line)))
            size_bytes -= size
    finally:
        close_from(files, 0)
    return Beginning()


def _line_after(file: LogFile, offset: int) -> tuple[int, bytes]:
    """Where a line begins, at `offset` or behind it, and that line."""
    if offset > 0:
        head = _through_newline(file, offset - 1)
        offset += len(head) - 1
    return offset, _through_newline(file, offset)


def _through_newline(file: LogFile, offset: int) -> bytes:
    data = bytearray()
    while len(data) < FIRST_LINE_LIMIT_BYTES:
        part = file.pread(offset + len(data), STEP_BYTES)
        end = part.find(b"\n") + 1
        data += part[: end or None]
        if end or not part:
            break
    return bytes(data)
