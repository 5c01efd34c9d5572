"""Entries of Docker's API on their way to documents: joined as bytes, decoded once whole; pure."""

from collections.abc import Mapping, Sequence
from operator import attrgetter
from typing import Final

from logshipper.decode import Record
from logshipper.encoding import Encoding
from logshipper.join import PART_BYTES
from logshipper.lines.charset import compile_charset
from logshipper.linesettings import LineSettings
from logshipper.model import Chunk, Entry, EntryChunk, Message, Position, Progress, Slice
from logshipper.pipeline import Typed

# Any bytes go through it and come back; a character may be cut in two between parts.
_WAY: Final = ("utf-8", "surrogateescape")
_text: Final = attrgetter("text")


class Entries(Typed):
    """What becomes of a log that is read through Docker's API.

    Docker's drivers but json-file keep bytes as they are, so a character set is of use here.

    Args:
        container_id: 64 hexadecimal digits.
        fields: what each document carries beside time, message and stream.
        encoding: makes documents, as the log's sink takes them.
        limit_bytes: a message longer than this is cut into numbered pieces.
        fallback_time: RFC 3339, for the time before the first entry.
        lines: what is done to lines.
        progress: where an earlier life stopped, if there was one.
    """

    def __init__(
        self,
        container_id: str,
        fields: Mapping[str, str],
        *,
        encoding: Encoding,
        limit_bytes: int,
        fallback_time: str,
        lines: LineSettings | None = None,
        progress: Progress | None = None,
    ) -> None:
        super().__init__(
            container_id,
            fields,
            encoding=encoding,
            limit_bytes=limit_bytes,
            fallback_time=fallback_time,
            lines=lines,
            progress=progress,
        )
        self._decode = compile_charset((lines or LineSettings()).charset)
        self._undecoded = 0

    def take(self, chunk: Chunk) -> Slice:
        """Takes the next entries."""
        documents = self._flushed() if chunk.gap else []
        entries = chunk.entries if isinstance(chunk, EntryChunk) else ()
        documents += self._plainly(entries) if self._is_plain(entries) else self._each(chunk)
        size = chunk.end.offset - chunk.offset
        undecoded, self._undecoded = self._undecoded, 0
        return self._slice(documents, chunk.end, size, undecoded=undecoded)

    def _is_plain(self, entries: Sequence[Entry]) -> bool:
        """Whether each of them stands for itself: the way of nearly every line."""
        if self._stages is not None or self._replay_until is not None or self._joiner.waits:
            return False
        return max(map(len, map(_text, entries)), default=0) < PART_BYTES

    def _plainly(self, entries: Sequence[Entry]) -> list[bytes]:
        encode, decode, container = self._encoder.message, self._decode, self._container
        documents = []
        for entry in entries:
            text, fits = decode(entry.text.removesuffix(b"\n"))
            self._undecoded += not fits
            identity = f"{container}.{entry.mark}"
            documents.append(encode(Message(identity, text, entry.stream, entry.time)))
        if entries:
            self._time = entries[-1].time
        return documents

    def _each(self, chunk: Chunk) -> list[bytes]:
        documents: list[bytes] = []
        ordinal, offset = chunk.generation.ordinal, chunk.offset
        for entry in chunk.entries if isinstance(chunk, EntryChunk) else ():
            at = Position(ordinal, offset)
            if self._was_shipped(entry.stream, at):
                documents += self._passed(entry)
            else:
                documents += self._taken(entry, at)
            offset += entry.size_bytes
        return documents

    def _taken(self, entry: Entry, at: Position) -> list[bytes]:
        identity = f"{self._container}.{entry.mark}"
        ends = entry.text.endswith(b"\n") or len(entry.text) < PART_BYTES
        if self._joiner.waits or not ends:
            text = entry.text.decode(*_WAY)
            if ends and not text.endswith("\n"):
                # The last part of a line comes without its newline through the API: it is known
                # by being shorter than a part.
                text += "\n"
            return self._joined(identity, at, Record(text, entry.stream, entry.time))
        documents = self._passed(entry)
        text = self._text(entry.text.removesuffix(b"\n"))
        message = Message(identity, text, entry.stream, entry.time, at=at)
        if self._stages is None:
            return [self._encoder.message(message)]
        return documents + [self._encoder.message(m) for m in self._stages.add(message)]

    def _encoded(self, joined: list[Message]) -> list[bytes]:
        for message in joined:
            message.text = self._text(message.text.encode(*_WAY))
        return super()._encoded(joined)

    def _text(self, data: bytes) -> str:
        text, fits = self._decode(data)
        self._undecoded += not fits
        return text
