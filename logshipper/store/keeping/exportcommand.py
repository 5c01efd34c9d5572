"""`logstore export`: lines out of the day files into one file, for people or to import again."""

import argparse
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

from logshipper.store.config import Config
from logshipper.store.engine.folder import Folder
from logshipper.store.keeping import blocking, days, exporting, packing, places
from logshipper.store.keeping.exporting import Wanted
from logshipper.store.keeping.progress import Progress
from logshipper.store.lines import times
from logshipper.store.model import DEFAULT_TENANT, STREAM_FIELDS, BadQuery, Filters
from logshipper.store.query import language
from wharfinger import cli
from wharfinger.errors import Exit, Rejected
from wharfinger.logtext import moment
from wharfinger.text import quantity


def _arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "words", nargs="*", metavar="QUERY", help="as on the store's page; all must fit"
    )
    parser.add_argument("-o", "--output", default=packing.STANDARD, metavar="FILE",
                        help="packed if it ends in .gz or .zst; - is stdout")  # fmt: skip
    parser.add_argument("--format", choices=("ndjson", "text"), default="ndjson",
                        help="ndjson can be imported again; text is for people")  # fmt: skip
    parser.add_argument("--tenant", default=DEFAULT_TENANT, metavar="TENANT", help="whose lines")
    for name in ("from", "to"):
        parser.add_argument(f"--{name}", dest=f"{name}_", default="", metavar="TIME",
                            help="30m, 1h, 2d ago, or RFC 3339")  # fmt: skip
    for name in (*STREAM_FIELDS, "level"):
        parser.add_argument(f"--{name}", action="append", default=[], metavar=name.upper(),
                            help="of this alone; more than once: of any of these")  # fmt: skip
    parser.add_argument(
        "--salvage", type=Path, metavar="FILE", help="all that is left in a damaged file or a -wal"
    )
    parser.add_argument("--newest-first", action="store_true", help="downward in time")
    parser.add_argument("--limit", type=int, default=0, metavar="N", help="so many lines at most")


async def _run(parsed: argparse.Namespace, config: Config) -> Exit:
    if parsed.salvage is not None:
        return await _salvage(parsed)
    folder = Folder(config.data_dir)
    if not folder.root.is_dir():
        raise Rejected(f"{folder.root} is not there")
    wanted = _wanted(parsed, datetime.now(UTC))
    if not (folder.root / wanted.tenant).is_dir():
        raise Rejected(f"no tenant {wanted.tenant!r:.80} has lines here")

    def work() -> int:
        progress = Progress("lines", _total(folder, wanted))
        try:
            with packing.written(parsed.output) as sink:
                return exporting.export(folder, wanted, sink, progress)
        finally:
            progress.end()

    try:
        lines = await blocking.run(work, "interrupted: no file was written")
    except BadQuery as error:
        raise Rejected(f"{error}; {error.fix}") from None
    return _told(parsed, lines)


async def _salvage(parsed: argparse.Namespace) -> Exit:
    if parsed.words:
        raise Rejected("--salvage takes all lines of its file, and no query")

    def work() -> int:
        progress = Progress("lines")
        try:
            with packing.written(parsed.output) as sink:
                text = parsed.format == "text"
                return exporting.export_salvage(parsed.salvage, sink, progress, text=text)
        finally:
            progress.end()

    return _told(parsed, await blocking.run(work, "interrupted: no file was written"))


def _told(parsed: argparse.Namespace, lines: int) -> Exit:
    if parsed.output != packing.STANDARD:
        sys.stderr.write(f"{parsed.output}: {quantity(lines, 'line')}\n")
    return Exit.OK


def _wanted(parsed: argparse.Namespace, now: datetime) -> Wanted:
    streams = {name: tuple(values) for name in STREAM_FIELDS if (values := getattr(parsed, name))}
    try:
        filters = Filters(
            streams=streams,
            levels=frozenset(map(language.level_filter, parsed.level)),
            from_ns=_time(parsed.from_, now),
            to_ns=_time(parsed.to_, now),
        )
        query = language.parse(" ".join(parsed.words), filters)
    except BadQuery as error:
        raise Rejected(f"{error}; {error.fix}") from None
    return Wanted(
        parsed.tenant, query, parsed.newest_first, max(0, parsed.limit), parsed.format == "text"
    )


def _time(text: str, now: datetime) -> int | None:
    # RFC 3339 to the nanosecond, as a line's own time is; moment() knows microseconds.
    if not text:
        return None
    time_ns = times.parse(text) if "T" in text or "-" in text else None
    return times.parse(moment(text, now)) if time_ns is None else time_ns


def _total(folder: Folder, wanted: Wanted) -> int:
    """How many lines there are, where that is known beforehand."""
    filters = wanted.query.filters
    if wanted.query.terms or filters != Filters():
        return 0
    held = [place for place in places.stored(folder) if place.tenant == wanted.tenant]
    lines = sum(day.lines for place in held if (day := days.look(place)) is not None)
    return min(lines, wanted.limit) if wanted.limit else lines


EXPORT: Final[cli.Verb[Config]] = cli.Verb(
    name="export",
    summary="write the lines that fit into a file; the store may run, or not",
    arguments=_arguments,
    run=_run,
)
