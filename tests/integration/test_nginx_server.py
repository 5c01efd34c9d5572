"""The Nginx that tests and the demo start: private, reloadable, and gone when stopped."""

import os
from pathlib import Path

import aiohttp
import psutil
import pytest

from wharfinger.errors import Unavailable
from wharfinger.operator.parts.nginx import NginxServer
from wharfinger.operator.parts.process import until

pytestmark = pytest.mark.real

SERVER = "server {{ listen 127.0.0.1:{port}; location / {{ {body} }} }}\n"


async def fetch(server: NginxServer) -> str:
    try:
        async with (
            aiohttp.ClientSession() as session,
            session.get(f"http://127.0.0.1:{server.port}/") as response,
        ):
            return await response.text()
    except aiohttp.ClientError:
        return ""


def serve(server: NginxServer, body: str) -> None:
    server.include.write_text(SERVER.format(port=server.port, body=body), encoding="utf-8")


def members(group: int) -> list[int]:
    found = []
    for process in psutil.process_iter():
        try:
            if os.getpgid(process.pid) == group and process.status() != psutil.STATUS_ZOMBIE:
                found.append(process.pid)
        except (ProcessLookupError, psutil.NoSuchProcess):
            continue
    return found


async def test_serves_what_is_included_after_a_reload(nginx_server: NginxServer) -> None:
    for word in ("one", "two"):
        serve(nginx_server, f"return 200 {word};")
        await nginx_server.test()
        await nginx_server.reload()

        async def answers(word: str = word) -> bool:
            return await fetch(nginx_server) == word

        await until(answers, timeout_seconds=20, what=f"Nginx answers {word}")


async def test_a_bad_configuration_is_told_and_does_not_end_it(nginx_server: NginxServer) -> None:
    nginx_server.include.write_text("nonsense here;\n", encoding="utf-8")
    with pytest.raises(Unavailable, match="unknown directive"):
        await nginx_server.test()
    with pytest.raises(Unavailable, match="unknown directive"):
        await nginx_server.reload()
    assert nginx_server.process.running


async def test_lua_is_there_when_asked_for(nginx_lua_server: NginxServer) -> None:
    serve(nginx_lua_server, "content_by_lua_block { ngx.print(6 * 7) }")
    await nginx_lua_server.reload()

    async def answers() -> bool:
        return await fetch(nginx_lua_server) == "42"

    await until(answers, timeout_seconds=20, what="Lua answers")


async def test_no_lua_unless_asked_for(nginx_server: NginxServer) -> None:
    serve(nginx_server, "content_by_lua_block { ngx.print(6 * 7) }")
    with pytest.raises(Unavailable, match="content_by_lua_block"):
        await nginx_server.test()


async def test_workers_of_a_killed_master_are_ended_too(tmp_path: Path) -> None:
    server = NginxServer(tmp_path)
    await server.start()
    group = server.process.pid

    async def has_workers() -> bool:
        return len(members(group)) > 1

    await until(has_workers, timeout_seconds=20, what="workers run")
    await server.process.kill()
    assert members(group)
    await server.stop()
    assert not members(group)
    assert not (tmp_path / "nginx.pid").exists()


async def test_one_that_cannot_start_says_why(tmp_path: Path) -> None:
    server = NginxServer(tmp_path)
    server.include.parent.mkdir()
    server.include.write_text("nonsense here;\n", encoding="utf-8")
    with pytest.raises(Unavailable, match="unknown directive"):
        await server.start()
    await server.stop()


async def test_stop_without_start_does_nothing(tmp_path: Path) -> None:
    await NginxServer(tmp_path).stop()
