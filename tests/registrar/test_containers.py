"""The write into a container: whole, readable, and never through anything that it planted."""

import os
import socket
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from registrar.ports.containers import Told, read_environment, read_told, tell
from tests.stack.rights import with_only
from wharfinger.errors import Rejected, Unavailable

pytestmark = pytest.mark.real

ID = "c0ffee" + "0" * 58
PID = 10
TOLD = Told(20_001, 3)


class Host:
    """A process file system that knows one container, and the container's own files."""

    def __init__(self, folder: Path) -> None:
        self.proc = folder / "proc"
        self.root = folder / "root"
        self.shm = self.root / "dev" / "shm"
        self.shm.mkdir(parents=True)
        process = self.proc / str(PID)
        process.mkdir(parents=True)
        (process / "cgroup").write_text(f"0::/docker/{ID}\n")
        (process / "root").symlink_to(self.root)
        (self.proc / "self").mkdir()
        (self.proc / "self" / "mountinfo").write_text("")

    def tell(self) -> None:
        tell(ID, PID, TOLD, proc=self.proc)

    def read(self) -> Told | None:
        return read_told(ID, PID, proc=self.proc)


@pytest.fixture
def host(tmp_path: Path) -> Host:
    return Host(tmp_path)


@pytest.fixture
def mounted(host: Host) -> Iterator[Host]:
    """The same with a tmpfs of the container's own."""
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=64k", "shm", host.shm], check=True)
    yield host
    subprocess.run(["umount", host.shm], check=True)


def test_two_lines_that_any_user_can_read(mounted: Host) -> None:
    before = os.umask(0o077)
    try:
        mounted.tell()
    finally:
        os.umask(before)
    file = mounted.shm / "wharfinger.port"
    assert file.read_bytes() == b"20001\n3\n"
    assert file.stat().st_mode & 0o777 == 0o644
    assert [each.name for each in mounted.shm.iterdir()] == ["wharfinger.port"]
    assert mounted.read() == TOLD


def test_nothing_told_yet_is_none(mounted: Host) -> None:
    assert mounted.read() is None


@pytest.mark.parametrize(
    "plant",
    [
        lambda file, outside: file.symlink_to(outside),
        lambda file, outside: file.symlink_to(file),
        lambda file, _: os.mkfifo(file),
        lambda file, _: socket.socket(socket.AF_UNIX).bind(str(file)),
        lambda file, outside: os.mknod(file, 0o666 | 0o020000, os.makedev(1, 3)),
        lambda file, _: file.write_text("999999\n1\n"),
        lambda file, _: file.write_bytes(b"\0" * 20_000),
        lambda file, _: file.write_text("٢٠٠٠١\n1\n"),
    ],
    ids=["link", "link to itself", "fifo", "socket", "device", "bad port", "long", "digits"],
)
@pytest.mark.filterwarnings("ignore:unclosed:ResourceWarning")
def test_what_stands_in_the_files_place_is_replaced_and_never_opened(
    mounted: Host, tmp_path: Path, plant: Callable[[Path, Path], object]
) -> None:
    outside = tmp_path / "outside"
    outside.write_text("20005\n9\n")
    plant(mounted.shm / "wharfinger.port", outside)
    assert mounted.read() is None
    mounted.tell()
    assert mounted.read() == TOLD
    assert outside.read_text() == "20005\n9\n"


def test_a_folder_in_the_files_place_is_refused(mounted: Host) -> None:
    (mounted.shm / "wharfinger.port").mkdir()
    with pytest.raises(Rejected, match="a folder stands where"):
        mounted.tell()
    assert mounted.read() is None
    assert [each.name for each in mounted.shm.iterdir()] == ["wharfinger.port"]


@pytest.mark.parametrize("mode", [0o700, 0o755])
def test_a_shm_that_its_owner_keeps_is_told_with_what_to_do(mounted: Host, mode: int) -> None:
    os.chown(mounted.shm, 1_000, 1_000)
    mounted.shm.chmod(mode)

    def refused() -> None:
        with pytest.raises(Rejected, match="for its owner alone: mount it with mode=1777"):
            mounted.tell()

    with_only(refused, "CAP_SYS_PTRACE")
    assert not list(mounted.shm.iterdir())


def test_a_shm_for_all_needs_no_right_over_files(mounted: Host) -> None:
    os.chown(mounted.shm, 1_000, 1_000)
    mounted.shm.chmod(0o1777)
    with_only(mounted.tell, "CAP_SYS_PTRACE")
    with_only(mounted.tell, "CAP_SYS_PTRACE")
    assert mounted.read() == TOLD
    # In such a folder nobody takes another's file away, and the container may have put it there.
    os.chown(mounted.shm / "wharfinger.port", 1_000, 1_000)

    def refused() -> None:
        with pytest.raises(Rejected, match="cannot be written to its /dev/shm: Operation not"):
            mounted.tell()

    with_only(refused, "CAP_SYS_PTRACE")
    assert [each.name for each in mounted.shm.iterdir()] == ["wharfinger.port"]


def test_a_full_shm_is_refused_and_nothing_is_left(mounted: Host) -> None:
    with pytest.raises(OSError, match="No space"):
        (mounted.shm / "fill").write_bytes(b"x" * 200_000)
    with pytest.raises(Rejected, match="full"):
        mounted.tell()
    assert [each.name for each in mounted.shm.iterdir()] == ["fill"]


@pytest.mark.parametrize("planted", ["dev", "dev/shm"])
@pytest.mark.parametrize("absolute", [True, False])
def test_a_link_at_any_part_of_the_path_is_not_followed(
    host: Host, tmp_path: Path, planted: str, absolute: bool
) -> None:
    outside = tmp_path / "outside"
    (outside / "shm").mkdir(parents=True)
    target = outside if absolute else Path("../" * planted.count("/")) / "../outside"
    place = host.root / planted
    host.shm.rmdir()
    if planted == "dev":
        place.rmdir()
    place.symlink_to(target)
    with pytest.raises(Rejected, match="symbolic link"):
        host.tell()
    assert list(outside.rglob("*")) == [outside / "shm"]


def test_a_link_to_another_folder_of_the_container_is_not_followed_either(host: Host) -> None:
    host.shm.rmdir()
    (host.root / "run").mkdir()
    host.shm.symlink_to("/run")
    with pytest.raises(Rejected, match="symbolic link"):
        host.tell()


def test_a_folder_on_disk_is_refused(host: Host) -> None:
    with pytest.raises(Rejected, match="no tmpfs of its own"):
        host.tell()


def test_no_shm_at_all_is_refused(host: Host) -> None:
    host.shm.rmdir()
    with pytest.raises(Rejected, match="has no /dev/shm"):
        host.tell()


def test_the_hosts_own_shm_is_refused(mounted: Host) -> None:
    mountinfo = mounted.proc / "self" / "mountinfo"
    mountinfo.unlink()
    mountinfo.symlink_to("/proc/self/mountinfo")
    with pytest.raises(Rejected, match="--ipc=host"):
        mounted.tell()
    assert not list(mounted.shm.iterdir())


def test_a_shareable_one_is_known_by_dockers_own_mount_of_it(mounted: Host) -> None:
    device = mounted.shm.stat().st_dev
    line = "36 35 {}:{} / /data/containers/{}/mounts/shm rw - tmpfs shm rw\n"
    told = line.format(os.major(device), os.minor(device), ID)
    (mounted.proc / "self" / "mountinfo").write_text(told)
    mounted.tell()
    other = line.format(os.major(device), os.minor(device), "b" * 64)
    (mounted.proc / "self" / "mountinfo").write_text(other)
    with pytest.raises(Rejected, match="--ipc=container"):
        mounted.tell()


def test_the_hosts_own_shm_is_refused_from_within_a_container(mounted: Host) -> None:
    # Our own mounts do not show it there: those of the host's first process do.
    init = mounted.proc / "1"
    init.mkdir()
    (init / "mountinfo").symlink_to("/proc/self/mountinfo")
    with pytest.raises(Rejected, match="--ipc=host"):
        mounted.tell()
    assert not list(mounted.shm.iterdir())


def test_a_process_that_is_still_on_the_host_is_known_from_within_a_container(
    mounted: Host,
) -> None:
    init = mounted.proc / "1"
    init.mkdir()
    (init / "root").symlink_to(mounted.root)
    with pytest.raises(Unavailable, match="has not entered its container yet"):
        mounted.tell()
    (init / "root").unlink()
    mounted.tell()


def test_no_name_of_a_mount_passes_for_the_end_of_a_line(mounted: Host) -> None:
    device = mounted.shm.stat().st_dev
    number = f"{os.major(device)}:{os.minor(device)}"
    line = f"36 35 {number} / /data/containers/{ID}/mounts/%s rw - tmpfs shm rw\n"
    table = mounted.proc / "self" / "mountinfo"
    table.write_bytes((line % f"a\r1 2 {number} / /else/b").encode())
    mounted.tell()
    table.write_bytes((line % "a\rb").encode())
    mounted.tell()


def test_a_pid_that_is_another_process_by_now_is_not_written_to(mounted: Host) -> None:
    (mounted.proc / str(PID) / "cgroup").write_text(f"0::/docker/{'b' * 64}\n")
    with pytest.raises(Unavailable, match="not of container c0ffee"):
        mounted.tell()
    with pytest.raises(Unavailable, match="has ended"):
        tell(ID, 11, TOLD, proc=mounted.proc)
    assert not list(mounted.shm.iterdir())


def test_a_process_that_ends_at_that_moment_has_ended(host: Host) -> None:
    (host.proc / str(PID) / "cgroup").unlink()
    for work in (host.tell, host.read, lambda: read_environment(ID, PID, proc=host.proc)):
        with pytest.raises(Unavailable, match="process 10 has ended"):
            work()


def test_a_group_may_have_a_name_that_is_no_text(mounted: Host) -> None:
    (mounted.proc / str(PID) / "cgroup").write_bytes(b"0::/docker/%s/\xff\n" % ID.encode())
    mounted.tell()
    assert mounted.read() == TOLD


@pytest.mark.parametrize("name", ["a\rb", f"a\r0::/docker/{'b' * 64}", "a:b", "a\x85b"])
def test_a_group_may_have_any_name_but_the_containers_counts(mounted: Host, name: str) -> None:
    (mounted.proc / str(PID) / "cgroup").write_bytes(f"0::/docker/{ID}/{name}\n".encode())
    mounted.tell()


def test_a_process_that_is_still_on_the_host_is_not_written_to(host: Host) -> None:
    root = host.proc / str(PID) / "root"
    root.unlink()
    root.symlink_to("/")
    with pytest.raises(Unavailable, match="not entered its container"):
        host.tell()


@pytest.mark.parametrize(
    ("environment", "port"),
    [
        (b"PATH=/bin\0PORT=20001\0", 20_001),
        (b"PORT=20001", 20_001),
        (b"XPORT=20001\0", None),
        (b"PORT=\0", None),
        (b"PORT=70000\0", None),
        (b"PORT=1\n2\0", None),
        (b"PORT=20001\n1\n\0", None),
        (b"\xff=PORT=1\0" + b"x" * 2**21, None),
        (b"", None),
    ],
)
def test_what_a_process_has_as_port(host: Host, environment: bytes, port: int | None) -> None:
    (host.proc / str(PID) / "environ").write_bytes(environment)
    told = read_environment(ID, PID, proc=host.proc)
    assert (told.port if told else None) == port


def test_the_environment_of_another_process_is_not_read(host: Host) -> None:
    (host.proc / str(PID) / "environ").write_bytes(b"PORT=20001\0")
    (host.proc / str(PID) / "cgroup").write_text("0::/docker/other\n")
    with pytest.raises(Unavailable, match="not of container"):
        read_environment(ID, PID, proc=host.proc)
    with pytest.raises(Unavailable, match="has ended"):
        read_environment(ID, PID + 1, proc=host.proc)
