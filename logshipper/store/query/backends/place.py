"""Where a line stands among all others of an engine that has no order of its own; pure."""

import re
from collections.abc import Iterable
from dataclasses import dataclass, replace
from hashlib import blake2b
from typing import Final, NamedTuple

from logshipper.store.model import BadQuery, Found, Line

_ID: Final = re.compile(r"(-?\d{1,19})-([0-9a-f]{16})(?:-(\d{1,5}))?", re.ASCII)
_DIGEST_BYTES: Final = 8


class Place(NamedTuple):
    """The order of search, paging and context: by time, then by a digest of the whole line.

    Engines promise nothing of lines with the same time, and VictoriaLogs keeps no ids.
    """

    time_ns: int
    digest: str
    repetition: int = 0


@dataclass(frozen=True, slots=True)
class Entry:
    """A line that an engine gave, and its place."""

    place: Place
    line: Line

    @property
    def found(self) -> Found:
        """The line under its id, `nanoseconds-digest`."""
        time_ns, digest, repetition = self.place
        again = f"-{repetition}" if repetition else ""
        return Found(f"{time_ns}-{digest}{again}", self.line)


def parse(text: str) -> Place:
    """The place that an id names.

    Raises:
        BadQuery: it is none.
    """
    found = _ID.fullmatch(text)
    if found is None:
        raise BadQuery(f"{text[:64]!r} is no line's id", "give the id of a hit")
    return Place(int(found[1]), found[2], int(found[3] or 0))


def not_here() -> BadQuery:
    """The error for what only Loki's language asks, which is spoken to this store alone."""
    return BadQuery("the back end cannot be asked so", "ask it in its own language")


def digest(identity: str | bytes) -> str:
    """What tells lines of one nanosecond apart, from all that an engine says of each."""
    data = identity.encode(errors="replace") if isinstance(identity, str) else identity
    return blake2b(data, digest_size=_DIGEST_BYTES).hexdigest()


def ordered(entries: Iterable[Entry], *, newest_first: bool) -> list[Entry]:
    """Entries in their order; lines that are the same to the last letter are numbered.

    All entries of a moment must be among them, or the numbers would not be theirs.
    """
    placed: list[Entry] = []
    last: Place | None = None
    for entry in sorted(entries, key=lambda entry: entry.place[:2]):
        if last is not None and last[:2] == entry.place[:2]:
            entry = replace(entry, place=last._replace(repetition=last.repetition + 1))  # noqa: PLW2901
        last = entry.place
        placed.append(entry)
    return placed[::-1] if newest_first else placed
