"""Bodies unpacked within bounds: a few kilobytes of gzip or zstd may stand for gigabytes."""

import zlib
from collections.abc import Callable
from typing import Final, cast

import cramjam
import zstandard
from isal import isal_zlib

from logshipper.store.http.protocols import understood
from wharfinger.errors import Rejected

ENCODINGS: Final = ("", "identity", "gzip", "x-gzip", "deflate", "zstd")
_GZIP_MAGIC: Final = b"\x1f\x8b"
_ZSTD_MAGIC: Final = b"\x28\xb5\x2f\xfd"
_GZIP_WINDOW: Final = 31
_ZLIB_WINDOW: Final = 15
# RFC 8878, 3.1.1.1.2: decoders should take 8 MiB, and may refuse more.
_ZSTD_WINDOW_BYTES: Final = 8 * 2**20
# Four bytes of zstd may stand for 128 KiB: so much is unpacked at most before it is looked at.
_ZSTD_PIECE_BYTES: Final = 512
# The rest of the body is copied for each of them.
_MAX_STREAMS: Final = 100
# The stubs declare an instance where the module holds a class.
_DAMAGED: Final = (cast("type[Exception]", isal_zlib.error), zlib.error, zstandard.ZstdError)


class Damaged(Rejected):
    """A body is not what it says it is packed with."""


def is_packed(body: bytes, encoding: str) -> bool:
    """Whether a body is packed, announced or not; no JSON and no protobuf of logs begins so."""
    return body.startswith((_GZIP_MAGIC, _ZSTD_MAGIC)) or encoding == "deflate"


def unpacked(body: bytes, encoding: str) -> bytes:
    """The body, unpacked if it is packed.

    Args:
        body: as it was sent.
        encoding: one of `ENCODINGS`, as announced.

    Raises:
        TooLarge: it is a bomb.
        Damaged: it is cut off or no such thing.
    """
    try:
        if body.startswith(_GZIP_MAGIC):
            return _inflated(body, _GZIP_WINDOW)
        if body.startswith(_ZSTD_MAGIC):
            return _streams(body, _zstd_stream)
        if encoding == "deflate":
            return _inflated(body, _ZLIB_WINDOW)
    except _DAMAGED as error:
        raise Damaged(str(error)) from None
    return body


def unsnapped(body: bytes) -> bytes:
    """One block of Snappy, without framing, unpacked.

    Raises:
        TooLarge: it is a bomb.
        Damaged: it is no such thing.
    """
    try:
        if cramjam.snappy.decompress_raw_len(body) > understood.MAX_BODY_BYTES:
            raise understood.too_large()
        return bytes(cramjam.snappy.decompress_raw(body))
    except cramjam.DecompressionError as error:
        raise Damaged(str(error)) from None


def _inflated(body: bytes, window: int) -> bytes:
    def stream(rest: bytes, room: int) -> tuple[bytes, bytes]:
        unpacker = isal_zlib.decompressobj(window)
        part = unpacker.decompress(rest, room + 1)
        if len(part) <= room and not unpacker.eof:
            raise Damaged("the stream ends too early")
        return part, unpacker.unused_data

    return _streams(body, stream)


def _streams(body: bytes, stream: Callable[[bytes, int], tuple[bytes, bytes]]) -> bytes:
    """What stands in a few streams, one behind the other."""
    parts: list[bytes] = []
    room = understood.MAX_BODY_BYTES
    while body:
        if len(parts) == _MAX_STREAMS:
            raise Damaged(f"more than {_MAX_STREAMS} streams, one behind the other")
        part, body = stream(body, room)
        room -= len(part)
        if room < 0:
            raise understood.too_large()
        parts.append(part)
    return b"".join(parts)


def _zstd_stream(body: bytes, room: int) -> tuple[bytes, bytes]:
    unpacker = zstandard.ZstdDecompressor(max_window_size=_ZSTD_WINDOW_BYTES).decompressobj()
    parts: list[bytes] = []
    size = at = 0
    while at < len(body) and not unpacker.eof and size <= room:
        part = unpacker.decompress(body[at : at + _ZSTD_PIECE_BYTES])
        at += _ZSTD_PIECE_BYTES
        size += len(part)
        parts.append(part)
    if size <= room and not unpacker.eof:
        raise Damaged("the stream ends too early")
    return b"".join(parts), unpacker.unused_data + body[at:]
