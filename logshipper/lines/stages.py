"""From joined messages to those that become documents: events first, then the rules; pure."""

from collections.abc import Callable, Iterable, Sequence
from math import inf

from logshipper.lines.multiline import Grouper
from logshipper.lines.presets import compile_multiline
from logshipper.lines.rules import Rules
from logshipper.linesettings import LineSettings
from logshipper.model import Message, OpenMessage, Tally


class Stages:
    """What is done to the messages of one log.

    Attributes:
        rules: for each message, or event.
        grouper: makes events; None where each line stands for itself.

    Args:
        settings: all of which have been checked.
        limit_bytes: an event is no longer.
    """

    def __init__(self, settings: LineSettings, *, limit_bytes: int) -> None:
        self.rules = Rules(settings)
        self._ruling = bool(self.rules)
        self.grouper: Grouper | None = None
        if settings.multiline:
            self.grouper = Grouper(
                compile_multiline(settings.multiline),
                seconds=settings.multiline_seconds,
                limit_lines=settings.multiline_lines,
                limit_bytes=limit_bytes,
            )

    def __bool__(self) -> bool:
        """Whether anything is done at all."""
        return bool(self.rules) or self.grouper is not None

    def succeed(self, old: "Stages") -> list[Message]:
        """Goes on where others stopped; gives the events that are over by that, ruled anew."""
        self.rules.succeed(old.rules)
        if old.grouper is None:
            return []
        if (
            self.grouper is not None
            and self.rules.settings.multiline == old.rules.settings.multiline
        ):
            self.grouper.succeed(old.grouper)
            return []
        return self._ruled(old.grouper.flush(*old.grouper.streams))

    @property
    def single(self) -> Callable[[Message], bool] | None:
        """What rewrites a message and says whether it is shipped, where each stands for itself."""
        return self.rules.apply if self.grouper is None else None

    @property
    def streams(self) -> Sequence[str]:
        """Those of the events that may go on."""
        return self.grouper.streams if self.grouper is not None else ()

    def patience_seconds(self, joining: Iterable[str]) -> float:
        """With nothing new for so long, some event is over; infinite when none is.

        Args:
            joining: streams whose last message is incomplete: it may yet go on with an event.
        """
        if self.grouper is None or not set(self.grouper.streams).difference(joining):
            return inf
        return self.grouper.patience_seconds

    def open(self, parts: tuple[OpenMessage, ...]) -> tuple[OpenMessage, ...]:
        """What is incomplete now, for the checkpoint."""
        return self.grouper.open(parts) if self.grouper is not None else parts

    def describe(self, names: Iterable[str]) -> None:
        """What the container's own fields are called, from now on."""
        self.rules.describe(names)

    def add(self, message: Message) -> list[Message]:
        """Takes a message; gives those that are ready to be encoded."""
        if self.grouper is None:
            return [message] if self.rules.apply(message) else []
        over = self.grouper.add(message)
        if len(over) == 1 and self._ruling:  # nearly always
            return over if self.rules.apply(over[0]) else []
        return self._ruled(over)

    def passed(self, stream: str, time: str) -> Sequence[Message]:
        """Learns of the time of a record, also of one that was shipped before."""
        return () if self.grouper is None else self._ruled(self.grouper.passed(stream, time))

    def flush(self, streams: Iterable[str]) -> list[Message]:
        """Gives the events of these streams as they are."""
        return self._ruled(self.grouper.flush(*streams)) if self.grouper is not None else []

    def redact(self, message: Message) -> None:
        """Takes secrets out of what is no record of Docker's."""
        self.rules.redact(message)

    def tally(self) -> Tally:
        """What was counted since this was last asked."""
        return self.rules.tally()

    def _ruled(self, messages: list[Message]) -> list[Message]:
        if not messages or not self._ruling:
            return messages
        return [message for message in messages if self.rules.apply(message)]
