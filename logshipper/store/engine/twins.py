"""Which lines a day holds already, by all that they say: for lines that come out of a store.

They carry no id of their sender's any more. But a line is all that there is to know of it: if
the day has it as often as it was exported, it is the same.
"""

import sqlite3
from bisect import bisect_left
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence

import msgspec

from logshipper.store.engine import block
from logshipper.store.engine.block import Body, Head
from logshipper.store.model import Document, Stream

# Time, stream, level, message, other fields.
_Said = tuple[int, int, int, str, bytes]

_decoder = msgspec.json.Decoder()
_encoder = msgspec.json.Encoder(order="sorted")


def admit(
    connection: sqlite3.Connection,
    streams: Mapping[Stream, int],
    documents: Sequence[Document],
    fresh: Sequence[bool],
) -> list[bool]:
    """Says which of the documents that are new by their ids are new by what they say.

    Args:
        connection: to the day's file.
        streams: its streams.
        documents: what was sent; only those with a copy number are looked for.
        fresh: for each whether it is new by its id.

    Raises:
        sqlite3.Error: a block cannot be read.
        Unavailable: a block is damaged.
    """
    wanted = [document.line.time_ns for document in documents if document.copy >= 0]
    there = Counter(_stored(connection, sorted(set(wanted))))
    answers = list(fresh)
    for at, document in enumerate(documents):
        if document.copy < 0 or not answers[at]:
            continue
        line = document.line
        # A stream that is new has no lines; two that are new must not be taken for one.
        number = streams.get(line.stream, -1 - hash(line.stream) % (1 << 60))
        said = (line.time_ns, number, line.level, line.message, _sorted(line.extra))
        answers[at] = there[said] <= document.copy
        there[said] += answers[at]
    return answers


def _stored(connection: sqlite3.Connection, times_ns: Sequence[int]) -> Iterator[_Said]:
    """Every line of the day at one of these times, which ascend."""
    wanted = frozenset(times_ns)
    touched = connection.execute(
        "SELECT id, first_ns, last_ns FROM block WHERE last_ns >= ? AND first_ns <= ?",
        (times_ns[0], times_ns[-1]),
    ).fetchall()
    for number, first_ns, last_ns in touched:
        at = bisect_left(times_ns, first_ns)
        if at == len(times_ns) or times_ns[at] > last_ns:
            continue
        for head, body in _pieces(connection, number):
            lines = [at for at, time_ns in enumerate(head.times_ns) if time_ns in wanted]
            if lines:
                yield from _said(head, body(), lines)


def _said(head: Head, body: Body, lines: Sequence[int]) -> Iterator[_Said]:
    for at in lines:
        extra = _sorted(body.extras[at]) if body.extras else b""
        yield head.times_ns[at], head.stream_ids[at], head.levels[at], body.messages[at], extra


def _pieces(connection: sqlite3.Connection, number: int) -> Iterator[tuple[Head, "_Later"]]:
    """The block, or the parts of the open one."""
    (head,) = connection.execute("SELECT head FROM block WHERE id = ?", (number,)).fetchone()
    if head is not None:
        query = "SELECT body FROM block WHERE id = ?"
        yield block.decode_head(head), _Later(connection, query, number)
        return
    for part, head in connection.execute("SELECT id, head FROM part ORDER BY id").fetchall():
        query = "SELECT body FROM part WHERE id = ?"
        yield block.decode_head(head), _Later(connection, query, part)


class _Later:
    """The texts of a block, which mostly nobody needs."""

    def __init__(self, connection: sqlite3.Connection, query: str, number: int) -> None:
        self._connection = connection
        self._query = query
        self._number = number

    def __call__(self) -> Body:
        (body,) = self._connection.execute(self._query, (self._number,)).fetchone()
        return block.decode_body(body)


def _sorted(extra: bytes) -> bytes:
    """Other fields in one order: an export gives some of them back in another."""
    return _encoder.encode(_decoder.decode(extra)) if extra else b""
