"""The root folder of a host, its own or that of an image, of which no link leads out."""

import fcntl
import os
import shutil
import stat
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Final

from wharfinger.errors import Conflict
from wharfinger.files import sync_folder, write_atomically
from wharfinger.openat2 import RESOLVE_IN_ROOT, openat2
from wharfinger.operator.install.model import File, Present

FOLDER_MODE: Final = 0o755
LOCK: Final = ".installing"
LOCK_MODE: Final = 0o700
LOCK_ATTEMPTS: Final = 100
MODE_BITS: Final = 0o7777
MAX_BYTES: Final = 16 * 2**20


class Root:
    """Files of one host.

    Args:
        path: its root folder.

    Raises:
        OSError: there is no such folder.
    """

    def __init__(self, path: Path) -> None:
        self.path = path.resolve(strict=True)
        self._descriptor = os.open(self.path, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)

    def close(self) -> None:
        """Lets go of it."""
        os.close(self._descriptor)

    @property
    def live(self) -> bool:
        """Whether it is that of the machine we run on."""
        return self.path == Path("/")

    @property
    def kernel(self) -> str:
        """The release of the kernel that it runs by; empty where it does not run."""
        return os.uname().release if self.live else ""

    @contextmanager
    def folder(self, path: str, *, make: bool = False) -> Iterator[Path]:
        """A folder as a path that stays valid whatever is renamed above it.

        Args:
            path: absolute, as the host sees it.
            make: it and those above it, where they are not there.

        Raises:
            OSError: it is not there, or is no folder.
        """
        descriptor = self._opened(path, make=make)
        try:
            yield Path(f"/proc/self/fd/{descriptor}")
        finally:
            os.close(descriptor)

    @contextmanager
    def alone(self, path: str) -> Iterator[None]:
        """Keeps other installations away meanwhile, by a lock in a folder.

        It is on a folder of its own, which is there as long: whoever can open a folder can lock it
        (flock(2)), and all users can open the one that it is in.

        Raises:
            Conflict: one is under way.
            OSError: the folder cannot be made.
        """
        descriptor = self._locked(path)
        try:
            yield
        finally:
            with suppress(OSError), self.folder(path) as folder:
                (folder / LOCK).rmdir()
            os.close(descriptor)
            self._remove_empty(path)

    def _locked(self, path: str) -> int:
        for left in reversed(range(LOCK_ATTEMPTS)):
            try:
                descriptor = self._to_lock(path)
            except FileNotFoundError:
                if left:
                    continue  # who has just ended has removed it
                raise
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
                with suppress(FileNotFoundError), self.folder(path) as folder:
                    if os.path.samestat(os.fstat(descriptor), (folder / LOCK).lstat()):
                        return descriptor
            except BlockingIOError:
                os.close(descriptor)
                break
            os.close(descriptor)
        raise Conflict(f"another installation holds {path}: wait for it")

    def _to_lock(self, path: str) -> int:
        with self.folder(path, make=True) as folder:
            place = folder / LOCK
            with suppress(FileExistsError):
                place.mkdir(mode=LOCK_MODE)
            return os.open(place, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)

    def present(self, path: str) -> Present | None:
        """What is at a place; None where nothing is.

        Raises:
            OSError: it cannot be read.
        """
        with suppress(FileNotFoundError, NotADirectoryError), self._beside(path) as place:
            found = place.lstat()
            group = self.group_name(found.st_gid)
            mode = found.st_mode & MODE_BITS
            if stat.S_ISREG(found.st_mode):
                descriptor = os.open(place, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC)
                with os.fdopen(descriptor, "rb") as file:
                    return Present(file.read(MAX_BYTES), mode, group)
            kinds = {stat.S_IFLNK: "link", stat.S_IFDIR: "folder"}
            return Present(None, mode, group, kinds.get(stat.S_IFMT(found.st_mode), "other"))
        return None

    def write(self, file: File) -> None:
        """Puts a file in place, whole or not at all; a link there is replaced.

        Raises:
            OSError: nothing was changed.
        """
        gid = self.group_id(file.group)
        with self._beside(file.path, make=True) as place:
            _remove_torn(place)
            write_atomically(place, file.data, mode=file.mode, owner=(os.geteuid(), gid))

    def give(self, path: str, mode: int, group: str) -> None:
        """Gives a file a mode and a group.

        Raises:
            OSError: it is no file of ours, or the rights are refused.
        """
        gid = self.group_id(group)
        with self._beside(path) as place:
            descriptor = os.open(place, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC)
            try:
                os.fchown(descriptor, -1, gid)
                os.fchmod(descriptor, mode)
            finally:
                os.close(descriptor)

    def remove(self, path: str) -> None:
        """Removes a file, or a folder with all in it; and folders of ours that are then empty.

        Raises:
            OSError: something of it cannot be removed.
        """
        with suppress(FileNotFoundError, NotADirectoryError), self._beside(path) as place:
            if place.is_dir() and not place.is_symlink():
                shutil.rmtree(place)
            else:
                place.unlink()
            sync_folder(place.parent)
        self._remove_empty(path.rpartition("/")[0])

    def group_id(self, name: str) -> int:
        """The number of a group.

        Raises:
            OSError: there is no such group.
        """
        if name.isdecimal():
            return int(name)
        for fields in self._lines("/etc/group"):
            if fields[0] == name:
                return int(fields[2])
        if name == "root":
            return 0
        raise OSError(0, f"there is no group {name}", "/etc/group")

    def group_name(self, number: int) -> str:
        """The name of a group, or its number where it has none."""
        for fields in self._lines("/etc/group"):
            if fields[2] == str(number):
                return fields[0]
        return "root" if number == 0 else str(number)

    def accounts(self) -> frozenset[str]:
        """The names of users and groups."""
        both = (*self._lines("/etc/passwd"), *self._lines("/etc/group"))
        return frozenset(fields[0] for fields in both)

    def names(self, folder: str) -> tuple[str, ...]:
        """What is in a folder, sorted; nothing where there is none."""
        with suppress(FileNotFoundError, NotADirectoryError), self.folder(folder) as place:
            return tuple(sorted(each.name for each in place.iterdir()))
        return ()

    def text(self, path: str) -> str | None:
        """A text, links within the root followed; None where there is none."""
        data = self.content(path)
        return None if data is None else data.decode(errors="replace")

    def content(self, path: str) -> bytes | None:
        """What a file holds, links within the root followed; None where there is none."""
        with suppress(OSError):
            descriptor = openat2(self._descriptor, path, os.O_RDONLY, resolve=RESOLVE_IN_ROOT)
            with os.fdopen(descriptor, "rb") as file:
                return file.read(MAX_BYTES)
        return None

    def has(self, path: str) -> bool:
        """Whether something is there, links within the root followed."""
        try:
            os.close(openat2(self._descriptor, path, os.O_PATH, resolve=RESOLVE_IN_ROOT))
        except OSError:
            return False
        return True

    def _lines(self, path: str) -> Iterator[list[str]]:
        for line in (self.text(path) or "").splitlines():
            fields = line.split(":")
            if len(fields) > 2 and fields[2].isdecimal():  # noqa: PLR2004 - name:password:number
                yield fields

    @contextmanager
    def _beside(self, path: str, *, make: bool = False) -> Iterator[Path]:
        folder, _, name = path.rpartition("/")
        with self.folder(folder or "/", make=make) as above:
            yield above / name

    def _opened(self, path: str, *, make: bool) -> int:
        flags = os.O_PATH | os.O_DIRECTORY
        try:
            return openat2(self._descriptor, path, flags, resolve=RESOLVE_IN_ROOT)
        except FileNotFoundError:
            if not make:
                raise
        above, _, name = path.rpartition("/")
        with self.folder(above or "/", make=True) as parent:
            with suppress(FileExistsError):
                (parent / name).mkdir(mode=FOLDER_MODE)
                (parent / name).chmod(FOLDER_MODE)  # whatever our umask is
            sync_folder(parent)
        return openat2(self._descriptor, path, flags, resolve=RESOLVE_IN_ROOT)

    def _remove_empty(self, path: str) -> None:
        # Those of others stay, even if we leave one empty.
        while "wharfinger" in path:
            above, _, name = path.rpartition("/")
            try:
                with self.folder(above or "/") as parent:
                    (parent / name).rmdir()
            except OSError:
                return
            path = above


def _remove_torn(place: Path) -> None:
    """Removes what a killed run has left of the file beside it."""
    for each in place.parent.glob(f".{place.name[:40]}.????????"):
        with suppress(OSError):
            each.unlink()
