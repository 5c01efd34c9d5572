"""The sockets of a process: by its links, or by what is told of them to who may trace it."""

import os
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from registrar import descriptors
from registrar.descriptors import are_told, sockets_of
from tests.stack.rights import with_only

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="only root can be somebody else")

TRACE, READ = "CAP_SYS_PTRACE", "CAP_DAC_READ_SEARCH"
# The second socket is behind an epoll that has much to tell of itself.
PROGRAM = """
import ctypes, os, select, socket, time
os.setuid(65534)
ctypes.CDLL(None).prctl(4, 1)  # PR_SET_DUMPABLE: what is told of it is its own user's again
one = socket.socket()
epoll = select.epoll()
for _ in range(500):
    epoll.register(os.dup(one.fileno()))
two = socket.socket()
print(os.fstat(one.fileno()).st_ino, os.fstat(two.fileno()).st_ino, flush=True)
time.sleep(600)
"""


@pytest.fixture
def somebodys() -> Iterator[tuple[Path, set[int]]]:
    """A process of another user, and the inodes of its sockets."""
    with subprocess.Popen([sys.executable, "-c", PROGRAM], stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        yield Path(f"/proc/{process.pid}"), set(map(int, process.stdout.readline().split()))
        process.kill()


@pytest.mark.skipif(not are_told(), reason="Linux before 5.14")
def test_who_may_trace_a_process_sees_its_sockets(somebodys: tuple[Path, set[int]]) -> None:
    process, inodes = somebodys

    def look() -> None:
        with pytest.raises(PermissionError):
            next((process / "fd").iterdir())
        assert set(sockets_of(process)) == inodes

    assert set(sockets_of(process)) == inodes
    with_only(look, TRACE)


def test_without_the_right_there_are_none(somebodys: tuple[Path, set[int]]) -> None:
    process, _ = somebodys
    with_only(lambda: _assert_none(process))


def test_an_older_kernel_shows_them_to_who_may_read_all(
    somebodys: tuple[Path, set[int]], monkeypatch: pytest.MonkeyPatch
) -> None:
    process, inodes = somebodys
    monkeypatch.setattr(descriptors, "_mount_of_sockets", lambda: None)
    assert not are_told()

    def look() -> None:
        assert set(sockets_of(process)) == inodes

    with_only(look, TRACE, READ)
    with_only(lambda: _assert_none(process), TRACE)


def test_a_file_with_a_sockets_inode_is_none(tmp_path: Path) -> None:
    with socket.socket() as ours:
        told = Path(f"/proc/self/fdinfo/{ours.fileno()}").read_text()
        inode = os.fstat(ours.fileno()).st_ino
    (tmp_path / "fdinfo").mkdir()
    (tmp_path / "fdinfo/3").write_text(told)
    (tmp_path / "fdinfo/4").write_text(f"pos:\t0\nflags:\t02\nmnt_id:\t1\nino:\t{inode + 1}\n")
    (tmp_path / "fdinfo/5").write_text(told.replace(str(inode), "x"))
    (tmp_path / "fdinfo/6").write_text("")
    (tmp_path / "fd").mkdir()
    os.chown(tmp_path / "fd", 65_534, 65_534)
    (tmp_path / "fd").chmod(0o500)

    def look() -> None:
        assert list(sockets_of(tmp_path)) == [inode]

    with_only(look, TRACE)


def test_a_process_that_has_ended_has_none(tmp_path: Path) -> None:
    _assert_none(tmp_path / "gone")


def _assert_none(process: Path) -> None:
    assert list(sockets_of(process)) == []
