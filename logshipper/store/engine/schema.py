"""The SQLite file of one day: its tables, and how a connection to it is set up."""

import sqlite3
from pathlib import Path
from typing import Final

from wharfinger.errors import Unavailable

SUFFIX: Final = ".db"
# "wlog": tells `file` and a person what it is; another application's file is never written to.
APPLICATION_ID: Final = 0x776C6F67
# Blocks of version 1 are deflate's; one that is written to becomes a file of version 2, and its
# older blocks stay as they are: each says by its first bytes how it is packed.
VERSION: Final = 2
READABLE: Final = (1, VERSION)
TOKENIZER: Final = "unicode61 remove_diacritics 0"
_BUSY_SECONDS: Final = 5.0
# Of SQLite's own 4 and 16: each line is merged half as often, which is a third of what the index
# costs; a word is looked up in some 30 segments in place of 10, for 30 µs more. Merges are done
# bit by bit beside the lines that come in; the second number, at which all is merged at once,
# would be a stall, so it is out of reach.
_INDEX_SETTINGS: Final = {"automerge": 16, "crisismerge": 64}

# detail=none, columnsize=0, content='': the index says which lines hold a word and nothing
# more; a third of the disk of a plain FTS5 table, phrases are checked on the block's text.
_TABLES: Final = f"""
CREATE TABLE stream (
    id INTEGER PRIMARY KEY,
    app TEXT NOT NULL, env TEXT NOT NULL, host TEXT NOT NULL,
    container TEXT NOT NULL, stream TEXT NOT NULL,
    UNIQUE (app, env, host, container, stream)
);
-- head and body are NULL while the block is open: its lines are in `part`.
CREATE TABLE block (
    id INTEGER PRIMARY KEY,
    first_ns INTEGER NOT NULL, last_ns INTEGER NOT NULL,
    count INTEGER NOT NULL, levels INTEGER NOT NULL,
    head BLOB, body BLOB
);
CREATE INDEX block_by_last ON block (last_ns, first_ns);
CREATE INDEX block_by_first ON block (first_ns, last_ns);
CREATE TABLE part (
    id INTEGER PRIMARY KEY, head BLOB NOT NULL, body BLOB NOT NULL
);
CREATE TABLE roll (
    minute INTEGER NOT NULL, app TEXT NOT NULL, level INTEGER NOT NULL, count INTEGER NOT NULL,
    PRIMARY KEY (minute, app, level)
) WITHOUT ROWID;
CREATE TABLE source (
    id INTEGER PRIMARY KEY, name TEXT NOT NULL UNIQUE, high INTEGER NOT NULL
);
-- A rowid table: WITHOUT ROWID would put rows of a quarter page into overflow pages.
CREATE TABLE seen (
    id INTEGER PRIMARY KEY,
    source INTEGER NOT NULL, low INTEGER NOT NULL, high INTEGER NOT NULL, offsets BLOB NOT NULL
);
CREATE UNIQUE INDEX seen_by_low ON seen (source, low);
CREATE TABLE foreign_id (
    id INTEGER PRIMARY KEY, digest TEXT NOT NULL UNIQUE
);
CREATE VIRTUAL TABLE line_index USING fts5 (
    text, content='', detail=none, columnsize=0, tokenize='{TOKENIZER}'
);
"""


def open_for_writing(path: Path) -> sqlite3.Connection:
    """Opens or makes a day's file; every commit is on disk when it returns.

    Raises:
        sqlite3.Error: it cannot be opened.
        Unavailable: it is no file of this store, or a later version's.
    """
    connection = sqlite3.connect(
        path, timeout=_BUSY_SECONDS, isolation_level=None, check_same_thread=False
    )
    try:
        _check(connection, path)
        # FULL: in WAL mode NORMAL leaves the last commits to the mercy of a power cut.
        connection.executescript(
            "PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL; PRAGMA secure_delete = OFF;"
            "PRAGMA cache_size = -16000; PRAGMA journal_size_limit = 67108864;"
            "PRAGMA temp_store = MEMORY;"
        )
        _prepare(connection)
    except BaseException:
        connection.close()
        raise
    return connection


def open_for_reading(path: Path) -> sqlite3.Connection:
    """Opens a day's file for queries.

    Raises:
        sqlite3.OperationalError: it is not there (retention has removed it).
    """
    connection = sqlite3.connect(
        f"{path.absolute().as_uri()}?mode=ro",
        uri=True,
        timeout=_BUSY_SECONDS,
        isolation_level=None,
        check_same_thread=False,
    )
    connection.execute("PRAGMA query_only = ON")
    return connection


def missing_features() -> str:
    """What this Python's SQLite lacks, in a sentence; empty if it will do."""
    connection = sqlite3.connect(":memory:")
    try:
        connection.execute(
            f"CREATE VIRTUAL TABLE t USING fts5 (x, detail=none, tokenize='{TOKENIZER}')"
        )
        connection.execute("SELECT value FROM json_each('[1]')")
    except sqlite3.OperationalError as error:
        return f"SQLite {sqlite3.sqlite_version} of this Python lacks what the store needs: {error}"
    finally:
        connection.close()
    return ""


def _check(connection: sqlite3.Connection, path: Path) -> None:
    """Refuses what is not ours, before anything of it is changed."""
    application, version = _kind(connection)
    if application == APPLICATION_ID and version in READABLE:
        return
    empty = connection.execute("SELECT count(*) FROM sqlite_master").fetchone() == (0,)
    if (application, version) != (0, 0) or not empty:
        raise Unavailable(f"{path} is no file of this store, or of a later version of it")


def _prepare(connection: sqlite3.Connection) -> None:
    if _kind(connection) == (0, 0):
        # One transaction: after a crash in the middle the file is empty, and prepared again.
        connection.executescript(
            f"BEGIN IMMEDIATE; {_TABLES} PRAGMA application_id = {APPLICATION_ID};"
            f"PRAGMA user_version = {VERSION}; COMMIT;"
        )
    elif _kind(connection) != (APPLICATION_ID, VERSION):
        connection.execute(f"PRAGMA user_version = {VERSION}")
    held = dict(connection.execute("SELECT k, v FROM line_index_config"))
    for setting in _INDEX_SETTINGS.items() - held.items():
        connection.execute("INSERT INTO line_index (line_index, rank) VALUES (?, ?)", setting)


def _kind(connection: sqlite3.Connection) -> tuple[int, int]:
    (application,) = connection.execute("PRAGMA application_id").fetchone()
    (version,) = connection.execute("PRAGMA user_version").fetchone()
    return application, version
