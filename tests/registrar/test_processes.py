"""Whether a container runs, by what /proc tells of its first process."""

import os
import subprocess
from pathlib import Path

import pytest

from registrar.processes import runs

ID = "a" * 64
CGROUP = f"12:pids:/docker/{ID}\n0::/docker/{ID}\n".encode()


def process(proc: Path, stat: bytes, cgroup: bytes = CGROUP) -> None:
    folder = proc / "10"
    folder.mkdir()
    (folder / "cgroup").write_bytes(cgroup)
    (folder / "stat").write_bytes(stat)


@pytest.mark.parametrize("name", [b"nginx", b"a b", b") Z (", b"\xff\n"])
def test_one_that_lives_whatever_it_is_called(tmp_path: Path, name: bytes) -> None:
    process(tmp_path, b"10 (" + name + b") S 1 10 10 0\n")
    assert runs(ID, 10, proc=tmp_path)


@pytest.mark.parametrize("state", [b"Z", b"X", b"x"])
def test_one_that_has_ended_and_was_not_asked_for(tmp_path: Path, state: bytes) -> None:
    process(tmp_path, b"10 (sh) " + state + b" 1 10 10 0\n")
    assert not runs(ID, 10, proc=tmp_path)


def test_another_one_under_the_same_number(tmp_path: Path) -> None:
    process(tmp_path, b"10 (sh) S 1\n", CGROUP.replace(b"a", b"b"))
    assert not runs(ID, 10, proc=tmp_path)


@pytest.mark.parametrize("pid", [0, 11, -1])
def test_none_at_all(tmp_path: Path, pid: int) -> None:
    assert not runs(ID, pid, proc=tmp_path)


def test_the_kernel_tells_it_so() -> None:
    (path,) = {line.split(":")[2] for line in _cgroup(os.getpid())[:1]}
    with subprocess.Popen(["/bin/true"]) as child:
        os.waitid(os.P_PID, child.pid, os.WEXITED | os.WNOWAIT)
        assert not runs(path, child.pid)
    assert runs(path, os.getpid())


def _cgroup(pid: int) -> list[str]:
    return Path(f"/proc/{pid}/cgroup").read_text().splitlines()
