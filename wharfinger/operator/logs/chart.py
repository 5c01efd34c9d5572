"""Counts in a terminal: bars over time by level, and the values of a field; pure."""

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta, tzinfo
from typing import Final

from wharfinger.logtext import RESET
from wharfinger.operator.logs.shown import FAINT, moment
from wharfinger.text import printable, shortened

# From the worst on: what people look for stands where bars begin.
ORDER: Final = ("fatal", "error", "warn", "info", "debug", "trace", "unknown")
STYLES: Final[Mapping[str, str]] = {
    "fatal": "\x1b[35m",
    "error": "\x1b[31m",
    "warn": "\x1b[33m",
    "info": "\x1b[32m",
    "debug": "\x1b[34m",
    "trace": "\x1b[36m",
    "unknown": FAINT,
}
# Whole seconds that divide a day: buckets begin at round times.
STEPS: Final = (
    *(1, 2, 5, 10, 15, 30),
    *(60 * n for n in (1, 2, 5, 10, 15, 30)),
    *(3_600 * n for n in (1, 2, 3, 6, 12, 24)),
)
_DAY: Final = 86_400
_EIGHTHS: Final = " ▏▎▍▌▋▊▉█"
_MIN_BAR: Final = 10
_LONGEST_NAME: Final = 60
_CONTAINER_ID: Final = re.compile(r"[0-9a-f]{64}")
_ID_DIGITS: Final = 12


@dataclass(frozen=True, slots=True)
class Screen:
    """What is drawn on.

    Attributes:
        columns: its width.
        rows: bars at most.
        colours: whether it has them.
        blocks: whether it has the block elements of Unicode.
        zone: whose time; None for this machine's.
    """

    columns: int = 80
    rows: int = 30
    colours: bool = False
    blocks: bool = True
    zone: tzinfo | None = None


Buckets = Mapping[datetime, Mapping[str, int]]


def step_seconds(span: timedelta, rows: int) -> int:
    """The shortest round step of which no more than `rows` fill a span."""
    needed = span.total_seconds() / max(rows, 1)
    for step in STEPS:
        if step >= needed:
            return step
    return _DAY * -int(-needed // _DAY)


def joined(buckets: Buckets, step: int) -> dict[datetime, dict[str, int]]:
    """Buckets of `step` seconds since 1970, the empty ones between them too, oldest first."""
    found: dict[int, dict[str, int]] = {}
    for at, counts in buckets.items():
        into = found.setdefault(int(at.timestamp()) // step, {})
        for name, count in counts.items():
            into[name] = into.get(name, 0) + count
    numbers = range(min(found), max(found) + 1) if found else ()
    return {datetime.fromtimestamp(n * step, UTC): found.get(n, {}) for n in numbers}


def histogram(buckets: Buckets, screen: Screen) -> str:
    """A row for each bucket: when, how many lines, and a bar, its worst levels first."""
    totals = {at: sum(counts.values()) for at, counts in buckets.items()}
    most = max(totals.values(), default=0)
    bad = {at: _bad(counts) for at, counts in buckets.items()}
    width, worse = len(f"{most:,}"), len(f"{max(bad.values(), default=0):,}")
    width, worse = max(width, len("LINES")), max(worse, len("ERRORS"))
    times = {at: moment(at.isoformat(), screen.zone, "seconds") for at in buckets}
    first = max((len(text) for text in times.values()), default=0)
    rows = [f"{'TIME'.ljust(first)}  {'LINES'.rjust(width)}  {'ERRORS'.rjust(worse)}"]
    room = max(screen.columns - first - width - worse - 6, _MIN_BAR)
    for at, counts in buckets.items():
        bar = _bar({name: counts[name] for name in _known(counts)}, most, room, screen)
        said = f"{times[at]}  {totals[at]:>{width},}  {bad[at]:>{worse},}  {bar}"
        rows.append(said.rstrip())
    return "".join(f"{row}\n" for row in [*rows, _legend(buckets, screen)] if row)


def values(
    name: str, counts: Mapping[str, int | None], screen: Screen, most: int | None = None
) -> str:
    """The values of a field, the most frequent first, each with its share."""
    ranked = sorted(counts.items(), key=lambda each: (-(each[1] or 0), each[0]))
    total = sum(count or 0 for count in counts.values())
    kept = ranked[:most]
    shown = [(_called(value), count) for value, count in kept]
    wide = max([len(name), *(len(value) for value, _ in shown)])
    figures = [f"{count:,}" if count is not None else "?" for _, count in shown]
    width = max([len("LINES"), *map(len, figures)])
    rows = [f"{name.upper().ljust(wide)}  {'LINES'.rjust(width)}  SHARE"]
    room = max(min(screen.columns - wide - width - 11, 40), _MIN_BAR)
    top = max((count or 0 for _, count in kept), default=0)
    for (value, count), figure in zip(shown, figures, strict=True):
        share = f"{100 * (count or 0) / total:4.1f}%" if total and count is not None else "     "
        bar = _bar({"unknown": count or 0}, top, room, screen)
        rows.append(f"{value.ljust(wide)}  {figure.rjust(width)}  {share}  {bar}".rstrip())
    if len(ranked) > len(kept):
        rows.append(f"... {len(ranked) - len(kept):,} more")
    return "".join(f"{row}\n" for row in rows)


def _called(value: str) -> str:
    # A container's id, as Docker shows it; `--container` takes it so.
    if _CONTAINER_ID.fullmatch(value):
        return value[:_ID_DIGITS]
    return printable(shortened(value, _LONGEST_NAME))


def _bad(counts: Mapping[str, int]) -> int:
    return counts.get("fatal", 0) + counts.get("error", 0)


def _known(counts: Iterable[str]) -> list[str]:
    held = set(counts)
    return [*(name for name in ORDER if name in held), *sorted(held.difference(ORDER))]


def _bar(counts: Mapping[str, int], most: int, room: int, screen: Screen) -> str:
    """A bar whose whole length is that of all counts; the remainder of one goes to the next."""
    if not most:
        return ""
    if not screen.colours or len(counts) == 1:
        (style,) = [STYLES.get(name, "") for name in counts] if len(counts) == 1 else [""]
        drawn = _drawn(sum(counts.values()) * room / most, screen)
        return f"{style}{drawn}{RESET}" if screen.colours and style and drawn else drawn
    parts: list[str] = []
    done, cells = 0, 0
    # A single error among a million lines is seen: that is what the chart is for.
    seen = {name for name in ("fatal", "error") if counts.get(name)}
    for name, count in counts.items():
        done += count
        end = max(round(done * room / most), cells + (name in seen))
        seen.discard(name)
        end = min(end, room - len(seen))
        block = "█" if screen.blocks else "#"
        if end > cells:
            parts.append(f"{STYLES.get(name, '')}{block * (end - cells)}{RESET}")
        cells = max(end, cells)
    return "".join(parts) or _drawn(sum(counts.values()) * room / most, screen)


def _drawn(cells: float, screen: Screen) -> str:
    if not screen.blocks:
        return "#" * max(round(cells), 1 if cells else 0)
    eighths = max(round(cells * 8), 1 if cells else 0)
    return "█" * (eighths // 8) + _EIGHTHS[eighths % 8].strip()


def _legend(buckets: Buckets, screen: Screen) -> str:
    sums: dict[str, int] = {}
    for counts in buckets.values():
        for name, count in counts.items():
            sums[name] = sums.get(name, 0) + count
    told: Sequence[str] = [
        f"{STYLES.get(name, '')}{printable(name)}{RESET} {sums[name]:,}"
        if screen.colours and STYLES.get(name)
        else f"{printable(name)} {sums[name]:,}"
        for name in _known(sums)
    ]
    return ", ".join(told)
