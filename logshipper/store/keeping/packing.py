"""Files of lines, packed or not: written under another name until they are whole, read by magic."""

import contextlib
import os
import sys
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import IO, Any, Final, Protocol, cast

import zstandard
from isal import igzip, isal_zlib

from wharfinger.errors import Rejected, Unavailable
from wharfinger.files import sync_folder

STANDARD: Final = "-"
_GZIP_MAGIC: Final = b"\x1f\x8b"
_ZSTD_MAGIC: Final = b"\x28\xb5\x2f\xfd"
_GZIP_ENDINGS: Final = (".gz",)
_ZSTD_ENDINGS: Final = (".zst", ".zstd")
_GZIP_LEVEL: Final = isal_zlib.ISAL_BEST_COMPRESSION
_ZSTD_LEVEL: Final = 6
_MODE: Final = 0o640
# The stubs declare an instance where the module holds a class.
_INFLATE: Final = cast("type[Exception]", isal_zlib.error)
_DAMAGED: Final = (OSError, EOFError, zstandard.ZstdError, _INFLATE)
_BUFFER_BYTES: Final = 1 << 20


class Sink(Protocol):
    """Takes bytes."""

    def write(self, data: bytes, /) -> Any:
        """Takes some."""


class Source(Protocol):
    """Gives bytes, unpacked."""

    def read(self, size: int = -1, /) -> bytes:
        """Some, none at the end."""


@contextmanager
def written(name: str) -> Iterator[Sink]:
    """Where to write a file that is packed as its name ends; `-` is stdout, unpacked.

    It has its name when the block has ended well, and is on disk then; else nothing is left.

    Raises:
        Unavailable: it cannot be written.
    """
    if name == STANDARD:
        yield sys.stdout.buffer
        sys.stdout.buffer.flush()
        return
    path = Path(name)
    try:
        descriptor, staged = tempfile.mkstemp(prefix=f".{path.name[:40]}.", dir=path.parent)
    except OSError as error:
        raise Unavailable(f"{path} cannot be written: {error.strerror}") from None
    try:
        with os.fdopen(descriptor, "wb", _BUFFER_BYTES) as file:
            with _packed(file, path.suffix) as sink:
                yield sink
            file.flush()
            os.fchmod(descriptor, _MODE)
            os.fsync(descriptor)
        Path(staged).replace(path)
        sync_folder(path.parent)
    except BaseException as error:
        with contextlib.suppress(OSError):
            Path(staged).unlink()
        if isinstance(error, OSError) and not isinstance(error, BrokenPipeError):
            raise Unavailable(f"{path} cannot be written: {error.strerror or error}") from None
        raise


@contextmanager
def _packed(file: IO[bytes], suffix: str) -> Iterator[Sink]:
    if suffix in _GZIP_ENDINGS:
        with igzip.open(file, "wb", _GZIP_LEVEL) as packer:  # type: ignore[no-untyped-call]
            yield packer
    elif suffix in _ZSTD_ENDINGS:
        compressor = zstandard.ZstdCompressor(_ZSTD_LEVEL, write_checksum=True)
        with compressor.stream_writer(file, closefd=False) as packer:
            yield packer
    else:
        yield file


@contextmanager
def opened(name: str) -> Iterator[tuple[Source, IO[bytes]]]:
    """What a file says, unpacked if it is packed, and the file itself; `-` is stdin.

    Raises:
        Rejected: it cannot be read.
    """
    with ExitStack() as stack:
        try:
            place = sys.stdin.fileno() if name == STANDARD else name
            file = stack.enter_context(open(place, "rb", closefd=name != STANDARD))
            magic = file.peek(4)[:4]
        except OSError as error:
            raise Rejected(f"{name} cannot be read: {error.strerror}") from None
        if magic.startswith(_GZIP_MAGIC):
            yield igzip.open(file, "rb"), file  # type: ignore[no-untyped-call]
        elif magic.startswith(_ZSTD_MAGIC):
            yield _Unpacked(file), file
        else:
            yield file, file


class _Unpacked:
    """What stands in frames of zstd; the library's reader takes one that is cut off for whole."""

    def __init__(self, file: IO[bytes]) -> None:
        self._file = file
        self._frame: zstandard.ZstdDecompressionObj | None = None
        self._rest = b""

    def read(self, size: int = -1, /) -> bytes:
        """Some bytes, more or fewer than asked for; none at the end.

        Raises:
            EOFError: the last frame is cut off.
        """
        while True:
            packed = self._rest or self._file.read(max(size, 1) // 4 + 1)
            if not packed:
                if self._frame is not None:
                    raise EOFError("it is cut off")
                return b""
            if self._frame is None:
                self._frame = zstandard.ZstdDecompressor().decompressobj()
            data = self._frame.decompress(packed)
            self._rest = b""
            if self._frame.eof:
                self._rest, self._frame = self._frame.unused_data, None
            if data:
                return data


def lines(source: Source, name: str) -> Iterator[bytes]:
    """Its lines, without their ends.

    Raises:
        Rejected: it cannot be unpacked any further; what came before is good.
    """
    rest = b""
    while True:
        try:
            data = source.read(_BUFFER_BYTES)
        except _DAMAGED as error:
            raise Rejected(f"{name} cannot be read any further: {error}") from None
        if not data:
            break
        *whole, rest = (rest + data).split(b"\n")
        yield from whole
    if rest:
        yield rest
