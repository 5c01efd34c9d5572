"""One file of a log, plain or compressed: opened safely, held, read by position."""

import errno
import hashlib
import os
import resource
import stat
from typing import Final, Protocol

from isal import igzip
from isal.igzip_lib import IsalError

from logshipper.rotation import STAMP_SEPARATOR, Found
from wharfinger.errors import Rejected

# O_NONBLOCK: opening a FIFO that somebody put there would wait for a writer for ever.
OPEN_FLAGS: Final = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC | os.O_NOCTTY
FOLDER_FLAGS: Final = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
FINGERPRINT_BYTES: Final = 6
# Docker's longest line is 16 KiB of text with every byte escaped to six, and its attributes.
FIRST_LINE_LIMIT_BYTES: Final = 2**20
PROBE_BYTES: Final = 128
READ_BYTES: Final = 256 * 2**10
# Logs that take the last descriptors would leave none to reach the sink with, and so stay for ever.
SPARE_DESCRIPTORS: Final = 64


class CorruptLogError(Rejected):
    """The rest of a compressed file cannot be read."""


class LogFile(Protocol):
    """A file that is held open; what was written to it stays readable whatever becomes of it."""

    name: str
    device: int
    inode: int
    compressed: bool
    spooled: bool
    fd: int
    stamp: str

    def size(self) -> int:
        """How many bytes of text it holds now."""

    def linked(self) -> bool:
        """Whether it still has a name, so that it can be opened again."""

    def pread(self, offset: int, size: int) -> bytes:
        """Up to `size` bytes of text at `offset`; fewer only at the end.

        Raises:
            CorruptLogError: what is there cannot be decompressed.
        """

    def close(self) -> None:
        """Lets it go."""


class PlainFile:
    """A file as it is written.

    Args:
        fd: of the file.
        name: in its folder.
        stamp: what tells it from another that begins alike; empty where first lines do.
    """

    compressed = False
    spooled = False

    def __init__(self, fd: int, name: str, stamp: str = "") -> None:
        status = os.fstat(fd)
        self.stamp = stamp
        self.fd = fd
        self.name = name
        self.device = status.st_dev
        self.inode = status.st_ino

    def size(self) -> int:
        """How many bytes it holds now."""
        return os.fstat(self.fd).st_size

    def linked(self) -> bool:
        """Whether it still has a name."""
        return os.fstat(self.fd).st_nlink > 0

    def pread(self, offset: int, size: int) -> bytes:
        """Up to `size` bytes at `offset`."""
        return os.pread(self.fd, size, offset)

    def close(self) -> None:
        """Lets it go."""
        os.close(self.fd)


class GzipFile:
    """A rotated file that dockerd compressed: read forward, a window of it held in memory."""

    compressed = True
    stamp = ""
    spooled = False

    def __init__(self, fd: int, name: str) -> None:
        status = os.fstat(fd)
        self.fd = fd
        self.name = name
        self.device = status.st_dev
        self.inode = status.st_ino
        self._raw = os.fdopen(fd, "rb")
        self._rewind()

    def size(self) -> int:
        """How many bytes of text it holds, as its trailer says (RFC 1952, ISIZE)."""
        end = os.fstat(self.fd).st_size
        return int.from_bytes(os.pread(self.fd, 4, max(0, end - 4)), "little")

    def linked(self) -> bool:
        """Whether it still has a name."""
        return os.fstat(self.fd).st_nlink > 0

    def pread(self, offset: int, size: int) -> bytes:
        """Up to `size` bytes of text at `offset`.

        Raises:
            CorruptLogError: what is there cannot be decompressed.
        """
        if offset < self._start:
            self._rewind()
        while self._start + len(self._window) < offset + size:
            # What lies before `offset` is dropped as it passes: a resume deep in the file costs
            # time, not memory.
            passed = min(max(offset - self._start, 0), len(self._window))
            del self._window[:passed]
            self._start += passed
            try:
                more = self._stream.read(READ_BYTES)
            except (OSError, EOFError, IsalError) as error:  # type: ignore[misc]  # its stub errs
                if self._start + len(self._window) > offset:
                    break  # what came before the damage is whole; the next read tells
                raise CorruptLogError(f"{self.name} cannot be decompressed: {error}") from error
            if not more:
                break
            self._window += more
        begin = offset - self._start
        return bytes(self._window[begin : begin + size])

    def close(self) -> None:
        """Lets it go."""
        self._stream.close()
        self._raw.close()

    def _rewind(self) -> None:
        self._raw.seek(0)
        self._stream = igzip.IGzipFile(fileobj=self._raw, mode="rb")  # type: ignore[no-untyped-call]
        self._window = bytearray()
        self._start = 0


def open_folder(path: str) -> int:
    """Opens a container's folder, for names below it; the caller closes it.

    Raises:
        OSError: it is not there, or is a link.
    """
    return os.open(path, FOLDER_FLAGS)


def open_log(folder_fd: int, name: str) -> LogFile:
    """Opens a log; a link, a device or a FIFO in its place is never followed or read.

    Raises:
        FileNotFoundError: it is not there, or not any more.
        Rejected: it is no regular file.
        OSError: it cannot be opened; EMFILE already when few descriptors are left.
    """
    try:
        fd = os.open(name, OPEN_FLAGS, dir_fd=folder_fd)
    except FileNotFoundError:
        raise
    except OSError as error:
        if error.errno not in {errno.ELOOP, errno.ENXIO}:
            raise
        raise Rejected(f"{name!r:.80} is a link or a socket, and is not opened") from error
    require_spare(fd, name)
    status = os.fstat(fd)
    if not stat.S_ISREG(status.st_mode):
        os.close(fd)
        raise Rejected(f"{name!r:.80} is no regular file")
    if status.st_nlink > 1:
        # dockerd gives its logs one name; with another, this may be any file of the machine.
        os.close(fd)
        raise Rejected(f"{name!r:.80} is a hard link, and is not read")
    return GzipFile(fd, name) if name.endswith(".gz") else PlainFile(fd, name)


def require_spare(fd: int, name: str) -> None:
    """Lets a descriptor go when few are left.

    Raises:
        OSError: EMFILE: the rest are for what logs are sent with.
    """
    # The kernel gives the lowest number that is free.
    if fd >= resource.getrlimit(resource.RLIMIT_NOFILE)[0] - SPARE_DESCRIPTORS:
        os.close(fd)
        raise OSError(errno.EMFILE, os.strerror(errno.EMFILE), name)


def found(file: LogFile) -> Found:
    """What identifies the file now."""
    line = first_line(file)
    print_of = identify(file, line) if line is not None else ""
    return Found(file.name, file.device, file.inode, print_of)


def first_line(file: LogFile) -> bytes | None:
    """The first line with its newline; None as long as it is not complete.

    Raises:
        CorruptLogError: it cannot be decompressed.
    """
    size = 1024
    while True:
        data = file.pread(0, size)
        end = data.find(b"\n")
        if end >= 0:
            return data[: end + 1]
        if len(data) < size:
            return None
        if size >= FIRST_LINE_LIMIT_BYTES:
            return data
        size = min(size * 8, FIRST_LINE_LIMIT_BYTES)


def fingerprint(line: bytes) -> str:
    """What a file is known by: the hash of its first line, which holds a time in nanoseconds."""
    return hashlib.blake2b(line, digest_size=FINGERPRINT_BYTES).hexdigest()


def identify(file: LogFile, line: bytes) -> str:
    """What a file with this first line is known by, however often it is renamed."""
    return STAMP_SEPARATOR.join(filter(None, (fingerprint(line), file.stamp)))


def probe(line: bytes) -> tuple[int, bytes]:
    """Where the end of the first line stands, and what it is: differs if the file began anew."""
    offset = max(0, len(line) - PROBE_BYTES)
    return offset, line[offset:]
