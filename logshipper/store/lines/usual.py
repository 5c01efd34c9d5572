"""Lines of the shape that the shipper sends, many at once: each step is one call, not one a line.

A call of a Python function costs as much as all that it does for a line here. So columns are
worked on: what is simple of all lines together, and line by line only where one is not.
"""

import re
from collections.abc import Callable, Iterable, Sequence
from itertools import repeat
from typing import Final, TypeVar

import msgspec

from logshipper.store.lines import documents, times
from logshipper.store.lines.times import Arrival
from logshipper.store.lines.words import index_texts, plain_texts
from logshipper.store.model import MAX_ID_BYTES, MAX_MESSAGE_BYTES, Document, Line
from wharfinger import levels
from wharfinger.errors import Rejected

# Only the one spelling that the shipper writes, one below the other.
_OFFSETS: Final = re.compile(r"(?:(?:0|[1-9a-f][0-9a-f]{0,14})\n)*", re.ASCII)


class _Usual(msgspec.Struct, forbid_unknown_fields=True, gc=False):
    """What the shipper sends for most lines: read a third faster than any object."""

    message: str
    time: str = msgspec.field(name="@timestamp")
    app: str = ""
    env: str = ""
    host: str = ""
    container: str = ""
    stream: str = ""


class _Named(_Usual, forbid_unknown_fields=True, gc=False):
    """The same with its id inside."""

    id: str = msgspec.field(name="_id", default="")


_Row = TypeVar("_Row", bound=_Usual)

_decode: Final = msgspec.json.Decoder(_Usual).decode
_decode_named: Final = msgspec.json.Decoder(_Named).decode
_UNUSUAL: Final = _Named("", "1970-01-01T00:00:00.000000000Z")


def read(
    raws: Sequence[bytes], identities: Sequence[str], arrival: Arrival
) -> list[Document | Rejected]:
    """The documents of JSON objects; the same as `document` of what `decode` gives for each.

    Args:
        raws: one JSON object each.
        identities: their ids, empty for one that has none.
        arrival: when they came.

    Returns:
        For each its document, or why there is none.
    """
    rows, unusual = _rows(raws, _decode)

    def alone(at: int) -> Document:
        return documents.document(documents.decode(raws[at]), identities[at], arrival)

    return _completed(_documents(rows, identities, arrival, unusual), unusual, alone)


def read_named(
    raws: Sequence[bytes], arrival: Arrival, otherwise: Callable[[bytes], Document]
) -> list[Document | Rejected]:
    """The documents of JSON objects with their ids inside.

    Args:
        raws: one JSON object each.
        arrival: when they came.
        otherwise: makes the document of an object that has more fields, or other names.

    Returns:
        For each its document, or why there is none.
    """
    rows, unusual = _rows(raws, _decode_named)
    identities = [row.id for row in rows]
    if max(map(len, identities), default=0) * 4 > MAX_ID_BYTES:
        unusual += range(len(rows))
    found = _documents(rows, identities, arrival, unusual)
    return _completed(found, unusual, lambda at: otherwise(raws[at]))


def split_ids(identities: Sequence[str]) -> tuple[list[str], list[int]]:
    """Sources and offsets of ids, as `documents.split_id` gives them for each."""
    parts = [identity.rpartition(".") for identity in identities]
    sources = [part[0] for part in parts]
    digits = [part[2] for part in parts]
    if all(map(documents.is_source, set(sources))) and _OFFSETS.fullmatch("\n".join([*digits, ""])):
        return sources, list(map(int, digits, repeat(16)))
    pairs = list(map(documents.split_id, identities))
    return [source for source, _ in pairs], [offset for _, offset in pairs]


def _rows(
    raws: Sequence[bytes], decode: Callable[[bytes], _Row]
) -> tuple[list[_Row | _Named], list[int]]:
    """What each line holds, and the places of those that hold something else."""
    rows: list[_Row | _Named] = []
    unusual: list[int] = []
    left = iter(raws)
    while len(rows) < len(raws):
        try:
            # What was read before an error stays in the list, and the line is used up.
            rows.extend(map(decode, left))
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
            unusual.append(len(rows))
            rows.append(_UNUSUAL)
    return rows, unusual


def _completed(
    usual: Sequence[Document], unusual: Iterable[int], alone: Callable[[int], Document]
) -> list[Document | Rejected]:
    """The documents, those of unusual places made one by one."""
    found: list[Document | Rejected] = [*usual]
    for at in unusual:
        try:
            found[at] = alone(at)
        except Rejected as error:
            found[at] = error
    return found


def _documents(
    rows: Sequence[_Usual], identities: Sequence[str], arrival: Arrival, unusual: list[int]
) -> list[Document]:
    """The documents; adds the places of those that need a closer look."""
    messages = [row.message for row in rows]
    moments = times.parse_texts([row.time for row in rows])
    latest_ns = arrival.latest_ns
    unusual += [at for at, ns in enumerate(moments) if ns is None or ns > latest_ns]
    longest = MAX_MESSAGE_BYTES // 4
    if max(map(len, messages), default=0) > longest:
        unusual += [at for at, message in enumerate(messages) if len(message) > longest]
    streams = [
        documents.labels(row.app, row.env, row.host, row.container, row.stream) for row in rows
    ]
    texts = plain_texts(messages)
    lines = map(
        Line,
        [ns or 0 for ns in moments],
        streams,
        map(levels.detect, texts),
        messages,
        repeat(b""),
    )
    return list(map(Document, lines, index_texts(texts), *split_ids(identities)))
