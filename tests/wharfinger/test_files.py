"""A file is the old or the new whole, whatever happens in between."""

import errno
import os
import signal
import stat
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from wharfinger import files
from wharfinger.files import PRIVATE_MODE, sync_folder, write_atomically


def open_descriptors() -> int:
    return len(names(Path("/proc/self/fd")))


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_replaces_with_mode_and_leaves_nothing_beside(tmp_path: Path) -> None:
    path = tmp_path / "f"
    old_umask = os.umask(0o077)
    try:
        write_atomically(path, b"old")
        assert stat.S_IMODE(path.stat().st_mode) == 0o644
        write_atomically(path, b"new", mode=PRIVATE_MODE)
    finally:
        os.umask(old_umask)
    assert path.read_bytes() == b"new"
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert names(tmp_path) == ["f"]


@pytest.mark.skipif(os.geteuid() != 0, reason="only root gives files away")
def test_owner_with_a_mode_that_chown_would_clear(tmp_path: Path) -> None:
    path = tmp_path / "f"
    write_atomically(path, b"x", mode=0o2755, owner=(1, 2))
    status = path.stat()
    assert (status.st_uid, status.st_gid) == (1, 2)
    assert stat.S_IMODE(status.st_mode) == 0o2755


def test_a_symbolic_link_is_replaced_and_its_target_left_alone(tmp_path: Path) -> None:
    target = tmp_path / "target"
    target.write_bytes(b"precious")
    link = tmp_path / "link"
    link.symlink_to(target)
    write_atomically(link, b"new")
    assert target.read_bytes() == b"precious"
    assert not link.is_symlink()
    assert link.read_bytes() == b"new"


def test_a_link_that_leads_nowhere_is_replaced_too(tmp_path: Path) -> None:
    link = tmp_path / "link"
    link.symlink_to("/no/such/folder/file")
    write_atomically(link, b"new")
    assert link.read_bytes() == b"new"


@pytest.mark.parametrize("name", ["n" * 255, "é" * 127, ".hidden", "-rf", "a b\n"])
def test_names_of_every_kind(tmp_path: Path, name: str) -> None:
    write_atomically(tmp_path / name, b"x")
    assert names(tmp_path) == [name]


def test_a_folder_in_its_place_or_no_folder_around_it(tmp_path: Path) -> None:
    (tmp_path / "d").mkdir()
    with pytest.raises(IsADirectoryError):
        write_atomically(tmp_path / "d", b"x")
    assert names(tmp_path) == ["d"]
    with pytest.raises(FileNotFoundError):
        write_atomically(tmp_path / "no" / "f", b"x")


@pytest.mark.parametrize("step", ["fsync", "fchmod", "fchown"])
def test_a_failure_on_the_way_leaves_the_old_one_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, step: str
) -> None:
    path = tmp_path / "f"
    path.write_bytes(b"old")

    def fail(*_: object) -> None:
        raise OSError(errno.EIO, "disk")

    monkeypatch.setattr(files.os, step, fail)
    with pytest.raises(OSError, match="disk"):
        write_atomically(path, b"new", owner=(0, 0))
    assert path.read_bytes() == b"old"
    assert names(tmp_path) == ["f"]


def test_a_full_disk_leaves_the_old_one_and_no_rest(tmp_path: Path) -> None:
    path = tmp_path / "f"
    path.write_bytes(b"old")
    # A limit on the size of files stands for the full disk: write(2) fails in its midst.
    script = f"""
import resource, signal
from pathlib import Path
from wharfinger.files import write_atomically
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (1000, 1000))
try:
    write_atomically(Path({str(path)!r}), b"x" * 100_000)
except OSError as error:
    print(error.errno)
"""
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == str(errno.EFBIG)
    assert path.read_bytes() == b"old"
    assert names(tmp_path) == ["f"]


@pytest.mark.parametrize("step", ["fsync", "replace"])
def test_a_crash_on_the_way_leaves_the_old_whole(tmp_path: Path, step: str) -> None:
    path = tmp_path / "f"
    path.write_bytes(b"old")
    script = f"""
import os, signal
from pathlib import Path
from wharfinger import files
def crash(*_):
    os.kill(os.getpid(), signal.SIGKILL)
files.os.fsync = crash if {step!r} == "fsync" else files.os.fsync
Path.replace = crash if {step!r} == "replace" else Path.replace
files.write_atomically(Path({str(path)!r}), b"new")
"""
    done = subprocess.run([sys.executable, "-c", script], check=False)
    assert done.returncode == -signal.SIGKILL
    assert path.read_bytes() == b"old"


def test_a_reader_never_sees_a_part(tmp_path: Path) -> None:
    path = tmp_path / "f"
    contents = [bytes([65 + number]) * 50_000 for number in range(20)]
    write_atomically(path, contents[0])
    stop = threading.Event()
    seen: set[bytes] = set()

    def read() -> None:
        while not stop.is_set():
            seen.add(path.read_bytes())

    reader = threading.Thread(target=read)
    reader.start()
    for content in contents:
        write_atomically(path, content)
    stop.set()
    reader.join()
    assert seen
    assert seen <= set(contents)


def test_the_folder_is_synced_after_the_rename(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    order: list[str] = []
    replace, fsync = Path.replace, os.fsync

    def replaced(self: Path, target: Path) -> Path:
        order.append("rename")
        return replace(self, target)

    def synced(descriptor: int) -> None:
        order.append("folder" if stat.S_ISDIR(os.fstat(descriptor).st_mode) else "file")
        fsync(descriptor)

    monkeypatch.setattr(Path, "replace", replaced)
    monkeypatch.setattr(files.os, "fsync", synced)
    write_atomically(tmp_path / "f", b"x")
    assert order == ["file", "rename", "folder"]


@pytest.mark.parametrize(("number", "raises"), [(errno.EINVAL, False), (errno.EIO, True)])
def test_a_file_system_that_cannot_sync_folders_is_no_fault(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: int, raises: bool
) -> None:
    def fail(_: int) -> None:
        raise OSError(number, "x")

    monkeypatch.setattr(files.os, "fsync", fail)
    before = open_descriptors()
    if raises:
        with pytest.raises(OSError, match="x"):
            sync_folder(tmp_path)
    else:
        sync_folder(tmp_path)
    assert open_descriptors() == before


def test_descriptors_are_given_back(tmp_path: Path) -> None:
    before = open_descriptors()
    for number in range(50):
        write_atomically(tmp_path / "f", b"%d" % number)
    assert open_descriptors() == before


def test_a_folder_is_made_with_those_above_it_and_synced(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    synced: list[Path] = []
    monkeypatch.setattr(files, "sync_folder", synced.append)
    files.make_folder(tmp_path / "a" / "b", 0o700)
    assert (tmp_path / "a" / "b").is_dir()
    assert synced == [tmp_path, tmp_path / "a"]
    # Whoever made it may have been killed before the sync.
    files.make_folder(tmp_path / "a" / "b", 0o700)
    assert synced[2:] == [tmp_path / "a"]
    (tmp_path / "file").touch()
    with pytest.raises(OSError, match="file"):
        files.make_folder(tmp_path / "file" / "c", 0o700)
