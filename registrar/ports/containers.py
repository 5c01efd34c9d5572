"""Writes into a container's own /dev/shm, following no path that it planted."""

import ctypes
import errno
import os
import secrets
import stat
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from registrar.sockets import of_container
from wharfinger.errors import Rejected, Unavailable
from wharfinger.openat2 import RESOLVE_NO_XDEV, RESOLVE_TIGHT, openat2

FOLDER: Final = "dev/shm"
FILE: Final = "wharfinger.port"
SERVING: Final = "wharfinger.serving"
FILE_MODE: Final = 0o644  # the application may run as any user
MAX_BYTES: Final = 64
MAX_ENVIRONMENT_BYTES: Final = 2**20
HOST_INIT: Final = "1"

FOR_ITS_OWNER: Final = (
    "its /dev/shm is for its owner alone: mount it with mode=1777, or set the label wharfinger.port"
)
TMPFS_MAGIC: Final = 0x01021994  # statfs(2)

_LIBC: Final = ctypes.CDLL(None, use_errno=True)


class _Statfs(ctypes.Structure):
    # The first field is f_type, a word, on every architecture that Linux has 64 bits on.
    _fields_ = (("type", ctypes.c_long), ("rest", ctypes.c_byte * 248))


@dataclass(frozen=True, slots=True)
class Told:
    """What the file in a container says."""

    port: int
    drain_seconds: int

    def encode(self) -> bytes:
        """Its two lines, as `with-port` reads them."""
        return f"{self.port}\n{self.drain_seconds}\n".encode()


def tell(container_id: str, pid: int, told: Told, *, proc: Path = Path("/proc")) -> None:
    """Writes the port and the drain seconds into a running container.

    The file appears whole or not at all. Nothing that the container has put at any part of the
    path is followed, opened for writing, or waited for.

    Args:
        container_id: whose process `pid` must be, which is checked.
        pid: of its first process.
        told: what to write.
        proc: where the process file system is.

    Raises:
        Rejected: it cannot be done for this container; the reason is for its owner.
        Unavailable: the process has ended meanwhile.
    """
    with _shared_memory(container_id, pid, proc) as folder:
        _write(folder, FILE, told.encode())


def tell_serving(container_id: str, pid: int, *, proc: Path = Path("/proc")) -> None:
    """Writes into a running container that requests are sent to it now, as `tell` does.

    Raises:
        Rejected: it cannot be done for this container; the reason is for its owner.
        Unavailable: the process has ended meanwhile.
    """
    with _shared_memory(container_id, pid, proc) as folder:
        _write(folder, SERVING, b"")


def take_back_serving(container_id: str, pid: int, *, proc: Path = Path("/proc")) -> None:
    """Removes from a running container what `tell_serving` has written.

    Raises:
        Rejected: it cannot be done for this container; the reason is for its owner.
        Unavailable: the process has ended meanwhile.
    """
    with _shared_memory(container_id, pid, proc) as folder:
        try:
            os.unlink(SERVING, dir_fd=folder)
        except FileNotFoundError:
            pass
        except OSError as error:
            raise Rejected(f"{SERVING} cannot be removed: {error.strerror}") from error


def read_told(container_id: str, pid: int, *, proc: Path = Path("/proc")) -> Told | None:
    """What this run of the container was told; None when it was not, or the file is damaged.

    Raises:
        Rejected: its /dev/shm cannot be used; the reason is for its owner.
        Unavailable: the process has ended meanwhile.
    """
    with _shared_memory(container_id, pid, proc) as folder:
        # Non-blocking: in place of the file there may be a FIFO that nobody ever writes to.
        flags = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_NOCTTY
        try:
            descriptor = openat2(folder, FILE, flags, resolve=RESOLVE_TIGHT | RESOLVE_NO_XDEV)
        except OSError:
            return None
        try:
            if not stat.S_ISREG(os.fstat(descriptor).st_mode):
                return None
            return _parse(os.read(descriptor, MAX_BYTES))
        finally:
            os.close(descriptor)


def read_environment(container_id: str, pid: int, *, proc: Path = Path("/proc")) -> Told | None:
    """What the runtime put into the container's environment; None when there is no PORT in it.

    The process can have changed what is read here: it is its own word, as the file is.

    Raises:
        Unavailable: the process has ended meanwhile.
    """
    with _opened_process(container_id, pid, proc) as process:
        try:
            descriptor = os.open("environ", os.O_RDONLY | os.O_CLOEXEC, dir_fd=process)
            with os.fdopen(descriptor, "rb") as file:
                variables = file.read(MAX_ENVIRONMENT_BYTES).split(b"\0")
        except OSError as error:
            raise Unavailable(f"process {pid} has ended") from error
    for variable in variables:
        if variable.startswith(b"PORT="):
            return _parse(variable.removeprefix(b"PORT=") + b"\n0\n")
    return None


@contextmanager
def _shared_memory(container_id: str, pid: int, proc: Path) -> Iterator[int]:
    """Opens the container's own /dev/shm."""
    with (
        _opened_process(container_id, pid, proc) as process,
        _opened_root(process, pid, proc) as root,
    ):
        try:
            folder = openat2(root, FOLDER, os.O_RDONLY | os.O_DIRECTORY, resolve=RESOLVE_TIGHT)
        except OSError as error:
            raise Rejected(_why_no_folder(error)) from error
        try:
            _require_own(container_id, root, folder, proc)
            yield folder
        finally:
            os.close(folder)


@contextmanager
def _opened_process(container_id: str, pid: int, proc: Path) -> Iterator[int]:
    """Opens /proc/<pid>, which stands for this process even when its number is used again."""
    try:
        process = os.open(proc / str(pid), os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    except OSError as error:
        raise Unavailable(f"process {pid} has ended") from error
    try:
        cgroup = os.open("cgroup", os.O_RDONLY | os.O_CLOEXEC, dir_fd=process)
        # A group's name is any bytes but a slash and a newline, and the container may choose it.
        with os.fdopen(cgroup, "rb") as file:
            text = file.read().decode(errors="surrogateescape")
        if not of_container(container_id, text):
            raise Unavailable(f"process {pid} is not of container {container_id[:12]} any more")
        yield process
    except (ProcessLookupError, FileNotFoundError) as error:
        raise Unavailable(f"process {pid} has ended") from error
    except OSError as error:
        raise Unavailable(f"process {pid} cannot be looked into: {error.strerror}") from error
    finally:
        os.close(process)


@contextmanager
def _opened_root(process: int, pid: int, proc: Path) -> Iterator[int]:
    try:
        root = os.open("root", os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC, dir_fd=process)
    except OSError as error:
        raise Unavailable(
            f"the root of process {pid} cannot be opened: {error.strerror}"
        ) from error
    try:
        if any(os.path.samestat(each, os.fstat(root)) for each in _host_roots(proc)):
            raise Unavailable(f"process {pid} has not entered its container yet")
        yield root
    finally:
        os.close(root)


def _host_roots(proc: Path) -> Iterator[os.stat_result]:
    """The root folders of the host: ours, and that of its init where we are in a container."""
    for root in (Path("/"), proc / HOST_INIT / "root"):
        with suppress(OSError):  # a host that hides its processes; ours is the same there
            yield root.stat()


def _mounts(proc: Path) -> Iterator[bytes]:
    """What is mounted on the host, by line: seen from here, and by its init.

    In a container of ours the host's own /dev/shm is not mounted, nor those of other containers.
    """
    # A carriage return may be part of a name: the kernel ends lines with b"\n" alone.
    yield (proc / "self" / "mountinfo").read_bytes().rstrip(b"\n")
    with suppress(OSError):
        yield (proc / HOST_INIT / "mountinfo").read_bytes().rstrip(b"\n")


def _require_own(container_id: str, root: int, folder: int, proc: Path) -> None:
    """Refuses a /dev/shm that is on disk, or that the host or another container has, too."""
    device = os.fstat(folder).st_dev
    if device == os.fstat(root).st_dev or _filesystem(folder) != TMPFS_MAGIC:
        raise Rejected(
            "its /dev/shm is no tmpfs of its own, so that the port cannot be told: "
            "do not run it with --ipc=none, or set the label wharfinger.port"
        )
    number = f" {os.major(device)}:{os.minor(device)} ".encode()
    # Hundreds of containers have a thousand mounts: where it stands in none, none is taken apart.
    lines = (line for mounts in _mounts(proc) if number in mounts for line in mounts.split(b"\n"))
    for line in lines:
        _, _, found, _, mount_point, *_ = line.split(b" ")
        # A shareable one is mounted at <data root>/containers/<id>/mounts/shm, too.
        if found == number.strip() and container_id.encode() not in mount_point:
            raise Rejected(
                "its /dev/shm is not its own but the host's or another container's: do not run "
                "it with --ipc=host or --ipc=container:, or set the label wharfinger.port"
            )


def _filesystem(descriptor: int) -> int:
    told = _Statfs()
    if _LIBC.fstatfs(descriptor, ctypes.byref(told)) != 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))
    return int(told.type)


def _why_no_folder(error: OSError) -> str:
    match error.errno:
        case errno.ELOOP:
            return "its /dev/shm is reached through a symbolic link, which is never followed"
        case errno.ENOENT | errno.ENOTDIR:
            return "it has no /dev/shm: do not run it with --ipc=none"
        case errno.EACCES:
            return FOR_ITS_OWNER
        case _:
            return f"its /dev/shm cannot be opened: {error.strerror}"


def _write(folder: int, name: str, data: bytes) -> None:
    staged = f".{name}.{secrets.token_hex(8)}"
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW
    try:
        descriptor = openat2(
            folder, staged, flags, mode=FILE_MODE, resolve=RESOLVE_TIGHT | RESOLVE_NO_XDEV
        )
        try:
            with os.fdopen(descriptor, "wb") as file:
                os.fchmod(file.fileno(), FILE_MODE)  # whatever our umask is
                file.write(data)
            # rename(2) replaces a link, FIFO or file as it is, and opens none of them.
            os.rename(staged, name, src_dir_fd=folder, dst_dir_fd=folder)
        except BaseException:
            with suppress(OSError):
                os.unlink(staged, dir_fd=folder)
            raise
    except OSError as error:
        raise Rejected(_why_not_written(error, name)) from error


def _why_not_written(error: OSError, name: str) -> str:
    # A folder of tmpfs(5) is for all to write to unless somebody says otherwise.
    if error.errno == errno.EACCES:
        return FOR_ITS_OWNER
    match error.errno:
        case errno.EISDIR | errno.ENOTEMPTY | errno.EEXIST:
            return f"a folder stands where {name} belongs in its /dev/shm"
        case errno.ENOSPC | errno.EDQUOT:
            return "its /dev/shm is full: give it more with --shm-size"
        case errno.EROFS:
            return "its /dev/shm is read-only"
        case errno.EOVERFLOW:
            return "it runs in a user namespace in which our user does not exist"
        case _:
            return f"{name} cannot be written to its /dev/shm: {error.strerror}"


def _parse(data: bytes) -> Told | None:
    lines = data.decode("ascii", "replace").split("\n")
    if len(lines) != len(("port", "drain seconds", "")) or lines[-1]:
        return None
    if not all(line.isdecimal() and line.isascii() for line in lines[:2]):
        return None
    port, drain_seconds = map(int, lines[:2])
    return Told(port, drain_seconds) if 0 < port < 2**16 else None
