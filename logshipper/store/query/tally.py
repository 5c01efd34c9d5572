"""Counts lines from the columns of their blocks: by span of time, by level, by stream."""

from array import array
from bisect import bisect_left
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from itertools import repeat
from operator import floordiv
from typing import Final

from logshipper.store.engine.block import Columnar
from logshipper.store.model import STREAM_FIELDS, BadQuery, Stream
from wharfinger import levels

# The values of the fields that are counted by, then the level's name.
Kind = tuple[str, ...]

_NAMES: Final = ("unknown", *levels.NAMES[1:])
_LEVELS: Final = range(len(_NAMES))
# About 200 bytes for each.
MAX_CELLS: Final = 1_000_000


class Tally:
    """Sums over any number of days.

    Args:
        bucket_ns: length of the spans of time.
        fields: fields of `Stream` whose values are counted apart in each span, beside levels.
        origin_ns: when one of the spans begins, since 1970.

    Attributes:
        streams: lines of each stream, whatever their time.
        from_ns: what is older was not counted for want of time; None if all was.
    """

    def __init__(self, bucket_ns: int, fields: Sequence[str] = (), origin_ns: int = 0) -> None:
        self.bucket_ns = bucket_ns
        self.origin_ns = origin_ns % bucket_ns
        self.fields = tuple(fields)
        self.streams: Counter[Stream] = Counter()
        self.from_ns: int | None = None
        self._places = tuple(STREAM_FIELDS.index(name) for name in fields)
        # The values of `fields` that occurred, numbered; a number is quicker to count by.
        self._groups: dict[Kind, int] = {}
        self._cells: Counter[tuple[int, int, int]] = Counter()  # bucket, group, level

    def day(self, streams: Mapping[int, Stream]) -> "DayTally":
        """Sums of one more day, whose streams have these numbers."""
        return DayTally(self, streams)

    def group(self, stream: Stream) -> int:
        """The number of a stream's group."""
        values = tuple([stream[place] for place in self._places])
        return self._groups.setdefault(values, len(self._groups))

    def bucket(self, time_ns: int) -> int:
        """The number of the span in which a time is."""
        return (time_ns - self.origin_ns) // self.bucket_ns

    def add(self, bucket: int, group: int, level: int, lines: int) -> None:
        """Adds lines of one kind.

        Raises:
            BadQuery: there are too many spans, or values, to be held.
        """
        self._cells[bucket, group, level] += lines
        self._check()

    def add_cells(self, cells: Iterable[tuple[int, int, int]]) -> None:
        """Adds lines, given one by one as bucket, group, level.

        Raises:
            BadQuery: there are too many spans, or values, to be held.
        """
        self._cells.update(cells)
        self._check()

    def _check(self) -> None:
        if len(self._cells) > MAX_CELLS:
            raise BadQuery(
                f"there are more than {MAX_CELLS} spans of time and values to count",
                "make the spans longer, narrow the time, or count by fewer labels",
            )

    def spans(self) -> dict[int, dict[Kind, int]]:
        """For the nanosecond at which a span begins, ascending, kind to lines."""
        values = {number: group for group, number in self._groups.items()}
        found: dict[int, dict[Kind, int]] = {}
        for (bucket, group, level), lines in sorted(self._cells.items()):
            start = bucket * self.bucket_ns + self.origin_ns
            if self.from_ns is None or start + self.bucket_ns > self.from_ns:
                found.setdefault(start, {})[*values[group], _NAMES[level]] = lines
        return found

    def kinds(self) -> Counter[Kind]:
        """Lines of each kind, whatever their time."""
        counts: Counter[Kind] = Counter()
        for kinds in self.spans().values():
            counts.update(kinds)
        return counts


class DayTally:
    """Sums over blocks of one day.

    Args:
        tally: what they are added to.
        streams: the day's streams by number.
    """

    def __init__(self, tally: Tally, streams: Mapping[int, Stream]) -> None:
        self._tally = tally
        self._streams = streams
        self._counts: Counter[int] = Counter()
        numbers = {number: tally.group(stream) for number, stream in streams.items()}
        self._group_of = numbers if len(set(numbers.values())) > 1 else None
        self._group = next(iter(numbers.values()), 0)

    def add(self, within: tuple[int, int], columns: Columnar, lines: Sequence[int] | None) -> None:
        """Adds lines of a block.

        Args:
            within: the block's first and last nanosecond.
            columns: its columns.
            lines: numbers of lines, ascending; None for all.
        """
        levels_, streams = columns.levels, columns.stream_ids
        if lines is not None:
            levels_ = bytes(map(levels_.__getitem__, lines))
            streams = array("I", map(streams.__getitem__, lines))
        self._counts.update(streams)
        first, last = map(self._tally.bucket, within)
        if first == last:
            self._add_span(first, levels_, streams)
        else:
            self._add_spans(columns.times_ns(lines), levels_, streams)

    def add_kind(self, time_ns: int, stream: int, level: int, lines: int) -> None:
        """Adds lines of one stream and level, all of them in the span of a time."""
        group = self._group if self._group_of is None else self._group_of[stream]
        self._counts[stream] += lines
        self._tally.add(self._tally.bucket(time_ns), group, level, lines)

    def close(self) -> None:
        """Hands the day's sums on."""
        for number, lines in self._counts.items():
            self._tally.streams[self._streams[number]] += lines

    def _add_spans(self, times_ns: Sequence[int], levels_: bytes, streams: Sequence[int]) -> None:
        tally = self._tally
        if self._group_of is None and sorted(times_ns) == list(times_ns):
            # One host's lines follow each other in time: a span is a slice.
            at = 0
            while at < len(times_ns):
                bucket = tally.bucket(times_ns[at])
                after = (bucket + 1) * tally.bucket_ns + tally.origin_ns
                end = bisect_left(times_ns, after, at)
                self._add_span(bucket, levels_[at:end], streams[at:end])
                at = end
            return
        since = [time_ns - tally.origin_ns for time_ns in times_ns] if tally.origin_ns else times_ns
        buckets = map(floordiv, since, repeat(tally.bucket_ns))
        tally.add_cells(zip(buckets, self._groups(streams), levels_, strict=False))

    def _add_span(self, bucket: int, levels_: bytes, streams: Sequence[int]) -> None:
        if self._group_of is None:
            for level in _LEVELS:
                if lines := levels_.count(level):
                    self._tally.add(bucket, self._group, level, lines)
        else:
            self._tally.add_cells(zip(repeat(bucket), self._groups(streams), levels_, strict=False))

    def _groups(self, streams: Sequence[int]) -> Iterable[int]:
        if self._group_of is None:
            return repeat(self._group)
        return map(self._group_of.__getitem__, streams)
