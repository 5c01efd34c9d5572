"""The wire format of protocol buffers (protobuf.dev, Encoding), as far as logs need it; pure.

The messages that are made and read with it are small and for each line: to make the library's
objects costs five times as much, and what they take of memory a hostile sender would choose.
"""

import struct
from collections.abc import Iterator
from typing import Final, TypeVar

Data = TypeVar("Data", bytes, memoryview)

VARINT: Final = 0
FIXED64: Final = 1
LENGTH: Final = 2
FIXED32: Final = 5
_EIGHT: Final = struct.Struct("<Q").pack
_FOUR: Final = struct.Struct("<I").pack
_LONGEST_VARINT: Final = 10
_SMALL: Final = tuple(bytes([number]) for number in range(128))


def varint(number: int) -> bytes:
    """An unsigned number."""
    if number < len(_SMALL):
        return _SMALL[number]
    found = bytearray()
    while number > 0x7F:  # noqa: PLR2004 - seven bits a byte
        found.append(number & 0x7F | 0x80)
        number >>= 7
    found.append(number)
    return bytes(found)


def key(field: int, kind: int) -> bytes:
    """What stands before a field's value."""
    return varint(field << 3 | kind)


def block(field: int, data: bytes) -> bytes:
    """A field of bytes, of text in UTF-8, or of another message."""
    return key(field, LENGTH) + varint(len(data)) + data


def number(field: int, value: int) -> bytes:
    """A field of a whole number; 64 bits, two's complement."""
    return key(field, VARINT) + varint(value & (2**64 - 1))


def fixed64(field: int, value: int) -> bytes:
    """A field of eight bytes."""
    return key(field, FIXED64) + _EIGHT(value)


def fixed32(field: int, value: int) -> bytes:
    """A field of four bytes."""
    return key(field, FIXED32) + _FOUR(value)


def double(field: int, value: float) -> bytes:
    """A field of a floating point number."""
    return key(field, FIXED64) + struct.pack("<d", value)


class TooManyFields(Exception):
    """A message has more fields than are looked at; unlike any other fault, all of it ends here."""


class Budget:
    """How many fields may still be read, of a message and of those inside: they cost time each.

    Attributes:
        left: so many.
    """

    __slots__ = ("left",)

    def __init__(self, fields: int) -> None:
        self.left = fields


def read(data: Data) -> Iterator[tuple[int, int | Data]]:
    """The fields of a message: number and value; groups are not known.

    Raises:
        ValueError: it is none, or a part of one.
    """
    for tag, value in read_keys(data):
        yield tag >> 3, value


def read_keys(data: Data, budget: Budget | None = None) -> Iterator[tuple[int, int | Data]]:
    """The fields of a message: their keys as a number (field << 3 | kind), and their values.

    A value that is no varint is a slice of `data`, and of its type: of a memoryview nothing is
    copied.

    Raises:
        ValueError: it is none, or a part of one.
        TooManyFields: the budget is spent.
    """
    at, end, count = 0, len(data), 0
    most = end if budget is None else budget.left
    while at < end:
        if (count := count + 1) > most:
            raise TooManyFields
        tag = data[at]
        at += 1
        if tag >= 0x80:  # noqa: PLR2004 - the last byte of a varint has no such bit
            tag, at = _read_varint(data, at - 1)
        kind = tag & 7
        if kind == VARINT:
            value, at = _read_varint(data, at)
            yield tag, value
            continue
        if kind == LENGTH:
            size, at = _read_varint(data, at)
        elif kind == FIXED64:
            size = 8
        elif kind == FIXED32:
            size = 4
        else:
            raise ValueError("not a message of protocol buffers")
        if at + size > end:
            raise ValueError("a message that is cut off")
        yield tag, data[at : at + size]
        at += size
    if budget is not None:
        budget.left -= count


def signed(value: int) -> int:
    """What an int64 or int32 says that was read as an unsigned number."""
    value &= 2**64 - 1
    return value - 2**64 if value >= 2**63 else value


def _read_varint(data: bytes | memoryview, at: int) -> tuple[int, int]:
    value = shift = 0
    try:
        while True:
            byte = data[at]
            at += 1
            if byte < 0x80:  # noqa: PLR2004 - the last byte of it
                return value | byte << shift, at
            value |= (byte & 0x7F) << shift
            shift += 7
            if shift >= 7 * _LONGEST_VARINT:
                raise ValueError("a number that is too long")
    except IndexError:
        raise ValueError("a number that is cut off") from None
