"""Documents for Loki's push API: the labels of a stream, and an entry of it; pure."""

from collections.abc import Mapping, Sequence
from typing import Any, Final

import msgspec

from logshipper.decode import Record
from logshipper.encoding import beside, text_of
from logshipper.model import PREFIX, Message
from logshipper.sinks.encoding.times import nanoseconds

_ENCODE: Final = msgspec.json.Encoder().encode


class LokiEncoding:
    """A few fields are labels; with metadata, the others go along with each entry.

    Every set of labels is a stream that Loki keeps open: a label with many values ruins it.

    Args:
        labels: which fields are.
        metadata: whether the others are sent (Loki 3 takes them, Loki 2 refuses the request).
    """

    def __init__(self, labels: Sequence[str], *, metadata: bool) -> None:
        self._labels = tuple(labels)
        self._metadata = metadata

    def compile(self, fields: Mapping[str, str]) -> "LokiEncoder":
        """Makes the encoder of one log."""
        held = {key: text for key, text in fields.items() if text}
        return LokiEncoder(held, self._labels, metadata=self._metadata)


class LokiEncoder:
    """Makes the documents of one log: the stream's labels, a newline, the entry.

    Args:
        fields: what is known of the container.
        labels: which of these, of `stream` and of `level`, make the stream.
        metadata: whether all else is sent.
    """

    def __init__(self, fields: Mapping[str, str], labels: Sequence[str], *, metadata: bool) -> None:
        self._fields = fields
        self._labels = labels
        self._fixed = {key: text for key, text in fields.items() if key in labels}
        self._metadata = metadata
        self._others = {key: text for key, text in fields.items() if key not in labels}
        self._heads: dict[tuple[str, str], bytes] = {}

    def lines(
        self, prefix: str, offset: int, records: Sequence[Record], lengths: Sequence[int], time: str
    ) -> list[bytes]:
        """Encodes lines that nothing rewrote."""
        tail = b"]\n"
        if self._metadata:
            rest = _ENCODE(self._others)
            tail = b'"' + (b"," + rest[1:] if self._others else b"}") + b"]\n"
        documents: list[bytes] = []
        for record, length in zip(records, lengths, strict=True):
            text = record.log
            documents.append(
                b'%b["%d",%b%b%b'
                % (
                    self._head(record.stream),
                    nanoseconds(record.time or time),
                    _ENCODE(text[:-1] if text[-1:] == "\n" else text),
                    b',{"id":"%b%x' % (prefix.encode(), offset) if self._metadata else b"",
                    tail,
                )
            )
            offset += length + 1
        return documents

    def message(self, message: Message) -> bytes:
        """Encodes a message that was joined, cut or rewritten."""
        entry: list[Any] = [str(nanoseconds(message.time)), message.text]
        if self._metadata:
            said = beside(message, {**self._fields, "id": ""})
            if "level" in self._labels:
                said.pop("level", None)
            entry.append({"id": message.id, **self._named(said), **self._others})
        return self._head(message.stream, message.level) + _ENCODE(entry) + b"\n"

    def _named(self, said: Mapping[str, Any]) -> dict[str, str]:
        """Under names that Loki takes; two that become the same stay two."""
        named: dict[str, str] = {}
        for each, value in said.items():
            name = _name(each)
            while name in named or name in self._fields or name in {"id", "stream"}:
                name = f"{PREFIX}{name}"
            named[name] = text_of(value)
        return named

    def _head(self, stream: str, level: str = "") -> bytes:
        head = self._heads.get((stream, level))
        if head is None:
            own = {"stream": stream, "level": level}
            said = {key: text for key, text in own.items() if text and key in self._labels}
            head = _ENCODE({**self._fixed, **said}) + b"\n"
            if len(self._heads) < 100:  # noqa: PLR2004 - a text must not fill the memory with levels
                self._heads[stream, level] = head
        return head


def _name(name: str) -> str:
    """A name that Loki does not have to change (Prometheus's grammar)."""
    kept = "".join(sign if sign.isascii() and sign.isalnum() else "_" for sign in name)
    return f"_{kept}" if kept[:1].isdigit() or not kept else kept


def when_ns(document: bytes) -> int:
    """The time of an entry, Unix time in nanoseconds."""
    begin = document.index(b'\n["') + len(b'\n["')
    return int(document[begin : document.index(b'"', begin)])


def body(documents: Sequence[bytes]) -> bytes:
    """A request (Loki HTTP API, POST /loki/api/v1/push): entries of one stream stand together."""
    streams: dict[bytes, list[bytes]] = {}
    for document in documents:
        head, _, entry = document.partition(b"\n")
        streams.setdefault(head, []).append(entry[:-1])
    told = (
        b'{"stream":%b,"values":[%b]}' % (head, b",".join(entries))
        for head, entries in streams.items()
    )
    return b'{"streams":[%b]}' % b",".join(told)
