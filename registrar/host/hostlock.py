"""One registrar a host, whatever folder and pid namespace each runs in: a name in the kernel."""

import asyncio
import contextlib
import hashlib
import os
import pwd
import socket
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Final, Never

import msgspec

from registrar.config import Config
from registrar.descriptors import sockets_of
from wharfinger.errors import Unavailable
from wharfinger.peercred import of_peer
from wharfinger.text import printable, shortened

SERVICE_USER: Final = "_wharfinger-registrar"  # deploy/systemd/sysusers.conf
ANSWER_SECONDS: Final = 1.0
ANSWER_BYTES: Final = 4_096
BACKLOG: Final = 8


class Told(msgspec.Struct, frozen=True):
    """What a holder says of itself to one that is refused.

    Attributes:
        pid: as the holder itself sees it: in a container, not what the host calls it.
        state_dir: where it keeps what it knows.
        since: when it began, RFC 3339.
    """

    pid: int = 0
    state_dir: str = ""
    since: str = ""


class HostLock:
    """Abstract unix sockets that only one registrar of a host can hold (unix(7)).

    They live in the network namespace, which a registrar in a container shares with the host
    whose ports it gives; the kernel frees them however the process ends. There is one for the
    host and its Docker engine, and one for the host and its etcd: a container may see the
    engine's socket at another path.

    Attributes:
        strangers: names that another user took, who is no registrar: those guard nothing.
    """

    def __init__(self) -> None:
        self.strangers: list[str] = []
        self._sockets: list[socket.socket] = []
        self._answer = b""

    @contextlib.contextmanager
    def held(self, config: Config) -> Iterator[None]:
        """Holds the host until the block ends.

        Raises:
            Unavailable: another registrar holds it, and which.
        """
        told = Told(
            os.getpid(),
            str(config.host.state_dir),
            datetime.now(UTC).isoformat(timespec="seconds"),
        )
        self._answer = msgspec.json.encode(told)
        try:
            for name in names(config):
                self._take(name, config.host.name)
            yield
        finally:
            for each in self._sockets:
                each.close()

    async def serve(self) -> Never:
        """Tells whoever is refused who holds the host, for ever."""
        async with contextlib.AsyncExitStack() as stack:
            for each in self._sockets:
                await stack.enter_async_context(
                    await asyncio.start_unix_server(self._tell, sock=each)
                )
            await asyncio.get_running_loop().create_future()
        raise AssertionError

    def _take(self, name: str, host: str) -> None:
        ours = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        try:
            ours.bind(name)
            ours.listen(BACKLOG)
            ours.setblocking(False)  # noqa: FBT003 - socket's own signature
        except OSError:
            ours.close()
            self._refuse(name, host)
        else:
            self._sockets.append(ours)

    def _refuse(self, name: str, host: str) -> None:
        pid, uid, told = _holder(name)
        if not _may_be_a_registrar(uid):
            # Anybody may take such a name; one who could not be a registrar stops none.
            self.strangers.append(f"user {uid}, process {pid or 'unknown'}")
            return
        command = _command(pid)
        who = [f"pid {pid}" if pid else f"pid {told.pid or 'unknown'} of another pid namespace"]
        who += [repr(command)] if command else []
        who += [f"state_dir {told.state_dir}"] if told.state_dir else []
        who += [f"since {told.since}"] if told.since else []
        shown = printable(shortened(", ".join(who), 600))
        raise Unavailable(f"host {host} is held by a registrar ({shown}): stop that one first")

    async def _tell(self, _reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(OSError):
            writer.write(self._answer)
            writer.close()
            await writer.wait_closed()


def names(config: Config) -> tuple[str, ...]:
    """What the kernel calls the host of this configuration."""
    engine = config.docker.url
    if engine.startswith("unix://"):
        engine = f"unix://{os.path.realpath(engine.removeprefix('unix://'))}"
    cluster = " ".join([*sorted(config.etcd.endpoints), config.etcd.prefix])
    return tuple(
        "\0wharfinger/registrar/"
        + hashlib.sha256("\0".join((config.host.name, *parts)).encode()).hexdigest()[:32]
        for parts in (("docker", engine), ("etcd", cluster))
    )


def _holder(name: str) -> tuple[int, int, Told]:
    """Process and user that listen on a name, as the kernel knows them, and what they say."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as asking:
        asking.settimeout(ANSWER_SECONDS)
        try:
            asking.connect(name)
            peer = of_peer(asking)
        except OSError as error:
            # Bound and deaf: a registrar listens at once, and one of its like has root's rights.
            owners = _owners(name)
            if owners and not any(map(_may_be_a_registrar, owners.values())):
                pid, uid = next(iter(owners.items()))
                return pid, uid, Told()
            raise Unavailable(
                f"the lock of this host cannot be taken: {error.strerror or error}; try again"
            ) from error
        said = _said(asking)
    with contextlib.suppress(msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        return peer.pid, peer.uid, msgspec.json.decode(said, type=Told)
    return peer.pid, peer.uid, Told()


def _said(asking: socket.socket) -> bytes:
    """What a holder says within a second: one who wants nobody to begin says a byte a second."""
    said = b""
    give_up_at = time.monotonic() + ANSWER_SECONDS
    # One that only begins has the name already, and answers nobody yet.
    with contextlib.suppress(OSError):
        while len(said) < ANSWER_BYTES and (left := give_up_at - time.monotonic()) > 0:
            asking.settimeout(left)
            part = asking.recv(ANSWER_BYTES)
            if not part:
                break
            said += part
    return said


def _may_be_a_registrar(uid: int) -> bool:
    if uid in {0, os.geteuid()}:
        return True
    # One that root starts by hand must see the one that systemd runs.
    with contextlib.suppress(KeyError):
        return uid == pwd.getpwnam(SERVICE_USER).pw_uid
    return False


def _owners(name: str) -> dict[int, int]:
    """The users of the processes that have a socket of that name, by process; as far as seen."""
    shown = name.replace("\0", "@")
    lines = Path("/proc/net/unix").read_text(errors="replace").splitlines()
    named = [fields for line in lines if (fields := line.split(maxsplit=7))[7:] == [shown]]
    inodes = {int(fields[6]) for fields in named}
    found = {}
    for process in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):  # it has ended
            if not inodes.isdisjoint(sockets_of(process)):
                found[int(process.name)] = process.stat().st_uid
    return found


def _command(pid: int) -> str:
    if not pid:
        return ""
    try:
        words = Path(f"/proc/{pid}/cmdline").read_bytes().rstrip(b"\0")
    except OSError:
        return ""
    return words.replace(b"\0", b" ").decode(errors="replace")
