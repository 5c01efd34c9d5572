"""Puts lines that belong together into one event, for each stream by itself; pure.

Where an event ends follows from the log alone: from its texts and from the times that Docker
wrote. A life that reads the same bytes again, cut in other places, builds the same events.
"""

from typing import Final

from logshipper.lines.presets import Continues, Event
from logshipper.model import Message, OpenMessage
from wharfinger.container import time_ns

SECOND_NS: Final = 10**9
# Of an RFC 3339 time: to the second.
SAME_SECOND: Final = 19
# dockerd takes the time of a line before it has the lock to write it.
SLACK_NS: Final = SECOND_NS


class Grouper:
    """Turns messages into events; nothing of a text is ever dropped.

    Attributes:
        patience_seconds: with nothing new for so long, an event is over.
        events: those that may go on, by stream.

    Args:
        continues: whether a line goes on with an event.
        seconds: a line that comes later than that after the one before it begins an event.
        limit_lines: an event has no more.
        limit_bytes: an event is no longer, but for one of a single line.
    """

    def __init__(
        self, continues: Continues, *, seconds: float, limit_lines: int, limit_bytes: int
    ) -> None:
        self._continues = continues
        self.patience_seconds = seconds + SLACK_NS / SECOND_NS
        self._limit_ns = int(seconds * SECOND_NS)
        self._limit_over_ns = self._limit_ns + SLACK_NS
        self._limit_lines = limit_lines
        self._limit_bytes = limit_bytes
        self.events: dict[str, Event] = {}

    def succeed(self, old: "Grouper") -> None:
        """Goes on with the events of one that put lines together in the same way."""
        self.events = old.events

    @property
    def streams(self) -> tuple[str, ...]:
        """Those of the events that may go on."""
        return tuple(self.events)

    def open(self, parts: tuple[OpenMessage, ...]) -> tuple[OpenMessage, ...]:
        """What is incomplete now, for the checkpoint.

        Args:
            parts: of messages that are incomplete themselves; such a one may go on with an event.
        """
        begun = (OpenMessage(s, e.first.id, e.at) for s, e in self.events.items())
        return (*begun, *(part for part in parts if part.stream not in self.events))

    def add(self, message: Message) -> list[Message]:
        """Takes a message and gives the events that are complete with it.

        Args:
            message: a line, with where it begins, or a piece of one: that is never put together
                with others.
        """
        event = self.events.get(message.stream)
        if message.piece or message.at is None:
            return [*self.flush(message.stream), message]
        text = message.text
        size = len(text) + 1 if text.isascii() else _size(text) + 1
        if event is not None and self._belongs(message, size, event):
            event.lines.append(text)
            event.size_bytes += size
            event.time = message.time
            return []
        self.events[message.stream] = Event(message, message.at, [text], size, message.time)
        return [_whole(event)] if event is not None else []

    def passed(self, stream: str, time: str) -> list[Message]:
        """Learns of a time; gives events of other streams that nothing can go on with any more.

        Args:
            stream: of the record.
            time: of the record.
        """
        over: list[Message] = []
        if len(self.events) > (stream in self.events):
            for other in tuple(self.events):
                if other != stream and _later(self.events[other].time, time, self._limit_over_ns):
                    over += self.flush(other)
        return over

    def flush(self, *streams: str) -> list[Message]:
        """Gives the events of these streams as they are."""
        events = (self.events.pop(stream, None) for stream in streams)
        return [_whole(event) for event in events if event is not None]

    def _belongs(self, message: Message, size: int, event: Event) -> bool:
        return (
            len(event.lines) < self._limit_lines
            and event.size_bytes + size <= self._limit_bytes
            and self._continues(message.text.removesuffix("\r"), event)
            and not _later(event.time, message.time, self._limit_ns)
        )


def _whole(event: Event) -> Message:
    message = event.first
    if len(event.lines) > 1:
        # The id says how many lines there are: should another life, that was interrupted or had
        # other settings, put other lines together, they must not hide behind an id that the sink
        # has already.
        message.id = f"{message.id}.{len(event.lines):x}"
        message.text = "\n".join(event.lines)
    return message


def _later(first: str, second: str, limit_ns: int) -> bool:
    if first[:SAME_SECOND] == second[:SAME_SECOND] and limit_ns >= SECOND_NS:
        return False
    begin, end = time_ns(first), time_ns(second)
    return begin > 0 and end - begin > limit_ns


def _size(text: str) -> int:
    return len(text.encode("utf-8", "surrogatepass"))
