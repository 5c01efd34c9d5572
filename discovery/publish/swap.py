"""One destination file: a new content staged beside it, swapped in, and the way back."""

import contextlib
import errno
import os
import stat
from dataclasses import dataclass
from pathlib import Path

from discovery.resources.resources import Resource
from wharfinger.files import DEFAULT_MODE, PRIVATE_MODE, sync_folder, write_atomically


@dataclass(frozen=True, slots=True)
class Swap:
    """The destination of a resource.

    Every name beside it is hidden and ends otherwise, so that no `*.conf` finds it.

    Attributes:
        dest: the file.
    """

    dest: Path

    @property
    def staged(self) -> Path:
        """The new content, before it is swapped in."""
        return self.dest.with_name(f".{self.dest.name}.staged")

    @property
    def before(self) -> Path:
        """The file as it was, while the new one is in doubt."""
        return self.dest.with_name(f".{self.dest.name}.before")

    @property
    def content(self) -> bytes | None:
        """What the file holds; None where there is no file, or something that is none.

        A link, a pipe or a device is not read: who reads a pipe waits for its writer, and some
        devices have no end.
        """
        try:
            found = self.dest.lstat()
            return self.dest.read_bytes() if stat.S_ISREG(found.st_mode) else None
        except OSError:
            return None

    def stage(self, content: bytes, resource: Resource) -> None:
        """Writes the new content beside the file, with its mode and owner.

        It is not on disk before `sync`: a check may run meanwhile.

        Raises:
            OSError: nothing was changed.
        """
        if resource.mkdir:
            self.dest.parent.mkdir(parents=True, exist_ok=True)
        if self.dest.is_dir() and not self.dest.is_symlink():
            # Docker makes one where a file that it shall mount is missing. One that holds
            # anything is somebody's: the error names it, and it stays.
            self.dest.rmdir()
        there = self._stat()
        mode, uid, gid = resource.mode, resource.uid, resource.gid
        if mode is None:
            mode = there.st_mode & 0o7777 if there else DEFAULT_MODE
        if uid is None:
            uid = there.st_uid if there else os.geteuid()
        if gid is None:
            gid = there.st_gid if there else os.getegid()
        # Made anew and private: it may hold secrets, and what a crash or somebody else has left
        # there may be readable to all, or be another name of another file.
        self.staged.unlink(missing_ok=True)
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW
        descriptor = os.open(self.staged, flags, PRIVATE_MODE)
        with os.fdopen(descriptor, "wb") as file:
            file.write(content)
            file.flush()
            os.fchown(file.fileno(), uid, gid)
            os.fchmod(file.fileno(), mode)

    def sync(self) -> None:
        """Waits until the staged content is on disk; no rename may come before that.

        Its folder is not synced: a staged file that a crash forgets is no loss.

        Raises:
            OSError: it is not.
        """
        descriptor = os.open(self.staged, os.O_RDONLY | os.O_NOFOLLOW)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)

    def remember(self) -> bool:
        """Holds on to the file as it is; says whether there is one.

        A second name for it costs no space: to go back must work on a full disk.
        """
        self.before.unlink(missing_ok=True)
        if self._stat() is None:
            return False
        try:
            # A link to a file is held on to as the link that it is.
            os.link(self.dest, self.before, follow_symlinks=False)
        except OSError:
            _copy(self.dest, self.before)  # a file system without links
        return True

    def back_up(self) -> None:
        """Keeps the file as it is beside it, for people, with its mode and owner."""
        _copy(self.dest, self.dest.with_name(f"{self.dest.name}.bak"))

    def swap(self) -> None:
        """Puts the staged content into the file's place, atomically.

        That is made durable by `forget`: until then a crash may as well undo it.

        Raises:
            OSError: the file is as it was.
        """
        try:
            self.staged.replace(self.dest)
        except OSError as error:
            if error.errno != errno.EBUSY:
                raise
            _overwrite(self.dest, self.staged.read_bytes(), like=self.staged.stat())
            self.staged.unlink()

    def put_back(self, good: bytes | None, *, existed: bool) -> None:
        """Puts the last good content back, or the file as it was, or no file.

        Args:
            good: what served last, where that is known: the file may have been edited since.
            existed: whether there was a file before the swap.

        Raises:
            OSError: it cannot be done; the file is whatever it was.
        """
        self.staged.unlink(missing_ok=True)
        if not existed and good is None:
            self.dest.unlink(missing_ok=True)
            return
        if good is not None and not self._was(good):
            with contextlib.suppress(OSError):
                self._write(good)
                return
        try:
            self.before.replace(self.dest)
        except OSError as error:
            if error.errno != errno.EBUSY:
                raise
            _overwrite(self.dest, self.before.read_bytes(), like=self.before.stat())
        sync_folder(self.dest.parent)

    def forget(self) -> None:
        """Lets go of the file as it was."""
        with contextlib.suppress(OSError):
            self.before.unlink(missing_ok=True)
            self.staged.unlink(missing_ok=True)
            sync_folder(self.dest.parent)

    def _was(self, content: bytes) -> bool:
        try:
            return self.before.read_bytes() == content
        except OSError:
            return False

    def _stat(self) -> os.stat_result | None:
        """Of the file, or of the one that it is a link to; None where there is none."""
        return self.dest.stat() if self.dest.is_file() else None

    def _write(self, content: bytes) -> None:
        there = self._stat()
        mode = there.st_mode & 0o7777 if there else DEFAULT_MODE
        owner = (there.st_uid, there.st_gid) if there else None
        try:
            write_atomically(self.dest, content, mode=mode, owner=owner)
        except OSError as error:
            if error.errno != errno.EBUSY:
                raise
            _overwrite(self.dest, content)


def _copy(source: Path, target: Path) -> None:
    """Never more readable than its source, not even for a moment."""
    there = source.stat()
    owner = (there.st_uid, there.st_gid)
    write_atomically(target, source.read_bytes(), mode=there.st_mode & 0o7777, owner=owner)


def _overwrite(dest: Path, content: bytes, *, like: os.stat_result | None = None) -> None:
    """For a file that is itself a mount point (a container's): it cannot be renamed over.

    Args:
        dest: the file.
        content: the new one.
        like: has the mode and the owner that it shall have; else they stay.
    """
    with dest.open("r+b") as file:
        file.write(content)
        file.truncate()
        if like is not None:
            os.fchown(file.fileno(), like.st_uid, like.st_gid)
            os.fchmod(file.fileno(), like.st_mode & 0o7777)
        os.fsync(file.fileno())
