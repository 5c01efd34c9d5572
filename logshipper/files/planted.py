"""Opens what may have been planted: no link, no device, no FIFO, nothing outside its root."""

import ctypes
import errno
import hashlib
import os
import stat
import struct
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Final

from wharfinger.errors import Rejected
from wharfinger.openat2 import (
    RESOLVE_BENEATH,
    RESOLVE_NO_MAGICLINKS,
    RESOLVE_NO_SYMLINKS,
    RESOLVE_NO_XDEV,
    openat2,
)

FOLDER_FLAGS: Final = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_NONBLOCK
UNFOLLOWED: Final = RESOLVE_NO_SYMLINKS | RESOLVE_NO_MAGICLINKS
# NO_XDEV: what is mounted below may hang whoever touches it (FUSE, NFS), or be /proc.
BELOW: Final = UNFOLLOWED | RESOLVE_BENEATH | RESOLVE_NO_XDEV
STAMP_BYTES: Final = 4
# statx(2), linux/stat.h.
AT_EMPTY_PATH: Final = 0x1000
AT_SYMLINK_NOFOLLOW: Final = 0x100
STATX_BTIME: Final = 0x800
STATX_BYTES: Final = 256
STATX_BTIME_AT: Final = 80

_LIBC: Final = ctypes.CDLL(None, use_errno=True)


@dataclass(frozen=True, slots=True)
class Identity:
    """What stays the same of a file when it is renamed.

    Attributes:
        device: of the file.
        inode: of the file; used again soon after it was deleted.
        stamp: hash of the inode and of when it was made, hexadecimal.
    """

    device: int
    inode: int
    stamp: str


@contextmanager
def opened_root(path: str) -> Iterator[int]:
    """Opens a root: its own path is followed through no link either.

    Raises:
        FileNotFoundError: it is gone.
        NotADirectoryError: a link or something else stands on the way.
        OSError: it cannot be opened now.
    """
    # A bind of a folder inside another bind: the way there may be another container's to change.
    descriptor = _opened(
        os.open("/", os.O_PATH | os.O_CLOEXEC), path.lstrip("/") or ".", UNFOLLOWED
    )
    try:
        yield descriptor
    finally:
        os.close(descriptor)


def open_below(folder: int, path: str) -> int:
    """Opens a folder below another; the caller closes it.

    Raises:
        FileNotFoundError: it is gone.
        NotADirectoryError: a link, a mount or something else stands on the way.
        OSError: it cannot be opened now.
    """
    return _opened(os.dup(folder), path or ".", BELOW)


def _opened(base: int, path: str, resolve: int) -> int:
    try:
        return openat2(base, path, FOLDER_FLAGS, resolve=resolve)
    except OSError as error:
        if error.errno in {errno.ELOOP, errno.EXDEV}:
            why = "a link or a mount stands on the way; it is not followed"
            raise NotADirectoryError(errno.ENOTDIR, why, path) from error
        raise
    finally:
        os.close(base)


def open_regular(folder: int, name: str) -> int:
    """Opens a file in a folder for reading, if it is an ordinary file with this one name.

    Raises:
        FileNotFoundError: it is not there, or overlay2 says that it was deleted.
        Rejected: it is something else.
        OSError: it cannot be opened now.
    """
    # To open a device does something to it (a watchdog restarts the host): first looked at.
    looked = os.open(name, os.O_PATH | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=folder)
    try:
        if (why := objection(os.fstat(looked))) is not None:
            raise Rejected(f"{name!r:.80} {why}")
        flags = os.O_RDONLY | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC
        return os.open(f"/proc/self/fd/{looked}", flags)
    finally:
        os.close(looked)


def objection(status: os.stat_result) -> str | None:
    """Why it is not read; None when nothing speaks against it.

    Raises:
        FileNotFoundError: overlay2 says that it was deleted.
    """
    if stat.S_ISCHR(status.st_mode) and status.st_rdev == 0:
        # A whiteout (kernel, filesystems/overlayfs).
        raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT))
    if not stat.S_ISREG(status.st_mode):
        return "is no regular file, and is not opened"
    if status.st_nlink == 0:
        raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT))
    if status.st_nlink > 1:
        return f"has {status.st_nlink} names (hard links), and is not read"
    return None


def identity_of(descriptor: int) -> Identity:
    """The identity of an open file."""
    return _identity(descriptor, b"", AT_EMPTY_PATH, os.fstat(descriptor))


def identity_at(folder: int, name: str, status: os.stat_result) -> Identity:
    """The identity of a file that is not opened; `status` is its own."""
    return _identity(folder, os.fsencode(name), AT_SYMLINK_NOFOLLOW, status)


def _identity(descriptor: int, name: bytes, flags: int, status: os.stat_result) -> Identity:
    told = ctypes.create_string_buffer(STATX_BYTES)
    born = 0
    if _LIBC.statx(descriptor, name, flags, STATX_BTIME, told) == 0:
        (mask,) = struct.unpack_from("=I", told.raw)
        if mask & STATX_BTIME:
            seconds, nanoseconds = struct.unpack_from("=qI", told.raw, STATX_BTIME_AT)
            born = seconds * 10**9 + nanoseconds
    text = f"{status.st_ino}:{born}".encode()
    stamp = hashlib.blake2b(text, digest_size=STAMP_BYTES).hexdigest()
    return Identity(status.st_dev, status.st_ino, stamp)
