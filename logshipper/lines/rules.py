"""What is done to each message, compiled once for each log; pure."""

from collections import Counter
from collections.abc import Callable, Iterable
from functools import lru_cache
from typing import Any, Final

from logshipper.lines.levels import of_text, take_level
from logshipper.lines.names import MORE, Vocabulary, clear
from logshipper.lines.parsing import MESSAGE_KEYS, compile_parse
from logshipper.lines.pattern import compile_pattern, compile_replacing
from logshipper.lines.redaction import PrivateKeys, Redaction
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
        settings: what is done.
        bucket: what a limit of lines has left; None without one.
        vocabulary: the names that parsed fields have had.
        keys: the private keys that are being printed.
        apply: rewrites a message; whether it is shipped.

    Args:
        settings: all of which have been checked.
    """

    def __init__(self, settings: LineSettings) -> None:
        self.settings = settings
        self._tally = Tally()
        self.keys = PrivateKeys()
        self._taken: tuple[str, ...] = ()
        self._pieces: dict[str, bool] = {}
        self.vocabulary = Vocabulary(settings.field_names)
        self.bucket = Bucket(settings.rate, settings.bucket_lines) if settings.rate > 0 else None
        self._steps = tuple(self._compile(settings))
        self.apply = self._steps[0] if len(self._steps) == 1 else self._apply

    def __bool__(self) -> bool:
        """Whether anything is done at all."""
        return bool(self._steps)

    def succeed(self, old: "Rules") -> None:
        """Takes over what others have let through, for limits that are the same as theirs."""
        same = ("rate", "bucket_lines")
        if self.bucket is not None and all(
            getattr(self.settings, each) == getattr(old.settings, each) for each in same
        ):
            self.bucket = old.bucket
        self.keys = old.keys
        if self.settings.field_names == old.settings.field_names:
            self.vocabulary = old.vocabulary

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
        if "private-key" in settings.redact:
            # Before any line is dropped: it may be the one that a key begins with.
            yield self._without_key
        # A pattern of a label was held to a label's limit when it was read.
        self._include = [compile_pattern(text) for text in settings.include]
        self._exclude = [compile_pattern(text) for text in settings.exclude]
        if self._exclude:
            yield self._not_excluded
        if self._include:
            yield self._included
        if settings.sample < 1:
            yield self._sampled
        if self.bucket is not None:
            yield self._within_rate
        self._parse = (
            compile_parse(settings.parse, delimiter=settings.delimiter, columns=settings.columns)
            if settings.parse
            else None
        )
        self._time = compile_time(settings.time, settings.zone) if settings.time else None
        self._redaction = None
        self._bare = False
        if settings.redact or settings.redact_patterns:
            own = [compile_replacing(text) for text in settings.redact_patterns]
            self._redaction = Redaction(settings.redact, own)
            # The values stand in the line as they are, between quotes, blanks and the like: what
            # the fixed rules do not find there is not in them. Own patterns may ask for a value's
            # beginning or end.
            self._bare = settings.parse in {"json", "logfmt"} and not own
        if self._parse or self._time or settings.level not in {"", OFF}:
            yield self._read
        if self._redaction is not None and self._parse is None:
            yield self.redact

    def _without_key(self, message: Message) -> bool:
        text = self.keys.text(message.stream, message.text)
        if text is not message.text:
            message.text = text
            self._tally.redacted["private-key"] += 1
        return True

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
        if sampled(message.base or message.id, self.settings.sample):
            return True
        self._tally.dropped["sample"] += 1
        return False

    def _within_rate(self, message: Message) -> bool:
        # A message in pieces counts as one, and is shipped whole or not at all.
        within = self._pieces.pop(message.base, None) if message.piece else None
        if within is None:
            within = self.bucket is None or self.bucket.take(_docker_ns(message.time))
        if message.piece and not message.last:
            self._pieces[message.base] = within
        if not within:
            self._tally.dropped["rate"] += 1
        return within

    def _read(self, message: Message) -> bool:
        """Takes fields, time and level out of the text; of fields, secrets, too."""
        if message.piece:
            return self.redact(message)
        text = message.text
        fields: dict[str, Any] | None = None
        told: dict[str, Any] | None = None
        if self._parse is not None:
            if (fields := self._parse(text)) is None:
                self._tally.unread["parse"] += 1
            elif self._redaction is not None:
                told = dict(fields)
        if fields:
            _take_text(message, fields)
        if self._time is not None:
            self._read_time(self._time, message, text, fields)
        self._read_level(message, text, fields)
        if told is not None and self._redaction is not None:
            fields = self._redacted(self._redaction, message, text, told, fields or {})
        elif self._parse is not None:
            self.redact(message)
        message.fields = self._named(fields) if fields else None
        return True

    def _read_level(self, message: Message, text: str, fields: dict[str, Any] | None) -> None:
        level = self.settings.level
        if level == OFF:
            return
        key = "" if level in {"", AUTO} else level
        message.level = take_level(fields, key) if fields else ""
        if not message.level and level == AUTO:
            message.level = of_text(text)

    def _redacted(
        self,
        redaction: Redaction,
        message: Message,
        text: str,
        told: dict[str, Any],
        left: dict[str, Any],
    ) -> dict[str, Any] | None:
        """The fields that are left, without secrets; nothing leaves that the text would not let.

        Args:
            redaction: the rules.
            message: its text is what parsing made of it.
            text: the line.
            told: all fields of it.
            left: those that did not become text, time or level.
        """
        within: Counter[str] = Counter()
        clean = redaction.text(text, within)
        if not within and self._bare and "\\" not in text:
            return left
        found: Counter[str] = Counter()
        if within:
            redaction.fields(told, found, named=True)
        if any(found[rule] < count for rule, count in within.items()):
            # A secret that stands across fields, or in the name of one.
            message.text = clean
            self._tally.redacted += within
            self._tally.unread["parse"] += 1
            return None
        named = bool(within)
        key = next((key for key in MESSAGE_KEYS if key in told and key not in left), "")
        message.text = (
            redaction.value(key, message.text, self._tally.redacted, named=named)
            if key
            else redaction.text(message.text, self._tally.redacted)
        )
        return redaction.fields(left, self._tally.redacted, named=named)

    def _named(self, fields: dict[str, Any]) -> dict[str, Any]:
        named = self.vocabulary.admit(clear(fields, self._taken))
        if MORE in named:
            self._tally.unread["names"] += 1
        return named

    def _read_time(
        self, read: Reader, message: Message, text: str, fields: dict[str, Any] | None
    ) -> None:
        key = self.settings.time_field
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


def _take_text(message: Message, fields: dict[str, Any]) -> None:
    for key in MESSAGE_KEYS:
        # A pattern's groups and the like may be anybody's: from here on it is ours.
        if isinstance(fields.get(key), str):
            message.text = fields.pop(key)
            break


@lru_cache(maxsize=1024)
def _second_ns(text: str) -> int:
    return time_ns(f"{text}Z")


def _docker_ns(text: str) -> int:
    """Nanoseconds of Docker's time, which is UTC; 0 for none."""
    fraction = text[SECOND_CHARACTERS + 1 : -1]
    known = fraction.isascii() and fraction.isdigit()
    return _second_ns(text[:SECOND_CHARACTERS]) + (int(fraction.ljust(9, "0")[:9]) if known else 0)
