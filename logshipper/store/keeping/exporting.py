"""Writes every line that fits from the day files, with a store running or without."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import msgspec

from logshipper.store.engine.folder import Folder
from logshipper.store.http.export import as_text
from logshipper.store.http.hits import render
from logshipper.store.keeping.packing import Sink
from logshipper.store.keeping.progress import Progress
from logshipper.store.keeping.scavenging import scavenged
from logshipper.store.model import Found, Key
from logshipper.store.query import identity
from logshipper.store.query.archive import Archive
from logshipper.store.query.language import Query
from logshipper.store.query.order import Order
from logshipper.store.query.search import Effort

_AT_ONCE: Final = 10_000
_FOREVER_SECONDS: Final = 1e9


@dataclass(frozen=True, slots=True)
class Wanted:
    """What to write.

    Attributes:
        tenant: whose.
        query: which lines.
        newest_first: downward in time.
        limit: so many lines at most; 0 for all.
        text: plain text instead of a JSON object for each.
    """

    tenant: str
    query: Query
    newest_first: bool = False
    limit: int = 0
    text: bool = False


def export(folder: Folder, wanted: Wanted, to: Sink, progress: Progress) -> int:
    """Writes them; how many there were.

    Raises:
        Unavailable: a day cannot be read, or the sink does not take it.
        BadQuery: the query cannot be answered.
    """
    return _write(_pages(folder, wanted), to, progress, text=wanted.text)


def export_salvage(path: Path, to: Sink, progress: Progress, *, text: bool) -> int:
    """Writes every line that can still be read in a file; how many there were.

    Raises:
        Rejected: it cannot be read.
    """
    return _write(scavenged(path), to, progress, text=text)


def _write(pages: Iterator[Sequence[Found]], to: Sink, progress: Progress, *, text: bool) -> int:
    written = 0
    for found in pages:
        if text:
            data = "".join(map(as_text, found)).encode(errors="replace")
        else:
            data = b"".join(msgspec.json.encode(render(line)) + b"\n" for line in found)
        to.write(data)
        written += len(found)
        progress.add("lines", len(found))
    return written


def _pages(folder: Folder, wanted: Wanted) -> Iterator[Sequence[Found]]:
    archive = Archive(folder)
    left = wanted.limit or 1 << 62
    beyond: Key | None = None
    try:
        with Effort(_FOREVER_SECONDS) as effort:
            while left > 0:
                size = min(left, _AT_ONCE)
                order = Order(wanted.newest_first, beyond, size)
                hits = archive.search(wanted.tenant, wanted.query, order, effort)
                yield [identity.found(hit) for hit in hits]
                if len(hits) < size:
                    return
                beyond = hits[-1].key
                left -= size
    finally:
        archive.close()
