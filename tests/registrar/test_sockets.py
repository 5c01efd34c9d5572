"""Listeners as the kernel tells them, ports that are free, and whose a socket is."""

import os
import resource
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from registrar import sockets
from registrar.sockets import (
    connections,
    is_free,
    is_free_again,
    listeners,
    of_container,
    owned,
)
from wharfinger.errors import Unavailable

ID = "c0ffee" + "0" * 58
OTHER = "beef" + "0" * 60


def listener(host: str, family: int = socket.AF_INET, **options: bool) -> socket.socket:
    return socket.create_server((host, 0), family=family, **options)


@pytest.mark.parametrize(
    ("host", "family", "options", "ip", "v6only"),
    [
        ("127.0.0.1", socket.AF_INET, {}, "127.0.0.1", False),
        ("0.0.0.0", socket.AF_INET, {}, "0.0.0.0", False),
        ("::1", socket.AF_INET6, {}, "::1", True),
        ("::", socket.AF_INET6, {}, "::", True),
        ("::", socket.AF_INET6, {"dualstack_ipv6": True}, "::", False),
    ],
)
def test_a_listener_is_seen_as_it_is(
    host: str, family: int, options: dict[str, bool], ip: str, v6only: bool
) -> None:
    with listener(host, family, **options) as server:
        port = server.getsockname()[1]
        (found,) = listeners()[port]
        assert (found.ip, found.port, found.v6only) == (ip, port, v6only)
        assert found.inode == os.fstat(server.fileno()).st_ino
        assert found.uid == os.getuid()
    assert port not in listeners()


def test_sockets_that_do_not_listen_are_not_seen() -> None:
    with listener("127.0.0.1") as server, socket.create_connection(server.getsockname()) as client:
        assert client.getsockname()[1] not in listeners()


@pytest.mark.parametrize(
    ("host", "family"), [("127.0.0.1", socket.AF_INET), ("::", socket.AF_INET6)]
)
def test_connections_to_a_port_are_counted_while_an_answer_may_be_waited_for(
    host: str, family: int
) -> None:
    with socket.create_server((host, 0), family=family, dualstack_ipv6=host == "::") as server:
        port = server.getsockname()[1]
        assert connections([port]) == {port: 0}
        client = socket.create_connection(("127.0.0.1", port))
        other = client.getsockname()[1]
        with client, server.accept()[0] as accepted:
            assert connections([port]) == {port: 1}
            assert connections([port, other, 1]) == {port: 1, other: 1, 1: 0}
            client.shutdown(socket.SHUT_WR)
            assert connections([port]) == {port: 1}
            accepted.close()
        assert connections([port]) == {port: 0}


def test_hundreds_of_listeners_fit_no_single_message() -> None:
    servers = [listener("127.0.0.1") for _ in range(300)]
    try:
        found = listeners()
        assert all(server.getsockname()[1] in found for server in servers)
    finally:
        for server in servers:
            server.close()


def test_several_sockets_on_one_port_are_all_seen() -> None:
    with socket.create_server(("127.0.0.1", 0), reuse_port=True) as one:
        address = one.getsockname()
        with socket.create_server(address, reuse_port=True) as two:
            inodes = {each.inode for each in listeners()[address[1]]}
            assert inodes == {os.fstat(each.fileno()).st_ino for each in (one, two)}


def test_a_port_is_not_free_while_anything_holds_it() -> None:
    with socket.socket() as bound:
        bound.bind(("127.0.0.1", 0))
        port = bound.getsockname()[1]
        assert not is_free(port)
    assert is_free(port)
    with listener("::1", socket.AF_INET6) as server:
        assert not is_free(server.getsockname()[1])
    with listener("127.0.0.1") as server, socket.create_connection(server.getsockname()) as client:
        assert not is_free(client.getsockname()[1])


def test_its_own_last_connections_do_not_keep_a_server_from_its_port() -> None:
    with listener("127.0.0.1") as server:
        port = server.getsockname()[1]
        assert not is_free_again(port)
        with socket.create_connection(server.getsockname()) as client:
            server.accept()[0].close()  # who closes first waits (RFC 9293, TIME-WAIT)
            assert client.recv(1) == b""
            assert not is_free_again(client.getsockname()[1])
    assert not is_free(port)
    assert is_free_again(port)
    with listener("::1", socket.AF_INET6) as server:
        assert not is_free_again(server.getsockname()[1])


@pytest.mark.parametrize(
    ("cgroup", "own"),
    [
        (f"12:pids:/docker/{ID}\n0::/\n", True),
        (f"0::/system.slice/docker-{ID}.scope\n", True),
        (f"0::/docker/{ID}/a:b\n", True),
        (f"0::/docker/{ID}/a\rb\n", True),
        (f"0::/docker/{OTHER}\n", False),
        ("0::/\n", False),
        ("0:\n", False),
        ("", False),
    ],
)
def test_a_cgroup_tells_the_container(cgroup: str, own: bool) -> None:
    assert of_container(ID, cgroup) is own


def process(proc: Path, pid: int, container: str, *inodes: int, children: str = "") -> None:
    folder = proc / str(pid)
    (folder / "fd").mkdir(parents=True)
    (folder / "task" / str(pid)).mkdir(parents=True)
    (folder / "task" / str(pid) / "children").write_text(children)
    (folder / "cgroup").write_text(f"0::/docker/{container}\n")
    for number, inode in enumerate(inodes, 3):
        (folder / "fd" / str(number)).symlink_to(f"socket:[{inode}]")
    (folder / "fd" / "0").symlink_to("/dev/null")


def test_a_socket_is_owned_by_any_process_of_the_container(tmp_path: Path) -> None:
    process(tmp_path, 10, ID, 100, children="11 ")
    process(tmp_path, 11, ID, 101, children="12")
    process(tmp_path, 12, ID, 102)
    process(tmp_path, 20, OTHER, 200)
    assert owned(ID, 10, [100], proc=tmp_path)
    assert owned(ID, 10, [100, 101, 102], proc=tmp_path)
    assert not owned(ID, 10, [200], proc=tmp_path)
    assert not owned(ID, 10, [100, 200], proc=tmp_path)


def test_a_pid_that_belongs_to_someone_else_by_now_owns_nothing(tmp_path: Path) -> None:
    process(tmp_path, 20, OTHER, 200)
    assert not owned(ID, 20, [200], proc=tmp_path)
    assert not owned(ID, 21, [200], proc=tmp_path)


@pytest.fixture
def group(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The container's own cgroup; its first process has no socket."""
    monkeypatch.setattr(sockets, "CGROUP_ROOT", tmp_path / "cgroup")
    process(tmp_path, 10, ID)
    process(tmp_path, 11, ID, 101)
    found = tmp_path / "cgroup" / "docker" / ID
    found.mkdir(parents=True)
    (found / "cgroup.procs").write_text("10\n")
    return found


def test_a_process_in_a_group_below_the_containers_own_counts(tmp_path: Path, group: Path) -> None:
    (group / "below").mkdir()
    (group / "below" / "cgroup.procs").write_text("11\n")
    assert owned(ID, 10, [101], proc=tmp_path)


def test_groups_that_go_while_they_are_looked_at_are_passed_over(
    tmp_path: Path, group: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("fleeting", "lasting"):
        (group / name).mkdir()
    (group / "lasting" / "cgroup.procs").write_text("11\n")
    scandir = os.scandir

    def fleeting(folder: Path) -> Iterator[os.DirEntry[str]]:
        if Path(folder).name == "fleeting":
            Path(folder).rmdir()
        return scandir(folder)

    monkeypatch.setattr(os, "scandir", fleeting)
    assert owned(ID, 10, [101], proc=tmp_path)


def test_groups_may_be_nested_as_deep_as_a_container_likes(tmp_path: Path, group: Path) -> None:
    nested = [group.joinpath(*["g"] * depth) for depth in range(1, 1_100)]
    for each in nested:
        each.mkdir()
    procs = nested[-1] / "cgroup.procs"
    procs.write_text("11\n")
    try:
        assert owned(ID, 10, [101], proc=tmp_path)
    finally:
        # pytest's own clean-up is no match for it.
        procs.unlink()
        for each in reversed(nested):
            each.rmdir()


def test_a_group_may_have_a_name_that_is_no_text(tmp_path: Path, group: Path) -> None:
    (tmp_path / "10" / "cgroup").write_bytes(b"0::/docker/%s/\xff\n" % ID.encode())
    process(tmp_path, 12, ID, 102)
    (group / "\udcff").mkdir()
    (group / "\udcff" / "cgroup.procs").write_text("12\n")
    assert owned(ID, 10, [102], proc=tmp_path)


@pytest.mark.parametrize("name", ["a\rb", "a\x0bb", "a\x85b", "a\u2028b", "a:b", "\r0::/"])
def test_no_name_of_a_group_passes_for_the_end_of_a_line(
    tmp_path: Path, group: Path, name: str
) -> None:
    (tmp_path / "10" / "cgroup").write_bytes(f"0::/docker/{ID}/{name}\n".encode())
    process(tmp_path, 12, ID, 102)
    (group / name).mkdir(parents=True)
    (group / name / "cgroup.procs").write_text("12\n")
    assert owned(ID, 10, [102], proc=tmp_path)


def test_a_process_that_ends_while_its_children_are_asked_for_has_none(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    process(tmp_path, 10, ID, 100)
    scandir = os.scandir

    def ended(folder: Path) -> Iterator[os.DirEntry[str]]:
        if Path(folder).name == "task":
            raise ProcessLookupError
        return scandir(folder)

    monkeypatch.setattr(os, "scandir", ended)
    assert not owned(ID, 10, [200], proc=tmp_path)


def test_without_a_descriptor_left_no_port_is_called_free() -> None:
    next_one = os.dup(0)
    os.close(next_one)
    limits = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (next_one, limits[1]))
    try:
        for tried in (is_free, is_free_again):
            with pytest.raises(Unavailable, match=r"20000 cannot be tried: Too many open files"):
                tried(20_000)
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, limits)
