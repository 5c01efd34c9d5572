"""What a working copy remembers, and what it makes of files that it did not write."""

from pathlib import Path

import msgspec
import pytest

from deploy.release.workingcopy import WorkingCopy
from wharfinger.errors import Unavailable


class Kept(msgspec.Struct):
    release: str


def test_it_remembers_and_keeps_itself_out_of_git(tmp_path: Path) -> None:
    copy = WorkingCopy(tmp_path)
    assert copy.read("pushed", Kept) is None
    copy.write("pushed", Kept("r1"))
    copy.write("pushed", Kept("r2"))
    assert copy.read("pushed", Kept) == Kept("r2")
    assert (tmp_path / ".wharf" / ".gitignore").read_text() == "*\n"


@pytest.mark.parametrize("data", [b"", b"{", b"[]", b'{"release":1}', b"\xff", b"[" * 100_000])
def test_what_it_did_not_write_is_nothing(tmp_path: Path, data: bytes) -> None:
    copy = WorkingCopy(tmp_path)
    copy.write("pushed", Kept("r1"))
    (tmp_path / ".wharf" / "pushed.json").write_bytes(data)
    assert copy.read("pushed", Kept) is None


def test_a_folder_that_cannot_be_written_is_told(tmp_path: Path) -> None:
    (tmp_path / ".wharf").write_text("a file")
    with pytest.raises(Unavailable, match=r"\.wharf"):
        WorkingCopy(tmp_path).write("pushed", Kept("r1"))


def test_a_link_that_came_with_the_working_copy_is_not_followed(tmp_path: Path) -> None:
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    (tmp_path / "copy").mkdir()
    (tmp_path / "copy/.wharf").symlink_to(elsewhere)
    with pytest.raises(Unavailable, match="is a link"):
        WorkingCopy(tmp_path / "copy").write("built", {})
    assert not list(elsewhere.iterdir())
