"""What is done to each message, compiled once for each log; pure."""

from collections.abc import Callable, Iterable
from functools import lru_cache
from typing import Any, Final

from logshipper.lines.levels import of_text, take_level
from logshipper.lines.names import clear
from logshipper.lines.parsing import MESSAGE_KEYS, compile_parse
from logshipper.lines.pattern import compile_pattern, compile_replacing
from logshipper.lines.redaction import Redaction
from logshipper.lines.thinning import Bucket, sampled
from logshipper.lines.times import Reader, compile_time
from logshipper.linesettings import LineSettings
from logshipper.model import Message, Tally
from wharfinger.container import time_ns

OFF: Final = "off"
AUTO: Final = "auto"
TIME_KEYS: Final = ("time", "timestamp", "@timestamp", "ts", "t", "datetime", "time_local")
# Of Docker's time, to the second: near enough to judge another time by.
SECOND_CHARACTERS: Final = 19


class Rules:
    """Rewrites or drops messages; what is not asked for costs nothing.

    Attributes:
        apply: rewrites a message; whether it is shipped.

    Args:
        settings: all of which have been checked.
    """

    def __init__(self, settings: LineSettings) -> None:
        self._settings = settings
        self._tally = Tally()
        self._taken: tuple[str, ...] = ()
        self._steps = tuple(self._compile(settings))
        self.apply = self._steps[0] if len(self._steps) == 1 else self._apply

    def __bool__(self) -> bool:
        """Whether anything is done at all."""
        return bool(self._steps)

    def describe(self, names: Iterable[str]) -> None:
        """What the container's own fields are called, from now on."""
        self._taken = tuple(names)

    def _apply(self, message: Message) -> bool:
        for step in self._steps:  # noqa: SIM110 - a generator would be half of the cost
            if not step(message):
                return False
        return True

    def redact(self, message: Message) -> bool:
        """Takes secrets out; for one that nothing else can be done to."""
        if self._redaction is not None:
            message.text = self._redaction.text(message.text, self._tally.redacted)
            if message.fields:
                message.fields = self._redaction.fields(message.fields, self._tally.redacted)
        return True

    def tally(self) -> Tally:
        """What was counted since this was last asked."""
        tally, self._tally = self._tally, Tally()
        return tally

    def _compile(self, settings: LineSettings) -> Iterable[Callable[[Message], bool]]:
        # A pattern of a label was held to a label's limit when it was read.
        self._include = [compile_pattern(text) for text in settings.include]
        self._exclude = [compile_pattern(text) for text in settings.exclude]
        if self._exclude:
            yield self._not_excluded
        if self._include:
            yield self._included
        if settings.sample < 1:
            yield self._sampled
        if settings.rate > 0:
            self._bucket = Bucket(settings.rate, settings.bucket_lines)
            yield self._within_rate
        self._parse = (
            compile_parse(settings.parse, delimiter=settings.delimiter, columns=settings.columns)
            if settings.parse
            else None
        )
        self._time = compile_time(settings.time, settings.zone) if settings.time else None
        if self._parse or self._time or settings.level not in {"", OFF}:
            yield self._read
        self._redaction = None
        if settings.redact or settings.redact_patterns:
            own = [compile_replacing(text) for text in settings.redact_patterns]
            self._redaction = Redaction(settings.redact, own)
            yield self.redact

    def _not_excluded(self, message: Message) -> bool:
        # A piece of a message shares the fate of the whole, which nobody has seen whole.
        if message.piece or not any(pattern.found(message.text) for pattern in self._exclude):
            return True
        self._tally.dropped["exclude"] += 1
        return False

    def _included(self, message: Message) -> bool:
        if message.piece or any(pattern.found(message.text) for pattern in self._include):
            return True
        self._tally.dropped["include"] += 1
        return False

    def _sampled(self, message: Message) -> bool:
        if sampled(message.base or message.id, self._settings.sample):
            return True
        self._tally.dropped["sample"] += 1
        return False

    def _within_rate(self, message: Message) -> bool:
        if self._bucket.take(_docker_ns(message.time)):
            return True
        self._tally.dropped["rate"] += 1
        return False

    def _read(self, message: Message) -> bool:
        """Takes fields, time and level out of the text."""
        if message.piece:
            return True
        text = message.text
        fields: dict[str, Any] | None = None
        if self._parse is not None and (fields := self._parse(text)) is None:
            self._tally.unread["parse"] += 1
        if fields:
            # A pattern's groups and the like may be anybody's: from here on it is ours.
            for key in MESSAGE_KEYS:
                if isinstance(fields.get(key), str):
                    message.text = fields.pop(key)
                    break
        if self._time is not None:
            self._read_time(self._time, message, text, fields)
        level = self._settings.level
        if level != OFF:
            if fields:
                message.level = take_level(fields, "" if level in {"", AUTO} else level)
            if level == AUTO and not message.level:
                message.level = of_text(text)
        message.fields = clear(fields, self._taken) if fields else None
        return True

    def _read_time(
        self, read: Reader, message: Message, text: str, fields: dict[str, Any] | None
    ) -> None:
        key = self._settings.time_field
        if fields or not key:
            docker_ns = _second_ns(message.time[:SECOND_CHARACTERS])
            known = fields or {}
            for name in ((key,) if key else TIME_KEYS) if known else ():
                value = known.get(name)
                if not isinstance(value, str | int | float) or isinstance(value, bool):
                    continue
                if found := read(str(value), docker_ns):
                    message.time = found
                    del known[name]
                    return
            if not key and (found := read(text, docker_ns)):
                message.time = found
                return
        self._tally.unread["time"] += 1


@lru_cache(maxsize=1024)
def _second_ns(text: str) -> int:
    return time_ns(f"{text}Z")


def _docker_ns(text: str) -> int:
    """Nanoseconds of Docker's time, which is UTC; 0 for none."""
    fraction = text[SECOND_CHARACTERS + 1 : -1]
    known = fraction.isascii() and fraction.isdigit()
    return _second_ns(text[:SECOND_CHARACTERS]) + (int(fraction.ljust(9, "0")[:9]) if known else 0)
