"""Whether a data folder is what it must be: every promised line once, found, files sound."""

import sqlite3
from collections import Counter
from collections.abc import Collection
from contextlib import closing
from pathlib import Path

from logshipper.store.engine.folder import Folder
from logshipper.store.engine.reader import open_day
from logshipper.store.query import language
from logshipper.store.query.archive import Archive
from logshipper.store.query.order import Order
from logshipper.store.query.search import DaySearch, Effort


def found(folder: Folder, tenant: str, question: str = "") -> Counter[str]:
    """The messages that a question finds, all of them unless it is one."""
    archive = Archive(folder)
    try:
        with Effort() as effort:
            hits = archive.search(tenant, language.parse(question), Order(limit=10**6), effort)
    finally:
        archive.close()
    return Counter(hit.line.message for hit in hits)


def check_lines(root: Path, tenant: str, promised: Collection[str], sent: Collection[str]) -> None:
    """Every promised line is there once; others only if they were sent."""
    lines = found(Folder(root), tenant)
    assert not (missing := set(promised) - set(lines)), f"lost: {sorted(missing)[:5]}"
    assert not (doubled := [line for line, n in lines.items() if n > 1]), f"twice: {doubled[:5]}"
    assert not (strange := set(lines) - set(sent)), f"never sent: {sorted(strange)[:5]}"


def check_index(root: Path, tenant: str, lines: Collection[str]) -> None:
    """Each line is found by its words, once."""
    by_word = found_by_word(root, tenant, lines)
    assert by_word == Counter(lines), f"index and blocks differ: {Counter(lines) - by_word}"


def found_by_word(root: Path, tenant: str, words: Collection[str]) -> Counter[str]:
    """What searches for single words find together."""
    folder = Folder(root)
    archive = Archive(folder)
    by_word: Counter[str] = Counter()
    try:
        plans = [archive.plan(language.parse(word)) for word in words]
        for day in folder.days(tenant):
            if (reader := open_day(folder.path(tenant, day))) is None:
                continue
            with closing(reader), Effort() as effort:
                for plan in plans:
                    hits = DaySearch(reader, day, plan, Order(), effort).hits()
                    by_word.update(hit.line.message for hit in hits)
    finally:
        archive.close()
    return by_word


def check_file(path: Path) -> None:
    """SQLite finds nothing amiss, and the counts that a file keeps of its lines agree."""
    connection = sqlite3.connect(path)
    try:
        assert connection.execute("PRAGMA quick_check").fetchall() == [("ok",)]
        connection.execute("INSERT INTO line_index (line_index) VALUES ('integrity-check')")
        blocks = connection.execute("SELECT total(count) FROM block").fetchone()
        rolled = connection.execute("SELECT total(count) FROM roll").fetchone()
        assert blocks == rolled, f"blocks hold {blocks} lines, the roll-up counts {rolled}"
    finally:
        connection.close()
