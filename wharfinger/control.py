"""The write side of a daemon: HTTP on a unix socket for those who may change something."""

import asyncio
import contextlib
import errno
import grp
import os
import pwd
import socket
import stat
from collections.abc import Iterable
from contextlib import ExitStack
from pathlib import Path
from typing import Final, Never, Self

from aiohttp import web

from wharfinger import lock
from wharfinger.errors import Unavailable
from wharfinger.health import Check
from wharfinger.peercred import of_peer
from wharfinger.scope import Scope
from wharfinger.sections import HostConfig

FOLDER_MODE: Final = 0o755
OWNER_MODE: Final = 0o600
GROUP_MODE: Final = 0o660
OTHERS_WRITE: Final = 0o022
BACKLOG: Final = 64
MAX_BODY_BYTES: Final = 65_536
LOOK_SECONDS: Final = 5.0
RETRY_SECONDS: Final = 5.0
PROBE_SECONDS: Final = 1.0
MAX_PATH_BYTES: Final = 107  # sun_path of unix(7), with its final NUL


def socket_path(host: HostConfig, daemon: str) -> Path:
    """Where a daemon of this host takes commands."""
    return host.runtime_dir / f"{daemon}.sock"


def place(path: Path) -> Path:
    """Where the socket of that path is: there, or where a link in its place leads.

    A daemon that may not write to the folder has one of its own beside, and root has made the link.
    """
    try:
        return path.parent / path.readlink()
    except OSError:
        return path


async def serve(scope: Scope, host: HostConfig, routes: Iterable[web.RouteDef]) -> None:
    """Serves the routes for the daemon's whole life, on `<runtime_dir>/<daemon>.sock`.

    When they cannot be served the daemon goes on: its check `control socket` is red, and it is
    tried again.

    Raises:
        Unavailable: another daemon serves there; the message names it.
    """
    control = Control(
        socket_path(host, scope.name),
        routes,
        group=host.control_group,
        who=f"{scope.name} of host {host.name}",
        check=scope.health.check("control socket"),
    )
    await scope.enter(control)
    scope.spawn("control socket", control.run())


class Control:
    """One unix socket and what answers on it; an async context manager.

    The file has its owner and rights before anybody can connect to it, and a lock beside it
    keeps two daemons from taking it from each other.

    Args:
        path: of the socket; where a link is there, the socket is made where that leads.
        routes: what it answers.
        group: who may connect beside root; None for root alone.
        who: this daemon, for whoever finds the socket in use.
        check: whether it is served.
    """

    def __init__(
        self,
        path: Path,
        routes: Iterable[web.RouteDef],
        *,
        group: str | None,
        who: str,
        check: Check,
    ) -> None:
        self._path = path
        self._place = path
        self._group = group
        self._who = who
        self._check = check
        self._application = web.Application(client_max_size=MAX_BODY_BYTES)
        self._application.add_routes(routes)
        self._runner: web.AppRunner | None = None
        self._lock = ExitStack()
        self._inode = (0, 0)

    async def __aenter__(self) -> Self:
        await self._attempt()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._end()

    async def run(self) -> Never:
        """Sees to it, for ever, that the socket is there and ours."""
        while True:
            serving = self._runner is not None
            await asyncio.sleep(LOOK_SECONDS if serving else RETRY_SECONDS)
            if serving and self._identity() == self._inode:
                continue
            # Somebody has cleaned the folder up: who connects would find nothing for ever.
            await self._end()
            try:
                await self._attempt()
            except Unavailable as error:
                self._check.fail(str(error))

    async def _attempt(self) -> None:
        try:
            await self._serve()
        except OSError as error:
            await self._end()
            why = os.strerror(error.errno) if error.errno else str(error)
            self._check.fail(f"{self._path} cannot be served: {why}; trying again")
        except BaseException:
            await self._end()
            raise
        else:
            self._check.ok()

    async def _serve(self) -> None:
        self._place = _prepare(self._path)
        self._lock.enter_context(lock.held(self._place.with_suffix(".lock"), self._who))
        await asyncio.to_thread(_remove_stale, self._place)
        listener = self._bound()
        try:
            # As with the read side: a stream whose reader has gone away ends at once.
            runner = web.AppRunner(
                self._application,
                access_log=None,
                shutdown_timeout=0.1,
                handler_cancellation=True,
                auto_decompress=False,
            )
            self._runner = runner
            await runner.setup()
            await web.SockSite(runner, listener, backlog=BACKLOG).start()
        except BaseException:
            listener.close()
            raise

    def _bound(self) -> socket.socket:
        """The socket, with its rights; nobody can connect before it listens."""
        listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM | socket.SOCK_CLOEXEC)
        try:
            listener.setblocking(False)  # noqa: FBT003 - the standard library's
            listener.bind(os.fspath(self._place))
            self._inode = self._identity()
            if self._group is not None:
                _give_to(self._place, self._group)
            self._place.chmod(GROUP_MODE if self._group is not None else OWNER_MODE)
        except BaseException:
            listener.close()
            raise
        return listener

    def _identity(self) -> tuple[int, int]:
        """What is found at the path, by the link, if there is one."""
        try:
            found = self._path.stat()
        except OSError:
            return (0, 0)
        return found.st_dev, found.st_ino

    async def _end(self) -> None:
        if self._runner is not None:
            runner, self._runner = self._runner, None
            await runner.cleanup()
        if self._inode != (0, 0) and self._identity() == self._inode:
            with contextlib.suppress(OSError):
                self._place.unlink()
        self._inode = (0, 0)
        self._lock.close()


def peer(request: web.Request) -> tuple[int, str]:
    """The user id of who asks, by the kernel's word, and the user's name.

    Raises:
        Unavailable: the connection is gone, or is no unix socket.
    """
    connection = request.transport.get_extra_info("socket") if request.transport else None
    if connection is None:
        raise Unavailable("the connection is gone")
    try:
        uid = of_peer(connection).uid
    except OSError as error:
        raise Unavailable("the connection is gone") from error
    try:
        return uid, pwd.getpwuid(uid).pw_name
    except KeyError:
        return uid, f"user {uid}"


def _prepare(path: Path) -> Path:
    """Makes the folder, and gives where the socket goes; refuses where others could put one.

    Raises:
        OSError: it cannot be made, or is not safe.
    """
    folder = path.parent
    if not folder.is_dir():
        folder.mkdir(parents=True, exist_ok=True)
        folder.chmod(FOLDER_MODE)  # whatever our umask is
    _require_safe(path, {0, os.geteuid()})
    linked = place(path)
    if linked == path:
        return path
    if os.access(linked.parent, os.W_OK):
        # Whoever made the link, root or ourselves, says whose folder that may be.
        _require_safe(linked, {linked.parent.stat().st_uid})
        return linked
    # Another daemon's, which may not write here: a registrar in a container needs no such link.
    with contextlib.suppress(OSError):
        path.unlink()
        return path
    raise OSError(f"this process may not write to {linked.parent}, where that leads")


def _require_safe(path: Path, owners: set[int]) -> None:
    """Refuses a path that is too long for a socket, or a folder in which others may put one.

    Raises:
        OSError: it is so.
    """
    if len(os.fsencode(path)) > MAX_PATH_BYTES:
        raise OSError(f"the path is longer than {MAX_PATH_BYTES} bytes: shorten host.runtime_dir")
    found = path.parent.stat()
    if found.st_uid not in owners or stat.S_IMODE(found.st_mode) & OTHERS_WRITE:
        raise OSError(f"others may write to {path.parent}: chown it to root and chmod it to 755")


def _remove_stale(path: Path) -> None:
    """Takes away the socket of a process that has died.

    Raises:
        Unavailable: somebody answers there.
        OSError: it is there and is no socket, or cannot be removed.
    """
    try:
        if not stat.S_ISSOCK(path.lstat().st_mode):
            raise OSError("something is there that is no socket: remove it")
    except FileNotFoundError:
        return
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM | socket.SOCK_CLOEXEC) as probe:
        probe.settimeout(PROBE_SECONDS)
        try:
            probe.connect(os.fspath(path))
            pid = of_peer(probe).pid
        except TimeoutError:
            pid = 0  # its backlog is full: it lives
        except OSError as error:
            if error.errno not in (errno.ECONNREFUSED, errno.ENOENT):
                raise
            path.unlink(missing_ok=True)
            return
    raise Unavailable(f"{path} is served by {_described(pid)}: stop that one first")


def _described(pid: int) -> str:
    if not pid:
        return "another process"
    try:
        name = Path(f"/proc/{pid}/comm").read_text(errors="replace").strip()
    except OSError:
        name = "?"
    return f"{name!a} pid {pid}"


def _give_to(path: Path, group: str) -> None:
    wanted = _group_id(group)
    if path.lstat().st_gid == wanted:
        return  # the folder gives it its own group: a process with few rights need not
    try:
        os.chown(path, -1, wanted, follow_symlinks=False)
    except PermissionError:
        raise OSError(
            f"this process may not give it to the group {group!a}: run as root, or have "
            f"{path.parent} belong to that group with mode 2755"
        ) from None


def _group_id(name: str) -> int:
    try:
        return grp.getgrnam(name).gr_gid
    except KeyError:
        raise OSError(f"there is no group {name!a}") from None
