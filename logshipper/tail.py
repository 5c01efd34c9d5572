"""One container's log: its files in the order they were written, read to the end of each."""

import os
from collections.abc import Sequence
from collections.abc import Set as AbstractSet
from typing import Final

from logshipper.arrivals import drop_held, drop_known, drop_older
from logshipper.folder import LogFolder, close_from, describe
from logshipper.held import Held
from logshipper.holding import Holding
from logshipper.logfile import CorruptLogError, LogFile, first_line, identify
from logshipper.model import Chunk, Position, Progress, SavedLog
from logshipper.rotation import Resumption, resume, unique_token
from logshipper.segment import Segment

KEPT_GENERATIONS: Final = 8


class Tail(Holding):
    """Reads a log across rotation, compression, truncation and removal.

    Every method is synchronous and short; one thread at a time may call them.

    Args:
        folder: of the container, below Docker's data root.
        base: name of the file that dockerd writes.
        saved: where an earlier life stopped; None for a log that was never seen.
        spooled: what an earlier life kept of its deleted files, oldest first.

    Attributes:
        base: name of the file that is written.
    """

    def __init__(
        self,
        folder: str,
        base: str,
        *,
        saved: SavedLog | None = None,
        spooled: Sequence[Segment] = (),
    ) -> None:
        super().__init__(self._make_folder(folder, base), spooled)
        self.base = base
        self._saved = saved
        self._begun = False
        self._generations = list(saved.generations) if saved else []

    def _make_folder(self, folder: str, base: str) -> LogFolder:
        return LogFolder(folder, base)

    @property
    def kept(self) -> bool:
        """Whether its checkpoint outlives it."""
        return False

    @property
    def stirred(self) -> bool:
        """Whether a read would bring something, or find an end."""
        if len(self._held) != 1:
            return bool(self._held) or self.ended
        return self.unread_bytes > 0 or not self._held[0].file.linked()

    @property
    def written_at(self) -> float | None:
        """When the oldest file with something unread was last written to, Unix seconds."""
        for held in self._held:
            if held.unread_bytes:
                return os.fstat(held.file.fd).st_mtime
        return None

    def saved(self, progress: Progress) -> SavedLog:
        """What the checkpoint shall hold once `progress` is acknowledged."""
        last = progress.read.generation
        first = min(progress.resume.generation, last - KEPT_GENERATIONS)
        # What is acknowledged never goes back: older ones are not asked for again.
        self._generations = [g for g in self._generations if g.ordinal >= first]
        kept = tuple(g for g in self._generations if g.ordinal <= last)
        try:
            while self._done and self._done[0].passed_by(progress.resume):
                self._done.pop(0).file.close()
            return SavedLog(progress, kept, *self._waiting(progress.read))
        except OSError:
            # The sink has the lines, whatever a failing disk says of their file.
            return SavedLog(progress, kept)

    def _waiting(self, read: Position) -> tuple[int, str]:
        """How much is there behind a position, and what stands before it."""
        waiting_bytes, mark = 0, ""
        ends = [(held, held.offset) for held in self._done]
        ends += [(held, held.file.size()) for held in self._held]
        for held, end in ends:
            if held.ordinal >= read.generation:
                at = read.offset if held.ordinal == read.generation else 0
                waiting_bytes += max(0, end - at)
            if held.ordinal == read.generation:
                mark = held.mark(read.offset)
        return waiting_bytes, mark

    def look(self) -> None:
        """Opens the files that have appeared: to be called when the folder changed, and at times.

        Raises:
            OSError: the machine cannot open files now (EMFILE, EIO); try again later.
        """
        newest = self._held[-1].file if self._held else None
        if newest is not None and newest.spooled:
            newest = None  # another file may have its inode by now
        begun = self._begun
        try:
            with self._folder.opened() as descriptor:
                if not self._begun:
                    self._begin(self._folder.open_newest_first(descriptor, None))
                elif not self._folder.is_base(descriptor, newest):
                    self._append(self._folder.open_newest_first(descriptor, newest))
                self._folder_gone = False  # its disk may have been away for a while
        except (FileNotFoundError, NotADirectoryError):
            if not begun:
                self._begin([])
                self._lose_unseen("removed")
            self._begun = self._folder_gone = True
            self.ended = self.ended or not self._held

    def read(self) -> Chunk | None:
        """The next whole lines; None when there is nothing now."""
        while self._held:
            current = self._held[0]
            final = self._is_final(current)
            try:
                chunk = self._take(current, final=final)
            except CorruptLogError as error:
                # Known of a damaged file is only what its trailer claims; there may be none.
                self._lose("corrupt", current.unread_bytes, str(error))
                chunk, final = None, True
                self._after_gap(1)
            if chunk is not None:
                return chunk
            if not final:
                return None
            self._done.append(self._held.pop(0))
            self.ended = self._is_over()
        return None

    def _is_final(self, held: Held) -> bool:
        """Whether nobody can write to it any more; asked before the read that finds its end."""
        if held.file.compressed:
            return True
        if len(self._held) == 1:
            # A file that somebody deleted by hand is written on to as long as dockerd has it open.
            return self._folder_gone and not held.file.linked()
        # logrotate's `create` makes a new file that dockerd does not know of: only when a later
        # one has content is this one complete.
        return any(later.file.size() > 0 or not later.file.linked() for later in self._held[1:])

    def _take(self, held: Held, *, final: bool) -> Chunk | None:
        if (lost := held.truncated_bytes()) is not None:
            self._lose("truncated", lost, f"{held.file.name} was truncated")
            self._begin_anew(held)
        if held.generation is None and (line := held.head(final=final)) is not None:
            # A life before this one may have named it already.
            tokens = {g.token for g in self._generations if g.ordinal != held.ordinal}
            self._name(held, self._token(held, line, tokens), line)
        return held.take(final=final)

    def _token(self, held: Held, line: bytes, taken: AbstractSet[str]) -> str:
        return unique_token(identify(held.file, line), taken)

    def _name(self, held: Held, token: str, line: bytes) -> None:
        generation = held.name(token, line)
        self._generations = [g for g in self._generations if g.ordinal != held.ordinal]
        self._generations.append(generation)

    def _begin_anew(self, held: Held) -> None:
        for each in self._held:
            each.ordinal += 1
        held.begin_anew()

    def _begin(self, opened: list[LogFile]) -> None:
        try:
            self._drop_passed()
            newest_first = [*opened, *self._spooled[::-1]]
            if not newest_first:
                return
            plan = resume(self._saved, [describe(file) for file in newest_first])
            for step, (index, offset) in enumerate(plan.files):
                self._held.append(Held.resumed(newest_first[index], plan.ordinal + step, offset))
            self._go_on(plan, self._held[0])
        except (OSError, CorruptLogError):
            # All is begun once more: nothing of it may stay, and no segment be forgotten.
            self._held.clear()
            close_from(opened, 0)
            raise
        self._spooled.clear()
        self._begun = True
        chosen = {index for index, _ in plan.files}
        for file in (file for index, file in enumerate(newest_first) if index not in chosen):
            file.close()
            if isinstance(file, Segment):
                file.let_go()

    def _drop_passed(self) -> None:
        """Lets segments go that an earlier life could not delete: all of them is acknowledged."""
        if self._saved is None:
            return
        first = self._saved.progress.resume.generation
        passed = {
            (each.fingerprint, each.device, each.inode)
            for each in self._saved.generations
            if each.ordinal < first
        }
        for segment in tuple(self._spooled):
            found = describe(segment)
            if (found.fingerprint, found.device, found.inode) in passed:
                self._spooled.remove(segment)
                segment.let_go()

    def _go_on(self, plan: Resumption, first: Held) -> None:
        """Says what is missing since an earlier life, and goes on where it stopped."""
        first.gap = first.gap or plan.gap
        if self._saved is None:
            return
        if plan.ordinal > self._saved.progress.read.generation:
            self._lose_unseen("rotated")
        elif plan.gap:
            self._lose("rotated", 0, "the file with the head of a message that goes on is gone")
        else:
            self._take_up(first, self._saved)

    def _take_up(self, first: Held, saved: SavedLog) -> None:
        """Goes on with a file that an earlier life left, if it is still what it was."""
        known, line = saved.generation(first.ordinal), first_line(first.file)
        if known is None or line is None:
            return
        self._name(first, known.token, line)
        read = saved.progress.read
        if read.generation != first.ordinal:
            return
        mark = "" if first.file.compressed else saved.mark
        if (mark and first.mark(read.offset) != mark) or first.file.size() < read.offset:
            self._begin_anew(first)

    def _append(self, opened: list[LogFile]) -> None:
        newest = self._held[-1] if self._held else None
        try:
            ordinal, seen = self._drop_read(newest, opened)
        except OSError:
            close_from(opened, 0)
            raise
        for step, file in enumerate(reversed(opened)):
            self._held.append(Held(file, ordinal + step, gap=step == 0 and not seen))
        if opened and not seen and self._misses(newest, opened):
            why = f"{self.base} rotated faster than it was looked at; files may be missing"
            self._lose("rotated", 0, why)
        self.ended = False

    def _drop_read(self, newest: Held | None, opened: list[LogFile]) -> tuple[int, bool]:
        """Closes what was read before; the next ordinal, and whether the last file was seen."""
        last = max(self._generations, key=lambda g: g.ordinal, default=None)
        if newest is not None:
            ordinal, seen = newest.ordinal + 1, drop_held(newest, opened)
        else:
            ordinal = last.ordinal + 1 if last else 0
            seen = last is None or drop_known(last, opened)
        if not seen:
            # Those that were read before must not come again, under other ids.
            drop_older(self._generations, opened)
        return ordinal, seen

    def _misses(self, newest: Held | None, opened: list[LogFile]) -> bool:
        """Whether files may be missing between the newest that was held and those now."""
        del newest
        return bool(opened)

    def _lose_unseen(self, reason: str) -> None:
        if self._saved is not None:
            # What waited then and is still there is not lost; more may be, of which nobody knows.
            there = sum(held.unread_bytes for held in self._held)
            why = f"{self.base} went on while nobody read it"
            self._lose(reason, max(0, self._saved.waiting_bytes - there), why)
