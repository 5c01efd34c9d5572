"""`logstore export --salvage`: what is left in any file comes back, each line once."""

import shutil
from pathlib import Path

import msgspec
import pytest

from logshipper.store.engine.day import DayWriter
from logshipper.store.http.hits import render
from logshipper.store.http.protocols import exported
from logshipper.store.keeping import scavenging
from logshipper.store.keeping.inspection import Inspection
from logshipper.store.lines.times import Arrival
from tests.store import damage
from tests.store.damage import BASE_NS, DAY, sql, zeroed
from wharfinger.errors import Rejected, Unavailable

ARRIVAL_NS = BASE_NS + 10**15


def salvaged(path: Path) -> bytes:
    lines = [line for some in scavenging.scavenged(path) for line in some]
    return b"".join(msgspec.json.encode(render(line)) + b"\n" for line in lines)


def imported(path: Path, data: bytes) -> int:
    found = exported.parse(data, Arrival.of(ARRIVAL_NS))
    assert found.bad == 0, found.reasons
    writer = DayWriter(path)
    try:
        return sum(row_id is not None for row_id in writer.write(found.documents))
    finally:
        writer.close()


def with_log(path: Path, commits: int) -> tuple[Path, list[str]]:
    """A day as a process leaves it that is killed: everything is in the log; and its lines."""
    live = path.parent / "live" / path.name
    live.parent.mkdir(parents=True)
    writer = DayWriter(live)
    writer.connection.execute("PRAGMA wal_autocheckpoint = 0")
    for n in range(commits):
        writer.write([damage.document(n * 300 + each) for each in range(300)])
    for suffix in ("", "-wal"):
        shutil.copy(f"{live}{suffix}", f"{path}{suffix}")
    sent = damage.messages(live)
    writer.close()
    return path, sent


def test_lines_of_a_log_whose_file_is_gone_come_back(tmp_path: Path) -> None:
    path, sent = with_log(tmp_path / damage.NAME, 5)
    path.unlink()
    orphan = Path(f"{path}-wal").rename(f"{path}-wal.orphan")
    before = orphan.read_bytes()
    assert imported(path, salvaged(orphan)) == len(sent) == 1_500
    assert sorted(damage.messages(path)) == sorted(sent)
    assert "unknown-" not in salvaged(path).decode()  # the streams were in the log, too
    assert orphan.read_bytes() == before
    assert Inspection(path, DAY, "").run().findings == []


def test_what_a_damaged_log_held_behind_the_damage_comes_back(tmp_path: Path) -> None:
    path, sent = with_log(tmp_path / damage.NAME, 8)
    log = Path(f"{path}-wal")
    data = bytearray(log.read_bytes())
    at = len(data) // 2
    data[at : at + 8] = bytes(8)
    log.write_bytes(data)
    writer = DayWriter(path)  # SQLite takes the damage for the log's end; the store keeps a copy
    writer.write([damage.document(90_000 + n) for n in range(100)])
    writer.close()
    copy = Path(f"{path}-wal.damaged")
    assert copy.exists()
    lost = set(sent) - set(damage.messages(path))
    assert len(lost) > 300
    assert imported(path, salvaged(copy)) >= len(lost) - 300
    kept = damage.messages(path)
    assert len(kept) == len(set(kept))
    assert len(set(sent) - set(kept)) <= 300  # at most the commit that was hit
    assert imported(path, salvaged(copy)) == 0
    assert Inspection(path, DAY, "").run().findings == []


def test_a_damaged_day_gives_what_a_repair_would_keep(tmp_path: Path) -> None:
    path = tmp_path / damage.NAME
    sent = damage.write(path, 3_500)
    zeroed(1)(path)
    fresh = tmp_path / "new" / damage.NAME
    fresh.parent.mkdir()
    assert imported(fresh, salvaged(path)) == 3_500
    assert sorted(damage.messages(fresh)) == sorted(sent)


def test_what_is_no_file_of_a_store_gives_nothing(tmp_path: Path) -> None:
    (tmp_path / "x").write_bytes(b"nonsense" * 9_999)
    (tmp_path / "empty").write_bytes(b"")
    assert salvaged(tmp_path / "x") == salvaged(tmp_path / "empty") == b""
    with pytest.raises(Rejected, match="cannot be read"):
        salvaged(tmp_path / "nowhere")
    damage.write(tmp_path / damage.NAME, 5)
    sql("PRAGMA user_version = 99")(tmp_path / damage.NAME)
    with pytest.raises(Unavailable, match="later version"):
        salvaged(tmp_path / damage.NAME)
