"""Work with few of root's rights, in a process of its own."""

import codecs
import ctypes
import os
import struct
import traceback
from collections.abc import Callable
from typing import Final

from wharfinger.capabilities import NUMBERS

_PR_SET_KEEPCAPS: Final = 8  # linux/prctl.h
_VERSION_3: Final = 0x20080522  # linux/capability.h
_LIBC: Final = ctypes.CDLL(None, use_errno=True)


def with_only(work: Callable[[], None], *capabilities: str, uid: int = 0) -> None:
    """Does the work as a user who has just these capabilities, be it root.

    Raises:
        AssertionError: the work raised; its traceback is the message.
    """
    codecs.lookup("ascii")  # the interpreter may lie where such a user cannot read it later
    read, write = os.pipe()
    pid = os.fork()
    if not pid:
        told = b""
        try:
            _keep(capabilities, uid)
            work()
        except BaseException:  # noqa: BLE001 - nothing may leave the child but this
            told = traceback.format_exc().encode()
        os.write(write, told[-60_000:])
        os._exit(0)
    os.close(write)
    with os.fdopen(read) as said:
        wrong = said.read()
    os.waitpid(pid, 0)
    if wrong:
        raise AssertionError(wrong)


def _keep(capabilities: tuple[str, ...], uid: int) -> None:
    _LIBC.prctl(_PR_SET_KEEPCAPS, 1, 0, 0, 0)
    os.setresuid(uid, uid, uid)
    kept = sum(1 << NUMBERS[each] for each in capabilities)
    # Of the first 32: effective, permitted, inheritable; then the same of the others.
    if _LIBC.capset(struct.pack("=Ii", _VERSION_3, 0), struct.pack("=6I", kept, kept, 0, 0, 0, 0)):
        raise OSError(ctypes.get_errno(), "capset")
