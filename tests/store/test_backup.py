"""`logstore backup` and `restore`: whole, hot, by day; and back again."""

import shutil
import threading
from pathlib import Path

import pytest

from logshipper.store.engine import swap
from logshipper.store.engine.day import DayWriter
from logshipper.store.engine.folder import Folder
from logshipper.store.keeping import backup, manifest, restore
from logshipper.store.keeping.backup import Made
from logshipper.store.keeping.inspection import Inspection
from logshipper.store.keeping.manifest import Entry, Manifest, State
from tests.store import damage
from tests.store.damage import DAY, zeroed
from wharfinger import lock
from wharfinger.errors import Rejected, Unavailable

SECOND_NS = 1_000_000_000
LATER = 60 * SECOND_NS


@pytest.fixture
def folder(tmp_path: Path) -> Folder:
    found = Folder(tmp_path / "data")
    for tenant, day in (("default", DAY), ("default", DAY + 1), ("other", DAY)):
        path = found.path(tenant, day)
        damage.write(path, 1_200)
    return found


def made(
    folder: Folder, target: Path, stamp: str, *, later_ns: int = 0, keep: int | None = None
) -> Made:
    newest = max(path.stat().st_mtime_ns for path in folder.root.glob("*/*.db*"))
    return backup.make(folder, target, stamp, newest + later_ns, keep=keep)


def test_a_backup_is_whole_and_says_what_it_holds(folder: Folder, tmp_path: Path) -> None:
    done = made(folder, tmp_path / "to", "20261126T070000Z")
    assert done.path == tmp_path / "to/20261126T070000Z"
    told, findings = backup.verify(tmp_path / "to/20261126T070000Z")
    assert findings == []
    assert [(entry.tenant, entry.day, entry.lines) for entry in told.days] == [
        ("default", "2026-11-23", 1200),
        ("other", "2026-11-23", 1200),
        ("default", "2026-11-24", 1200),
    ]
    assert done.copied == sum(entry.size for entry in told.days)
    assert not list((tmp_path / "to").glob(".partial*"))
    # Looking at it changed nothing: no log lies beside a copy.
    assert not list(done.path.glob("*/*-wal"))


def test_days_as_before_are_linked_and_others_copied(folder: Folder, tmp_path: Path) -> None:
    first = made(folder, tmp_path / "to", "20261126T070000Z", later_ns=LATER)
    damage.write(folder.path("other", DAY), 50, first=2_000)
    second = made(folder, tmp_path / "to", "20261126T080000Z", later_ns=LATER)
    assert second.linked == 2
    name = "default/2026-11-23.db"
    assert (first.path / name).samefile(second.path / name)
    assert len(damage.messages(second.path / "other/2026-11-23.db")) == 1250
    assert len(damage.messages(first.path / "other/2026-11-23.db")) == 1200
    assert backup.verify(backup.newest(tmp_path / "to"))[1] == []


def test_what_may_have_changed_within_a_tick_is_copied(folder: Folder, tmp_path: Path) -> None:
    made(folder, tmp_path / "to", "20261126T070000Z", later_ns=SECOND_NS)
    assert made(folder, tmp_path / "to", "20261126T080000Z", later_ns=LATER).linked == 0
    assert made(folder, tmp_path / "to", "20261126T080000Z", later_ns=LATER).linked == 3
    names = [path.name for path in backup.backups(tmp_path / "to")]
    assert names == ["20261126T070000Z", "20261126T080000Z", "20261126T080000Z-002"]


def test_what_was_acknowledged_before_is_in_it_while_lines_come(
    folder: Folder, tmp_path: Path
) -> None:
    path = folder.path("default", DAY)
    acknowledged: list[int] = []
    stop = threading.Event()
    writer = DayWriter(path)

    def ingest() -> None:
        number = 50_000
        while not stop.is_set():
            writer.write([damage.document(number + n, f"7.1.{number + n:x}") for n in range(40)])
            number += 40
            acknowledged.append(number)

    thread = threading.Thread(target=ingest)
    thread.start()
    try:
        for n in range(5):
            while len(acknowledged) < (n + 1) * 10:
                pass
            before = acknowledged[-1] - 50_000
            done = made(folder, tmp_path / "to", f"20261126T07000{n}Z")
            kept = damage.messages(done.path / "default/2026-11-23.db")
            assert len(kept) == len(set(kept)) >= 1200 + before
            assert backup.verify(done.path)[1] == []
    finally:
        stop.set()
        thread.join()
        writer.close()


def test_only_so_many_are_kept(folder: Folder, tmp_path: Path) -> None:
    for n in range(4):
        done = made(folder, tmp_path / "to", f"20261126T07000{n}Z", keep=2)
    assert [path.name for path in done.removed] == ["20261126T070001Z"]
    assert [path.name[-3:] for path in backup.backups(tmp_path / "to")] == ["02Z", "03Z"]


def test_a_file_that_cannot_be_copied_is_named_and_no_backup_goes_for_it(
    folder: Folder, tmp_path: Path
) -> None:
    made(folder, tmp_path / "to", "20261126T070000Z")
    zeroed(1)(folder.path("other", DAY))
    done = made(folder, tmp_path / "to", "20261126T080000Z", keep=1)
    assert list(done.manifest.failed) == [str(folder.path("other", DAY))]
    assert done.removed == []
    assert len(done.manifest.days) == 2
    findings = backup.verify(done.path)[1]
    assert [finding.problem[:5] for finding in findings] == ["lacks"]


def test_two_at_once_are_refused_and_what_one_left_is_removed(
    folder: Folder, tmp_path: Path
) -> None:
    target = tmp_path / "to"
    left = target / ".partial-20261126T060000Z"
    left.mkdir(parents=True)
    (left / "half").write_text("x")
    with lock.held(target / "lock", "another"), pytest.raises(Unavailable, match="is held by"):
        made(folder, target, "20261126T070000Z")
    assert backup.backups(target) == []
    made(folder, target, "20261126T070000Z")
    assert not left.exists()


@pytest.mark.parametrize(
    ("spoil", "expected"),
    [
        (lambda path: path.unlink(), "is not there"),
        (lambda path: path.write_bytes(path.read_bytes()[:-1]), "is not what was written"),
        (lambda path: path.write_bytes(path.read_bytes()[:-1] + b"x"), "is not what was written"),
    ],
)
def test_a_backup_that_rots_is_found_and_not_restored(
    folder: Folder, tmp_path: Path, spoil: object, expected: str
) -> None:
    done = made(folder, tmp_path / "to", "20261126T070000Z")
    copy = done.path / "other/2026-11-23.db"
    copy.chmod(0o600)
    assert callable(spoil)
    spoil(copy)
    (finding,) = backup.verify(done.path)[1]
    assert finding.where == str(copy)
    assert expected in finding.problem
    target = Folder(tmp_path / "back")
    target.root.mkdir()
    with pytest.raises(Unavailable, match="as it was"):
        restore.restore(done.path, target, ["other"], "x")
    assert not list(target.root.glob("*/*"))


@pytest.mark.parametrize(
    "text",
    [
        b"", b"{}", b"[1]", b"\xff",
        manifest.encode(Manifest(0, "", (), {}, 99)),
        manifest.encode(Manifest(0, "", (Entry("../up", "2026-11-23", 1, "", 1, State(1, 1, 1)),))),
        manifest.encode(Manifest(0, "", (Entry("a", "../../x", 1, "", 1, State(1, 1, 1)),))),
    ],
)  # fmt: skip
def test_a_manifest_that_cannot_be_trusted_is_refused(
    folder: Folder, tmp_path: Path, text: bytes
) -> None:
    done = made(folder, tmp_path / "to", "20261126T070000Z", later_ns=LATER)
    (done.path / "manifest.json").chmod(0o600)
    (done.path / "manifest.json").write_bytes(text)
    with pytest.raises(Rejected, match=r"manifest\.json"):
        backup.verify(done.path)
    # The next one is whole all the same, and takes nothing of it.
    again = made(folder, tmp_path / "to", "20261126T080000Z", later_ns=LATER)
    assert again.linked == 0
    assert backup.verify(again.path)[1] == []


def test_no_backup_is_no_backup(tmp_path: Path) -> None:
    with pytest.raises(Rejected, match="holds no backup"):
        backup.newest(tmp_path)
    with pytest.raises(Rejected, match="holds no backup"):
        backup.newest(tmp_path / "nowhere")
    (tmp_path / "file").write_text("x")
    with pytest.raises(Unavailable, match="no backup was made"):
        backup.make(Folder(tmp_path), tmp_path / "file", "20261126T070000Z", 0)


def test_days_come_back_and_those_that_are_there_stay(folder: Folder, tmp_path: Path) -> None:
    done = made(folder, tmp_path / "to", "20261126T070000Z")
    path = folder.path("default", DAY)
    sent = damage.messages(path)
    path.unlink()
    back = restore.restore(done.path, folder, [], "20261126T080000Z")
    assert back.days == ["default 2026-11-23"]
    assert back.present == ["other 2026-11-23", "default 2026-11-24"]
    assert damage.messages(path) == sent
    assert path.stat().st_mode & 0o200
    writer = DayWriter(path)  # it goes on, and knows what it has
    first = damage.document(0, f"{0:016x}.1.0")
    assert writer.write([first, damage.document(9_000)])[0] is None
    writer.close()
    assert Inspection(path, DAY, "").run().findings == []
    with pytest.raises(Rejected, match="has no nobody"):
        restore.restore(done.path, folder, ["nobody"], "x")


def test_a_day_in_the_way_is_kept_with_its_log(folder: Folder, tmp_path: Path) -> None:
    done = made(folder, tmp_path / "to", "20261126T070000Z")
    path = folder.path("other", DAY)
    writer = DayWriter(path)
    writer.write([damage.document(9_000)])
    for suffix in ("", "-wal"):  # as a process leaves it that is killed
        shutil.copy(f"{path}{suffix}", f"{tmp_path}/left{suffix}")
    writer.close()
    for suffix in ("", "-wal"):
        shutil.copy(f"{tmp_path}/left{suffix}", f"{path}{suffix}")
    back = restore.restore(done.path, folder, ["other", "2026-11-23"], "T", replace=True)
    assert back.replaced == [path.with_name("2026-11-23.db.replaced-T")]
    assert len(damage.messages(path)) == 1200
    assert len(damage.messages(back.replaced[0])) == 1201
    assert sorted(beside.name for beside in path.parent.iterdir()) == [
        "2026-11-23.db",
        "2026-11-23.db-shm",
        "2026-11-23.db-wal",
        "2026-11-23.db.replaced-T",
        "2026-11-23.db.replaced-T-shm",
        "2026-11-23.db.replaced-T-wal",
    ]


def test_a_log_that_lost_its_file_is_kept_when_the_file_comes_back(
    folder: Folder, tmp_path: Path
) -> None:
    """It holds lines that were acknowledged after the backup was made."""
    done = made(folder, tmp_path / "to", "20261126T070000Z")
    path = folder.path("other", DAY)
    log = path.with_name(f"{path.name}-wal")
    writer = DayWriter(path)
    writer.write([damage.document(9_000)])
    content = log.read_bytes()
    writer.close()
    path.unlink()
    log.write_bytes(content)
    restore.restore(done.path, folder, ["other"], "T")
    assert len(damage.messages(path)) == 1200
    (told,) = folder.strays()
    assert Path(told).read_bytes() == content


def test_a_restore_that_was_killed_leaves_no_copy_behind(folder: Folder, tmp_path: Path) -> None:
    path = folder.path("other", DAY)
    left = path.with_name(f"{path.name}{swap.RESTORED}20261126T080000Z")
    left.write_bytes(b"half a day")
    kept = path.with_name(f"{path.name}.replaced-20261126T080000Z")
    kept.write_bytes(b"a day")
    folder.remove_leftovers(0)
    assert (left.exists(), kept.exists(), path.exists()) == (False, True, True)


def test_a_restore_that_was_killed_between_two_files_is_ended(
    folder: Folder, tmp_path: Path
) -> None:
    done = made(folder, tmp_path / "to", "20261126T070000Z")
    path = folder.path("other", DAY)
    kept = path.with_name(f"{path.name}{swap.REPLACED}T")
    staged = path.with_name(f"{path.name}{swap.RESTORED}T")
    damage.write(path, 50, first=2_000)
    shutil.copy(done.path / "other" / path.name, staged)
    kept.hardlink_to(path)
    swap.finish_all(folder.root)  # nothing was let go
    assert (len(damage.messages(path)), kept.exists()) == (1250, False)
    path.rename(kept)
    swap.finish_all(folder.root)
    assert (len(damage.messages(path)), len(damage.messages(kept))) == (1200, 1250)
    assert not staged.exists()


def test_a_backup_sorts_behind_the_newest_whatever_the_clock_says() -> None:
    for newest, expected in (
        ("", "20261126T080000Z"),
        ("20261126T075959Z-004", "20261126T080000Z"),
        ("20261126T080000Z", "20261126T080000Z-002"),
        ("20261126T080000Z-009", "20261126T080000Z-010"),
        ("20270101T000000Z", "20270101T000000Z-002"),
    ):
        found = manifest.name_after("20261126T080000Z", newest)
        assert found == expected > newest
        assert manifest.is_stamp(found)
    with pytest.raises(Rejected, match="is the clock right"):
        manifest.name_after("20261126T080000Z", "20270101T000000Z-999")
