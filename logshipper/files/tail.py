"""One file of text: rotation by renaming and by copying, and its end when nobody names it."""

import os
import time
from collections.abc import Callable, Iterable
from collections.abc import Set as AbstractSet
from typing import Final

from logshipper.files.planted import identity_of, open_below, open_regular, opened_root
from logshipper.folder import LogFolder
from logshipper.held import Held, Store
from logshipper.logfile import GzipFile, LogFile, PlainFile, identify, require_spare
from logshipper.model import Position, SavedLog
from logshipper.tail import Tail

MAX_SIBLINGS: Final = 100
# A file that was renamed or deleted may be written on until its program takes the new one.
NAMELESS_SECONDS: Final = 300.0


class TextFolder(LogFolder):
    """The folder of a file of text, which may be anybody's.

    Args:
        root: folder on the host; everything below it may have been planted.
        path: of the folder, relative to the root.
        base: name of the file.

    Attributes:
        siblings: names in the folder that older files of this log have now.
    """

    def __init__(self, root: str, path: str, base: str) -> None:
        super().__init__(path, base)
        self.siblings: tuple[str, ...] = ()
        self._root = root

    def _open_folder(self) -> int:
        with opened_root(self._root) as root:
            return open_below(root, self.path)

    def _names(self, descriptor: int) -> Iterable[str]:
        # Not listed: whose folder it is may have put a million names there.
        names = [self.base]
        for number in range(1, MAX_SIBLINGS):
            plain = f"{self.base}.{number}"
            name = next((n for n in (plain, f"{plain}.gz") if _is_there(descriptor, n)), None)
            if name is None:
                break
            names.append(name)
        return [*(name for name in names if _is_there(descriptor, name)), *self.siblings]

    def _open_file(self, descriptor: int, name: str) -> LogFile:
        fd = open_regular(descriptor, name)
        require_spare(fd, name)
        if name.endswith(".gz"):
            return GzipFile(fd, name)
        return PlainFile(fd, name, identity_of(fd).stamp)


class TextTail(Tail):
    """Reads a file of text.

    First lines of text may be all alike (a heading), so a file is known by when it was made, too.

    Args:
        root: folder on the host; everything below it may have been planted.
        folder: relative to the root.
        base: name of the file.
        lasting: the file outlives the container that it is asked for by.
        saved: where an earlier life stopped.
        clock: monotonic, in seconds.

    Attributes:
        left: nobody asks for the file any more; what there is now is the last that is read.
    """

    def __init__(
        self,
        root: str,
        folder: str,
        base: str,
        *,
        lasting: bool,
        saved: SavedLog | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._root = root
        super().__init__(folder, base, saved=saved)
        self._lasting = lasting
        self.left = False
        self._clock = clock
        self._named_at = clock()

    @property
    def kept(self) -> bool:
        """Whether its checkpoint outlives it: the next container goes on with its volume."""
        return self._lasting and self.left and not self._folder_gone

    def _make_folder(self, folder: str, base: str) -> LogFolder:
        self._text_folder = TextFolder(self._root, folder, base)
        return self._text_folder

    def rename(self, siblings: tuple[str, ...]) -> None:
        """Takes the names that older files of this log have in its folder now."""
        self._text_folder.siblings = siblings

    def look(self) -> None:
        """Opens the files that have appeared, unless its container has left it.

        Raises:
            OSError: the machine cannot open files now; try again later.
        """
        if self.left:
            self.ended = self.ended or not self._held
            return
        super().look()
        if not self._begun:
            # The scan saw it, or the checkpoint knows it; there is nothing of it any more.
            self._lose_unseen("removed")
            self._begun = self.ended = True

    def spool_deleted(self, store: Store, acknowledged: Position | None) -> int:
        """Spools nothing: a deleted file of text is only held; gives 0."""
        del store, acknowledged
        return 0

    def _is_over(self) -> bool:
        return not self._held

    def _is_final(self, held: Held) -> bool:
        if held.file.compressed or len(self._held) > 1:
            return super()._is_final(held)
        if self.left or (self._folder_gone and not held.file.linked()):
            return True
        now = self._clock()
        if held.unread_bytes or self._is_named(held):
            self._named_at = now
        return now - self._named_at >= NAMELESS_SECONDS

    def _is_named(self, held: Held) -> bool:
        try:
            with self._text_folder.opened() as descriptor:
                status = os.stat(self.base, dir_fd=descriptor, follow_symlinks=False)
        except OSError:
            return False
        return (status.st_dev, status.st_ino) == (held.file.device, held.file.inode)

    def _token(self, held: Held, line: bytes, taken: AbstractSet[str]) -> str:
        token = identify(held.file, line)
        # The ordinal never comes again, as a number that is free among the few known ones would.
        return f"{token}-{held.ordinal}" if held.anew or token in taken else token

    def _misses(self, newest: Held | None, opened: list[LogFile]) -> bool:
        # Deleted and made anew, or renamed to where we do not look: nothing was in between, as
        # far as names can tell.
        return (
            super()._misses(newest, opened)
            and len(opened) > 1
            and not (newest is not None and newest.file.linked())
        )


def _is_there(descriptor: int, name: str) -> bool:
    try:
        os.stat(name, dir_fd=descriptor, follow_symlinks=False)
    except OSError:
        return False
    return True
