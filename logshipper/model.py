"""What the shipper reasons about: positions, generations of a log, slices of it, verdicts."""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final

import msgspec

from logshipper.linesettings import LineSettings

# Stands before a parsed field's name that is taken.
PREFIX: Final = "parsed_"
# Before each text stand its time, padded to nine digits, and a space.
ENTRY_BYTES: Final = 31


class Position(msgspec.Struct, frozen=True, order=True, gc=False):
    """A byte of a log: the only truth about how far it was read; times are never used for it.

    Attributes:
        generation: ordinal of the file within its log, counted from 0, oldest first.
        offset: byte offset within that file, of the uncompressed text.
    """

    generation: int
    offset: int


@dataclass(frozen=True, slots=True)
class Generation:
    """One incarnation of a log file: from its first line until it is rotated or truncated.

    Docker reuses inodes within a few rotations and compression makes new ones, so the name in
    document ids comes from the content: the hash of the first line, which holds a time in
    nanoseconds. Even with every checkpoint lost, a line read again has the id it had before.

    Attributes:
        ordinal: place in the order of the log's files.
        token: names it in document ids: hash of the first line, hexadecimal, with `-N` behind it
            in the one case that two files begin alike (a message longer than a whole file).
        device: of the file that was read.
        inode: of the file that was read; tells apart files whose first lines are the same.
    """

    ordinal: int
    token: str
    device: int
    inode: int

    @property
    def fingerprint(self) -> str:
        """The hash of the first line, without what makes the token unique."""
        return self.token.partition("-")[0]


@dataclass(frozen=True, slots=True)
class OpenMessage:
    """A message of which Docker has written some parts, but not the last one, to the log.

    Attributes:
        stream: `stdout` or `stderr`; each is joined by itself.
        base: id of the message: where its first part begins.
        start: where to read again from; None when every part so far was cut off and shipped.
        taken_bytes: how much of the message was shipped in pieces that were cut off.
        pieces: how many pieces that were.
    """

    stream: str
    base: str
    start: Position | None
    taken_bytes: int = 0
    pieces: int = 0


@dataclass(frozen=True, slots=True)
class Progress:
    """How far a log was read; enough to go on from there and build the same ids again.

    Attributes:
        read: everything before it was taken, but for what `open` names.
        open: messages that were begun before `read` and were not complete there.
    """

    read: Position
    open: tuple[OpenMessage, ...] = ()

    @property
    def resume(self) -> Position:
        """Where reading must begin again so that no open message loses its head."""
        return min([self.read, *(m.start for m in self.open if m.start is not None)])


class Mark(msgspec.Struct, frozen=True, gc=False):
    """What an entry of Docker's API is known by, however often it is read.

    Attributes:
        time_ns: that Docker wrote on it, Unix nanoseconds; says nothing of the order.
        crc: CRC-32 of its stream and its text.
        nth: how many just before it, of its stream, have the same time and text.
        stream: `stdout` or `stderr`.
    """

    time_ns: int
    crc: int
    nth: int = 0
    stream: str = "stdout"

    def __str__(self) -> str:
        text = f"{self.time_ns:x}.{self.crc:08x}"
        return f"{text}.{self.nth:x}" if self.nth else text


class Entry(msgspec.Struct, gc=False):
    """One entry of a log as Docker's API gives it: a line, or a part of a long one.

    Attributes:
        mark: names it in document ids.
        stream: `stdout` or `stderr`.
        time: RFC 3339 in UTC, nanoseconds with trailing zeros trimmed, as in Docker's files.
        text: with its newline, if Docker gave one.
    """

    mark: Mark
    stream: str
    time: str
    text: bytes

    @property
    def size_bytes(self) -> int:
        """How far it moves a position: its text, and the time before it."""
        return len(self.text) + ENTRY_BYTES


class Anchor(msgspec.Struct, frozen=True, gc=False):
    """Where a log that has no byte offsets was left: behind an entry that will be met again.

    Attributes:
        offset: bytes of the log before that place, since it was first read.
        mark: of the entry before it.
        ahead: of the one behind it: there was none before.
    """

    offset: int
    mark: Mark
    ahead: bool = False


@dataclass(frozen=True, slots=True)
class SavedLog:
    """What the checkpoint holds of one log.

    Attributes:
        progress: what the sink has acknowledged.
        generations: those that positions name, and a few before them.
        waiting_bytes: how much was there and not acknowledged; at least that is lost if the files
            are gone when the shipper comes back.
        mark: the bytes before the position that was read, hexadecimal: a host that lost power may
            have lost them from the file, and dockerd written others in their place. Empty when
            the file was complete and let go.
        anchor: where to go on in a log that is read through Docker's API; None for files.
    """

    progress: Progress
    generations: tuple[Generation, ...]
    waiting_bytes: int = 0
    mark: str = ""
    anchor: Anchor | None = None

    def generation(self, ordinal: int) -> Generation | None:
        """The generation of that ordinal, if it is known."""
        return next((g for g in self.generations if g.ordinal == ordinal), None)


@dataclass(frozen=True, slots=True)
class Loss:
    """Bytes that were gone before they could be read.

    Attributes:
        reason: `rotated`, `truncated`, `removed`, `corrupt`, `zeroed`, `spool` for what the spool
            had no room for, or `refused` for a file that is none.
        size_bytes: how many are known of; 0 when a file is missing and nobody knows its size.
        why: for people.
    """

    reason: str
    size_bytes: int
    why: str


@dataclass(frozen=True, slots=True)
class Chunk:
    """Whole lines of one file, as read.

    Attributes:
        generation: the file's.
        offset: where the first byte stands.
        data: ends with a newline, unless torn.
        torn: its last line never got its newline (the file is complete), or is too long for one
            read: take it as it is.
        gap: bytes before it were lost; what was being joined must not go on here.
        more: its last line goes on behind it.
    """

    generation: Generation
    offset: int
    data: bytes
    torn: bool = False
    gap: bool = False
    more: bool = False

    @property
    def end(self) -> Position:
        """The position after its last byte."""
        return Position(self.generation.ordinal, self.offset + len(self.data))

    @property
    def size_bytes(self) -> int:
        """How much of the log it is."""
        return self.end.offset - self.offset

    @property
    def times(self) -> tuple[float, float] | None:
        """Unix seconds of its first and last line; None where only their text tells."""
        return None


@dataclass(frozen=True, slots=True)
class EntryChunk(Chunk):
    """Entries of a log that is read through Docker's API; `data` is empty.

    Attributes:
        entries: at least one.
    """

    entries: tuple[Entry, ...] = ()

    @property
    def end(self) -> Position:
        """The position after its last entry."""
        size = sum(len(entry.text) for entry in self.entries) + ENTRY_BYTES * len(self.entries)
        return Position(self.generation.ordinal, self.offset + size)

    @property
    def times(self) -> tuple[float, float] | None:
        """Unix seconds of its first and last entry."""
        return self.entries[0].mark.time_ns / 1e9, self.entries[-1].mark.time_ns / 1e9


class Message(msgspec.Struct, gc=False):
    """One line of the application, joined from its parts, or a piece of one that is too long.

    Attributes:
        id: unique and always the same for the same bytes.
        text: without its final newline.
        stream: `stdout` or `stderr`.
        time: RFC 3339: Docker's (that of the first part), or the message's own.
        base: id of the whole message, if this is a piece.
        piece: number of the piece, from 1; 0 for a whole message.
        last: the message ends with this piece.
        level: `error`, `warn` ...; empty if it is not known.
        fields: what was parsed out of the text, as JSON knows values.
        at: where it begins; None where nobody asks.
    """

    id: str
    text: str
    stream: str
    time: str
    base: str = ""
    piece: int = 0
    last: bool = True
    level: str = ""
    fields: Mapping[str, Any] | None = None
    at: Position | None = None


@dataclass(slots=True)
class Tally:
    """What was counted among lines.

    Attributes:
        dropped: lines that were not to be shipped, by reason: include, exclude, sample, rate.
        unread: lines that are shipped as they are, because what was asked (parse, time) does not
            fit them, or whose fields have too many names.
        redacted: secrets, by the rule that found them.
    """

    dropped: Counter[str] = field(default_factory=Counter)
    unread: Counter[str] = field(default_factory=Counter)
    redacted: Counter[str] = field(default_factory=Counter)


@dataclass(frozen=True, slots=True)
class Slice:
    """A part of one log, encoded and ready to send.

    Attributes:
        documents: as the encoding of their sink makes them.
        progress: of the log, once this and everything before it is acknowledged.
        read_bytes: how much of the log it covers.
        zeroed_bytes: NUL bytes that a crash of the host left where text had been.
        undecoded: lines that are no JSON of Docker's and are shipped as raw text.
        tally: what was counted among its lines; None where nothing is done to them.
    """

    documents: tuple[bytes, ...]
    progress: Progress
    read_bytes: int
    zeroed_bytes: int = 0
    undecoded: int = 0
    tally: Tally | None = None

    @property
    def size_bytes(self) -> int:
        """Size of its part of a body."""
        return sum(map(len, self.documents))


@dataclass(frozen=True, slots=True)
class Route:
    """Whether a container's log is shipped, why not, and what its documents carry.

    Attributes:
        ship: whether it is.
        reason: why not, or what is wrong with its labels; mostly empty.
        fields: `app env host container image ...`; what is not known is absent.
        lines: what is done to its lines.
        owner: what ids begin with, for a file of text; empty for a log of Docker's.
        driver: the log driver whose log is read through Docker's API; empty for files.
    """

    ship: bool
    reason: str = ""
    fields: Mapping[str, str] = field(default_factory=dict)
    lines: LineSettings = field(default_factory=LineSettings)
    owner: str = ""
    driver: str = ""


@dataclass(frozen=True, slots=True)
class Refusal:
    """A document that a sink will never take.

    Attributes:
        document: as it was sent.
        status: HTTP status of the item.
        reason: in the sink's words, shortened.
    """

    document: bytes
    status: int
    reason: str


@dataclass(frozen=True, slots=True)
class Verdict:
    """What a sink said of each document of one request.

    Attributes:
        accepted: how many it holds now, those included that it had before (409).
        again: those to send again (429, 5xx).
        refused: those that it will never take.
        why: what it said of the first of `again`.
    """

    accepted: int
    again: tuple[bytes, ...] = ()
    refused: tuple[Refusal, ...] = ()
    why: str = ""
