"""A destination that is a mount point of its own, as in a container: it is written in place."""

import stat
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from discovery.publish.publisher import Change, Outcome, Publisher
from discovery.resources.resources import Resource
from discovery.resources.views import Rendered

pytestmark = pytest.mark.real


@pytest.fixture
def mounted(tmp_path: Path) -> Iterator[Path]:
    """A file that is mounted over by another."""
    source, dest = tmp_path / "source", tmp_path / "app.conf"
    source.write_text("before, and longer than what comes\n")
    dest.touch()
    subprocess.run(["mount", "--bind", source, dest], check=True)
    yield dest
    subprocess.run(["umount", dest], check=True)


def resource(dest: Path, **more: object) -> Resource:
    return Resource("app", Path("/t"), dest, **more)  # type: ignore[arg-type]


async def published(publisher: Publisher, what: Resource, content: bytes) -> Outcome:
    await publisher.recover()
    (outcome,) = await publisher.publish([Change(what, Rendered(content))])
    return outcome


def hidden(folder: Path) -> list[str]:
    return [path.name for path in folder.iterdir() if path.name.startswith(".")]


async def test_it_is_written_in_place_with_its_mode_and_owner(
    mounted: Path, tmp_path: Path
) -> None:
    publisher = Publisher(tmp_path / "state", lambda _: None)
    what = resource(mounted, mode=0o640, uid=1, gid=2, backup=True)
    inode = what.dest.stat().st_ino
    assert (await published(publisher, what, b"after\n")).error is None
    assert (tmp_path / "source").read_bytes() == b"after\n"
    there = what.dest.stat()
    assert (there.st_ino, there.st_uid, there.st_gid) == (inode, 1, 2)
    assert stat.S_IMODE(there.st_mode) == 0o640
    assert not publisher.differs(Change(what, Rendered(b"after\n")))
    assert hidden(tmp_path) == []


async def test_what_fails_its_check_goes_back_in_place(mounted: Path, tmp_path: Path) -> None:
    publisher = Publisher(tmp_path / "state", lambda _: None)
    what = resource(mounted, mode=0o600, check_cmd=f"grep -q before {mounted}")
    before = what.dest.read_bytes()
    assert (await published(publisher, what, b"after\n")).error is not None
    assert what.dest.read_bytes() == before
    assert stat.S_IMODE(what.dest.stat().st_mode) == 0o644
    assert (await published(publisher, what, b"before and after\n")).error is None
    assert what.dest.read_bytes() == b"before and after\n"
