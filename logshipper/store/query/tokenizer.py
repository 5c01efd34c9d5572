"""Splits a query's words exactly as the index splits the lines: by SQLite's own tokenizer."""

import re
import sqlite3
import threading
from typing import Final

from logshipper.store.engine.schema import TOKENIZER

_ASCII_TOKEN: Final = re.compile(r"[a-z0-9]+")


class Tokenizer:
    """The index's tokenizer for single texts; thread-safe.

    Any imitation of it would disagree on some letter of some script, and lines with that
    letter would never be found.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._connection = sqlite3.connect(
            ":memory:", isolation_level=None, check_same_thread=False
        )
        self._connection.executescript(
            f"CREATE VIRTUAL TABLE words USING fts5 (text, tokenize='{TOKENIZER}');"
            "CREATE VIRTUAL TABLE tokens USING fts5vocab (words, instance);"
        )

    def tokens(self, text: str) -> tuple[str, ...]:
        """The tokens of a text, in its order."""
        if text.isascii():
            return tuple(_ASCII_TOKEN.findall(text.lower()))
        with self._lock:
            self._connection.execute("INSERT INTO words (rowid, text) VALUES (1, ?)", (text,))
            rows = self._connection.execute('SELECT term FROM tokens ORDER BY "offset"').fetchall()
            self._connection.execute("DELETE FROM words")
        return tuple(term for (term,) in rows)

    def close(self) -> None:
        """Ends it."""
        self._connection.close()
