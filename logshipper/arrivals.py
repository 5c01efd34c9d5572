"""Which of the files just opened are new, and which are what is held: the others are closed."""

from typing import Final

from logshipper.folder import close_from, describe
from logshipper.held import Held
from logshipper.logfile import LogFile
from logshipper.model import Generation
from logshipper.rotation import STAMP_SEPARATOR, newer_than

# What the trailer of a compressed file can say of its size (RFC 1952, ISIZE).
SIZE_LIMIT_BYTES: Final = 2**32


def drop_held(newest: Held, opened: list[LogFile]) -> bool:
    """Closes the files from `newest` on downwards; whether it was among them."""
    if newest.file.spooled or not newest.file.linked():
        file = newest.file
        # Its content tells: compressed, it has another inode; and inodes are used again.
        fingerprint_of = describe(file).fingerprint
        generation = Generation(newest.ordinal, fingerprint_of, file.device, file.inode)
        return drop_known(newest.generation or generation, opened)
    # Two files may begin alike; as long as the one that is held has a name, only that inode is it.
    same = [newest.is_file(file) for file in opened]
    close_from(opened, same.index(True) if any(same) else len(opened))
    return any(same)


def drop_known(generation: Generation, opened: list[LogFile]) -> bool:
    """Closes what is not newer than `generation`; whether that was among them."""
    count, seen = newer_than(generation, [describe(file) for file in opened])
    close_from(opened, count)
    return seen


def drop_older(generations: list[Generation], opened: list[LogFile]) -> None:
    """Closes what is one of these, and all before it; only compression makes another inode."""
    known = {(g.fingerprint, g.device, g.inode) for g in generations}
    prints = {g.fingerprint.partition(STAMP_SEPARATOR)[0] for g in generations}
    for index, file in enumerate(opened):
        found = describe(file)
        same = (found.fingerprint, found.device, found.inode) in known
        if same or (file.compressed and found.fingerprint in prints):
            close_from(opened, index)
            return


def compressed_of(held: Held, opened: list[LogFile]) -> LogFile | None:
    """The compressed file that holds the same text as one that is held; None without one."""
    wanted, size = describe(held.file).fingerprint, held.file.size()
    if not wanted or size >= SIZE_LIMIT_BYTES:
        return None
    alike = (file for file in opened if file.compressed and file.size() == size)
    return next((file for file in alike if describe(file).fingerprint == wanted), None)
