"""What Docker deleted before a sink took it, on our own disk: a restart loses none of it."""

import base64
import contextlib
import errno
import os
import threading
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Final

from logshipper.logfile import LogFile
from logshipper.model import Route, SavedLog
from logshipper.segment import BLOCK_BYTES, Header, Segment, encoded
from wharfinger.errors import Rejected
from wharfinger.files import PRIVATE_MODE, sync_folder

ENDING: Final = ".segment"
STAGED: Final = ".staged"


class Spool:
    """The segments of one sink, oldest first; used in threads, one at a time enters.

    A segment is written whole, synced and renamed into place before the file that it copies is
    let go. It is deleted when the checkpoint that no longer needs it is on the disk.

    Args:
        folder: of the segments.
        limit_bytes: they may take so much of the disk; 0 for no spool.

    Attributes:
        refused: why segments that were found were not taken.
        stored_bytes: how much of the disk the segments take.

    Raises:
        OSError: the folder cannot be made or read.
    """

    def __init__(self, folder: Path, limit_bytes: int) -> None:
        self.limit_bytes = limit_bytes
        self.refused: list[str] = []
        self._folder = folder
        # While a sink is down, a host of short jobs spools a file for each of thousands of them.
        self._segments: dict[Path, Segment] = {}
        self._of: dict[str, list[Segment]] = {}
        self.stored_bytes = 0
        self._finished: set[str] = set()
        self._mutex = threading.Lock()
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        found = [self._opened(path) for path in folder.iterdir()]
        for segment in sorted(filter(None, found), key=lambda each: each.header.sequence):
            self._add(segment)
        self._sequence = max((s.header.sequence for s in self._segments.values()), default=0)

    def containers(self) -> tuple[str, ...]:
        """Whose files are spooled."""
        return tuple(self._of)

    def route(self, container_id: str) -> Route | None:
        """What was known of a container when a file of it was spooled last."""
        return next((s.header.route for s in reversed(self.of(container_id))), None)

    def of(self, container_id: str) -> list[Segment]:
        """The segments of a log, oldest first."""
        return list(self._of.get(container_id, ()))

    def store(
        self,
        container_id: str,
        file: LogFile,
        *,
        start: int,
        gap: bool,
        line: bytes,
        route: Route | None,
    ) -> Segment | None:
        """Copies a file from `start` to its end; None if that alone is beyond the limit.

        Raises:
            OSError: it could not be written; nothing of it is left.
            CorruptLogError: the file cannot be decompressed.
        """
        with self._mutex:
            header = Header(
                container_id,
                self._sequence + 1,
                file.name,
                file.device,
                file.inode,
                start,
                file.size(),
                gap,
                base64.b64encode(line).decode(),
                route,
            )
            path = self._folder / f"{header.sequence:012d}{ENDING}"
            staged = self._folder / f"{path.name}{STAGED}"
            try:
                if not self._write(staged, header, file):
                    return None
                staged.replace(path)
                sync_folder(self._folder)
            finally:
                with contextlib.suppress(OSError):
                    staged.unlink(missing_ok=True)
            try:
                segment = Segment(path)
            except Rejected as refusal:
                # Its source is still held: such a disk shall be said, and tried again.
                raise OSError(errno.EIO, f"{path.name} {refusal} as soon as written") from refusal
            self._sequence += 1
            self._add(segment)
            return segment

    def oldest_beyond_limit(self) -> Segment | None:
        """The segment that must go next; None when all have room."""
        if self.stored_bytes <= self.limit_bytes:
            return None
        return next(iter(self._segments.values()), None)

    def drop(self, segment: Segment) -> None:
        """Deletes a segment that nobody reads any more."""
        with self._mutex:
            if self._segments.pop(segment.path, None) is not None:
                self.stored_bytes -= segment.stored_bytes
                siblings = self._of[segment.header.container]
                siblings.remove(segment)
                if not siblings:
                    del self._of[segment.header.container]
                segment.close()
                with contextlib.suppress(OSError):
                    segment.path.unlink(missing_ok=True)

    def finish(self, container_id: str) -> None:
        """A log has come to its end: once that is in the checkpoint, its segments may go."""
        self._finished.add(container_id)

    def release(self, logs: Mapping[str, SavedLog]) -> None:
        """Deletes what is not needed any more, now that `logs` is on the disk as checkpoint."""
        finished = {each for each in tuple(self._finished) if each not in logs}
        self._finished -= finished
        for segment in tuple(self._segments.values()):
            container_id, ordinal = segment.header.container, segment.ordinal
            saved = logs.get(container_id)
            passed = saved and ordinal is not None and saved.progress.resume.generation > ordinal
            if container_id in finished or passed:
                self.drop(segment)

    def close(self) -> None:
        """Lets every file go."""
        for segment in self._segments.values():
            segment.close()

    def _add(self, segment: Segment) -> None:
        self._segments[segment.path] = segment
        self._of.setdefault(segment.header.container, []).append(segment)
        self.stored_bytes += segment.stored_bytes

    def _opened(self, path: Path) -> Segment | None:
        if path.name.endswith(STAGED):
            path.unlink()  # the process ended within a write: its source was not let go
        elif path.suffix == ENDING:
            try:
                return Segment(path)
            except Rejected as refusal:
                self.refused.append(f"{path.name} {refusal}")
                path.rename(path.with_suffix(".damaged"))
        return None

    def _write(self, staged: Path, header: Header, file: LogFile) -> bool:
        flags = os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC
        written = 0
        with os.fdopen(os.open(staged, flags, PRIVATE_MODE), "wb") as disk:
            for piece in encoded(header, _blocks(file, header.start, header.size_bytes)):
                written += disk.write(piece)
                if written > self.limit_bytes:
                    return False
            disk.flush()
            os.fsync(disk.fileno())
        return True


def _blocks(file: LogFile, offset: int, end: int) -> Iterator[bytes]:
    while offset < end and (data := file.pread(offset, min(BLOCK_BYTES, end - offset))):
        yield data
        offset += len(data)
