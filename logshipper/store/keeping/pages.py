"""SQLite's pages read without SQLite (its file format, sections 1 and 2): rows of leaves.

Where a page on the way to a row is damaged, SQLite reaches none of the rows below it; they are
still there, and each says by its own shape of which table it is.
"""

import struct
from collections.abc import Iterator, Mapping
from typing import Any, Final, NamedTuple

MAGIC: Final = b"SQLite format 3\0"
_WAL_MAGIC: Final = (0x377F0682, 0x377F0683)
_WAL_HEADER: Final = 32
_FRAME_HEADER: Final = 24
_TABLE_LEAF: Final = 0x0D
_LEAF_HEADER: Final = 8
_FILE_HEADER: Final = 100
_SIZES: Final = tuple(1 << bits for bits in range(9, 17))
_USUAL_SIZE: Final = 4096
_VARINT_BYTES: Final = 9
_INTEGERS: Final = (0, 1, 2, 3, 4, 6, 8)
_FIRST_BLOB: Final = 12

# Of a column in a row's header: what is stored there.
NULL, INTEGER, TEXT, BLOB = "n", "i", "t", "b"

Buffer = bytes | memoryview


class Place(NamedTuple):
    """Where a row is: a page, counted from 1, and an offset in it."""

    page: int
    offset: int


def is_log(data: Buffer) -> bool:
    """Whether a file begins as a write-ahead log does."""
    return int.from_bytes(data[:4], "big") in _WAL_MAGIC


def page_size(file: Buffer, wal: Buffer = b"") -> int:
    """Bytes of a page, as the file's header says, or that of its log, or as usual."""
    if bytes(file[:16]) == MAGIC:
        told = int.from_bytes(file[16:18], "big")
        size = 65536 if told == 1 else told
        if size in _SIZES:
            return size
    told = int.from_bytes(wal[8:12], "big")
    return told if told in _SIZES else _USUAL_SIZE


def wal_pages(wal: Buffer, size: int) -> dict[int, int]:
    """For each page that a write-ahead log holds the offset of its last committed version."""
    if len(wal) < _WAL_HEADER or not is_log(wal):
        return {}
    salt = bytes(wal[16:24])
    committed: dict[int, int] = {}
    pending: dict[int, int] = {}
    for at in range(_WAL_HEADER, len(wal) - _FRAME_HEADER - size + 1, _FRAME_HEADER + size):
        page, pages_after = struct.unpack(">II", wal[at : at + 8])
        if bytes(wal[at + 8 : at + 16]) != salt:
            break
        pending[page] = at + _FRAME_HEADER
        if pages_after:
            committed |= pending
            pending = {}
    return committed


class Pages:
    """A file as a row of pages, with those of its log in their places.

    Args:
        file: its bytes.
        wal: those of its log.
        logged: for a page its offset in the log.
        size: of a page.
    """

    def __init__(self, file: Buffer, wal: Buffer, logged: Mapping[int, int], size: int) -> None:
        self._file = memoryview(file)
        self._wal = memoryview(wal)
        self._logged = logged
        self._size = size
        self.count = max(len(file) // size, max(logged, default=0))

    def page(self, number: int) -> memoryview:
        """A page, counted from 1; empty if there is none."""
        at = self._logged.get(number)
        if at is not None:
            return self._wal[at : at + self._size]
        start = (number - 1) * self._size
        return self._file[start : start + self._size] if number > 0 else self._file[:0]

    def rows(self) -> Iterator[tuple[Place, int, str]]:
        """Every row on every leaf of a table: its place, its number, what its columns hold."""
        for number in range(1, self.count + 1):
            page = self.page(number)
            start = _FILE_HEADER if number == 1 else 0
            if len(page) < self._size or page[start] != _TABLE_LEAF:
                continue
            cells = int.from_bytes(page[start + 3 : start + 5], "big")
            first = start + _LEAF_HEADER
            if first + 2 * cells > self._size:
                continue
            for at in range(first, first + 2 * cells, 2):
                place = Place(number, int.from_bytes(page[at : at + 2], "big"))
                try:
                    _, row_id, local = self._cell(place)
                    shape = "".join(_kind(code) for code in _codes(local)[1])
                except (ValueError, IndexError):
                    continue
                yield place, row_id, shape

    def values(self, place: Place) -> list[Any]:
        """The columns of a row.

        Raises:
            ValueError: it is damaged.
        """
        try:
            payload_bytes, _, local = self._cell(place)
            payload = self._payload(place, payload_bytes, local)
            at, codes = _codes(payload)
            found = []
            for code in codes:
                width = _width(code)
                if at + width > len(payload):
                    raise ValueError("a row is cut off")
                found.append(_value(code, payload[at : at + width]))
                at += width
        except IndexError:
            raise ValueError("a row is cut off") from None
        return found

    def _cell(self, place: Place) -> tuple[int, int, memoryview]:
        """Bytes of the payload, number of the row, and what of the payload is on the leaf."""
        page = self.page(place.page)
        payload_bytes, at = _varint(page, place.offset)
        row_id, at = _varint(page, at)
        return payload_bytes, _signed(row_id), page[at : at + self._local_bytes(payload_bytes)]

    def _local_bytes(self, payload_bytes: int) -> int:
        most = self._size - 35
        if payload_bytes <= most:
            return payload_bytes
        least = (self._size - 12) * 32 // 255 - 23
        wanted = least + (payload_bytes - least) % (self._size - 4)
        return wanted if wanted <= most else least

    def _payload(self, place: Place, payload_bytes: int, local: memoryview) -> bytes:
        if len(local) == payload_bytes:
            return bytes(local)
        if payload_bytes > self._size * self.count:
            raise ValueError("a row is longer than its file")
        page = self.page(place.page)
        _, at = _varint(page, place.offset)
        _, at = _varint(page, at)
        at += len(local)
        following = int.from_bytes(page[at : at + 4], "big")
        parts, left = [bytes(local)], payload_bytes - len(local)
        while left > 0:
            page = self.page(following)
            if len(page) < self._size:
                raise ValueError("a row goes on where no page is")
            parts.append(bytes(page[4 : 4 + left]))
            left -= self._size - 4
            following = int.from_bytes(page[:4], "big")
        return b"".join(parts)


def _codes(payload: Buffer) -> tuple[int, list[int]]:
    """Where the values begin, and the serial types of the columns."""
    header_bytes, at = _varint(payload, 0)
    if header_bytes > len(payload):
        raise ValueError("a row's header is cut off")
    codes = []
    while at < header_bytes:
        code, at = _varint(payload, at)
        codes.append(code)
    return header_bytes, codes


def _varint(data: Buffer, at: int) -> tuple[int, int]:
    value = 0
    for n in range(_VARINT_BYTES):
        byte = data[at + n]
        if n == _VARINT_BYTES - 1:
            return value << 8 | byte, at + n + 1
        value = value << 7 | byte & 0x7F
        if byte < 0x80:  # noqa: PLR2004 - the bit that says that more follow
            return value, at + n + 1
    raise AssertionError


def _signed(value: int) -> int:
    return value - (1 << 64) if value >> 63 else value


def _kind(code: int) -> str:
    if code == 0:
        return NULL
    if code >= _FIRST_BLOB:
        return TEXT if code % 2 else BLOB
    return "" if code in {7, 10, 11} else INTEGER


def _width(code: int) -> int:
    if code >= _FIRST_BLOB:
        return (code - _FIRST_BLOB) // 2
    if code == 7:  # noqa: PLR2004 - a float
        return 8
    return _INTEGERS[code] if code < len(_INTEGERS) else 0


def _value(code: int, data: bytes) -> Any:
    match _kind(code):
        case "n":
            return None
        case "t":
            return data.decode()
        case "b":
            return data
        case "i" if code in {8, 9}:
            return code - 8
        case "i":
            return int.from_bytes(data, "big", signed=True)
        case _:
            raise ValueError("a column of no kind of ours")
