"""Which offsets of a source are stored already: exact sets, two bytes for each line."""

from array import array
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import accumulate, pairwise
from operator import sub
from typing import Final

# A span is rewritten when offsets are added to it, so it stays small: four fit on a page.
SPAN_OFFSETS: Final = 480


@dataclass(frozen=True, slots=True)
class Span:
    """Some stored offsets of one source, ascending; spans of a source may overlap.

    The highest offset alone would not do: with several bodies in flight a higher one may be
    stored while a lower one failed, and its retry must not be taken for a duplicate.
    """

    offsets: tuple[int, ...]

    @property
    def low(self) -> int:
        """The lowest offset."""
        return self.offsets[0]

    @property
    def high(self) -> int:
        """The highest offset."""
        return self.offsets[-1]


def encode(span: Span) -> bytes:
    """A type code and the distances between the offsets, as narrow as they fit."""
    distances = list(map(sub, span.offsets[1:], span.offsets))
    longest = max(distances, default=0)
    code = "H" if longest < 1 << 16 else "I" if longest < 1 << 32 else "Q"
    return code.encode() + array(code, distances).tobytes()


def decode(low: int, data: bytes) -> Span:
    """What `encode` wrote, given the lowest offset."""
    distances = array(chr(data[0]))
    distances.frombytes(data[1:])
    return Span(tuple(accumulate(distances, initial=low)))


def fresh(offsets: Sequence[int], spans: Iterable[Span]) -> list[bool]:
    """Says for each offset whether it is new; an offset given twice is new once.

    Args:
        offsets: what was sent, in the order sent.
        spans: at least every stored span whose range touches that of `offsets`.
    """
    known = {offset for span in spans for offset in span.offsets}
    answers = []
    for offset in offsets:
        answers.append(offset not in known)
        known.add(offset)
    return answers


def extend(last: Span | None, offsets: Iterable[int]) -> tuple[Span, ...]:
    """The spans to write for new offsets.

    Args:
        last: the source's span with the highest offsets, if there is one.
        offsets: new ones, none of them in any span.

    Returns:
        Spans to write. The first replaces `last` if it has the same `low`; each other has a
        `low` that no stored span has.
    """
    ordered = sorted(offsets)
    if not ordered:
        return ()
    if last is not None and len(last.offsets) < SPAN_OFFSETS and ordered[0] > last.high:
        ordered = [*last.offsets, *ordered]
    return tuple(
        Span(tuple(ordered[at : at + SPAN_OFFSETS])) for at in range(0, len(ordered), SPAN_OFFSETS)
    )


def lengthened(data: bytes, high: int, offsets: Sequence[int]) -> bytes | None:
    """An encoded span with more offsets; None if they do not fit.

    It is the same as to decode it, `extend` it and encode it again, for the cost of what is new.

    Args:
        data: what `encode` wrote.
        high: its highest offset.
        offsets: new ones, ascending.
    """
    more = array(chr(data[0]))
    count = 1 + (len(data) - 1) // more.itemsize
    if offsets[0] <= high or count + len(offsets) > SPAN_OFFSETS:
        return None
    try:
        more.extend(map(sub, offsets, [high, *offsets]))
    except OverflowError:
        return None
    return data + more.tobytes()


def is_ascending(span: Span) -> bool:
    """Whether a span read from disk is one that `extend` could have written."""
    return all(before < after for before, after in pairwise(span.offsets))
