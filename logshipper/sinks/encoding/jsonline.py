"""Documents as JSON objects, one a line, with their id inside; pure."""

from collections.abc import Mapping, Sequence
from typing import Final

import msgspec

from logshipper.decode import Record
from logshipper.encoding import beside
from logshipper.model import Message
from logshipper.splice import AROUND_BYTES

_STREAMS: Final = {"stdout": b'"stdout"', "stderr": b'"stderr"'}
_OPENING: Final = b'{"_id":"'


class _Line(msgspec.Struct, rename={"id": "_id", "timestamp": "@timestamp"}, gc=False):
    id: str
    timestamp: str
    message: str
    stream: str


class JsonlineEncoding:
    """`_id` first: who stores a line twice can find out."""

    def compile(self, fields: Mapping[str, str]) -> "JsonlineEncoder":
        """Makes the encoder of one log."""
        return JsonlineEncoder({key: text for key, text in fields.items() if text})


class JsonlineEncoder:
    """Makes the documents of one log.

    Args:
        fields: what each of them carries.
    """

    def __init__(self, fields: Mapping[str, str]) -> None:
        self._fields = {**fields, "_id": ""}
        self._encode = msgspec.json.Encoder().encode
        self._tail = (b"," + self._encode(fields)[1:] if fields else b"}") + b"\n"

    def lines(
        self, prefix: str, offset: int, records: Sequence[Record], lengths: Sequence[int], time: str
    ) -> list[bytes]:
        """Encodes lines that nothing rewrote."""
        encode, tail, streams = self._encode, self._tail, _STREAMS
        head = _OPENING + prefix.encode()
        documents: list[bytes] = []
        for record, length in zip(records, lengths, strict=True):
            text = record.log
            documents.append(
                b'%b%x","@timestamp":%b,"message":%b,"stream":%b%b'
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
        head, tail = _OPENING + prefix.encode(), self._tail
        documents: list[bytes] = []
        for inside in insides:
            documents.append(b'%b%x","message":"%b"%b' % (head, offset, inside, tail))
            offset += len(inside) + AROUND_BYTES
        return documents

    def message(self, message: Message) -> bytes:
        """Encodes a message that was joined, cut or rewritten."""
        line = _Line(message.id, message.time, message.text, message.stream)
        source = self._encode(line)[:-1]
        if said := beside(message, self._fields):
            source += b"," + self._encode(said)[1:-1]
        return source + self._tail


def container_of(document: bytes) -> bytes:
    """The container's part of the id: what keeps the order of its lines in a partitioned log."""
    begin = len(_OPENING)
    return document[begin : document.find(b".", begin)]
