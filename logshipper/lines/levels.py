"""The level of a line, from what was parsed out of it or from its head; pure."""

import re
from collections.abc import MutableMapping
from typing import Any, Final

from wharfinger.levels import NAMES, detect, level_of

KEYS: Final = ("level", "severity", "lvl", "loglevel", "log_level", "log.level", "levelname")
# glog and klog: `E0701 10:00:00.000000 1 file.go:12]`. printk and systemd: `<3>text`.
_KLOG: Final = re.compile(r"([IWEF])\d{4} \d\d:")
_KLOG_LEVELS: Final = {"I": "info", "W": "warn", "E": "error", "F": "fatal"}
_PRIORITY: Final = re.compile(r"<(\d{1,3})>")
ESCAPE: Final = "\x1b"
HEAD: Final = 240
_COLOUR: Final = re.compile(r"\x1b\[[0-9;]{0,20}m")
_LETTERS: Final = {
    "t": "trace",
    "d": "debug",
    "v": "trace",
    **{letter.lower(): name for letter, name in _KLOG_LEVELS.items()},
}
_SYSLOG: Final = ("fatal", "fatal", "fatal", "error", "warn", "info", "info", "debug")
# pino and bunyan; Python's logging has the same steps, but calls 50 critical and 40 error.
_NUMBERS: Final = {10: "trace", 20: "debug", 30: "info", 40: "warn", 50: "error", 60: "fatal"}


def normalised(value: object) -> str:
    """One of trace, debug, info, warn, error, fatal; empty for what is none of them."""
    if isinstance(value, str):
        word = value.strip()
        return NAMES[level_of(word)] or _LETTERS.get(word.lower(), "") or _numbered(word)
    if isinstance(value, int) and not isinstance(value, bool):
        return _number(value)
    return ""


def take_level(fields: MutableMapping[str, Any], key: str = "") -> str:
    """The level that fields hold; the field it was in is taken out of them.

    Args:
        fields: parsed out of a line.
        key: where it is; without it, the usual names.
    """
    for name in (key,) if key else KEYS:
        if level := normalised(fields.get(name)):
            del fields[name]
            return level
    return ""


def of_text(text: str) -> str:
    """The level that the head of a line names; empty if it names none."""
    if text[:1] == "<" and (match := _PRIORITY.match(text)):
        return _SYSLOG[int(match[1]) % len(_SYSLOG)]
    if match := _KLOG.match(text):
        return _KLOG_LEVELS[match[1]]
    if ESCAPE in text[:HEAD]:
        # A logger that thinks it writes to a terminal colours its levels.
        text = _COLOUR.sub("", text[:HEAD])
    return NAMES[detect(text)]


def _numbered(word: str) -> str:
    return _number(int(word)) if word.isascii() and word.isdigit() and len(word) <= 2 else ""  # noqa: PLR2004


def _number(value: int) -> str:
    if 0 <= value < len(_SYSLOG):
        return _SYSLOG[value]
    return _NUMBERS.get(value, "")
