"""The control socket: rights, stale and live ones, and clients that mean no good."""

import asyncio
import contextlib
import errno
import grp
import os
import socket
import stat
from collections.abc import AsyncIterator
from pathlib import Path

import aiohttp
import pytest
from aiohttp import web

from tests.stack.commands import posted
from tests.stack.etcd import eventually
from tests.stack.rights import with_only
from wharfinger import control
from wharfinger.control import Control, peer
from wharfinger.errors import ConfigError, Unavailable
from wharfinger.events import Events
from wharfinger.health import Check
from wharfinger.operator.settings import section
from wharfinger.sections import HostConfig


async def echo(request: web.Request) -> web.Response:
    return web.Response(body=await request.read())


async def whoami(request: web.Request) -> web.Response:
    uid, name = peer(request)
    return web.json_response([uid, name])


ROUTES = [web.post("/echo", echo), web.post("/whoami", whoami)]


def made(path: Path, *, group: str | None = None, who: str = "test") -> tuple[Control, Check]:
    check = Check("control socket", Events())
    return Control(path, ROUTES, group=group, who=who, check=check), check


def allow(folder: Path, mode: int) -> None:
    folder.chmod(mode)


@pytest.fixture
async def served(folder: Path) -> AsyncIterator[Path]:
    served, _ = made(folder / "run" / "x.sock")
    async with served:
        yield folder / "run" / "x.sock"


async def said(path: Path, target: str = "/echo", raw: bytes = b"hello") -> tuple[int, bytes]:
    async with posted(path, target, raw=raw) as response:
        return response.status, await response.read()


async def test_it_answers_and_knows_who_asks(served: Path) -> None:
    assert await said(served) == (200, b"hello")
    assert await said(served, "/whoami") == (200, b'[0, "root"]')


async def test_root_alone_or_a_group(folder: Path) -> None:
    previous = os.umask(0)
    try:
        for name, group, mode in (("a", None, 0o600), ("b", "daemon", 0o660)):
            served, _ = made(folder / name / "x.sock", group=group)
            async with served:
                found = (folder / name / "x.sock").stat()
                assert stat.S_IMODE(found.st_mode) == mode
                assert found.st_uid == 0
                if group is not None:
                    assert found.st_gid == grp.getgrnam(group).gr_gid
                assert stat.S_IMODE((folder / name).stat().st_mode) == 0o755
            assert not (folder / name / "x.sock").exists()
    finally:
        os.umask(previous)


async def test_a_member_of_the_group_gets_in_and_nobody_else_does(folder: Path) -> None:
    path = folder / "run" / "x.sock"
    allow(folder, 0o755)
    served, _ = made(path, group="daemon")
    async with served:
        assert await asyncio.to_thread(connects_as, path, grp.getgrnam("daemon").gr_gid)
        assert not await asyncio.to_thread(connects_as, path, 65_534)


def connects_as(path: Path, gid: int) -> bool:
    """Whether a process of user `nobody` with that group can connect."""
    pid = os.fork()
    if not pid:
        with contextlib.suppress(BaseException):
            os.setgroups([])
            os.setgid(gid)
            os.setuid(65_534)
            with socket.socket(socket.AF_UNIX) as client:
                client.connect(str(path))
                os._exit(0)
        os._exit(1)
    return os.waitpid(pid, 0)[1] == 0


async def test_one_that_may_give_nothing_away_has_the_folders_group_or_says_what_to_do(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refused(*_: object, **__: object) -> None:
        raise PermissionError(errno.EPERM, "Operation not permitted")

    os.chown(folder, -1, grp.getgrnam("daemon").gr_gid)
    allow(folder, 0o2755)
    monkeypatch.setattr(os, "chown", refused)
    control, check = made(folder / "control.sock", group="daemon")
    async with control:
        assert check.report().healthy
        assert (folder / "control.sock").stat().st_mode & 0o777 == 0o660
    control, check = made(folder / "control.sock", group="nogroup")
    async with control:
        assert f"have {folder} belong to that group with mode 2755" in check.report().why


def names(folder: Path) -> list[str]:
    return sorted(each.name for each in folder.iterdir())


def shown(path: Path) -> tuple[bool, int]:
    """Whether a socket is there, and whose group it has."""
    found = path.lstat()
    return stat.S_ISSOCK(found.st_mode), found.st_gid


@pytest.fixture
def linked(folder: Path) -> Path:
    """Where the socket is, in a folder of the daemon's own; root's folder has a link to it."""
    (folder / "x").mkdir()
    os.chown(folder / "x", 65_534, grp.getgrnam("daemon").gr_gid)
    (folder / "x").chmod(0o2755)
    (folder / "x.sock").symlink_to("x/x.sock")
    return folder / "x" / "x.sock"


async def test_where_a_link_is_the_socket_is_made_where_that_leads(
    folder: Path, linked: Path
) -> None:
    with socket.socket(socket.AF_UNIX) as dead:
        dead.bind(str(linked))
    served, check = made(folder / "x.sock", group="daemon")
    async with served:
        assert check.report().healthy
        assert shown(linked) == (True, grp.getgrnam("daemon").gr_gid)
        assert await said(folder / "x.sock") == (200, b"hello")
        second, _ = made(folder / "x.sock")
        with pytest.raises(Unavailable, match=f"test pid {os.getpid()}"):
            await second.__aenter__()
    assert names(linked.parent) == ["x.lock"]
    assert names(folder) == ["x", "x.sock"]


@pytest.mark.parametrize("mode", [0o2777, 0o2775])
async def test_a_link_to_where_others_may_write_is_not_followed(linked: Path, mode: int) -> None:
    allow(linked.parent, mode)
    served, check = made(linked.parent.parent / "x.sock")
    async with served:
        assert f"others may write to {linked.parent}" in check.report().why
    assert names(linked.parent) == []


async def test_where_a_link_has_gone_the_socket_comes_in_its_place(
    linked: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(control, "RETRY_SECONDS", 0.05)
    monkeypatch.setattr(control, "LOOK_SECONDS", 0.05)
    path = linked.parent.parent / "x.sock"
    served, _ = made(path)
    async with served:
        running = asyncio.create_task(served.run())
        path.unlink()
        await eventually(path.exists)
        assert not path.is_symlink()
        assert await said(path) == (200, b"hello")
        running.cancel()


async def test_a_link_to_where_we_may_not_write_makes_room_or_is_told(linked: Path) -> None:
    path = linked.parent.parent / "x.sock"

    def refused() -> None:
        with pytest.raises(OSError, match=f"may not write to {linked.parent}, where that leads"):
            control._prepare(path)

    def made_room() -> None:
        assert control._prepare(path) == path

    allow(path.parent, 0o755)
    with_only(refused, uid=65_533)
    assert path.is_symlink()
    with_only(made_room)
    assert not path.is_symlink()


async def test_the_socket_of_a_dead_process_is_replaced(folder: Path) -> None:
    path = folder / "x.sock"
    with socket.socket(socket.AF_UNIX) as dead:
        dead.bind(str(path))
    served, check = made(path)
    async with served:
        assert await said(path) == (200, b"hello")
        assert check.report().healthy


async def test_a_daemon_that_lives_is_named_and_left_alone(folder: Path) -> None:
    path = folder / "x.sock"
    first, _ = made(path, who="registrar of host box")
    async with first:
        second, _ = made(path)
        with pytest.raises(Unavailable, match=f"registrar of host box pid {os.getpid()}"):
            await second.__aenter__()
        assert await said(path) == (200, b"hello")


async def test_a_stranger_that_listens_there_is_named_and_left_alone(folder: Path) -> None:
    path = folder / "x.sock"
    with socket.socket(socket.AF_UNIX) as stranger:
        stranger.bind(str(path))
        stranger.listen()
        served, _ = made(path)
        with pytest.raises(Unavailable, match=rf"is served by .* pid {os.getpid()}: stop"):
            await served.__aenter__()
        assert path.exists()


async def test_what_is_no_socket_stays_and_is_red(folder: Path) -> None:
    path = folder / "x.sock"
    path.write_text("precious")
    served, check = made(path)
    async with served:
        assert "no socket" in check.report().why
    assert path.read_text() == "precious"


@pytest.mark.parametrize("mode", [0o777, 0o1777, 0o775])
async def test_a_folder_that_others_may_write_is_not_used(folder: Path, mode: int) -> None:
    allow(folder, mode)
    served, check = made(folder / "x.sock")
    async with served:
        assert "others may write" in check.report().why
        assert not (folder / "x.sock").exists()


async def test_a_path_that_is_too_long_is_red_in_words(folder: Path) -> None:
    served, check = made(folder / ("d" * 100) / "x.sock")
    async with served:
        assert "shorten host.runtime_dir" in check.report().why


async def test_a_full_disk_stops_nobody_and_is_tried_again(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(control, "RETRY_SECONDS", 0.05)
    monkeypatch.setattr(control, "LOOK_SECONDS", 0.05)
    allow(folder, 0o777)
    path = folder / "x.sock"
    served, check = made(path)
    async with served:
        running = asyncio.create_task(served.run())
        assert not check.report().healthy
        allow(folder, 0o755)
        await eventually(lambda: check.report().healthy)
        assert await said(path) == (200, b"hello")
        path.unlink()  # a cleaner that knows no sockets
        await eventually(path.exists)
        assert await said(path) == (200, b"hello")
        running.cancel()


async def test_bad_clients_harm_nobody(served: Path) -> None:
    stuck = []
    for garbage in (b"", b"POST /echo HTTP/1.1\r\n", b"\x16\x03\x01" * 100):
        client = socket.socket(socket.AF_UNIX)
        client.setblocking(False)
        client.connect(str(served))
        client.send(garbage) if garbage else None
        stuck.append(client)
    assert (await said(served, raw=b"x" * 100_000))[0] == 413
    assert await said(served, "/nothing") == (404, b"404: Not Found")
    with contextlib.suppress(aiohttp.ClientError):
        await said(served, "/echo?" + "a" * 20_000)
    assert await said(served) == (200, b"hello")
    for client in stuck:
        client.close()


def test_a_group_that_does_not_exist_is_a_finding(tmp_path: Path) -> None:
    path = tmp_path / "wharfinger.toml"
    path.write_text('[host]\ncontrol_group = "nobody-has-this"\n')
    with pytest.raises(ConfigError, match=r"host\.control_group .* there is no group"):
        section("host", HostConfig, path)
    path.write_text('[host]\ncontrol_group = "daemon"\n')
    assert section("host", HostConfig, path).control_group == "daemon"
