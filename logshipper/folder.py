"""A container's folder: which files of its log are there, opened without following anything."""

import os
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import Final

from logshipper.logfile import CorruptLogError, LogFile, found, open_folder, open_log
from logshipper.rotation import Found, chain
from wharfinger.errors import Rejected

# A name outlives its list by far, as a rule; a log that rotates without a pause must not hold up
# the others.
LISTS: Final = 16


class LogFolder:
    """The folder of one container.

    Args:
        path: of the folder.
        base: name of the file that dockerd writes.
    """

    def __init__(self, path: str, base: str) -> None:
        self.path = path
        self.base = base
        self._refused: dict[str, str] = {}
        self._told: set[str] = set()

    def refused(self) -> list[str]:
        """Why names were not opened: links, devices; each is told once."""
        new = [why for name, why in self._refused.items() if name not in self._told]
        self._told |= self._refused.keys()
        return new

    @contextmanager
    def opened(self) -> Iterator[int]:
        """Its descriptor, for the calls below.

        Raises:
            FileNotFoundError: it is gone.
            NotADirectoryError: something else stands there, a link among others.
            OSError: it cannot be opened now.
        """
        descriptor = self._open_folder()
        try:
            yield descriptor
        finally:
            os.close(descriptor)

    def is_base(self, descriptor: int, file: LogFile | None) -> bool:
        """Whether `file` is what dockerd writes, as far as one can see."""
        try:
            status = os.stat(self.base, dir_fd=descriptor, follow_symlinks=False)
        except FileNotFoundError:
            # Renamed by hand, or between two steps of a rotation: dockerd writes on to what it
            # has open.
            return file is not None
        return file is not None and (file.device, file.inode) == (status.st_dev, status.st_ino)

    def open_newest_first(self, descriptor: int, known: LogFile | None) -> list[LogFile]:
        """Opens the log's files from the newest down, to `known` at most.

        What was renamed or compressed between the list and the open is found in another list, and
        so is what a rotation in between has moved to a name that was not in this one.

        Raises:
            OSError: the machine cannot open files now (EMFILE, EIO); none is left open.
        """
        for _ in range(LISTS):
            files, whole = self._open_listed(descriptor, known)
            if whole:
                break
            close_from(files, 0)
        else:
            files, _ = self._open_listed(descriptor, known)
        return files

    def _open_listed(self, descriptor: int, known: LogFile | None) -> tuple[list[LogFile], bool]:
        """One list; whether nothing of it had moved on, and `known` is in it if it has a name."""
        files: list[LogFile] = []
        whole = True
        try:
            names = tuple(self._names(descriptor))
            for name in names:
                try:
                    file = self._open(descriptor, name)
                except FileNotFoundError:
                    whole = False
                    continue
                if file is None:
                    continue
                if any((file.device, file.inode) == (f.device, f.inode) for f in files):
                    file.close()
                    continue
                files.append(file)
                if known and (file.device, file.inode) == (known.device, known.inode):
                    return files, whole and self._stands(descriptor, files, names)
            whole = whole and not (known and known.linked())
            return files, whole and self._stands(descriptor, files, names)
        except OSError:
            close_from(files, 0)
            raise

    def _stands(self, descriptor: int, files: list[LogFile], names: tuple[str, ...]) -> bool:
        """Whether nothing rotated since these were listed.

        Else a name may have led to a newer file than it was listed for, and the oldest file has a
        name by now that was not in the list.
        """
        if tuple(self._names(descriptor)) != names:
            return False
        if not files or files[0].name != self.base:
            return True
        return self.is_base(descriptor, files[0])

    def _open_folder(self) -> int:
        return open_folder(self.path)

    def _names(self, descriptor: int) -> Iterable[str]:
        return chain(self.base, os.listdir(descriptor))

    def _open_file(self, descriptor: int, name: str) -> LogFile:
        return open_log(descriptor, name)

    def _open(self, descriptor: int, name: str) -> LogFile | None:
        try:
            return self._open_file(descriptor, name)
        except Rejected as refusal:
            self._refused[name] = str(refusal)
            return None


def describe(file: LogFile) -> Found:
    """What identifies a file; one that cannot be decompressed has no first line."""
    try:
        return found(file)
    except CorruptLogError:
        return Found(file.name, file.device, file.inode, "")


def close_from(files: list[LogFile], first: int) -> None:
    """Closes the files from `first` on, and takes them out of the list."""
    for file in files[first:]:
        file.close()
    del files[first:]
