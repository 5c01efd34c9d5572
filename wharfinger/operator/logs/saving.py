"""A file of all that was found: it has its name when it is whole, and not before."""

import contextlib
import os
import sys
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO, Final, cast

import msgspec
import zstandard
from isal import igzip

from wharfinger.errors import Rejected, Unavailable
from wharfinger.files import sync_folder
from wharfinger.operator import terminal
from wharfinger.text import quantity, shortened

_FORMS: Final = (".ndjson", ".jsonl", ".json")
_PACKINGS: Final = (".gz", ".zst", "")
_GZIP_LEVEL: Final = 2
_ZSTD_LEVEL: Final = 3
_TOLD_EVERY_SECONDS: Final = 0.5


class Progress:
    """How many lines, and how fast, on one row of stderr.

    Args:
        shown: there is a terminal to show it.
        clock: monotonic seconds.

    Attributes:
        lines: so many.
    """

    def __init__(self, *, shown: bool, clock: Callable[[], float] = time.monotonic) -> None:
        self.lines = 0
        self._clock = clock
        self._began = clock()
        self._told = self._began
        self._shown = shown

    def add(self, lines: int) -> None:
        """Counts."""
        self.lines += lines
        if self._shown and self._clock() - self._told >= _TOLD_EVERY_SECONDS:
            self._told = self._clock()
            sys.stderr.write(f"\r\x1b[K{self}")
            sys.stderr.flush()

    def clear(self) -> None:
        """Takes the row away."""
        if self._shown:
            sys.stderr.write("\r\x1b[K")
            sys.stderr.flush()

    def complain(self, text: str) -> None:
        """Says something else in its place."""
        self.clear()
        terminal.complain(text)

    def __str__(self) -> str:
        seconds = max(self._clock() - self._began, 0.001)
        return f"{quantity(self.lines, 'line')}, {self.lines / seconds:,.0f}/s"


def suited(path: Path) -> Path:
    """The path, where such a file can be written.

    Raises:
        Rejected: its name says no form that is written, or something else is there.
    """
    name = path.name
    if not any(name.endswith(form + packing) for form in _FORMS for packing in _PACKINGS):
        raise Rejected(
            f"--export {shortened(str(path), 200)}: name it FILE.ndjson, .ndjson.gz or .ndjson.zst"
        )
    if path.is_symlink() or (path.exists() and not path.is_file()):
        fix = "use -n all -o json, and > where the shell shall write"
        raise Rejected(f"--export {shortened(str(path), 200)} is no plain file; {fix}")
    return path


async def save(path: Path, found: AsyncIterator[list[msgspec.Raw]], progress: Progress) -> None:
    """Writes all lines, one JSON object each, and gives the file its name.

    Args:
        path: ends with `.gz` or `.zst` where it shall be packed.
        found: the lines.
        progress: counts them.

    Raises:
        Unavailable: the disk does not take it; nothing was changed.
    """
    try:
        with _staged(path) as file, _packed(path, file) as packed:
            async for page in found:
                packed.write(b"".join(bytes(line) + b"\n" for line in page))
                progress.add(len(page))
        sync_folder(path.parent)
    except OSError as error:
        raise Unavailable(
            f"{shortened(str(path), 200)} was not written: {error.strerror}"
        ) from error


@contextmanager
def _staged(path: Path) -> Iterator[BinaryIO]:
    # A leading dot and a part's name: nobody takes it for the whole, whatever ends us.
    staged = path.with_name(f".{path.name[:200]}.{os.getpid()}.part")
    try:
        with staged.open("xb") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        staged.replace(path)
    except BaseException:
        with contextlib.suppress(OSError):
            staged.unlink()
        raise


@contextmanager
def _packed(path: Path, file: BinaryIO) -> Iterator[BinaryIO]:
    match path.suffix:
        case ".gz":
            with igzip.IGzipFile(  # type: ignore[no-untyped-call]
                fileobj=file, mode="wb", compresslevel=_GZIP_LEVEL
            ) as packed:
                yield cast("BinaryIO", packed)
        case ".zst":
            compressor = zstandard.ZstdCompressor(level=_ZSTD_LEVEL)
            with compressor.stream_writer(file, closefd=False) as writer:
                yield cast("BinaryIO", writer)
        case _:
            yield file
