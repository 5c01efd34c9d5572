"""From the fields that an engine gives back to a line; pure."""

from typing import Any

from logshipper.store.lines import documents
from logshipper.store.lines.times import Arrival
from logshipper.store.model import Line


def line(fields: dict[str, Any], message: str, time_ns: int) -> Line:
    """The line of these fields, which are used up.

    Args:
        fields: all but time and message. A line without a level gets the one that its text names.
        message: its text.
        time_ns: its time.
    """
    return documents.stated(fields, message, time_ns, "", Arrival.of(time_ns)).line
