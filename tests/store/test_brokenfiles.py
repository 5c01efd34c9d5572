"""Day files that cannot be used, until others have their names."""

from pathlib import Path

import pytest

from logshipper.store.engine.brokenfiles import BrokenFiles


def _open_files() -> int:
    return len(list(Path("/proc/self/fd").iterdir()))


@pytest.fixture
def path(tmp_path: Path) -> Path:
    path = tmp_path / "2026-11-26.db"
    path.write_bytes(b"damaged")
    return path


def test_a_file_is_told_until_it_is_gone_or_can_be_used(path: Path) -> None:
    broken = BrokenFiles()
    broken.add(path, "malformed")
    broken.add(path, "still malformed")
    assert broken.told() == {str(path): "still malformed"}
    broken.clear(path)
    assert broken.told() == {}
    broken.add(path, "malformed")
    path.unlink()
    assert broken.told() == {}
    broken.add(path, "is not there")
    assert broken.told() == {}


def test_another_file_in_its_place_is_not_broken_even_where_inodes_are_used_again(
    path: Path,
) -> None:
    """Moved to another file system, the old one is gone; ext4 gives its inode to the next."""
    broken = BrokenFiles()
    for _ in range(20):
        broken.add(path, "malformed")
        path.unlink()
        path.write_bytes(b"new")
        assert broken.told() == {}


def test_nothing_is_held_open_longer_than_needed(path: Path) -> None:
    before = _open_files()
    broken = BrokenFiles()
    for _ in range(3):
        broken.add(path, "malformed")
    assert _open_files() == before + 1
    broken.close()
    assert _open_files() == before
