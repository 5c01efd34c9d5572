"""Stages of killed demos: what proves that one is dead, and ports given back."""

import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import msgspec
import psutil
import pytest

from wharfinger.operator.demo import reserved, stale

GONE = 2**22 + 1  # beyond the largest process id (proc(5), pid_max)


@pytest.fixture
def parent() -> Iterator[Path]:
    # pytest's own folders can be too deep for the path of a socket.
    folder = Path(tempfile.mkdtemp(prefix="wf-", dir="/tmp"))
    yield folder
    shutil.rmtree(folder)


@pytest.fixture(autouse=True)
def _folders(parent: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (parent / "ports").write_text("1-3,9\n")
    monkeypatch.setattr(stale, "PARENT", parent)
    monkeypatch.setattr(reserved, "RESERVED_PORTS", parent / "ports")


def made(**changes: object) -> Path:
    made_folder, owner = stale.make_folder(range(1, 9))
    owner = msgspec.structs.replace(owner, **changes)
    (made_folder / stale.OWNER).write_bytes(msgspec.json.encode(owner))
    return made_folder


def test_one_that_lives_is_left_alone() -> None:
    made()
    assert stale.found() == []


@pytest.mark.parametrize("changes", [{"pid": GONE}, {"started": 1.0}])
def test_one_that_is_dead_is_found_and_removed(parent: Path, changes: dict[str, object]) -> None:
    folder = made(**changes)
    (parent / "ports").write_text("1-8,9\n")
    ((found, owner),) = stale.found()
    assert found == folder
    stale.remove(found, owner)
    assert not folder.exists()
    # Those that were reserved before stay so.
    assert reserved.ports() == {1, 2, 3, 9}


def test_what_proves_nothing_is_left_alone(parent: Path) -> None:
    made(pid=GONE, namespace="pid:[1]")
    made(pid=GONE).chmod(0o755)  # somebody else might have written there
    (made(pid=GONE) / stale.OWNER).write_text("{")
    (made(pid=GONE) / stale.OWNER).unlink()
    elsewhere = made(pid=GONE).rename(parent / "elsewhere")
    (parent / "wharf-link").symlink_to(elsewhere)
    foreign = made(pid=GONE)
    if os.geteuid() == 0:
        os.chown(foreign, 65534, 65534)
        assert stale.found() == []
    assert (parent / "wharf-link").exists()


def test_it_says_who_made_it() -> None:
    _, owner = stale.make_folder(range(1, 9))
    assert (owner.pid, owner.lives) == (os.getpid(), True)
    assert owner.started == psutil.Process().create_time()
    assert owner.reserved == (1, 2, 3)


def test_ports_as_the_kernel_writes_them(parent: Path) -> None:
    assert reserved.ranges({1, 2, 3, 9}) == "1-3,9-9"
    reserved.give_back([2, 7])
    assert reserved.ports() == {1, 3, 9}
    (parent / "ports").write_text("\n")
    assert reserved.ports() == set()
    reserved.give_back([1])
    assert (parent / "ports").read_text() == "\n"


def test_a_pool_is_chosen_beside_what_is_reserved(parent: Path) -> None:
    (parent / "ports").write_text("20000-32599\n")
    assert reserved.free_pool() == range(32_600, 32_700)
    (parent / "ports").write_text("20000-32767\n")
    assert len(reserved.free_pool()) == 100
