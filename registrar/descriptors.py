"""Which sockets a process has open, of another user's process too."""

import re
import socket
from collections.abc import Iterator
from contextlib import suppress
from functools import cache
from pathlib import Path
from typing import Final

_LINK: Final = re.compile(r"socket:\[([0-9]+)\]", re.ASCII)
# proc(5), /proc/PID/fdinfo: what each descriptor is of.
_MOUNT: Final = re.compile(rb"^mnt_id:\t([0-9]+)$", re.MULTILINE)
_INODE: Final = re.compile(rb"^ino:\t([0-9]+)$", re.MULTILINE)
# Both stand at the beginning; behind them an epoll tells of each of a million connections.
_HEAD_BYTES: Final = 256


def sockets_of(process: Path) -> Iterator[int]:
    """The inodes of its open sockets, by the number of the descriptor; none once it has ended.

    The links of another user's process are shown to who may override that (CAP_DAC_READ_SEARCH);
    what stands beside them, to who may trace it (CAP_SYS_PTRACE).

    Args:
        process: its folder, /proc/PID.
    """
    with suppress(OSError):
        try:
            descriptors = list((process / "fd").iterdir())
        except PermissionError:
            yield from _told(process / "fdinfo")
            return
        for descriptor in descriptors:
            # The link's text, not stat(): a socket file of that inode number can be planted.
            with suppress(OSError):
                if match := _LINK.fullmatch(str(descriptor.readlink())):
                    yield int(match[1])


def are_told() -> bool:
    """Whether this kernel tells who may trace a process of its sockets: Linux 5.14 and newer."""
    return _mount_of_sockets() is not None


def _told(folder: Path) -> Iterator[int]:
    ours = _mount_of_sockets()
    if ours is None:
        return
    for descriptor in folder.iterdir():
        with suppress(OSError):
            mount, inode = _head(descriptor)
            # All sockets are in one mount, which is the kernel's own: a file that was planted with
            # a socket's inode number is in another.
            if mount == ours and inode is not None:
                yield inode


@cache
def _mount_of_sockets() -> int | None:
    """The mount that all sockets are in; None where the kernel tells no inodes."""
    with socket.socket(socket.AF_UNIX) as one:
        mount, inode = _head(Path(f"/proc/self/fdinfo/{one.fileno()}"))
    return mount if inode is not None else None


def _head(descriptor: Path) -> tuple[int | None, int | None]:
    """The mount and the inode that a descriptor is of, as far as they are told."""
    with descriptor.open("rb", buffering=0) as file:
        text = file.read(_HEAD_BYTES)
    mount, inode = _MOUNT.search(text), _INODE.search(text)
    return int(mount[1]) if mount else None, int(inode[1]) if inode else None
