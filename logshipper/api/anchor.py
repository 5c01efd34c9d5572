"""Where to go on in a log that is read through Docker's API; pure.

There are no byte offsets, and times do not serve: clocks are set back, two streams overtake each
other, and `since` leaves out what was written with an earlier time. What holds is the order of
the entries, and that a reading of the last N of them is of one piece. So the entry that was taken
last is looked for among these, and all behind it is new.
"""

import zlib
from collections.abc import Iterator
from typing import Final

from logshipper.api.frames import Line
from logshipper.model import Entry, Mark

_SEEDS: Final = {"stdout": 1, "stderr": 2}
WINDOW: Final = 256
GROWTH: Final = 16
LARGEST: Final = 2**20


class Marker:
    """Gives each entry its mark; reads one answer, from its first entry on."""

    def __init__(self) -> None:
        self._times: dict[str, int] = {}
        self._counts: dict[str, dict[int, int]] = {}

    def entry(self, line: Line) -> Entry:
        """The entry with its mark."""
        stream, time_ns = line.stream, line.time_ns
        crc = zlib.crc32(line.text, _SEEDS.get(stream, 0))
        nth = 0
        if self._times.get(stream) == time_ns:
            counts = self._counts[stream]
            nth = counts.get(crc, 0)
            counts[crc] = nth + 1
        else:
            self._times[stream] = time_ns
            self._counts[stream] = {crc: 1}
        return Entry(Mark(time_ns, crc, nth, stream), stream, line.time, line.text)


class Seeker:
    """Finds in one answer what is new.

    Args:
        anchor: of the entry that was taken last; None where all is new.
        whole: the answer begins where the log begins.

    Attributes:
        found: the anchor was met.
        passed: how many entries came before that.
        taken: how many came behind it.
    """

    def __init__(self, anchor: Mark | None, *, whole: bool) -> None:
        self.found = anchor is None
        self.passed = self.taken = 0
        self._anchor = anchor
        # An answer that begins among entries that are all alike (parts of a line of zeros) counts
        # them from there: its first is not the first of them. One of its stream and of another
        # time before them tells that it is; or many others, as a stream may be silent for long.
        self._certain = whole
        self._marker = Marker()

    def take(self, line: Line) -> Entry | None:
        """The entry, if it is new."""
        entry = self._marker.entry(line)
        if self.found:
            self.taken += 1
            return entry
        self.passed += 1
        anchor = self._anchor
        if entry.mark == anchor and self._certain:
            self.found = True
        elif anchor is not None and entry.stream == anchor.stream:
            self._certain = self._certain or entry.mark.time_ns != anchor.time_ns
        elif self.passed > WINDOW // 2:
            self._certain = True
        return None


def windows(expected: int) -> Iterator[int | None]:
    """How many of the last entries to ask for, one after the other until the anchor is among them.

    Args:
        expected: how many new ones there may be.
    """
    count = max(WINDOW, 2 * expected)
    while count < LARGEST:
        yield count
        count *= GROWTH
    yield None
