"""Who listens where: one sock_diag dump for all containers, and the owner of a socket."""

import errno
import os
import socket
import struct
from collections.abc import Collection, Iterable, Iterator
from contextlib import closing
from functools import lru_cache
from pathlib import Path
from typing import Final

from registrar.descriptors import sockets_of
from registrar.model import Listener
from wharfinger.errors import Unavailable

# linux/netlink.h, linux/sock_diag.h, linux/inet_diag.h
NETLINK_SOCK_DIAG: Final = 4
SOCK_DIAG_BY_FAMILY: Final = 20
NLM_F_REQUEST: Final = 0x1
NLM_F_DUMP: Final = 0x300
NLMSG_ERROR: Final = 2
NLMSG_DONE: Final = 3
INET_DIAG_SKV6ONLY: Final = 11
# include/net/tcp_states.h
TCP_ESTABLISHED: Final = 1
TCP_CLOSE_WAIT: Final = 8
TCP_LISTEN: Final = 10

HEADER: Final = struct.Struct("=IHHII")
REQUEST: Final = struct.Struct("=BBBBI2s46x")
# inet_diag_msg: family, state, timer, retrans; ports and addresses; ...; uid; inode.
MESSAGE: Final = struct.Struct("=BBBB2s2s16s16s4x8x12xII")
ATTRIBUTE: Final = struct.Struct("=HH")
BUFFER_BYTES: Final = 2**18
TIMEOUT_SECONDS: Final = 2.0
CACHED: Final = 4_096

CGROUP_ROOT: Final = Path("/sys/fs/cgroup")


def listeners() -> dict[int, tuple[Listener, ...]]:
    """Every listening TCP socket in this network namespace, by port (sock_diag(7)).

    Raises:
        Unavailable: the kernel refused, or did not answer.
    """
    found: dict[int, list[Listener]] = {}
    for message in _messages(1 << TCP_LISTEN):
        listener = _listener(message)
        found.setdefault(listener.port, []).append(listener)
    return {port: tuple(several) for port, several in found.items()}


def connections(ports: Collection[int]) -> dict[int, int]:
    """How many TCP connections to local ports somebody may still wait for an answer on.

    One whose peer has sent all it has (CLOSE_WAIT) counts: its answer is still to come.

    Raises:
        Unavailable: the kernel refused, or did not answer.
    """
    found = dict.fromkeys(ports, 0)
    # The kernel can leave all but one port out; asked for each of many, it looks at all each time.
    only = next(iter(found)) if len(found) == 1 else 0
    for message in _messages(1 << TCP_ESTABLISHED | 1 << TCP_CLOSE_WAIT, only):
        port = int.from_bytes(MESSAGE.unpack_from(message)[4], "big")
        if port in found:
            found[port] += 1
    return found


def is_free(port: int) -> bool:
    """Whether nothing on this host listens on a TCP port, is bound to it or connected from it.

    The kernel's own answer to a bind without SO_REUSEADDR: it knows of sockets that are bound
    and do not listen, which no dump shows before Linux 6.8.

    Raises:
        Unavailable: there is no socket to try it with.
    """
    return _can_bind(port, again=False)


def is_free_again(port: int) -> bool:
    """The same for an application that had the port before, as servers bind: with SO_REUSEADDR.

    Its own last connections, which the kernel keeps for a minute, do not count (TIME_WAIT, RFC
    9293, 3.6); a listener does, and so does a connection that was opened from the port.

    Raises:
        Unavailable: there is no socket to try it with.
    """
    return _can_bind(port, again=True)


def _can_bind(port: int, *, again: bool) -> bool:
    for family, every in ((socket.AF_INET, "0.0.0.0"), (socket.AF_INET6, "::")):  # noqa: S104
        try:
            probe = socket.socket(family, socket.SOCK_STREAM | socket.SOCK_CLOEXEC)
        except OSError as error:
            if error.errno == errno.EAFNOSUPPORT:  # a host without IPv6
                continue
            # Out of descriptors, every port would seem to be free.
            raise Unavailable(f"port {port} cannot be tried: {error.strerror}") from error
        with closing(probe):
            if again:
                probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            if family is socket.AF_INET6:
                probe.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
            try:
                probe.bind((every, port))
            except OSError:
                return False
    return True


def owned(
    container_id: str, pid: int, inodes: Iterable[int], *, proc: Path = Path("/proc")
) -> bool:
    """Whether every one of the sockets is open in a process of the container.

    Args:
        container_id: whose processes count.
        pid: its first process, which is asked first.
        inodes: of the sockets.
        proc: where the process file system is.
    """
    missing = set(inodes)
    for process in _processes(container_id, pid, proc):
        # Only as far as needed: listeners come first, and a server may have a million connections.
        for inode in sockets_of(proc / str(process)):
            missing.discard(inode)
            if not missing:
                return True
    return False


def of_container(container_id: str, cgroup: str) -> bool:
    """Whether the text of a `/proc/<pid>/cgroup` is that of a process of the container."""
    # "/docker/<id>" with the cgroupfs driver, "docker-<id>.scope" with systemd's.
    return any(container_id in path for _, path in _hierarchies(cgroup))


def _messages(states: int, port: int = 0) -> Iterator[bytes]:
    """What the kernel tells of each TCP socket in these states, at one local port or at all."""
    try:
        with socket.socket(
            socket.AF_NETLINK, socket.SOCK_RAW | socket.SOCK_CLOEXEC, NETLINK_SOCK_DIAG
        ) as netlink:
            netlink.settimeout(TIMEOUT_SECONDS)
            for family in (socket.AF_INET, socket.AF_INET6):
                yield from _dump(netlink, family, states, port)
    except OSError as error:
        raise Unavailable(f"the kernel's list of sockets cannot be read: {error}") from error


def _dump(netlink: socket.socket, family: int, states: int, port: int) -> Iterator[bytes]:
    body = REQUEST.pack(family, socket.IPPROTO_TCP, 0, 0, states, port.to_bytes(2, "big"))
    size = HEADER.size + len(body)
    header = HEADER.pack(size, SOCK_DIAG_BY_FAMILY, NLM_F_REQUEST | NLM_F_DUMP, family, 0)
    netlink.send(header + body)
    while True:
        data = netlink.recv(BUFFER_BYTES)
        offset = 0
        while offset + HEADER.size <= len(data):
            length, kind, _, sequence, _ = HEADER.unpack_from(data, offset)
            if sequence == family:
                if kind == NLMSG_DONE:
                    return
                if kind == NLMSG_ERROR:
                    (code,) = struct.unpack_from("=i", data, offset + HEADER.size)
                    raise OSError(-code, os.strerror(-code))
                if kind == SOCK_DIAG_BY_FAMILY:
                    yield data[offset + HEADER.size : offset + length]
            offset += max(HEADER.size, (length + 3) & ~3)


# The same are told again with each look, many times a second while somebody is waited for.
@lru_cache(maxsize=CACHED)
def _listener(message: bytes) -> Listener:
    family, _, _, _, port, _, source, _, uid, inode = MESSAGE.unpack_from(message)
    packed = source[:4] if family == socket.AF_INET else source
    return Listener(
        ip=socket.inet_ntop(family, packed),
        port=int.from_bytes(port, "big"),
        inode=inode,
        uid=uid,
        v6only=family == socket.AF_INET6 and _v6only(message[MESSAGE.size :]),
    )


def _v6only(attributes: bytes) -> bool:
    offset = 0
    while offset + ATTRIBUTE.size <= len(attributes):
        length, kind = ATTRIBUTE.unpack_from(attributes, offset)
        if kind == INET_DIAG_SKV6ONLY:
            return attributes[offset + ATTRIBUTE.size] != 0
        offset += max(ATTRIBUTE.size, (length + 3) & ~3)
    return False


def _processes(container_id: str, pid: int, proc: Path) -> Iterator[int]:
    """The container's processes: its first one, those in its cgroup, else its descendants."""
    try:
        # A group's name is any bytes but a slash and a newline, and the container may choose it.
        cgroup = (proc / str(pid) / "cgroup").read_bytes().decode(errors="surrogateescape")
    except OSError:
        return
    if not of_container(container_id, cgroup):
        return
    yield pid
    listed = set(_in_cgroup(cgroup)) or set(_descendants(pid, proc))
    yield from sorted(listed - {pid})


def _in_cgroup(cgroup: str) -> Iterator[int]:
    """The processes of the first hierarchy that can be read, its sub-groups included."""
    for controllers, path in _hierarchies(cgroup):
        # cgroup.procs of a group does not list those of its children (cgroups(7)).
        groups = _tree(CGROUP_ROOT / controllers.removeprefix("name=") / path.lstrip("/"))
        if found := [each for group in groups for each in _numbers(group / "cgroup.procs")]:
            yield from found
            return


def _hierarchies(cgroup: str) -> Iterator[tuple[str, str]]:
    """The controllers of each hierarchy, and the path of the group in it (cgroups(7))."""
    for line in cgroup.split("\n"):
        # What else looks like the end of a line, and each further colon, is part of a name.
        match line.split(":", 2):
            case [_, controllers, path]:
                yield controllers, path


def _descendants(pid: int, proc: Path) -> Iterator[int]:
    parents = [pid]
    while parents:
        for task in _folders(proc / str(parents.pop()) / "task"):
            found = _numbers(task / "children")
            parents.extend(found)
            yield from found


def _tree(top: Path) -> Iterator[Path]:
    """A folder and all below it, however deep: groups are nested by whoever has them."""
    pending = [top]
    while pending:
        folder = pending.pop()
        yield folder
        pending.extend(_folders(folder))


def _folders(folder: Path) -> list[Path]:
    """The folders in one; none where it is gone meanwhile, as processes and groups go."""
    try:
        with os.scandir(folder) as entries:
            return [Path(each.path) for each in entries if each.is_dir(follow_symlinks=False)]
    except OSError:
        return []


def _numbers(file: Path) -> list[int]:
    """The numbers that one of the kernel's files lists; none where it is gone meanwhile."""
    try:
        return [int(number) for number in file.read_text().split()]
    except OSError:
        return []
