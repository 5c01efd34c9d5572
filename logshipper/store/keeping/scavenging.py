"""Every line that is left in a file, whatever it is: a day's, a damaged one, a log alone."""

from collections.abc import Iterator, Sequence
from pathlib import Path

from logshipper.store.engine import wal
from logshipper.store.keeping import pages, rows
from logshipper.store.keeping.rows import BlockRow
from logshipper.store.keeping.salvage import Salvage
from logshipper.store.lines import times
from logshipper.store.model import Found, Hit, Key, Line, Stream
from logshipper.store.query import identity
from wharfinger.errors import Rejected


def scavenged(path: Path) -> Iterator[Sequence[Found]]:
    """Its lines, some at a time, some of them perhaps more than once: an import takes each once.

    Raises:
        Rejected: it cannot be read at all.
        Unavailable: it is of a later version.
    """
    try:
        with path.open("rb") as file:
            alone = pages.is_log(file.read(4))
    except OSError as error:
        raise Rejected(f"{path} cannot be read: {error.strerror}") from None
    # A name that no file has: only the log is looked at.
    salvage = Salvage(path.with_name(f"{path.name}.none"), path) if alone else Salvage(path)
    with salvage:
        streams = {**_streams_beside(path), **salvage.streams}
        for row in salvage.versions():
            yield _lines(row, streams)


def _streams_beside(path: Path) -> dict[int, Stream]:
    """The names of the streams of a damaged log, which the file has that it was copied from."""
    file = path.with_name(path.name.partition(f"{wal.SUFFIX}{wal.DAMAGED}")[0])
    if file == path or not file.is_file():
        return {}
    with rows.opened(file) as connection:
        return rows.streams(connection)[0]


def _lines(row: BlockRow, streams: dict[int, Stream]) -> list[Found]:
    if row.head is None or row.body is None:
        return []
    found = []
    for at, time_ns in enumerate(row.head.times_ns):
        number = row.head.stream_ids[at]
        stream = streams.get(number) or rows.nameless(number)
        extra = row.body.extras[at] if row.body.extras else b""
        line = Line(time_ns, stream, row.head.levels[at], row.body.messages[at], extra)
        found.append(identity.found(Hit(times.day_of(time_ns), Key(time_ns, row.number, at), line)))
    return found
