"""The one system call that opens a path without following what somebody planted on it."""

import ctypes
import errno
import os
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

_LIBC: Final = ctypes.CDLL(None, use_errno=True)


class _OpenHow(ctypes.Structure):
    _fields_ = (
        ("flags", ctypes.c_uint64),
        ("mode", ctypes.c_uint64),
        ("resolve", ctypes.c_uint64),
    )


def openat2(folder: int, path: str, flags: int, *, mode: int = 0, resolve: int) -> int:
    """Opens a path of which every component obeys `resolve`, as the system call does.

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
    raise OSError(number, os.strerror(number), path)
