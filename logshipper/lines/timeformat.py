"""A format of strptime's directives as an expression that cannot be made to try twice; pure."""

import re
from typing import Final

from wharfinger.errors import Rejected

MAX_CHARACTERS: Final = 100
MONTHS: Final = {
    name: number
    for number, name in enumerate(
        ("jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec"), 1
    )
}
# Each has one length, or what may follow it is not of its kind: there is one way to match.
_DIRECTIVES: Final = {
    "Y": r"(?P<year>\d{4})",
    "y": r"(?P<short>\d\d)",
    "m": r"(?P<month>\d\d)",
    "b": r"(?P<name>(?i:jan|feb|mar|apr|may|jun|jul|aug|sep|oct|nov|dec))",
    "d": r"(?P<day>\d\d)",
    "e": r"(?P<day>[ \d]\d)",
    "H": r"(?P<hour>\d\d)",
    "I": r"(?P<hour>\d\d)",
    "p": r"(?P<half>[AaPp][Mm])",
    "M": r"(?P<minute>\d\d)",
    "S": r"(?P<second>\d\d)",
    "f": r"(?P<fraction>\d{1,9}+)",
    "z": r"(?P<zone>Z|[+-]\d\d:?\d\d)",
    "a": r"[A-Z][a-z]{2}",
    "s": r"(?P<stamp>\d{9,11})",
    "T": r"(?P<hour>\d\d):(?P<minute>\d\d):(?P<second>\d\d)",
    "F": r"(?P<year>\d{4})-(?P<month>\d\d)-(?P<day>\d\d)",
    "%": "%",
}


def compile_format(text: str) -> re.Pattern[str]:
    """Makes the expression; its groups are year, month, name (of a month), day, hour and so on.

    Raises:
        Rejected: it is no format, or does not say the time of a day.
    """
    if len(text) > MAX_CHARACTERS:
        raise Rejected(f"a time format of {len(text)} characters is too long")
    pieces, position = [], 0
    while position < len(text):
        if text[position] != "%":
            pieces.append(re.escape(text[position]))
            position += 1
            continue
        directive = text[position + 1 : position + 2]
        if directive not in _DIRECTIVES:
            raise Rejected(f"{text!r:.80}: there is no directive %{directive}")
        pieces.append(_DIRECTIVES[directive])
        position += 2
    try:
        form = re.compile("".join(pieces), re.ASCII)
    except re.error as error:
        raise Rejected(f"{text!r:.80} says the same twice") from error
    names = set(form.groupindex)
    if "stamp" not in names and not ({"hour", "minute"} <= names and names & {"day", "name"}):
        raise Rejected(
            f"{text!r:.80} is no time format: write auto, iso, apache, nginx, syslog, epoch, "
            "epoch_ms, epoch_us, epoch_ns or directives such as '%Y-%m-%d %H:%M:%S'"
        )
    return form
