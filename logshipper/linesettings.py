"""What is asked to be done to the lines of a container; plain data."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

# Lines that may come at once, in seconds of the rate.
BURST_SECONDS: Final = 10.0


@dataclass(frozen=True, slots=True)
class LineSettings:
    """What is done to each line; the defaults do nothing.

    Attributes:
        multiline: java, python, go, node, or a pattern of an event's first line; empty for none.
        multiline_seconds: a line that comes later after the one before begins an event.
        multiline_lines: an event has no more.
        parse: json, logfmt, nginx, cri, delimiter, or a pattern with named groups.
        delimiter: what stands between columns, for `parse = delimiter`.
        columns: their names.
        field_names: so many names may the parsed fields of a log have; the others go together.
        time: how to read a line's own time: auto, iso, epoch, ..., or a format; empty for Docker's.
        zone: of times that name none.
        time_field: parsed field that holds it; without one, the usual names and the line's head.
        level: auto, or the parsed field that holds it; empty for none, or what parsing finds.
        redact: fixed rules.
        redact_patterns: own ones.
        include: only lines that one of these patterns is found in.
        exclude: none of the lines that one of these is found in.
        sample: share of the lines that is shipped.
        rate: lines a second; 0 for any number.
        burst: lines that may come at once; 0 for those of ten seconds.
        charset: of sources that hand on bytes.
        fields: what each document carries besides.
    """

    multiline: str = ""
    multiline_seconds: float = 1.0
    multiline_lines: int = 500
    parse: str = ""
    delimiter: str = ""
    columns: tuple[str, ...] = ()
    field_names: int = 400
    time: str = ""
    zone: str = "UTC"
    time_field: str = ""
    level: str = ""
    redact: tuple[str, ...] = ()
    redact_patterns: tuple[str, ...] = ()
    include: tuple[str, ...] = ()
    exclude: tuple[str, ...] = ()
    sample: float = 1.0
    rate: float = 0.0
    burst: float = 0.0
    charset: str = "utf-8"
    fields: Mapping[str, str] = field(default_factory=dict)

    @property
    def bucket_lines(self) -> float:
        """Lines that may come at once: one at least, for a bucket of less never holds a line."""
        return max(1.0, self.burst or self.rate * BURST_SECONDS)
