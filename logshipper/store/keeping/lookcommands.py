"""`logstore check --data`, `days` and `repair`: what is in the files, and whether it is whole."""

import argparse
import sys
import time
from collections.abc import Awaitable, Sequence
from contextlib import nullcontext
from pathlib import Path
from typing import Final

from rich.console import Console
from rich.table import Table

from logshipper.store.config import Config
from logshipper.store.engine import swap
from logshipper.store.engine.folder import Folder
from logshipper.store.keeping import blocking, days, places, repair, rows
from logshipper.store.keeping.inspection import Inspection
from logshipper.store.keeping.places import DayPlace
from logshipper.store.keeping.progress import Progress
from wharfinger import cli
from wharfinger.errors import Exit, Finding, Rejected, Unavailable
from wharfinger.jsontext import encode_line
from wharfinger.text import printable, quantity

_NUMBERS: Final = frozenset({"LINES", "BYTES", "ERROR", "WARN"})
_WIDTH: Final = 160
_WHICH: Final = "these alone: a tenant, and a day of it; or a file that is elsewhere"


def checking(parser: argparse.ArgumentParser) -> None:
    """The flags of `check` for what is stored."""
    parser.add_argument(
        "--data",
        nargs="*",
        metavar="TENANT [DAY]",
        help=f"look at the day files instead; changes nothing, the store may run; {_WHICH}",
    )
    parser.add_argument(
        "--quick", action="store_true", help="with --data: leave out the words of the index"
    )


def checked(parsed: argparse.Namespace, config: Config) -> Awaitable[Sequence[Finding]] | None:
    """Looks at what is stored; None if that was not asked for."""
    if parsed.data is None:
        if parsed.quick:
            raise Rejected("--quick goes with --data")
        return None
    folder = Folder(config.data_dir)

    def work() -> list[Finding]:
        found = inspected(places.chosen(folder, parsed.data), with_words=not parsed.quick)
        strays = {} if parsed.data else folder.strays()
        return found + [Finding(log, why) for log, why in sorted(strays.items())]

    return blocking.run(work, "interrupted: not everything was looked at")


def inspected(found: Sequence[DayPlace], *, with_words: bool) -> list[Finding]:
    """What is wrong with those files."""
    progress = Progress("blocks", _blocks(found))
    findings: list[Finding] = []
    for place in found:
        fix = f"run `logstore repair {_named(place)}` while the store is stopped"
        inspection = Inspection(
            place.path, place.day, fix, with_words=with_words, progress=progress
        )
        report = inspection.run()
        # Retention may have taken it meanwhile.
        if place.path.exists():
            findings += report.findings
    progress.end()
    return findings


def _named(place: DayPlace) -> str:
    return str(place.path) if place.tenant is None else place.name


def _blocks(found: Sequence[DayPlace]) -> int:
    """How many blocks there are to look at, as far as the files say."""
    total = 0
    for place in found:
        try:
            with rows.opened(place.path) as connection:
                total += len(rows.block_numbers(connection)[0])
        except Exception:  # noqa: BLE001, S112 - what is wrong is said when it is looked at
            continue
    return total


def _days_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("which", nargs="*", metavar="TENANT [DAY]", help=_WHICH)
    parser.add_argument("--json", action="store_true", help="for programs")


async def _days(parsed: argparse.Namespace, config: Config) -> Exit:
    folder = Folder(config.data_dir)
    found = places.chosen(folder, parsed.which)
    told = [day for place in reversed(found) if (day := days.look(place)) is not None]
    if parsed.json:
        print(encode_line({"days": told}).decode())  # noqa: T201 - for programs
    else:
        _show_days(told)
        files, size = days.kept(folder.root)
        if files and not parsed.which:
            kept = quantity(files, "file")
            print(f"{kept} that repairs and restores have kept, {quantity(size, 'byte')}")  # noqa: T201
    return Exit.OK if all(day.state == "ok" for day in told) else Exit.CONFIG


def _show_days(told: Sequence[days.Day]) -> None:
    table = Table(box=None, pad_edge=False, header_style="bold")
    for heading in ("TENANT", "DAY", "LINES", "BYTES", "ERROR", "WARN", "FIRST", "LAST", "STATE"):
        justify = "right" if heading in _NUMBERS else "left"
        table.add_column(heading, justify=justify, no_wrap=heading != "STATE")  # type: ignore[arg-type]
    for day in told:
        numbers = (day.lines, day.bytes, day.levels.get("error", 0), day.levels.get("warn", 0))
        counts = (f"{number:,}" for number in numbers)
        cells = (day.tenant, day.day, *counts, day.first[11:19], day.last[11:19], day.state)
        table.add_row(*map(printable, cells))
    Console(width=None if sys.stdout.isatty() else _WIDTH).print(table, markup=False)
    lines, size = sum(day.lines for day in told), sum(day.bytes for day in told)
    files = quantity(len(told), "day file")
    print(f"{files}, {quantity(lines, 'line')}, {quantity(size, 'byte')}")  # noqa: T201


def _repair_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("which", nargs="*", metavar="TENANT [DAY]", help=_WHICH)
    parser.add_argument("--dry-run", action="store_true", help="say what would come of it")
    parser.add_argument("--json", action="store_true", help="for programs")


async def _repair(parsed: argparse.Namespace, config: Config) -> Exit:
    folder = Folder(config.data_dir)
    stamp = time.strftime("%Y%m%dT%H%M%SZ", time.gmtime())

    def work() -> list[repair.Repair]:
        # A dry run reads only, and a file that was moved away is nobody's.
        free = parsed.dry_run or (
            places.names_file(parsed.which) and not places.is_inside(folder, Path(parsed.which[0]))
        )
        with nullcontext() if free else folder.locked():
            if not free:
                swap.finish_all(folder.root)
            found = places.chosen(folder, parsed.which)
            progress = Progress("blocks", _blocks(found) * 2)
            done = [
                repair.repair(place, stamp, dry_run=parsed.dry_run, progress=progress)
                for place in found
            ]
            progress.end()
            return done

    if not folder.root.is_dir() and not parsed.which:
        raise Unavailable(f"{folder.root} is not there")
    done = await blocking.run(work, "interrupted: the file that was at work is as it was")
    if parsed.json:
        shown = {"repairs": [repair.as_json(each) for each in done], "dry_run": parsed.dry_run}
        print(encode_line(shown).decode())  # noqa: T201 - for programs
        return Exit.OK
    for each in done:
        for line in repair.told(each, dry_run=parsed.dry_run):
            print(printable(line))  # noqa: T201 - this is the command's output
    return Exit.OK


DAYS: Final[cli.Verb[Config]] = cli.Verb(
    name="days",
    summary="list what is stored, day by day",
    arguments=_days_arguments,
    run=_days,
)
REPAIR: Final[cli.Verb[Config]] = cli.Verb(
    name="repair",
    summary="make damaged day files anew from what can be read; the store must be stopped",
    arguments=_repair_arguments,
    run=_repair,
)
