"""Which documents a day holds already, by their ids: kept in the same transaction as they are."""

import sqlite3
from collections.abc import Sequence
from dataclasses import dataclass
from hashlib import blake2b
from itertools import compress
from typing import Final

import msgspec

from logshipper.store.engine import seen
from logshipper.store.model import Document

# Ids of other senders have no order: as many of the latest are remembered, for each day.
FOREIGN_IDS: Final = 200_000
_CACHED_SOURCES: Final = 4096


@dataclass(slots=True)
class _Source:
    """What is known of a source without asking the file again.

    Attributes:
        id: its number.
        high: the highest offset.
        last_low: the lowest offset of the span that holds the highest.
        last: that span, encoded; empty if there is none.
    """

    id: int
    high: int
    last_low: int = 0
    last: bytes = b""


class Ledger:
    """The ids that one day's file holds. After a rollback it must be thrown away.

    Lines of one time go to one file, so a document that is sent again, before or after a
    restart, meets the file that has it.
    """

    def __init__(self, connection: sqlite3.Connection, *, foreign_ids: int = FOREIGN_IDS) -> None:
        self._connection = connection
        self._foreign_ids = foreign_ids
        self._sources: dict[str, _Source] = {}

    def admit(self, documents: Sequence[Document]) -> list[bool]:
        """Says which documents are new, and remembers them, inside the open transaction."""
        answers = [True] * len(documents)
        by_source: dict[str, list[int]] = {}
        foreign: list[int] = []
        for at, document in enumerate(documents):
            if document.offset >= 0:
                by_source.setdefault(document.source, []).append(at)
            elif document.source:
                foreign.append(at)
        for name, places in by_source.items():
            fresh = self._admit_source(name, [documents[at].offset for at in places])
            for at, new in zip(places, fresh, strict=True) if not all(fresh) else ():
                answers[at] = new
        if foreign:
            fresh = self._admit_foreign([documents[at].source for at in foreign])
            for at, new in zip(foreign, fresh, strict=True):
                answers[at] = new
        return answers

    def _admit_source(self, name: str, offsets: list[int]) -> list[bool]:
        source = self._source(name)
        low, high = min(offsets), max(offsets)
        if low > source.high and len(set(offsets)) == len(offsets):
            self._note(source, sorted(offsets))
            return [True] * len(offsets)
        stored = self._spans(source, low, high) if low <= source.high else ()
        answers = seen.fresh(offsets, stored)
        new = sorted(compress(offsets, answers))
        if new:
            self._note(source, new)
        return answers

    def _note(self, source: _Source, new: list[int]) -> None:
        """Remembers new offsets, ascending."""
        longer = seen.lengthened(source.last, source.high, new) if source.last else None
        if longer is not None:
            self._write(source, source.last_low, new[-1], longer)
            return
        last = seen.decode(source.last_low, source.last) if source.last else None
        for span in seen.extend(last, new):
            self._write(source, span.low, span.high, seen.encode(span))

    def _write(self, source: _Source, low: int, high: int, offsets: bytes) -> None:
        self._connection.execute(
            "INSERT INTO seen (source, low, high, offsets) VALUES (?, ?, ?, ?)"
            " ON CONFLICT (source, low)"
            " DO UPDATE SET high = excluded.high, offsets = excluded.offsets",
            (source.id, low, high, offsets),
        )
        if high > source.high:
            source.high, source.last_low, source.last = high, low, offsets
            self._connection.execute("UPDATE source SET high = ? WHERE id = ?", (high, source.id))

    def _spans(self, source: _Source, low: int, high: int) -> list[seen.Span]:
        rows = self._connection.execute(
            "SELECT low, offsets FROM seen WHERE source = ? AND low <= ? AND high >= ?",
            (source.id, high, low),
        )
        return [seen.decode(*row) for row in rows]

    def _source(self, name: str) -> _Source:
        source = self._sources.get(name)
        if source is None:
            if len(self._sources) >= _CACHED_SOURCES:
                self._sources.clear()
            source = self._sources[name] = self._load(name)
        return source

    def _load(self, name: str) -> _Source:
        found = self._connection.execute(
            "SELECT id, high FROM source WHERE name = ?", (name,)
        ).fetchone()
        if found is None:
            made = self._connection.execute(
                "INSERT INTO source (name, high) VALUES (?, -1)", (name,)
            )
            return _Source(made.lastrowid or 0, -1)
        last = self._connection.execute(
            "SELECT low, offsets FROM seen WHERE source = ? AND high = ? ORDER BY low DESC LIMIT 1",
            found,
        ).fetchone()
        return _Source(*found, *(last or (0, b"")))

    def _admit_foreign(self, identities: list[str]) -> list[bool]:
        digests = [blake2b(text.encode(), digest_size=16).hexdigest() for text in identities]
        known = {
            digest
            for (digest,) in self._connection.execute(
                "SELECT digest FROM json_each(?) JOIN foreign_id ON digest = value",
                (msgspec.json.encode(digests).decode(),),
            )
        }
        answers, new = [], []
        for digest in digests:
            answers.append(digest not in known)
            if digest not in known:
                known.add(digest)
                new.append((digest,))
        if new:
            insert = "INSERT INTO foreign_id (digest) VALUES (?)"
            self._connection.executemany(insert, new)
            self._connection.execute(
                "DELETE FROM foreign_id WHERE id <= (SELECT max(id) FROM foreign_id) - ?",
                (self._foreign_ids,),
            )
        return answers
