"""Times as Go writes them (`1m30s`, time.ParseDuration), as confd's fork has them in its files."""

import re
from typing import Final

_UNITS: Final = {
    "ns": 1e-9,
    "us": 1e-6,
    "µs": 1e-6,
    "μs": 1e-6,
    "ms": 1e-3,
    "s": 1.0,
    "m": 60.0,
    "h": 3600.0,
}
_PART: Final = re.compile(r"([0-9]+(?:\.[0-9]*)?|\.[0-9]+)(ns|us|µs|μs|ms|s|m|h)", re.ASCII)
_WHOLE: Final = re.compile(rf"(?:{_PART.pattern})+", re.ASCII)


def seconds_of(text: str) -> float:
    """The seconds of `30s` or `1m30s`; those of a bare number are seconds already.

    Raises:
        ValueError: it is no such time.
    """
    if re.fullmatch(r"[0-9]+(\.[0-9]+)?", text, re.ASCII):
        return float(text)
    if not _WHOLE.fullmatch(text):
        message = f'{text[:40]!r} is no time: write it "30s" or "1m30s"'
        raise ValueError(message)
    return sum(float(match[1]) * _UNITS[match[2]] for match in _PART.finditer(text))


def duration_problem(text: str) -> str:
    """What is wrong with such a text; empty when nothing is."""
    try:
        seconds_of(text)
    except ValueError as error:
        return str(error)
    return ""
