"""What a day's blocks say against what is noted about them: summaries, streams, roll-up, ids."""

from collections import Counter
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, field

import msgspec

from logshipper.store.engine import block, seen
from logshipper.store.engine.block import Body, Head, Summary
from logshipper.store.lines import times
from logshipper.store.model import Stream
from wharfinger import levels
from wharfinger.text import quantity

_extra_decoder = msgspec.json.Decoder(dict[str, object])

Roll = Mapping[tuple[int, str, int], int]


@dataclass(slots=True)
class Accounts:
    """Counts the lines of a day as its roll-up does.

    Attributes:
        lines: so many were counted.
        roll: for minute, app and level the lines.
    """

    lines: int = 0
    roll: Counter[tuple[int, str, int]] = field(default_factory=Counter)

    def take(self, head: Head, streams: Mapping[int, Stream]) -> None:
        """Counts the lines of a block."""
        self.lines += len(head.times_ns)
        apps = {number: stream.app for number, stream in streams.items()}
        self.roll.update(
            (time_ns // times.MINUTE_NS, apps.get(number, ""), level)
            for time_ns, number, level in zip(
                head.times_ns, head.stream_ids, head.levels, strict=True
            )
        )


def uneven(head: Head, body: Body) -> str:
    """Why the columns of a block are not the columns of as many lines; empty if they are."""
    lines = len(head.times_ns)
    counts = {
        "stream": len(head.stream_ids),
        "level": len(head.levels),
        "message": len(body.messages),
        "other field": len(body.extras) or lines,
    }
    wrong = [quantity(count, name) for name, count in counts.items() if count != lines]
    return f"has {quantity(lines, 'time')} but {', '.join(wrong)}" if wrong else ""


def block_faults(
    told: Summary, head: Head, body: Body, streams: Collection[int], day: int | None
) -> Iterator[str]:
    """What is wrong with a block that can be read.

    Args:
        told: what its row says of it.
        head: its filter columns.
        body: its texts.
        streams: the numbers of all streams that are known.
        day: the day that its file is of; None if nobody knows.
    """
    if why := uneven(head, body):
        yield why
        return
    columns = block.Columns(list(head.times_ns), list(head.stream_ids), list(head.levels))
    found = block.summarize(columns)
    for name, noted, counted in zip(Summary._fields, told, found, strict=True):
        if noted != counted:
            yield f"its summary says {name} {noted}, its lines say {counted}"
    if unknown := sorted(set(head.stream_ids) - set(streams)):
        yield f"names {quantity(len(unknown), 'stream')} not there, the first is {unknown[0]}"
    if max(head.levels) >= len(levels.NAMES):
        yield f"names level {max(head.levels)}, which does not exist"
    if day is not None and {times.day_of(found.first_ns), times.day_of(found.last_ns)} != {day}:
        first, last = times.text(found.first_ns), times.text(found.last_ns)
        yield f"holds lines of another day: {first} to {last}"
    if bad := sum(not _is_object(extra) for extra in body.extras if extra):
        yield f"has {quantity(bad, 'line')} whose other fields are no JSON object"


def roll_faults(noted: Roll, counted: Roll) -> Iterator[str]:
    """Where the roll-up says anything but what the blocks say."""
    wrong = [key for key in {*noted, *counted} if noted.get(key, 0) != counted.get(key, 0)]
    if wrong:
        minute, app, level = first = min(wrong)
        when = times.text(minute * times.MINUTE_NS)[:16]
        name = levels.NAMES[level] if 0 <= level < len(levels.NAMES) else ""
        what = f"{app or 'no app'}, {name or 'unknown'} at {when}"
        yield (
            f"has {quantity(len(wrong), 'wrong count')}; the first, {what},"
            f" is {noted.get(first, 0)} and should be {counted.get(first, 0)}"
        )


def span_fault(low: int, high: int, data: bytes) -> str:
    """What is wrong with a stored span of ids; empty if nothing is."""
    try:
        span = seen.decode(low, data)
    except (ValueError, IndexError, OverflowError):
        return "cannot be decoded"
    if not seen.is_ascending(span):
        return "does not ascend"
    return "" if span.high == high else f"ends at {span.high}, its row says {high}"


def without_apps(roll: Roll) -> Counter[tuple[int, str, int]]:
    """The same counts, whoever's the lines are."""
    counted: Counter[tuple[int, str, int]] = Counter()
    for (minute, _, level), lines in roll.items():
        counted[minute, "", level] += lines
    return counted


def missing_lines(noted: Roll, kept: Roll) -> dict[tuple[int, str, int], int]:
    """Lines that the roll-up counts and no block that can be read holds, by its keys."""
    return {
        key: count - kept.get(key, 0)
        for key, count in sorted(noted.items())
        if count > kept.get(key, 0)
    }


def _is_object(extra: bytes) -> bool:
    try:
        _extra_decoder.decode(extra)
    except (msgspec.DecodeError, UnicodeDecodeError):
        return False
    return True
