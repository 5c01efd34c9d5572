"""The SQLite file of one day: its tables, and how a connection to it is set up."""

import contextlib
import sqlite3
from pathlib import Path
from typing import Final

from logshipper.store.engine import wal
from logshipper.store.lines import times
from wharfinger.errors import Unavailable
from wharfinger.files import sync_file, sync_folder

SUFFIX: Final = ".db"
# A file that is being made; it has its own name only when it is whole.
STAGED: Final = ".new"
# "wlog": tells `file` and a person what it is; another application's file is never written to.
APPLICATION_ID: Final = 0x776C6F67
# Blocks of version 1 are deflate's; one that is written to becomes a file of version 2, and its
# older blocks stay as they are: each says by its first bytes how it is packed.
VERSION: Final = 2
READABLE: Final = (1, VERSION)
TOKENIZER: Final = "unicode61 remove_diacritics 0"
BUSY_SECONDS: Final = 5.0
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
        OSError: the disk does not do what it should.
        Unavailable: it is no file of this store, or a later version's.
    """
    _refuse_emptied(path)
    if not path.exists():
        _make(path)
    # Before a log is made: one whose file has no name on the disk would be nobody's.
    sync_folder(path.parent)
    if not wal.size(path):
        return _opened(path, used=False)
    wal.settle(path)
    # While it is open, no other connection that fails and is closed takes the log away with it.
    with contextlib.closing(_verified(path)):
        return _opened(path, used=True)


def _opened(path: Path, *, used: bool) -> sqlite3.Connection:
    connection = sqlite3.connect(
        path, timeout=BUSY_SECONDS, isolation_level=None, check_same_thread=False
    )
    try:
        _check(connection, path)
        # FULL: in WAL mode NORMAL leaves the last commits to the mercy of a power cut.
        connection.executescript(
            "PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL; PRAGMA secure_delete = OFF;"
            "PRAGMA cache_size = -16000; PRAGMA journal_size_limit = 67108864;"
            "PRAGMA temp_store = MEMORY;"
        )
        if used:
            _look_for_lost(connection, path)
        _upgrade(connection)
        # The log has been made by now. SQLite syncs its name, too, but ignores how that went.
        sync_folder(path.parent)
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
        timeout=BUSY_SECONDS,
        isolation_level=None,
        check_same_thread=False,
    )
    connection.execute("PRAGMA query_only = ON")
    return connection


def skip_blocks(connection: sqlite3.Connection, number: int) -> None:
    """Lets no block be numbered below `number` any more: lines that are lost had such ids."""
    connection.execute("CREATE TABLE skipped (below INTEGER NOT NULL)")
    connection.execute("INSERT INTO skipped VALUES (?)", (number,))


def first_number(connection: sqlite3.Connection) -> int:
    """The lowest number that a new block may have; few files have been repaired so far."""
    if not connection.execute("SELECT 1 FROM sqlite_schema WHERE name = 'skipped'").fetchone():
        return 0
    query = "SELECT max(below) FROM skipped WHERE typeof(below) = 'integer' AND below < 1 << 48"
    (below,) = connection.execute(query).fetchone()  # what rotted counts for nothing
    return int(below or 0)


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


def _refuse_emptied(path: Path) -> None:
    """Refuses a file of no bytes: none was ever so short, and SQLite would throw its log away.

    Raises:
        Unavailable: it is one.
    """
    with contextlib.suppress(FileNotFoundError):
        if path.stat().st_size == 0:
            raise Unavailable(f"{path} is empty: what was in it is lost")


def _make(path: Path) -> None:
    """Makes a day's file beside its place and moves it there when its content is on disk.

    In place, a crash would leave half a file and a rollback journal, which readers cannot undo.
    """
    staged = path.with_name(path.name + STAGED)
    staged.unlink(missing_ok=True)
    with contextlib.closing(sqlite3.connect(staged, isolation_level=None)) as connection:
        connection.executescript(
            f"PRAGMA journal_mode = MEMORY; BEGIN; {_TABLES}"
            f"PRAGMA application_id = {APPLICATION_ID}; PRAGMA user_version = {VERSION}; COMMIT;"
            "PRAGMA journal_mode = WAL;"
        )
    sync_file(staged)
    wal.set_aside(path)
    staged.rename(path)


def _verified(path: Path) -> sqlite3.Connection:
    """Looks at a file through the log beside it before anything of either is changed.

    Returns:
        The connection that has looked; it reads only.

    Raises:
        sqlite3.Error: they cannot be read together.
        Unavailable: they do not belong together.
    """
    connection = open_for_reading(path)
    try:
        _check(connection, path)
        _check_day(connection, path)
    except BaseException:
        connection.close()
        raise
    return connection


def _check_day(connection: sqlite3.Connection, path: Path) -> None:
    first_ns, last_ns = connection.execute(
        "SELECT (SELECT min(first_ns) FROM block), (SELECT max(last_ns) FROM block)"
    ).fetchone()
    day = times.parse_day(path.name.removesuffix(SUFFIX))
    if day is None or first_ns is None:
        return
    if not times.day_of(first_ns) == day == times.day_of(last_ns):
        raise Unavailable(f"{path} holds lines of another day: is its -wal of another file?")


def _look_for_lost(connection: sqlite3.Connection, path: Path) -> None:
    _, recovered, _ = connection.execute("PRAGMA wal_checkpoint(PASSIVE)").fetchone()
    if wal.lost_transactions(path, recovered):
        wal.keep_damaged(path, recovered)


def _check(connection: sqlite3.Connection, path: Path) -> None:
    """Refuses what is not ours, before anything of it is changed."""
    (application,) = connection.execute("PRAGMA application_id").fetchone()
    (version,) = connection.execute("PRAGMA user_version").fetchone()
    if application != APPLICATION_ID or version not in READABLE:
        raise Unavailable(f"{path} is no file of this store, or of a later version of it")


def _upgrade(connection: sqlite3.Connection) -> None:
    """Makes a file one of this version; a kill leaves it as it was, or as it shall be."""
    if connection.execute("PRAGMA user_version").fetchone() != (VERSION,):
        connection.execute(f"PRAGMA user_version = {VERSION}")
    held = dict(connection.execute("SELECT k, v FROM line_index_config"))
    for setting in _INDEX_SETTINGS.items() - held.items():
        connection.execute("INSERT INTO line_index (line_index, rank) VALUES (?, ?)", setting)
