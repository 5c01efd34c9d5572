"""The one system call that opens a path without following what somebody planted on it."""

import ctypes
import errno
import os
import re
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

# openat2(2), linux/openat2.h; the number is the same on every architecture but Alpha.
SYS_OPENAT2: Final = 437
RESOLVE_NO_XDEV: Final = 0x01
RESOLVE_NO_MAGICLINKS: Final = 0x02
RESOLVE_NO_SYMLINKS: Final = 0x04
RESOLVE_BENEATH: Final = 0x08
RESOLVE_IN_ROOT: Final = 0x10
RESOLVE_TIGHT: Final = RESOLVE_IN_ROOT | RESOLVE_NO_SYMLINKS | RESOLVE_NO_MAGICLINKS
EAGAIN_ATTEMPTS: Final = 16
FOLDER: Final = os.O_PATH | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_MOUNT: Final = re.compile(r"^mnt_id:\t([0-9]+)$", re.ASCII | re.MULTILINE)

_LIBC: Final = ctypes.CDLL(None, use_errno=True)


class _OpenHow(ctypes.Structure):
    _fields_ = (
        ("flags", ctypes.c_uint64),
        ("mode", ctypes.c_uint64),
        ("resolve", ctypes.c_uint64),
    )


def openat2(folder: int, path: str, flags: int, *, mode: int = 0, resolve: int) -> int:
    """Opens a path of which every component obeys `resolve`, as the system call does.

    Where the call is not to be had (Linux before 5.6; a filter that cannot look into its arguments,
    as systemd's RestrictSUIDSGID=) the path is walked one component at a time: then it may have no
    "..", and links are refused whatever `resolve` says.

    Raises:
        OSError: as the kernel says; ELOOP for a link, EXDEV for a way out.
    """
    how = _OpenHow(flags | os.O_CLOEXEC, mode, resolve)
    for _ in range(EAGAIN_ATTEMPTS):
        descriptor: int = _LIBC.syscall(
            SYS_OPENAT2, folder, os.fsencode(path), ctypes.byref(how), ctypes.sizeof(how)
        )
        if descriptor >= 0:
            return descriptor
        number = ctypes.get_errno()
        # EAGAIN: something was renamed while the kernel made sure that we stay inside the root.
        if number not in (errno.EAGAIN, errno.EINTR):
            break
    if number == errno.ENOSYS:
        return walked(folder, path, flags, mode=mode, resolve=resolve)
    raise OSError(number, os.strerror(number), path)


def walked(folder: int, path: str, flags: int, *, mode: int = 0, resolve: int) -> int:
    """The same by openat(2) alone: no component is a link, and each is opened in the one before.

    Raises:
        OSError: as `openat2` says it.
    """
    if path.startswith("/") and not resolve & RESOLVE_IN_ROOT:
        raise OSError(errno.EXDEV, os.strerror(errno.EXDEV), path)
    *above, last = [name for name in path.split("/") if name not in {"", "."}] or ["."]
    if ".." in {*above, last}:
        raise OSError(errno.EXDEV, os.strerror(errno.EXDEV), path)
    stay = _mount(folder) if resolve & RESOLVE_NO_XDEV else None
    here = os.dup(folder)
    try:
        for name in above:
            with _told_as_a_link(here, name):
                inner = os.open(name, FOLDER, dir_fd=here)
            os.close(here)
            here = inner
            _require(here, stay, path)
        return _last(here, last, flags, mode, stay)
    finally:
        os.close(here)


def _last(folder: int, name: str, flags: int, mode: int, stay: int | None) -> int:
    if stay is not None and not flags & os.O_EXCL:
        # What is mounted there is not opened: to look at the place does nothing to it.
        place = os.open(name, os.O_PATH | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=folder)
        try:
            _require(place, stay, name)
        finally:
            os.close(place)
    with _told_as_a_link(folder, name):
        opened = os.open(name, flags | os.O_NOFOLLOW | os.O_CLOEXEC, mode, dir_fd=folder)
    try:
        _require(opened, stay, name)
    except BaseException:
        os.close(opened)
        raise
    return opened


@contextmanager
def _told_as_a_link(folder: int, name: str) -> Iterator[None]:
    """Says ELOOP where O_DIRECTORY makes the kernel say that a link is no folder."""
    try:
        yield
    except NotADirectoryError as error:
        if stat.S_ISLNK(os.stat(name, dir_fd=folder, follow_symlinks=False).st_mode):
            raise OSError(errno.ELOOP, os.strerror(errno.ELOOP), name) from error
        raise


def _require(descriptor: int, stay: int | None, path: str) -> None:
    if stay is not None and _mount(descriptor) != stay:
        raise OSError(errno.EXDEV, os.strerror(errno.EXDEV), path)


def _mount(descriptor: int) -> int:
    """Which mount it is in (proc(5), fdinfo): two of one file system have one device."""
    found = _MOUNT.search(Path(f"/proc/self/fdinfo/{descriptor}").read_text(encoding="ascii"))
    if found is None:
        raise OSError(errno.ENOSYS, "this kernel does not tell mounts apart")
    return int(found[1])
