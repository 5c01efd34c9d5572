"""Which of the files in a log's folder are to be read, in which order, from where; pure."""

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Final

from logshipper.model import Generation, SavedLog

MAX_ROTATED: Final = 1000
# Between the hash of a first line and what tells apart files that begin alike; not hexadecimal.
STAMP_SEPARATOR: Final = "_"


@dataclass(frozen=True, slots=True)
class Found:
    """A file of a log, opened and looked at.

    Attributes:
        name: in the folder.
        device: of the file.
        inode: of the file.
        fingerprint: hash of its first line; empty as long as it has none.
    """

    name: str
    device: int
    inode: int
    fingerprint: str


@dataclass(frozen=True, slots=True)
class Resumption:
    """What to read of a log after a downtime.

    Attributes:
        files: index into what was found and offset to begin at, oldest first.
        ordinal: of the first of them.
        gap: the file that the checkpoint names is gone, so bytes may be lost.
    """

    files: tuple[tuple[int, int], ...]
    ordinal: int
    gap: bool


def chain(base: str, names: Iterable[str]) -> tuple[str, ...]:
    """The names that are files of the log `base`, newest first; `.2` rather than `.2.gz`.

    Docker compresses `.1` into `.1.gz` and deletes `.1` only when that is complete (moby,
    daemon/logger/loggerutils/logfile.go), so while both are there only the first is whole.
    """
    rotated: dict[int, str] = {}
    pattern = re.compile(re.escape(base) + r"\.([1-9][0-9]{0,3})(\.gz)?", re.ASCII)
    present = False
    for name in names:
        present = present or name == base
        match = pattern.fullmatch(name)
        if (
            match
            and (number := int(match[1])) <= MAX_ROTATED
            and (number not in rotated or not match[2])
        ):
            rotated[number] = name
    return (*((base,) if present else ()), *(rotated[number] for number in sorted(rotated)))


def resume(saved: SavedLog | None, found: Sequence[Found]) -> Resumption:
    """Finds where an earlier life stopped among the files that are there now.

    Args:
        saved: what the checkpoint holds; None for a log that was never seen: all is read.
        found: the log's files, newest first.
    """
    newest_first = range(len(found))
    if saved is None:
        return Resumption(tuple((i, 0) for i in reversed(newest_first)), 0, gap=False)
    # The oldest file that is still needed may hold the head of a message that is not complete;
    # if only that one is gone, the rest is still to be read from where it was left.
    wanted = sorted({saved.progress.resume, saved.progress.read})
    for position in wanted:
        generation = saved.generation(position.generation)
        index = _index_of(generation, found) if generation else None
        if index is not None:
            newer = tuple((i, 0) for i in reversed(range(index)))
            files = ((index, position.offset), *newer)
            return Resumption(files, position.generation, gap=position != wanted[0])
    ordinal = saved.progress.read.generation + 1
    return Resumption(tuple((i, 0) for i in reversed(newest_first)), ordinal, gap=True)


def newer_than(known: Generation, found: Sequence[Found]) -> tuple[int, bool]:
    """How many of the files found (newest first) came after `known`, and whether it was seen."""
    index = _index_of(known, found)
    return (len(found), False) if index is None else (index, True)


def _index_of(generation: Generation, found: Sequence[Found]) -> int | None:
    # Compressed, it has the first line that it had, and nothing else.
    content = generation.fingerprint.partition(STAMP_SEPARATOR)[0]
    alike = [
        i
        for i, f in enumerate(found)
        if f.fingerprint == (content if f.name.endswith(".gz") else generation.fingerprint)
    ]
    same = [
        i
        for i in alike
        if (found[i].device, found[i].inode) == (generation.device, generation.inode)
    ]
    return next(iter(same or alike), None)


def unique_token(fingerprint: str, known: Iterable[str]) -> str:
    """A token for a new file; two can begin alike only inside one message longer than a file."""
    taken = set(known)
    token, number = fingerprint, 1
    while token in taken:
        number += 1
        token = f"{fingerprint}-{number}"
    return token
