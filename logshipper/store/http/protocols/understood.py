"""What a body holds, and what it may hold: lines, refusals, and the memory that they take."""

from collections.abc import Sequence
from itertools import islice
from typing import Final, Protocol

from logshipper.store.model import MAX_ID_BYTES, Document, TooLarge
from wharfinger import wire

MAX_BODY_BYTES: Final = 32 * 2**20
# A packed body of a few kilobytes may hold millions of lines of three bytes, each of which
# takes this much memory until it is committed.
MAX_BODY_ROWS: Final = 200_000
ROW_BYTES: Final = 256
# The same for the lists and objects of one JSON text, which is understood as a whole.
_MAX_PARTS: Final = 1_000_000
_PART_BYTES: Final = 64
# And for what is looked at one by one: fields of protocol buffers (a microsecond each), and the
# values of a JSON text that is not as it should be.
_MAX_FIELDS: Final = 4_000_000
_MAX_VALUES: Final = 2_000_000
_TOLD: Final = 20
_REASON_CHARACTERS: Final = 300


class Understood(Protocol):
    """A body, understood."""

    @property
    def documents(self) -> Sequence[Document]:
        """What is good of it, in order."""

    @property
    def bad(self) -> int:
        """How many lines are of no use."""


class Lines:
    """The lines of a body whose protocol has no answer for each.

    Attributes:
        documents: what is good of it, in order.
        bad: how many lines are of no use.
        reasons: place (counted from 1) and reason of the first of these.
    """

    def __init__(self) -> None:
        self.documents: list[Document] = []
        self.bad = 0
        self.reasons: list[tuple[int, str]] = []

    @property
    def useless(self) -> bool:
        """Whether there were lines, and none of them is good."""
        return self.bad > 0 and not self.documents

    @property
    def why(self) -> str:
        """What is wrong with the first bad line."""
        return "; ".join(f"line {place} {reason}" for place, reason in self.reasons[:1])

    def take(self, document: Document) -> None:
        """Adds a good line.

        Raises:
            TooLarge: these are too many.
        """
        self.documents.append(document)
        self._count()

    def refuse(self, reason: str) -> None:
        """Adds a bad line.

        Raises:
            TooLarge: these are too many.
        """
        self.bad += 1
        if len(self.reasons) < _TOLD:
            place = len(self.documents) + self.bad
            self.reasons.append((place, reason[:_REASON_CHARACTERS]))
        self._count()

    def _count(self) -> None:
        check_rows(len(self.documents) + self.bad)


def check_rows(rows: int) -> int:
    """The bytes of memory that so many lines take beside their body.

    Raises:
        TooLarge: these are too many.
    """
    if rows > MAX_BODY_ROWS:
        raise too_large()
    return rows * ROW_BYTES


def weigh_lines(body: bytes) -> int:
    """The same for a body of one line after the other."""
    return check_rows(body.count(b"\n"))


def weigh_json(body: bytes) -> int:
    """The same for a body that is one JSON text: its lists and objects are the most it can hold."""
    parts = body.count(b"[") + body.count(b"{")
    if parts > _MAX_PARTS:
        raise too_large()
    return parts * _PART_BYTES


def budget() -> wire.Budget:
    """For the fields of one body of protocol buffers."""
    return wire.Budget(_MAX_FIELDS)


def check_values(body: bytes) -> None:
    """Looks whether a JSON text can be taken apart value by value.

    Raises:
        TooLarge: it may have too many.
    """
    if body.count(b",") > _MAX_VALUES:
        raise too_large()


def count_fields(message: memoryview, enough: int) -> int:
    """How many fields a message of protocol buffers has; one more than `enough` at most.

    All of them count, since what stands there beside lines costs as much to pass over.

    Raises:
        ValueError: it is none.
    """
    return sum(1 for _ in islice(wire.read_keys(message), max(enough, 0) + 1))


def too_large() -> TooLarge:
    """The refusal of a body."""
    most = f"{MAX_BODY_BYTES} bytes and {MAX_BODY_ROWS} lines"
    return TooLarge(f"a body holds at most {most}: send smaller ones")


def is_too_long(identity: str) -> bool:
    """Whether an id is longer than one may be."""
    return len(identity) * 4 > MAX_ID_BYTES and len(identity.encode()) > MAX_ID_BYTES
