"""Stages of killed demos: what proves that one is dead, and ports given back."""

import os
from pathlib import Path

import msgspec
import psutil
import pytest

from wharfinger.operator.demo import reserved, stale

GONE = 2**22 + 1  # beyond the largest process id (proc(5), pid_max)


@pytest.fixture(autouse=True)
def _folders(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (folder / "ports").write_text("1-3,9\n")
    monkeypatch.setattr(stale, "PARENT", folder)
    monkeypatch.setattr(reserved, "RESERVED_PORTS", folder / "ports")


def made(**changes: object) -> Path:
    made_folder, owner = stale.make_folder(range(1, 9))
    owner = msgspec.structs.replace(owner, **changes)
    (made_folder / stale.OWNER).write_bytes(msgspec.json.encode(owner))
    return made_folder


def test_one_that_lives_is_left_alone() -> None:
    made()
    assert stale.found() == []


@pytest.mark.parametrize("changes", [{"pid": GONE}, {"started": 1.0}])
def test_one_that_is_dead_is_found_and_removed(folder: Path, changes: dict[str, object]) -> None:
    dead = made(**changes)
    (folder / "ports").write_text("1-8,9\n")
    ((found, owner),) = stale.found()
    assert found == dead
    stale.remove(found, owner)
    assert not dead.exists()
    # Those that were reserved before stay so.
    assert reserved.ports() == {1, 2, 3, 9}


def test_what_proves_nothing_is_left_alone(folder: Path) -> None:
    made(pid=GONE, namespace="pid:[1]")
    made(pid=GONE).chmod(0o755)  # somebody else might have written there
    (made(pid=GONE) / stale.OWNER).write_text("{")
    (made(pid=GONE) / stale.OWNER).unlink()
    elsewhere = made(pid=GONE).rename(folder / "elsewhere")
    (folder / "wharf-link").symlink_to(elsewhere)
    foreign = made(pid=GONE)
    if os.geteuid() == 0:
        os.chown(foreign, 65534, 65534)
        assert stale.found() == []
    assert (folder / "wharf-link").exists()


def test_it_says_who_made_it() -> None:
    _, owner = stale.make_folder(range(1, 9))
    assert (owner.pid, owner.lives) == (os.getpid(), True)
    assert owner.started == psutil.Process().create_time()
    assert owner.reserved == (1, 2, 3)


def test_ports_as_the_kernel_writes_them(folder: Path) -> None:
    assert reserved.ranges({1, 2, 3, 9}) == "1-3,9-9"
    reserved.give_back([2, 7])
    assert reserved.ports() == {1, 3, 9}
    (folder / "ports").write_text("\n")
    assert reserved.ports() == set()
    reserved.give_back([1])
    assert (folder / "ports").read_text() == "\n"


def test_a_pool_is_chosen_beside_what_is_reserved(folder: Path) -> None:
    (folder / "ports").write_text("20000-32599\n")
    assert reserved.free_pool() == range(32_600, 32_700)
    (folder / "ports").write_text("20000-32767\n")
    assert len(reserved.free_pool()) == 100
