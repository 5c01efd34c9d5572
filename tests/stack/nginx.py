"""Real Nginx servers for tests, with and without Lua."""

from collections.abc import AsyncIterator
from pathlib import Path

import psutil
import pytest

from wharfinger.operator.parts.nginx import NginxServer
from wharfinger.operator.parts.process import until


@pytest.fixture
async def nginx_server(tmp_path: Path) -> AsyncIterator[NginxServer]:
    """A running Nginx that includes `nginx_server.include` and serves nothing yet."""
    server = NginxServer(tmp_path / "nginx")
    await server.start()
    yield server
    await server.stop()


@pytest.fixture
async def nginx_lua_server(tmp_path: Path) -> AsyncIterator[NginxServer]:
    """The same, with Debian's Lua module loaded."""
    server = NginxServer(tmp_path / "nginx-lua", lua=True)
    await server.start()
    yield server
    await server.stop()


async def workers(nginx: NginxServer) -> set[int]:
    """The pids of its two workers, once those of before a reload are gone."""

    def running() -> set[int]:
        return {child.pid for child in psutil.Process(nginx.process.pid).children()}

    async def settled() -> bool:
        return len(running()) == 2

    await until(settled, timeout_seconds=30, what="no older workers are left")
    return running()
