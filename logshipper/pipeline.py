"""What becomes of a log's bytes until they are documents: compiled once for each log; pure."""

from collections.abc import Mapping
from math import inf
from typing import Final, Protocol

from logshipper.decode import Located, Record, decode_all, decode_each
from logshipper.encoding import Encoding, Splicer
from logshipper.join import PART_BYTES, Joiner
from logshipper.lines.stages import Stages
from logshipper.linesettings import LineSettings
from logshipper.model import Chunk, Entry, Message, Position, Progress, Slice
from logshipper.splice import insides

ID_CONTAINER_DIGITS: Final = 16


class Pipeline(Protocol):
    """Bytes of one log in, encoded documents out; chosen for each log, never for each line."""

    @property
    def waits(self) -> bool:
        """Whether it holds the beginning of a message."""

    @property
    def patience_seconds(self) -> float:
        """With nothing new for so long, `settle` has something to give; infinite without any."""

    def take(self, chunk: Chunk) -> Slice:
        """Takes the next bytes of the log."""

    def settle(self, at: Position) -> Slice:
        """Gives the events that nothing has come to for `patience_seconds`."""

    def finish(self, at: Position) -> Slice:
        """Gives what it still holds: nothing follows."""

    def describe(self, fields: Mapping[str, str], lines: LineSettings) -> None:
        """What documents carry beside the message, and what is done to it, from the next on.

        May be called while another thread is in one of the others.
        """


class Typed:
    """Decodes each record, joins, and encodes a document; what needs none of that is spliced.

    Args:
        container_id: 64 hexadecimal digits.
        fields: what each document carries beside time, message and stream.
        encoding: makes documents, as the log's sink takes them.
        limit_bytes: a message longer than this is cut into numbered pieces.
        fallback_time: RFC 3339, for lines without a time before the first that has one.
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
        self._container = container_id[:ID_CONTAINER_DIGITS]
        self._limit_bytes = limit_bytes
        self._time = fallback_time
        self._encoding = encoding
        self._stages: Stages | None = None
        self._joiner = Joiner(limit_bytes, progress.open if progress else ())
        # Between `resume` and `read` lie records that were shipped and parts that were not.
        self._resumed = progress
        self._replay_until = progress.read if progress else None
        self._replayed = {m.stream: m.start for m in progress.open} if progress else {}
        self._asked = self._given = (fields, lines or LineSettings())
        self._compile()

    @property
    def waits(self) -> bool:
        """Whether it holds the beginning of a message."""
        return self._joiner.waits or (self._stages is not None and bool(self._stages.streams))

    @property
    def patience_seconds(self) -> float:
        """With nothing new for so long, `settle` has something to give."""
        if self._stages is None:
            return inf
        return self._stages.patience_seconds(self._joiner.streams)

    def describe(self, fields: Mapping[str, str], lines: LineSettings) -> None:
        """What documents carry beside the message, and what is done to it, from the next on."""
        self._asked = (fields, lines)

    def _described(self) -> list[bytes]:
        """Takes up what was asked for meanwhile; gives the events that are over by that."""
        if self._asked is self._given:
            return []
        self._given = self._asked
        return [self._encoder.message(message) for message in self._compile()]

    def _compile(self) -> list[Message]:
        fields, lines = self._given
        before, stages = self._stages, Stages(lines, limit_bytes=self._limit_bytes)
        stages.describe(fields)
        ready = stages.succeed(before) if before is not None else []
        self._stages = stages or None
        self._encoder = self._encoding.compile(fields)
        self._splicer: Splicer | None = None
        if self._stages is None and isinstance(self._encoder, Splicer):
            self._splicer = self._encoder
        return ready

    def take(self, chunk: Chunk) -> Slice:
        """Takes the next bytes of the log."""
        documents = self._described()
        documents += self._flushed() if chunk.gap else []
        if (spliced := self._spliced(chunk)) is not None:
            return self._slice(documents + spliced, chunk.end, len(chunk.data))
        lengths = [len(line) for line in chunk.data.split(b"\n")]
        if lengths and not lengths[-1]:
            lengths.pop()
        records = decode_all(chunk.data, lengths)
        zeroed = undecoded = 0
        if records is None:
            located, zeroed = decode_each(chunk.data)
            undecoded = sum(each.record is None for each in located)
            documents += self._located(chunk, located)
        else:
            documents += self._decoded(chunk, records, lengths)
        return self._slice(documents, chunk.end, len(chunk.data), zeroed, undecoded)

    def _decoded(self, chunk: Chunk, records: list[Record], lengths: list[int]) -> list[bytes]:
        if self._replay_until is not None:
            return self._located(chunk, _locate(records, lengths))
        if self._stages is not None:
            return self._staged(self._stages, chunk, records, lengths)
        return self._plain(chunk, records, lengths)

    def settle(self, at: Position) -> Slice:
        """Gives the events that nothing has come to for `patience_seconds`."""
        documents = self._described()
        # A message that is incomplete may go on with the event before it.
        joining = self._joiner.streams
        ready: list[Message] = []
        if self._stages is not None:
            ready = self._stages.flush(s for s in self._stages.streams if s not in joining)
        return self._slice(documents + [self._encoder.message(m) for m in ready], at)

    def finish(self, at: Position) -> Slice:
        """Gives what it still holds: nothing follows."""
        return self._slice(self._described() + self._flushed(), at)

    def _slice(
        self,
        documents: list[bytes],
        at: Position,
        size: int = 0,
        zeroed: int = 0,
        undecoded: int = 0,
    ) -> Slice:
        stages, resumed = self._stages, self._resumed
        if resumed is not None and at < resumed.read:
            # Not back to what is acknowledged no more: a life that began there would take lines
            # that were shipped for the heads of messages that were left open behind them.
            progress = resumed
        else:
            held = self._joiner.open
            progress = Progress(at, stages.open(held) if stages is not None else held)
            self._resumed = None
        tally = stages.tally() if stages is not None else None
        return Slice(tuple(documents), progress, size, zeroed, undecoded, tally)

    def _flushed(self) -> list[bytes]:
        """All that is held, as it is."""
        documents = self._encoded(self._joiner.flush())
        if self._stages is not None:
            ready = self._stages.flush(self._stages.streams)
            documents += [self._encoder.message(message) for message in ready]
        return documents

    def _encoded(self, joined: list[Message]) -> list[bytes]:
        if self._stages is None:
            return [self._encoder.message(message) for message in joined]
        add, encode = self._stages.add, self._encoder.message
        return [encode(ready) for message in joined for ready in add(message)]

    def _spliced(self, chunk: Chunk) -> list[bytes] | None:
        """The way of lines that Docker wrote as it always does, where nothing is done to them."""
        waits = self._joiner.waits or self._replay_until is not None
        if self._splicer is None or waits or (found := insides(chunk.data)) is None:
            return None
        self._time = found.time
        prefix = f"{self._container}.{chunk.generation.token}."
        return self._splicer.spliced(prefix, chunk.offset, found.each)

    def _plain(self, chunk: Chunk, records: list[Record], lengths: list[int]) -> list[bytes]:
        """The way of every line: nearly none is a part, or waits for one."""
        prefix = f"{self._container}.{chunk.generation.token}."
        parts = [number for number, length in enumerate(lengths) if length >= PART_BYTES]
        offset, begin = chunk.offset, 0
        documents: list[bytes] = []
        while begin < len(records):
            if not self._joiner.waits:
                end = next((number for number in parts if number >= begin), len(records))
                documents += self._run(prefix, offset, records[begin:end], lengths[begin:end])
                offset += sum(lengths[begin:end]) + end - begin
                begin = end
            if begin < len(records):
                at = Position(chunk.generation.ordinal, offset)
                documents += self._joined(f"{prefix}{offset:x}", at, records[begin])
                offset += lengths[begin] + 1
                begin += 1
        return documents

    def _run(
        self, prefix: str, offset: int, records: list[Record], lengths: list[int]
    ) -> list[bytes]:
        """Lines that stand for themselves, in one call of the encoder."""
        documents = self._encoder.lines(prefix, offset, records, lengths, self._time)
        if records:
            self._time = records[-1].time or self._time
        return documents

    def _staged(
        self, stages: Stages, chunk: Chunk, records: list[Record], lengths: list[int]
    ) -> list[bytes]:
        """The way of lines that something is done to."""
        prefix = f"{self._container}.{chunk.generation.token}."
        ordinal, offset = chunk.generation.ordinal, chunk.offset
        encode, single = self._encoder.message, stages.single
        waits = self._joiner.waits
        documents: list[bytes] = []
        add = documents.append
        for record, length in zip(records, lengths, strict=True):
            if length >= PART_BYTES or waits:
                at = Position(ordinal, offset)
                documents += self._joined(f"{prefix}{offset:x}", at, record)
                waits = self._joiner.waits
                offset += length + 1
                continue
            stream = record.stream
            self._time = time = record.time or self._time
            message = Message(f"{prefix}{offset:x}", record.log.removesuffix("\n"), stream, time)
            if single is not None:
                if single(message):
                    add(encode(message))
            else:
                message.at = Position(ordinal, offset)
                for ready in stages.passed(stream, time):
                    add(encode(ready))
                for ready in stages.add(message):
                    add(encode(ready))
            offset += length + 1
        return documents

    def _joined(self, identity: str, at: Position, record: Record) -> list[bytes]:
        documents = self._passed(record)
        ready = self._joiner.add(identity, at, record.log, record.stream, self._time)
        return documents + self._encoded(ready)

    def _passed(self, record: Record | Entry) -> list[bytes]:
        """Learns of a record's time, also of one that was shipped before."""
        self._time = record.time or self._time
        if self._stages is None:
            return []
        ready = self._stages.passed(record.stream, self._time)
        return [self._encoder.message(message) for message in ready]

    def _located(self, chunk: Chunk, located: list[Located]) -> list[bytes]:
        documents: list[bytes] = []
        for each in located:
            at = Position(chunk.generation.ordinal, chunk.offset + each.offset)
            identity = f"{self._container}.{chunk.generation.token}.{at.offset:x}"
            if each.record is None:
                if not self._was_shipped("", at):
                    documents.append(self._raw(identity, each.raw))
                continue
            if not self._was_shipped(each.record.stream, at):
                documents += self._joined(identity, at, each.record)
            else:
                documents += self._passed(each.record)
        return documents

    def _was_shipped(self, stream: str, at: Position) -> bool:
        if self._replay_until is None:
            return False
        if at >= self._replay_until:
            self._replay_until = None
            return False
        start = self._replayed.get(stream)
        return start is None or at < start

    def _raw(self, identity: str, raw: bytes) -> bytes:
        text = raw.decode("utf-8", "replace")
        message = Message(identity, text, "stdout", self._time, fields={"undecoded": True})
        if self._stages is not None:
            self._stages.redact(message)
        return self._encoder.message(message)


def _locate(records: list[Record], lengths: list[int]) -> list[Located]:
    located = []
    offset = 0
    for record, length in zip(records, lengths, strict=True):
        located.append(Located(offset, record))
        offset += length + 1
    return located
