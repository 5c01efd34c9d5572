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

    Args:
        settings: all of which have been checked.
        limit_bytes: an event is no longer.
    """

    def __init__(self, settings: LineSettings, *, limit_bytes: int) -> None:
        self._rules = Rules(settings)
        self._ruling = bool(self._rules)
        self._grouper: Grouper | None = None
        if settings.multiline:
            self._grouper = Grouper(
                compile_multiline(settings.multiline),
                seconds=settings.multiline_seconds,
                limit_lines=settings.multiline_lines,
                limit_bytes=limit_bytes,
            )

    def __bool__(self) -> bool:
        """Whether anything is done at all."""
        return bool(self._rules) or self._grouper is not None

    @property
    def single(self) -> Callable[[Message], bool] | None:
        """What rewrites a message and says whether it is shipped, where each stands for itself."""
        return self._rules.apply if self._grouper is None else None

    @property
    def streams(self) -> Sequence[str]:
        """Those of the events that may go on."""
        return self._grouper.streams if self._grouper is not None else ()

    def patience_seconds(self, joining: Iterable[str]) -> float:
        """With nothing new for so long, some event is over; infinite when none is.

        Args:
            joining: streams whose last message is incomplete: it may yet go on with an event.
        """
        if self._grouper is None or not set(self._grouper.streams).difference(joining):
            return inf
        return self._grouper.patience_seconds

    def open(self, parts: tuple[OpenMessage, ...]) -> tuple[OpenMessage, ...]:
        """What is incomplete now, for the checkpoint."""
        return self._grouper.open(parts) if self._grouper is not None else parts

    def describe(self, names: Iterable[str]) -> None:
        """What the container's own fields are called, from now on."""
        self._rules.describe(names)

    def add(self, message: Message) -> list[Message]:
        """Takes a message; gives those that are ready to be encoded."""
        if self._grouper is None:
            return [message] if self._rules.apply(message) else []
        over = self._grouper.add(message)
        if len(over) == 1 and self._ruling:  # nearly always
            return over if self._rules.apply(over[0]) else []
        return self._ruled(over)

    def passed(self, stream: str, time: str) -> Sequence[Message]:
        """Learns of the time of a record, also of one that was shipped before."""
        return () if self._grouper is None else self._ruled(self._grouper.passed(stream, time))

    def flush(self, streams: Iterable[str]) -> list[Message]:
        """Gives the events of these streams as they are."""
        return self._ruled(self._grouper.flush(*streams)) if self._grouper is not None else []

    def redact(self, message: Message) -> None:
        """Takes secrets out of what is no record of Docker's."""
        self._rules.redact(message)

    def tally(self) -> Tally:
        """What was counted since this was last asked."""
        return self._rules.tally()

    def _ruled(self, messages: list[Message]) -> list[Message]:
        if not messages or not self._ruling:
            return messages
        return [message for message in messages if self._rules.apply(message)]
