"""The wire format of protocol buffers (protobuf.dev, Encoding), as far as logs need it; pure.

The two messages that are made of it here are small and for each line; the library's objects cost
five times as much.
"""

import struct
from collections.abc import Iterator
from typing import Final

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


def read(data: bytes) -> Iterator[tuple[int, int | bytes]]:
    """The fields of a message: number and value; groups are not known.

    Raises:
        ValueError: it is none, or a part of one.
    """
    at = 0
    while at < len(data):
        tag, at = _read_varint(data, at)
        match tag & 7:
            case 0:
                value, at = _read_varint(data, at)
                yield tag >> 3, value
                continue
            case 1:
                size = 8
            case 2:
                size, at = _read_varint(data, at)
            case 5:
                size = 4
            case _:
                raise ValueError("not a message of protocol buffers")
        if at + size > len(data):
            raise ValueError("a message that is cut off")
        yield tag >> 3, data[at : at + size]
        at += size


def _read_varint(data: bytes, at: int) -> tuple[int, int]:
    value = 0
    for count in range(_LONGEST_VARINT):
        if at >= len(data):
            break
        value |= (data[at] & 0x7F) << 7 * count
        at += 1
        if data[at - 1] < 0x80:  # noqa: PLR2004 - the last byte of it
            return value, at
    raise ValueError("a number that is cut off")
