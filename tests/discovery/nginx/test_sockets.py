"""The push socket's folder: closed, and there after a reboot."""

import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from discovery.nginx import sockets
from wharfinger.errors import Rejected


@pytest.fixture
def folder() -> Iterator[Path]:
    """A short path: a socket's has 107 bytes at most."""
    with tempfile.TemporaryDirectory(prefix="wf-", dir="/tmp") as name:
        yield Path(name)


def test_the_folder_is_made_closed(folder: Path) -> None:
    socket = folder / "run" / "nginx" / "push.sock"
    sockets.prepare(socket)
    assert socket.parent.stat().st_mode & 0o777 == 0o700
    sockets.prepare(socket)


def test_a_folder_that_others_can_enter_is_refused(folder: Path) -> None:
    (folder / "open").mkdir(mode=0o755)
    with pytest.raises(Rejected, match="chmod 700"):
        sockets.prepare(folder / "open" / "push.sock")
    (folder / "link").symlink_to(folder / "open")
    with pytest.raises(Rejected, match="open to others"):
        sockets.prepare(folder / "link" / "push.sock")


def test_a_path_that_is_no_sockets_is_refused(folder: Path) -> None:
    with pytest.raises(Rejected, match="longer than 107"):
        sockets.prepare(folder / ("x" * 120) / "push.sock")
    (folder / "file").touch()
    with pytest.raises(Rejected, match="Not a directory"):
        sockets.prepare(folder / "file" / "nginx" / "push.sock")


def test_a_boot_finds_the_folder_again(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    tmpfiles = folder / "tmpfiles.d"
    socket = folder / "nginx" / "push.sock"
    sockets.prepare(socket, tmpfiles=tmpfiles)  # no systemd-tmpfiles here
    tmpfiles.mkdir()
    sockets.prepare(socket, tmpfiles=tmpfiles)
    assert not list(tmpfiles.iterdir())  # the folder outlasts a boot by itself
    monkeypatch.setattr(sockets, "VOLATILE", (folder,))
    sockets.prepare(socket, tmpfiles=tmpfiles)
    told = (tmpfiles / "wharfinger-nginx.conf").read_text()
    assert f"d {socket.parent} 0700 root root\n" in told


def test_a_line_that_the_package_brings_is_not_written_again(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tmpfiles, shipped = folder / "etc", folder / "lib"
    tmpfiles.mkdir()
    shipped.mkdir()
    socket = folder / "nginx" / "push.sock"
    monkeypatch.setattr(sockets, "VOLATILE", (folder,))
    (shipped / "wharfinger.conf").write_text(f"d {socket.parent} 0700 root root\n")
    sockets.prepare(socket, tmpfiles=tmpfiles, shipped=(shipped,))
    assert not list(tmpfiles.iterdir())
    (shipped / "wharfinger.conf").write_text("d /run/elsewhere 0700 root root\n")
    sockets.prepare(socket, tmpfiles=tmpfiles, shipped=(shipped,))
    assert list(tmpfiles.iterdir())
