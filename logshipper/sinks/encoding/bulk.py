"""Documents of the `_bulk` protocol: an action line and a source line; pure."""

from collections.abc import Mapping, Sequence
from functools import lru_cache
from typing import Final

import msgspec

from logshipper.decode import Record
from logshipper.encoding import beside
from logshipper.model import Message
from logshipper.sinks.encoding.times import day
from logshipper.splice import AROUND_BYTES

_STREAMS: Final = {"stdout": b'"stdout"', "stderr": b'"stderr"'}


class BulkEncoding:
    """Action `create` with an id of its own: what is sent twice is stored once.

    Args:
        index: with %Y, %m and %d, for the day of each line, or empty where the address names it.
    """

    def __init__(self, index: str = "") -> None:
        self._index = index

    def compile(self, fields: Mapping[str, str]) -> "BulkEncoder | DatedBulkEncoder":
        """Makes the encoder of one log."""
        given = {key: text for key, text in fields.items() if text}
        return DatedBulkEncoder(given, self._index) if self._index else BulkEncoder(given)


class BulkEncoder:
    """Makes the documents of one log.

    Args:
        fields: what each of them carries.
    """

    def __init__(self, fields: Mapping[str, str]) -> None:
        self._fields = fields
        self._encode = msgspec.json.Encoder().encode
        encoded = self._encode(fields)
        self._tail = (b"," + encoded[1:] if fields else b"}") + b"\n"

    def lines(
        self, prefix: str, offset: int, records: Sequence[Record], lengths: Sequence[int], time: str
    ) -> list[bytes]:
        """Encodes lines that nothing rewrote."""
        encode, tail, streams = self._encode, self._tail, _STREAMS
        head = b'{"create":{"_id":"' + prefix.encode()
        documents: list[bytes] = []
        add = documents.append
        for record, length in zip(records, lengths, strict=True):
            text = record.log
            # One allocation for the whole document; this line is a third of the path's cost.
            add(
                b'%b%x"}}\n{"@timestamp":%b,"message":%b,"stream":%b%b'
                % (
                    head,
                    offset,
                    encode(record.time or time),
                    encode(text[:-1] if text[-1:] == "\n" else text),
                    streams.get(record.stream) or encode(record.stream),
                    tail,
                )
            )
            offset += length + 1
        return documents

    def spliced(self, prefix: str, offset: int, insides: Sequence[bytes]) -> list[bytes]:
        """Puts lines into documents as they stand."""
        head, tail = b'{"create":{"_id":"' + prefix.encode(), self._tail
        documents: list[bytes] = []
        add = documents.append
        for inside in insides:
            add(b'%b%x"}}\n{"message":"%b"%b' % (head, offset, inside, tail))
            offset += len(inside) + AROUND_BYTES
        return documents

    def message(self, message: Message) -> bytes:
        """Encodes a message that was joined, cut or rewritten."""
        return b'{"create":{"_id":"%b"}}\n%b' % (message.id.encode(), self.source(message))

    def source(self, message: Message) -> bytes:
        """What stands below the action line."""
        encode, stream = self._encode, message.stream
        tail = self._tail
        if said := beside(message, self._fields):
            tail = b",%b%b" % (encode(said)[1:-1], tail)
        return b'{"@timestamp":%b,"message":%b,"stream":%b%b' % (
            encode(message.time),
            encode(message.text),
            _STREAMS.get(stream) or encode(stream),
            tail,
        )


class DatedBulkEncoder:
    """Makes the documents of one log, for an index that is named by the day of each line.

    Args:
        fields: what each of them carries.
        index: see `BulkEncoding`.
    """

    def __init__(self, fields: Mapping[str, str], index: str) -> None:
        self._plain = BulkEncoder(fields)
        self._index = index

    def lines(
        self, prefix: str, offset: int, records: Sequence[Record], lengths: Sequence[int], time: str
    ) -> list[bytes]:
        """Encodes lines that nothing rewrote."""
        documents: list[bytes] = []
        for record, length in zip(records, lengths, strict=True):
            text, at = record.log.removesuffix("\n"), record.time or time
            documents.append(self.message(Message(f"{prefix}{offset:x}", text, record.stream, at)))
            offset += length + 1
        return documents

    def message(self, message: Message) -> bytes:
        """Encodes a message that was joined, cut or rewritten."""
        index = _named(self._index, day(message.time))
        action = b'{"create":{"_index":"%b","_id":"%b"}}\n' % (index, message.id.encode())
        return action + self._plain.source(message)


@lru_cache(maxsize=256)
def _named(index: str, date: str) -> bytes:
    # The line's own day, not the clock's: what is sent again must meet the document it was.
    year, month, day_of_month = date.split("-")
    for mark, text in (("%Y", year), ("%m", month), ("%d", day_of_month)):
        index = index.replace(mark, text)
    return index.encode()
