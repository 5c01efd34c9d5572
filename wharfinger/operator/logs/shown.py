"""A found line as people and programs read it; nothing in it drives a terminal; pure."""

import zlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import tzinfo
from typing import Any, Final, Literal, TypeAlias

from wharfinger import levels
from wharfinger.jsontext import encode_line
from wharfinger.logfmt import logfmt
from wharfinger.logtext import RESET, SGR, harmless
from wharfinger.operator.logs.folding import Fold, folded
from wharfinger.operator.logs.highlight import Sought, painted
from wharfinger.operator.logs.seen import time_of
from wharfinger.text import printable, quantity

Hit: TypeAlias = Mapping[str, Any]
Form: TypeAlias = Literal["short", "long", "json", "message", "logfmt"]
FORMS: Final = ("short", "long", "json", "message", "logfmt")

FAINT: Final = "\x1b[2m"
FOUND: Final = "\x1b[1;33m"
LEVELS: Final[Mapping[str, str]] = {
    "fatal": "\x1b[1;31m",
    "error": "\x1b[31m",
    "warn": "\x1b[33m",
    "debug": FAINT,
    "trace": FAINT,
}
# Of 256 colours those that are read on black and on white, and none that a level has.
PALETTE: Final = (26, 28, 29, 30, 31, 32, 61, 96, 101, 129, 130, 131, 133, 135, 199, 201)
SEPARATOR: Final = "--"
_CONTINUED: Final = "    "
_OWN: Final = ("id", "time", "message", "level", "app", "env", "host", "container", "stream")
_ID_DIGITS: Final = 12
_LEVEL_CHARACTERS: Final = 8


@dataclass(frozen=True, slots=True, kw_only=True)
class Style:
    """How lines are shown.

    Attributes:
        form: one of FORMS.
        colours: for a terminal.
        zone: whose time; None for this machine's.
        layout: a message of several lines stands on several rows, set in; else on one.
        fold: with `layout`, frames within a message are folded.
        marks: what is marked in a message, with `colours`.
        with_context: lines are of two kinds: found, and around it.
    """

    form: Form = "short"
    colours: bool = False
    zone: tzinfo | None = None
    layout: bool = False
    fold: bool = False
    marks: Sought = field(default_factory=Sought)
    with_context: bool = False


def line(hit: Hit, style: Style, *, found: bool = True) -> str:
    """A line, or the rows that it takes, with a newline at the end.

    Args:
        hit: as the store gives it.
        style: how.
        found: it was searched for itself, not one that stands around it.
    """
    if style.form == "json" and style.with_context:
        hit = {**hit, "context": not found}
    text = _FORMS[style.form](hit, style)
    return f"{_margin(style, found=found)}{text}\n"


def note(fold: Fold[Hit], style: Style) -> str:
    """What stands in the place of lines that were folded."""
    begin = f"{_when(fold.first, style)} {_where(fold.first, style)} "
    if style.form == "message":
        begin = ""
    return f"{_margin(style, found=False)}{begin}{_faint(_folded(fold.lines), style)}\n"


def separator(style: Style) -> str:
    """What parts two excerpts."""
    return "" if style.form in {"json", "logfmt"} else f"{_faint(SEPARATOR, style)}\n"


def moment(text: object, zone: tzinfo | None, timespec: str = "milliseconds") -> str:
    """A time of the store's in a zone; as it stands if it is none."""
    found = time_of(text)
    if found is None:
        return printable(str(text)[:40])
    try:
        shown = found.astimezone(zone).isoformat(timespec=timespec)
    except (OverflowError, ValueError):
        return printable(str(text)[:40])  # at the ends of the calendar
    return shown.removesuffix("+00:00") + "Z" if shown.endswith("+00:00") else shown


def colour_of(name: str) -> str:
    """The colour of a name: the same today and tomorrow, here and there."""
    return f"\x1b[38;5;{PALETTE[zlib.crc32(name.encode(errors='replace')) % len(PALETTE)]}m"


def _margin(style: Style, *, found: bool) -> str:
    # A sign: colours would be lost in a file.
    if not style.with_context or style.form not in {"short", "message", "long"}:
        return ""
    if found:
        return f"{FOUND}>{RESET} " if style.colours else "> "
    return "  "


def _short(hit: Hit, style: Style) -> str:
    return f"{_when(hit, style)} {_where(hit, style)} {_message(hit, style)}"


def _long(hit: Hit, style: Style) -> str:
    level = printable(str(hit.get("level") or "-")[:8].upper().ljust(5))
    parts = [_when(hit, style), f"{LEVELS.get(_level(hit), '')}{level}{RESET}", _where(hit, style)]
    if not style.colours:
        parts[1] = level
    parts += [printable(str(hit[name])[:300]) for name in ("host", "stream") if hit.get(name)]
    parts.append(_message(hit, style))
    if others := _others(hit):
        parts.append(_faint(logfmt(others), style))
    return " ".join(parts)


def _json(hit: Hit, _style: Style) -> str:
    return encode_line(hit).decode()


def _only_message(hit: Hit, style: Style) -> str:
    return _message(hit, style)


def _logfmt(hit: Hit, style: Style) -> str:
    fields = {"time": moment(hit.get("time"), style.zone, "microseconds")}
    fields |= {name: str(hit[name]) for name in _OWN[3:] if hit.get(name)}
    fields |= {"message": str(hit.get("message", "")), **_others(hit)}
    return logfmt(fields)


_FORMS: Final[Mapping[str, Callable[[Hit, Style], str]]] = {
    "short": _short,
    "long": _long,
    "json": _json,
    "message": _only_message,
    "logfmt": _logfmt,
}


def _when(hit: Hit, style: Style) -> str:
    # Nanoseconds tell lines apart in the store; milliseconds are enough for the eye.
    precision = "microseconds" if style.form == "long" else "milliseconds"
    return _faint(moment(hit.get("time"), style.zone, precision), style)


def _where(hit: Hit, style: Style) -> str:
    service = "_".join(str(hit[name]) for name in ("app", "env") if hit.get(name))
    container = hit.get("container_name") or str(hit.get("container", ""))[:_ID_DIGITS]
    parts = [printable(str(part)[:150]) for part in (service, container) if part]
    if style.colours:
        parts = [f"{colour_of(part)}{part}{RESET}" for part in parts]
    return " ".join(parts)


def _message(hit: Hit, style: Style) -> str:
    text = str(hit.get("message", ""))
    if style.form == "short" and (level := _level(hit)) and not levels.detect(SGR.sub("", text)):
        # It was a field of its own, or a severity beside the line.
        text = f"{level[:_LEVEL_CHARACTERS].upper()} {text}"
    base = LEVELS.get(_level(hit), "") if style.colours else ""
    if not style.layout or "\n" not in text:
        return _painted(text, style, base)
    rows = text.rstrip("\n").split("\n")
    first, *more = folded(rows) if style.fold else rows
    shown = [
        _faint(_folded(row.lines), style) if isinstance(row, Fold) else _painted(row, style, base)
        for row in more
    ]
    # Set in, so that none of them looks like the beginning of another container's line.
    return "\n".join([_painted(str(first), style, base), *(_CONTINUED + row for row in shown)])


def _painted(text: str, style: Style, base: str) -> str:
    if not style.colours:
        return harmless(text, colours=False)
    return painted(text.removesuffix("\r"), style.marks, base)


def _level(hit: Hit) -> str:
    return str(hit.get("level", "")).lower()


def _others(hit: Hit) -> dict[str, str]:
    return {
        name: value if isinstance(value, str) else encode_line(value).decode()
        for name, value in hit.items()
        if name not in _OWN
    }


def _folded(lines: int) -> str:
    return f"... {quantity(lines, 'line')} folded"


def _faint(text: str, style: Style) -> str:
    return f"{FAINT}{text}{RESET}" if style.colours else text
