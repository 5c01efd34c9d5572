"""Reads the lines of Docker's json-file driver, the broken ones too; pure."""

from typing import Final

import msgspec

OPENING: Final = b'{"log":"'


class Record(msgspec.Struct, gc=False):
    """One line of a json-file log (moby, daemon/logger/jsonfilelog/jsonlog).

    Attributes:
        log: the text, with its newline unless it is a part.
        stream: `stdout` or `stderr`.
        time: RFC 3339 in UTC, nanoseconds with trailing zeros trimmed.
    """

    log: str
    stream: str = "stdout"
    time: str = ""


class Located(msgspec.Struct, gc=False):
    """A record and where it begins, relative to the chunk.

    Attributes:
        offset: of its first byte.
        record: None for bytes that are no record.
        raw: those bytes; empty when there is a record.
    """

    offset: int
    record: Record | None
    raw: bytes = b""


_DECODER: Final = msgspec.json.Decoder(Record)


def decode_all(data: bytes, lengths: list[int]) -> list[Record] | None:
    """Decodes a chunk in one call; None when any line of it needs a closer look.

    Args:
        data: whole lines.
        lengths: the length of each line of it, without the newline.
    """
    try:
        records = _DECODER.decode_lines(data)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return None
    # decode_lines passes over empty lines and takes two records in one line (a torn one that
    # dockerd wrote on behind after a crash): offsets, and so ids, would be those of others.
    return records if len(records) == len(lengths) else None


def decode_each(data: bytes) -> tuple[list[Located], int]:
    """Decodes line by line; gives what it found and how many bytes were NUL or blank.

    After a power loss a file holds blocks of NUL bytes, and a torn line that the next record is
    written right behind. Every other byte is in what is given back.
    """
    found: list[Located] = []
    skipped = offset = 0
    for line in data.split(b"\n"):
        start = offset
        offset += len(line) + 1
        kept = line.lstrip(b"\0")
        skipped += len(line) - len(kept)
        if kept.strip():
            found.extend(_line(kept, start + len(line) - len(kept)))
    return found, skipped


def _line(line: bytes, offset: int) -> list[Located]:
    found: list[Located] = []
    while (record := _record(line)) is None:
        # A torn line and the one behind it: the text of a log cannot hold OPENING, as the quotes
        # in it are escaped.
        second = line.rfind(OPENING)
        if second <= 0 or (later := _record(line[second:])) is None:
            found.append(Located(offset, None, line))
            return found[::-1]
        found.append(Located(offset + second, later))
        line = line[:second]
    found.append(Located(offset, record))
    return found[::-1]


def _record(line: bytes) -> Record | None:
    try:
        return _DECODER.decode(line)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return None
