"""The folder of the push socket: closed to everybody else, and there again after a reboot."""

import os
import stat
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from discovery.builtin.config import MAX_SOCKET_BYTES
from wharfinger.errors import Rejected
from wharfinger.files import write_atomically

PRIVATE: Final = 0o700
TMPFILES: Final = Path("/etc/tmpfiles.d")
# Ours comes with the package, or with `wharfinger install` (tmpfiles.d(5)).
SHIPPED: Final = (Path("/usr/lib/tmpfiles.d"), Path("/usr/local/lib/tmpfiles.d"))
VOLATILE: Final = (Path("/run"), Path("/var/run"))


def prepare(socket: Path, *, tmpfiles: Path = TMPFILES, shipped: Sequence[Path] = SHIPPED) -> None:
    """Makes the socket's folder, if need be, so that none but its owner can get to the socket.

    Nginx gives its sockets mode 0666 (ngx_open_listening_sockets): only the folder can close
    them. And at a boot Nginx starts before discovery does: a folder below /run must be made by
    systemd-tmpfiles, or Nginx would not start at all.

    Raises:
        Rejected: push mode is not safe with this path, and why.
    """
    folder = socket.parent
    try:
        if not folder.exists() and not problem(socket):
            folder.parent.mkdir(parents=True, exist_ok=True)
            folder.mkdir(mode=PRIVATE)
        if why := problem(socket):
            raise Rejected(why)
        _outlast_a_boot(folder, tmpfiles, shipped)
    except OSError as error:
        raise Rejected(f"{error.filename}: {error.strerror}") from error


def problem(socket: Path) -> str:
    """Why the socket must not be there; empty when it may. Looks only.

    Raises:
        OSError: it cannot be seen.
    """
    folder = socket.parent
    if len(os.fsencode(socket)) > MAX_SOCKET_BYTES:
        return f"{socket} is longer than {MAX_SOCKET_BYTES} bytes: set push_socket"
    try:
        seen = folder.lstat()
    except FileNotFoundError:
        return ""  # it will be made
    if not stat.S_ISDIR(seen.st_mode) or seen.st_mode & 0o077:
        return f"{folder} is open to others: chmod 700 {folder}"
    if seen.st_uid not in (0, os.geteuid()):
        return f"{folder} belongs to somebody else: chown it to root"
    return ""


def _outlast_a_boot(folder: Path, tmpfiles: Path, shipped: Sequence[Path]) -> None:
    volatile = any(folder.is_relative_to(root) for root in VOLATILE)
    if not volatile or not tmpfiles.is_dir():
        return  # without systemd-tmpfiles nothing starts before us by itself
    line = f"d {folder} 0700 root root\n"
    path = tmpfiles / "wharfinger-nginx.conf"
    # One that runs as a user may not write there, and need not.
    for each in (path, *(known / "wharfinger.conf" for known in (tmpfiles, *shipped))):
        if each.is_file() and line in each.read_text(encoding="utf-8", errors="replace"):
            return
    told = "# Nginx listens here for discovery; without this folder it would not start at a boot.\n"
    write_atomically(path, (told + line).encode())
