"""A block on disk: compressed columns of about 1,000 lines, what to filter by and the text."""

from array import array
from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import accumulate, pairwise
from typing import Final, NamedTuple, cast

import msgspec
from isal import isal_zlib

from wharfinger.errors import Unavailable

# Measured on log text: a ninth of the time of zlib's level 6 for an eighth more bytes, and any
# zlib can read it (RFC 1950).
_LEVEL: Final = isal_zlib.ISAL_BEST_COMPRESSION
# What a page that rotted on disk ends in; the stubs declare an instance for the first.
_FEW: Final = 8  # one line in so many: sums between them cost less than a time for every line
_DAMAGED: Final = (cast("type[Exception]", isal_zlib.error), msgspec.DecodeError, ValueError)


class Head(NamedTuple):
    """What filters need of each line of a block, in the order of the lines."""

    times_ns: Sequence[int]
    stream_ids: Sequence[int]
    levels: Sequence[int]


class Body(NamedTuple):
    """The texts of a block; `extras` is empty if no line of it has any."""

    messages: Sequence[str]
    extras: Sequence[bytes]


class Columnar(NamedTuple):
    """The same, times as they are on disk: to add them up costs more than to read all else.

    Attributes:
        first_ns: the time of the first line.
        deltas_ns: from each line to the next.
        stream_ids: a stream for each line.
        levels: a level for each line.
    """

    first_ns: int
    deltas_ns: "array[int]"
    stream_ids: "array[int]"
    levels: bytes

    def times_ns(self, lines: Sequence[int] | None = None) -> Sequence[int]:
        """The times of lines whose numbers ascend; None for all."""
        if lines is None or len(lines) * _FEW > len(self.levels):
            times = tuple(accumulate(self.deltas_ns, initial=self.first_ns))
            return times if lines is None else [times[at] for at in lines]
        found: list[int] = []
        time_ns, done = self.first_ns, 0
        for at in lines:
            time_ns += sum(self.deltas_ns[done:at])
            done = at
            found.append(time_ns)
        return found


@dataclass(slots=True)
class Columns:
    """The lines of a block, column by column; a stream is a number of the day's table."""

    times_ns: list[int] = field(default_factory=list)
    stream_ids: list[int] = field(default_factory=list)
    levels: list[int] = field(default_factory=list)
    messages: list[str] = field(default_factory=list)
    extras: list[bytes] = field(default_factory=list)

    def __len__(self) -> int:
        return len(self.times_ns)

    def extend(self, head: Head, body: Body) -> None:
        """Adds lines at the end."""
        self.times_ns.extend(head.times_ns)
        self.stream_ids.extend(head.stream_ids)
        self.levels.extend(head.levels)
        self.messages.extend(body.messages)
        self.extras.extend(body.extras or [b""] * len(body.messages))


class Summary(NamedTuple):
    """What the walk over blocks needs of one without reading it.

    Attributes:
        first_ns: the earliest time in it.
        last_ns: the latest.
        lines: how many.
        levels: one bit for each level that occurs in it.
    """

    first_ns: int
    last_ns: int
    lines: int
    levels: int


_encoder = msgspec.msgpack.Encoder()
_head_decoder = msgspec.msgpack.Decoder(tuple[int, bytes, bytes, bytes])
_body_decoder = msgspec.msgpack.Decoder(tuple[list[str], list[bytes]])


def encode(columns: Columns, first: int = 0) -> tuple[bytes, bytes]:
    """The head and body of the lines from number `first` on; there is at least one."""
    times = columns.times_ns[first:]
    deltas = array("q", (after - before for before, after in pairwise(times)))
    streams = array("I", columns.stream_ids[first:])
    head = _encoder.encode(
        (times[0], deltas.tobytes(), streams.tobytes(), bytes(columns.levels[first:]))
    )
    extras = columns.extras[first:]
    body = _encoder.encode((columns.messages[first:], extras if any(extras) else []))
    return isal_zlib.compress(head, _LEVEL), isal_zlib.compress(body, _LEVEL)


def decode_head(data: bytes) -> Head:
    """The filter columns of a block.

    Raises:
        Unavailable: it is damaged.
    """
    columns = decode_columns(data)
    return Head(columns.times_ns(), columns.stream_ids, columns.levels)


def decode_columns(data: bytes) -> Columnar:
    """The same, times not added up.

    Raises:
        Unavailable: it is damaged.
    """
    deltas, streams = array("q"), array("I")
    try:
        first, deltas_bytes, streams_bytes, levels = _head_decoder.decode(
            isal_zlib.decompress(data)
        )
        deltas.frombytes(deltas_bytes)
        streams.frombytes(streams_bytes)
    except _DAMAGED as error:
        raise Unavailable(f"a block of lines is damaged: {error}") from None
    return Columnar(first, deltas, streams, levels)


def columnar(head: Head) -> Columnar:
    """A block's columns from those of its parts."""
    deltas = array("q", (after - before for before, after in pairwise(head.times_ns)))
    return Columnar(head.times_ns[0], deltas, array("I", head.stream_ids), bytes(head.levels))


def decode_body(data: bytes) -> Body:
    """The texts of a block.

    Raises:
        Unavailable: it is damaged.
    """
    try:
        return Body(*_body_decoder.decode(isal_zlib.decompress(data)))
    except _DAMAGED as error:
        raise Unavailable(f"a block of lines is damaged: {error}") from None


def summarize(columns: Columns) -> Summary:
    """The summary of at least one line."""
    levels = 0
    for level in set(columns.levels):
        levels |= 1 << level
    return Summary(min(columns.times_ns), max(columns.times_ns), len(columns), levels)
