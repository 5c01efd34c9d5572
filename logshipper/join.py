"""Joins the 16 KiB parts that Docker cuts long lines into, for each stream by itself; pure."""

from dataclasses import dataclass, field

from logshipper.model import Message, OpenMessage, Position

# Docker's copier hands on at most this much of a line at once (moby, daemon/logger/copier.go).
# json-file has no flag for it: a part is known by its size and by lacking the newline.
PART_BYTES = 16_384
# The stream of all that comes from a file of text; over-long lines of it are parts as well.
FILE_STREAM = "file"
JOINED_STREAMS = ("stdout", "stderr", FILE_STREAM)


@dataclass(slots=True)
class _Pending:
    """A message whose end has not come yet."""

    stream: str
    base: str
    time: str = ""
    start: Position | None = None
    parts: list[str] = field(default_factory=list)
    held_bytes: int = 0
    taken_bytes: int = 0
    pieces: int = 0


class Joiner:
    """Turns records into messages; nothing of a record's text is ever dropped.

    Args:
        limit_bytes: a message longer than this is cut into numbered pieces, between parts.
        opened: messages to go on with, from a checkpoint.
    """

    def __init__(self, limit_bytes: int, opened: tuple[OpenMessage, ...] = ()) -> None:
        self._limit_bytes = limit_bytes
        self._pending = {
            m.stream: _Pending(
                m.stream, m.base, start=m.start, taken_bytes=m.taken_bytes, pieces=m.pieces
            )
            for m in opened
        }

    @property
    def streams(self) -> tuple[str, ...]:
        """Those of the messages that are incomplete."""
        return tuple(self._pending)

    @property
    def waits(self) -> bool:
        """Whether any message is incomplete, so that a record may belong to it."""
        return bool(self._pending)

    @property
    def open(self) -> tuple[OpenMessage, ...]:
        """What is incomplete now, for the checkpoint."""
        return tuple(
            OpenMessage(p.stream, p.base, p.start, p.taken_bytes, p.pieces)
            for p in self._pending.values()
        )

    def add(self, record_id: str, at: Position, text: str, stream: str, time: str) -> list[Message]:
        """Takes one record and gives the messages, or pieces, that are ready with it.

        Args:
            record_id: the id that a message beginning here has.
            at: where the record begins.
            text: as written, with its newline.
            stream: the record's.
            time: the record's.
        """
        size = len(text.encode("utf-8", "surrogatepass"))
        ends = text.endswith("\n") or size < PART_BYTES or stream not in JOINED_STREAMS
        pending = self._pending.get(stream)
        if pending is None:
            if ends:
                return [Message(record_id, _bare(text), stream, time, at=at)]
            pending = self._pending[stream] = _Pending(stream, record_id)
        ready = []
        if pending.parts and pending.held_bytes + size > self._limit_bytes:
            ready.append(_cut(pending, last=False))
        if not pending.parts:
            pending.start = at
            pending.time = time
        pending.parts.append(text)
        pending.held_bytes += size
        if ends:
            del self._pending[stream]
            ready.append(_whole(pending))
        return ready

    def flush(self) -> list[Message]:
        """Gives what is incomplete as it is: its file has ended, or bytes after it are lost."""
        held = [p for p in self._pending.values() if p.parts]
        self._pending.clear()
        return [_cut(pending, last=True) for pending in held]


def _whole(pending: _Pending) -> Message:
    if pending.pieces:
        return _cut(pending, last=True)
    text = _bare("".join(pending.parts))
    return Message(pending.base, text, pending.stream, pending.time, at=pending.start)


def _cut(pending: _Pending, *, last: bool) -> Message:
    # The id names where the piece begins and ends: with another limit, or when a message that was
    # given up is found whole after all, other bytes must not hide behind an id that the sink has.
    begin = pending.taken_bytes
    pending.taken_bytes += pending.held_bytes
    pending.pieces += 1
    text = "".join(pending.parts)
    message = Message(
        id=f"{pending.base}.{begin:x}-{pending.taken_bytes:x}",
        text=_bare(text) if last else text,
        stream=pending.stream,
        time=pending.time,
        base=pending.base,
        piece=pending.pieces,
        last=last,
    )
    pending.parts = []
    pending.held_bytes = 0
    pending.start = None
    return message


def _bare(text: str) -> str:
    return text.removesuffix("\n")
