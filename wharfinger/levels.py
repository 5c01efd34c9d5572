"""Log levels: their names, their many spellings, and how to see one in a line of text."""

import re
from typing import Final

NAMES: Final = ("", "trace", "debug", "info", "warn", "error", "fatal")
UNKNOWN: Final = 0

_SPELLINGS: Final = {
    "trace": 1,
    "finest": 1,
    "debug": 2,
    "fine": 2,
    "info": 3,
    "information": 3,
    "notice": 3,
    "warn": 4,
    "warning": 4,
    "err": 5,
    "error": 5,
    "severe": 5,
    "crit": 6,
    "critical": 6,
    "fatal": 6,
    "panic": 6,
    "alert": 6,
    "emerg": 6,
    "emergency": 6,
}
_CAPITAL_SPELLINGS: Final = {name.upper(): level for name, level in _SPELLINGS.items()}
# Levels stand near the start of a line; a word further on is more likely prose.
_SCANNED_CHARACTERS: Final = 160
# Capitals count anywhere; small letters only where a logger put them: [error], level=error.
# No look-behind and no group around the alternatives: only so the engine skips, by their first
# letters, where none can begin, which halves its part of the cost of a line.
_CAPITALS: Final = (
    "TRACE", "DEBUG", "INFO", "NOTICE", "WARN(?:ING)?", "ERR(?:OR)?", "SEVERE", "CRIT(?:ICAL)?",
    "FATAL", "PANIC", "ALERT", "EMERG(?:ENCY)?",
)  # fmt: skip
_SMALL: Final = (
    r"(trace|debug|info|notice|warn(?:ing)?|err(?:or)?|crit(?:ical)?|fatal|panic|alert|emerg)\b"
)
_LEVEL: Final = re.compile(
    "|".join(
        [
            *(f"{word}(?![A-Za-z])" for word in _CAPITALS),
            rf"\[{_SMALL}",
            rf"level[\"']?[=:] ?[\"']?{_SMALL}",
        ]
    )
)


def level_of(name: str) -> int:
    """The number of a level in any usual spelling, `UNKNOWN` for any other word."""
    return _SPELLINGS.get(name) or _SPELLINGS.get(name.strip().lower(), UNKNOWN)


def spellings(level: int) -> tuple[str, ...]:
    """The usual spellings of a level, in small letters; none of `UNKNOWN`."""
    return tuple(word for word, number in _SPELLINGS.items() if number == level)


def detect(message: str) -> int:
    """The level that a line names itself, `UNKNOWN` if it names none."""
    found = _LEVEL.search(message, 0, _SCANNED_CHARACTERS)
    while found is not None:
        if found.lastindex:
            return _SPELLINGS[found[found.lastindex]]
        start = found.start()
        if start == 0 or not message[start - 1].isalpha():
            return _CAPITAL_SPELLINGS[found[0]]
        found = _LEVEL.search(message, found.end(), _SCANNED_CHARACTERS)
    return UNKNOWN
