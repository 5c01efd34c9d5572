"""A block on disk: compressed columns of about 1,000 lines, what to filter by and the text."""

from array import array
from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import accumulate
from operator import add, sub
from typing import Final, NamedTuple, cast

import msgspec
import zstandard
from isal import isal_zlib

from wharfinger.errors import Unavailable

# Measured on log text against the deflate of version 1 (RFC 1950; isal's best level): half the
# time, an eighth fewer bytes, and unpacked in two thirds of the time. RFC 8878.
_LEVEL: Final = 1
_ZSTD_MAGIC: Final = b"\x28\xb5\x2f\xfd"
# Far more than a block can hold: a size that rotted must not be believed.
_MAX_BYTES: Final = 64 * 2**20
# What a page that rotted on disk ends in; the stubs declare an instance for the first.
_DAMAGED: Final = (
    cast("type[Exception]", isal_zlib.error),
    zstandard.ZstdError,
    msgspec.DecodeError,
    ValueError,
)
_FEW: Final = 8  # one line in so many: sums between them cost less than a time for every line


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

    def part(self, first: int, end: int) -> tuple[Head, Body]:
        """The lines from number `first` to the one before `end`."""
        head = Head(self.times_ns[first:end], self.stream_ids[first:end], self.levels[first:end])
        return head, Body(self.messages[first:end], self.extras[first:end])

    def sizes(self) -> list[int]:
        """What each line counts towards the bytes of a block."""
        return list(map(add, map(len, self.messages), map(len, self.extras)))

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


# To make one takes as long as to unpack half a block with it.
_unpackers: list[zstandard.ZstdDecompressor] = []
_encoder = msgspec.msgpack.Encoder()
_head_decoder = msgspec.msgpack.Decoder(tuple[int, bytes, bytes, bytes])
_body_decoder = msgspec.msgpack.Decoder(tuple[list[str], list[bytes]])


def encode(columns: Columns, first: int = 0) -> tuple[bytes, bytes]:
    """The head and body of the lines from number `first` on; there is at least one."""
    times = columns.times_ns[first:]
    deltas = array("q", map(sub, times[1:], times))
    streams = array("I", columns.stream_ids[first:])
    head = _encoder.encode(
        (times[0], deltas.tobytes(), streams.tobytes(), bytes(columns.levels[first:]))
    )
    extras = columns.extras[first:]
    body = _encoder.encode((columns.messages[first:], extras if any(extras) else []))
    packer = zstandard.ZstdCompressor(_LEVEL, write_checksum=True)
    return packer.compress(head), packer.compress(body)


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
        first, deltas_bytes, streams_bytes, levels = _head_decoder.decode(_unpacked(data))
        deltas.frombytes(deltas_bytes)
        streams.frombytes(streams_bytes)
    except _DAMAGED as error:
        raise Unavailable(f"a block of lines is damaged: {error}") from None
    return Columnar(first, deltas, streams, levels)


def columnar(head: Head) -> Columnar:
    """A block's columns from those of its parts."""
    deltas = array("q", map(sub, head.times_ns[1:], head.times_ns))
    return Columnar(head.times_ns[0], deltas, array("I", head.stream_ids), bytes(head.levels))


def decode_body(data: bytes) -> Body:
    """The texts of a block.

    Raises:
        Unavailable: it is damaged.
    """
    try:
        return Body(*_body_decoder.decode(_unpacked(data)))
    except _DAMAGED as error:
        raise Unavailable(f"a block of lines is damaged: {error}") from None


def decode_body_with(data: bytes, needles: Sequence[bytes]) -> Body | None:
    """The same, but None if its bytes lack one of the needles: so to see costs a third.

    Raises:
        Unavailable: it is damaged.
    """
    try:
        unpacked = _unpacked(data)
        if not all(needle in unpacked for needle in needles):
            return None
        return Body(*_body_decoder.decode(unpacked))
    except _DAMAGED as error:
        raise Unavailable(f"a block of lines is damaged: {error}") from None


def _unpacked(data: bytes) -> bytes:
    if not data.startswith(_ZSTD_MAGIC):
        return isal_zlib.decompress(data)
    if not 0 <= zstandard.frame_content_size(data) <= _MAX_BYTES:
        raise ValueError("its size cannot be")
    try:
        unpacker = _unpackers.pop()
    except IndexError:
        unpacker = zstandard.ZstdDecompressor()
    # None of them may be used by two threads at once; those of a failure are let go.
    unpacked = unpacker.decompress(data, allow_extra_data=False)
    _unpackers.append(unpacker)
    return unpacked


def summarize(columns: Columns) -> Summary:
    """The summary of at least one line."""
    levels = 0
    for level in set(columns.levels):
        levels |= 1 << level
    return Summary(min(columns.times_ns), max(columns.times_ns), len(columns), levels)
