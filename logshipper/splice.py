r"""Docker's lines as they stand, for sinks that take JSON: nothing of a text is decoded; pure.

`{"log":"TEXT\n","stream":"stdout","time":"TIME"}` becomes the inside of a document by two
replacements in a whole chunk. What comes out is then read as JSON once, line by line, without
making anything of it: no line goes out that is not what it seems.
"""

from typing import Annotated, Final, NamedTuple

import msgspec

from logshipper.decode import OPENING

_CLOSING: Final = b'"}\n'
_BETWEEN: Final = _CLOSING + OPENING
_STREAMS: Final = (b"stdout", b"stderr")
_BEFORE: Final = tuple(b'\\n","stream":"%b","time":"' % stream for stream in _STREAMS)
_BEHIND: Final = tuple(b'","stream":"%b","@timestamp":"' % stream for stream in _STREAMS)
_LONGER: Final = len(_BEHIND[0]) - len(_BEFORE[0])
# What a line is longer than the inside that is left of it.
AROUND_BYTES: Final = len(OPENING) + len(_CLOSING) - _LONGER


class _Line(msgspec.Struct, gc=False):
    """A line after the replacements; the shortest time is `2026-07-01T10:00:07Z`."""

    time: Annotated[str, msgspec.Meta(min_length=20, max_length=35)] = msgspec.field(
        name="@timestamp"
    )


_DECODER: Final = msgspec.json.Decoder(_Line)


class Insides(NamedTuple):
    """The lines of a chunk.

    Attributes:
        each: `TEXT","stream":"stdout","@timestamp":"TIME`, in the words of the log.
        time: of the last one.
    """

    each: list[bytes]
    time: str


def insides(data: bytes) -> Insides | None:
    """What documents are made of; None where any line needs a closer look.

    That is a part of a message, one without a newline, or with other keys or another order of
    them; a torn line, NUL, text that is not UTF-8.
    """
    if not data.startswith(OPENING) or not data.endswith(_CLOSING):
        return None
    # Raw quotes stand only between texts, so these cannot be found within one.
    replaced = data
    for before, behind in zip(_BEFORE, _BEHIND, strict=True):
        replaced = replaced.replace(before, behind)
    each = replaced[len(OPENING) : -len(_CLOSING)].split(_BETWEEN)
    if len(replaced) - len(data) != _LONGER * len(each):
        return None
    try:
        if not data.isascii():
            data.decode()
        # As many replacements as lines, and each line must have the new key: one for each. A text
        # that ends in a backslash and the letter n has lost its letter: its end is escaped now,
        # and what follows is no JSON.
        lines = _DECODER.decode_lines(replaced)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return None
    return Insides(each, lines[-1].time) if len(lines) == len(each) else None
