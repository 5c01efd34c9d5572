"""Repairs a day's file: made anew from what can be read, swapped in, the damaged one kept."""

import sqlite3
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from logshipper.store.engine import swap
from logshipper.store.keeping import rebuild
from logshipper.store.keeping.inspection import Inspection
from logshipper.store.keeping.places import DayPlace
from logshipper.store.keeping.progress import Progress
from logshipper.store.keeping.rebuild import Result
from logshipper.store.keeping.rows import LaterVersion
from logshipper.store.keeping.salvage import Salvage
from logshipper.store.lines import times
from wharfinger.errors import Finding, Unavailable
from wharfinger.text import quantity

_APPS: Final = 3


@dataclass(frozen=True, slots=True)
class Repair:
    """What became of one file.

    Attributes:
        place: it.
        findings: what was wrong with it; none if nothing was done for that.
        result: what came of it; None if nothing was done.
        damaged: where the damaged file is kept; None if it is still in its place.
    """

    place: DayPlace
    findings: tuple[Finding, ...] = ()
    result: Result | None = None
    damaged: Path | None = None


@dataclass(frozen=True, slots=True)
class Span:
    """Lines that are lost between two minutes, and whose they were, most first."""

    first: str
    last: str
    lines: int
    apps: tuple[str, ...]


def repair(
    place: DayPlace, stamp: str, *, dry_run: bool, progress: Progress | None = None
) -> Repair:
    """Repairs a file if anything is wrong with it; nobody may write it meanwhile.

    Args:
        place: the file.
        stamp: what the damaged file is called after.
        dry_run: writes nothing, says what would come of it.
        progress: is told of blocks.

    Raises:
        Unavailable: it could not be repaired; it is as it was.
        Conflict: an earlier repair was interrupted, and cannot be ended.
    """
    if not dry_run:
        if (old := swap.finish(place.path)) is not None:
            return Repair(place, damaged=old)
        swap.sweep(place.path)
    report = Inspection(place.path, place.day, "repair it", progress=progress).run()
    if not report.findings:
        return Repair(place)
    new = swap.staged(place.path, stamp)
    try:
        with Salvage(place.path) as salvage:
            if dry_run:
                result = rebuild.look(salvage, progress)
                return Repair(place, tuple(report.findings), result)
            _refuse_emptiness(salvage, place)
            result = rebuild.rebuild(salvage, new, progress)
        old = swap.swap(place.path, new, stamp)
    except (sqlite3.Error, OSError, LaterVersion) as error:
        rebuild.remove(new)
        raise Unavailable(f"{place.path} is as it was: {error}") from error
    except BaseException:
        rebuild.remove(new)
        raise
    return Repair(place, tuple(report.findings), result, old)


def _refuse_emptiness(salvage: Salvage, place: DayPlace) -> None:
    """A file of which nothing can be read is not replaced by one that has nothing."""
    if not any(row.body is not None for row in salvage.blocks()):
        raise Unavailable(
            f"{place.path} is as it was: no line of it can be read; move it away with its -wal,"
            " and restore a backup"
        )


def told(done: Repair, *, dry_run: bool) -> Iterator[str]:
    """What happened, line by line, for people."""
    result = done.result
    if result is None:
        if done.damaged is not None:
            yield f"{done.place.name}: ended a repair that was interrupted"
        else:
            yield f"{done.place.name}: nothing is wrong with it"
        return
    would = "would be " if dry_run else ""
    at_least = "" if result.is_exact else "at least "
    kept = quantity(result.kept, "line")
    yield f"{done.place.name}: {kept} {would}kept, {at_least}{result.lost:,} lost"
    for gap in result.gaps:
        lines = "some lines" if gap.lines is None else quantity(gap.lines, "line")
        when = ""
        if gap.first_ns is not None and gap.last_ns is not None:
            when = f" from {times.text(gap.first_ns)} to {times.text(gap.last_ns)}"
        yield f"  block {gap.number}: {lines} lost{when}: {gap.why}"
    for lost in spans(result):
        apps = ", ".join(lost.apps[:_APPS]) + (" and others" if len(lost.apps) > _APPS else "")
        lines = quantity(lost.lines, "line")
        yield f"  {lines} between {lost.first} and {lost.last} lost: {apps}"
    if result.nameless:
        streams = quantity(result.nameless, "stream")
        yield f"  the names of {streams} are lost: unknown-NUMBER now"
    if done.damaged is not None:
        yield f"  the damaged file is kept: {done.damaged}"


def spans(result: Result) -> list[Span]:
    """When lines are lost, by the roll-up: minutes that follow each other are one span."""
    by_minute: dict[int, Counter[str]] = {}
    for (minute, app, _), lines in result.missing.items():
        by_minute.setdefault(minute, Counter())[app or "no app"] += lines
    groups: list[list[int]] = []
    for minute in sorted(by_minute):
        if not groups or minute - groups[-1][-1] > 1:
            groups.append([])
        groups[-1].append(minute)
    found = []
    for group in groups:
        apps = sum((by_minute[minute] for minute in group), Counter[str]())
        names = tuple(name for name, _ in apps.most_common())
        found.append(Span(_minute(group[0]), _minute(group[-1] + 1), apps.total(), names))
    return found


def _minute(minute: int) -> str:
    return times.text(minute * times.MINUTE_NS)[:16] + "Z"


def as_json(done: Repair) -> dict[str, Any]:
    """The same for programs."""
    shown: dict[str, Any] = {
        "file": str(done.place.path),
        "tenant": done.place.tenant,
        "findings": list(done.findings),
        "damaged_file": None if done.damaged is None else str(done.damaged),
    }
    if done.result is not None:
        shown["kept_lines"] = done.result.kept
        shown["lost_lines"] = done.result.lost
        shown["exact"] = done.result.is_exact
        shown["gaps"] = done.result.gaps
        shown["lost_between"] = spans(done.result)
    return shown
