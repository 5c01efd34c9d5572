"""What the store holds and what it is asked: lines, streams, filters, hits, and their limits."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final, NamedTuple

import msgspec

from wharfinger.errors import Rejected, Unavailable

# A tenant is a folder too: nothing that leads out of it, nothing hidden.
TENANT: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,63}", re.ASCII)
DEFAULT_TENANT: Final = "default"
# Row ids of the index are block << 10 | line: a block never holds more lines than that.
LINE_BITS: Final = 10
BLOCK_LINES: Final = 1_000
# A block of lines that are long is closed early, so that no query decodes much more than this.
BLOCK_BYTES: Final = 1 << 20
MAX_MESSAGE_BYTES: Final = 256 * 1024
MAX_EXTRA_BYTES: Final = 64 * 1024
MAX_LABEL_CHARACTERS: Final = 256
MAX_ID_BYTES: Final = 512  # Elasticsearch's own limit of `_id`

STREAM_FIELDS: Final = ("app", "env", "host", "container", "stream")


class BadQuery(Rejected):
    """The question cannot be answered as it stands; `fix` says how to ask it."""

    def __init__(self, problem: str, fix: str) -> None:
        self.fix = fix
        super().__init__(problem)


class Unanswered(Unavailable):
    """The engine that holds the lines cannot be asked now (HTTP 503)."""

    fix = "look whether it runs and can be reached from here; /healthz says since when"


class Busy(Rejected):
    """Nothing of the request was taken; the same request works later (HTTP 429).

    Attributes:
        reason: `queue`, `disk` or `stopping`, as the metric labels it.
        retry_after_seconds: when to try again.
    """

    def __init__(self, reason: str, problem: str, retry_after_seconds: int = 1) -> None:
        self.reason = reason
        self.retry_after_seconds = retry_after_seconds
        super().__init__(problem)


class TooLarge(Rejected):
    """A body holds more than is taken at once; nothing of it was (HTTP 413)."""


class Stream(NamedTuple):
    """Where a line comes from; a day holds few of them and many lines of each."""

    app: str
    env: str
    host: str
    container: str
    stream: str


# A frozen dataclass takes 1 µs to make, this 0.2 µs; one is made for every line taken in.
class Line(msgspec.Struct, frozen=True, gc=False):
    """One log line as it is kept.

    Attributes:
        time_ns: nanoseconds since 1970, UTC.
        stream: where it comes from.
        level: index into `levels.NAMES`.
        message: the text.
        extra: the other fields as a JSON object, empty if there are none.
    """

    time_ns: int
    stream: Stream
    level: int
    message: str
    extra: bytes


class Document(msgspec.Struct, frozen=True, gc=False):
    """One line as it was sent.

    Attributes:
        line: what to keep.
        text: what to index: the message and the values of the other fields.
        source: for an id of the shape `<source>.<hex offset>` the source, else the whole id;
            empty for a document without one.
        offset: the offset, or -1 for an id of any other shape.
        copy: for a line that comes out of a store, which it is of those that are all alike: it
            is known if there are more than so many; -1 for any other line.
    """

    line: Line
    text: str
    source: str
    offset: int
    copy: int = -1


class Key(NamedTuple):
    """A line's place in the one order that search, paging and context share."""

    time_ns: int
    block: int
    line: int


@dataclass(frozen=True, slots=True)
class Hit:
    """A line that was found.

    Attributes:
        day: days since 1970 of the file that it is in.
        key: its place there.
        line: the line.
    """

    day: int
    key: Key
    line: Line


class Found(NamedTuple):
    """A line under an id that whoever answered understands, and nobody else needs to."""

    id: str
    line: Line


@dataclass(frozen=True, slots=True)
class LabelMatcher:
    """A label, by what its whole value must be as it stands.

    Attributes:
        name: a field of `Stream`, or another as `labels.flat` writes it; where a line has no
            such label, its value is empty.
        values: of which it must be one,
        prefixes: or begin so,
        pattern: or fit this expression of RE2; empty for none.
        negated: whether it must not.
    """

    name: str
    values: tuple[str, ...] = ()
    prefixes: tuple[str, ...] = ()
    pattern: str = ""
    negated: bool = False


@dataclass(frozen=True, slots=True)
class Filters:
    """What must hold of a line beside its text.

    Attributes:
        streams: for a field of `Stream`, the values of which one must fit; a value that ends
            with `*` fits every value that starts so.
        not_streams: values that must not fit.
        labels: the same, as Loki's matchers say it; all of them must hold.
        levels: level numbers of which one must fit; empty for all.
        not_levels: level numbers that must not fit.
        from_ns: first nanosecond.
        to_ns: the nanosecond after the last.
    """

    streams: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    not_streams: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    labels: tuple[LabelMatcher, ...] = ()
    levels: frozenset[int] = frozenset()
    not_levels: frozenset[int] = frozenset()
    from_ns: int | None = None
    to_ns: int | None = None
