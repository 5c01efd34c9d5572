"""Real Nginx servers for tests, with and without Lua."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from wharfinger.operator.parts.nginx import NginxServer


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
